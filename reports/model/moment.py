"""What the page knows of an instant beyond the waits' own rows: whom an open wait is for, and what /proc showed.

A wait that ended tells who ended it (`waits.by`). One that never did can't: the wait-for graph of the cut says whom it
waits for, and there may be several. A thread that isn't traced has no waits at all; when it was seen to wait from
outside is in `seen`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..columns import Packed, pack
from ..run import Run
from .part import Part, reason_numbers


def moment(run: Run) -> Part:
    """`graph`: who waits at the cut (`waiters`: lane, reason, since in ns, channel, site) and for whom (`edges`:
    from and to as lanes, channel, why); None without one. Columns `seen.…`: an interval in which a lane that isn't
    traced was seen to wait: begin, end (ns), open, reason (of `reasons`), lane, channel."""
    return Part({"graph": graph(run)}, _seen(run))


def graph(run: Run) -> dict[str, list[dict[str, Any]]] | None:
    """The wait-for graph in lanes: who waits at the cut, and for whom; None without one."""
    if run.graph is None:
        return None
    lanes = [run.lane_of(waiter) for waiter in run.graph.waiters]
    waiters = [
        {"lane": lane, "reason": one.reason, "since": one.since, "channel": one.channel, "site": one.site}
        for lane, one in zip(lanes, run.graph.waiters, strict=True)
        if lane is not None and one.reason != "run"
    ]  # fmt: skip
    edges = [
        {"from": lanes[edge.waiter], "to": lanes[edge.holder], "channel": edge.channel, "why": edge.why}
        for edge in run.graph.edges
        if lanes[edge.waiter] is not None and lanes[edge.holder] is not None
    ]
    return {"waiters": waiters, "edges": edges}


def seen(run: Run) -> pd.DataFrame:
    """The intervals in which lanes that aren't traced were seen to wait, ordered by begin: `Analysis.sampled` and
    lane."""
    table = run.analysis.sampled
    if not len(table):
        table = pd.DataFrame({name: [] for name in ("process", "tid", "begin", "end", "open", "reason", "channel")})
    of_tid = {(row["process"], row["tid"]): run.lane_of_thread.get(row["thread"]) for row in run.threads}
    lanes = [
        None if run.processes[process]["traced"] else of_tid.get((process, tid))
        for process, tid in zip(table["process"], table["tid"], strict=True)
    ]
    table = table.assign(lane=pd.array(lanes, dtype="Int64")).dropna(subset="lane")
    return table.sort_values("begin", kind="stable")


def _seen(run: Run) -> dict[str, Packed]:
    table = seen(run)
    columns = {
        "begin": pack(table["begin"], differences=True),
        "end": pack(table["end"]),
        "open": pack(table["open"].astype(bool)),
        "reason": pack(reason_numbers(table["reason"])),
        "lane": pack(table["lane"]),
        "channel": pack(table["channel"]),
    }
    return {f"seen.{name}": column for name, column in columns.items()}
