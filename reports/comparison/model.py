"""What the comparison page's script draws from: each setting's lanes, waits and messages, and what ties two together.

Few things are JSON, the long tables typed columns (columns.py), named `s0waits.begin` for setting 0, and so on. Times
are ns since the start of each run.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from ipctrace.analysis.comparison import Comparison, Pair, Side
from ipctrace.analysis.events import Ints, whole
from ipctrace.analysis.naming import span
from ipctrace.tracer.schema import REASONS

from ..columns import Packed, pack
from ..model.part import TOKENS, mapped, reason_numbers
from ..run import Run
from .words import letter

LANES, WAITS, MESSAGES = 12, 50_000, 20_000  # of each run, at most: the first lanes, the longest waits and messages


def build(comparison: Comparison) -> tuple[dict[str, Any], dict[str, Packed]]:
    """The JSON and the columns."""
    settings: list[dict[str, Any]] = []
    columns: dict[str, Packed] = {}
    for place, setting in enumerate(comparison.settings):
        run = Run(comparison.runs[setting.shown])
        shown = run.lanes[:LANES]
        lane_of = {lane.thread: row for row, lane in enumerate(shown) if lane.thread is not None}
        waits, messages = _waits(run, lane_of), _messages(run, lane_of)
        columns |= {f"s{place}waits.{name}": column for name, column in waits.items()}
        columns |= {f"s{place}messages.{name}": column for name, column in messages.items()}
        settings.append({
            "letter": letter(place), "label": setting.label, "verdict": setting.verdict, "end": run.end,
            "formed": run.graph.formed if run.graph and any(w.role == "core" for w in run.graph.waiters) else None,
            "duration": span(run.end), "more": len(run.lanes) - len(shown),
            "lanes": [_lane(run, lane.process, lane.thread) for lane in shown],
        })  # fmt: skip
    threads = [
        {lane["thread"]: row for row, lane in enumerate(setting["lanes"]) if lane["thread"] is not None}
        for setting in settings
    ]
    shown_runs = [comparison.runs[setting.shown] for setting in comparison.settings]
    owners = [whole(run.trace.events["thread"]) for run in shown_runs]
    pairs = [
        _pair(pair, *((threads[place], owners[place]) for place in (pair.first, pair.second)))
        for pair in comparison.pairs
    ]
    words = {"run": "running", **REASONS, "unseen": "not traced"}
    start = [comparison.telling.first, comparison.telling.second]
    facts = {"settings": settings, "pairs": pairs, "start": start, "reasons": words, "tokens": list(TOKENS)}
    return facts | {"long": []}, columns


def _lane(run: Run, process: int, thread: int | None) -> dict[str, Any]:
    life = run.processes[process] if thread is None else run.threads[thread]
    return {
        "thread": thread, "who": run.thread_name(thread, process), "traced": bool(run.processes[process]["traced"]),
        "started": life["started"], "ended": life["ended"],
    }  # fmt: skip


def _waits(run: Run, lane_of: dict[int, int]) -> dict[str, Packed]:
    table = run.analysis.blocking
    table = table.assign(lane=mapped(table["thread"], lane_of).to_numpy(), length=table["end"] - table["begin"])
    table = table[table["lane"].notna()]
    if len(table) > WAITS:
        table = table.nlargest(WAITS, "length")
    table = table.sort_values("begin", kind="stable")
    return {
        "begin": pack(table["begin"], differences=True), "length": pack(table["length"].astype("int64")),
        "reason": pack(reason_numbers(table["reason"])), "lane": pack(table["lane"]), "open": pack(table["open"]),
    }  # fmt: skip


def _messages(run: Run, lane_of: dict[int, int]) -> dict[str, Packed]:
    """Messages between lanes, or that never left: begin (handed over), written?, read?, writer, reader?, size."""
    table = run.analysis.messages
    table = pd.DataFrame({
        "begin": run.message_begins.to_numpy(), "written": _times(table["written"]), "read": _times(table["read"]),
        "writer": mapped(table["writer"], lane_of), "reader": mapped(table["reader"], lane_of), "size": table["size"],
    })  # fmt: skip
    table = table[table["writer"].notna()]
    if len(table) > MESSAGES:
        table = table.assign(way=table["read"] - table["begin"]).nlargest(MESSAGES, "way").drop(columns="way")
    table = table.sort_values("begin", kind="stable")
    packed = {name: pack(table[name]) for name in ("written", "read", "writer", "reader", "size")}
    return {"begin": pack(table["begin"], differences=True), **packed}


def _times(column: pd.Series[Any]) -> Any:
    return column.astype("Float64").to_numpy(dtype="float64", na_value=float("nan"))


# A setting's thread → lane, and event → thread.
Places = tuple[dict[int, int], Ints]


def _pair(pair: Pair, first: Places, second: Places) -> dict[str, Any]:
    """What is drawn between two settings."""
    told = pair.first_difference
    ties = [
        [first[0][a], begin, second[0][b], begin_]
        for a, begin, b, begin_ in pair.ties
        if a in first[0] and b in second[0]
    ]
    marks = [
        {
            "row": row, "first": one is told, "decides": one.decides, "who": one.who,
            "place": one.first.place or one.second.place, "a": _mark(one.first, first), "b": _mark(one.second, second),
        }
        for row, one in enumerate(pair.differences)
        if (one is told or one.decides) and one.kind not in ("verdict", "finding")
    ]  # fmt: skip
    return {"first": pair.first, "second": pair.second, "headline": pair.headline, "ties": ties, "marks": marks}


def _mark(side: Side, at: Places) -> dict[str, Any]:
    lane = None if side.event is None else at[0].get(int(at[1][side.event]))
    return {"words": side.words, "time": side.time, "lane": lane}


__all__ = ["build"]
