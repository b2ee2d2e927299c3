"""What the small figures draw, as rows: who waited for whom, the critical path, races, and waits seen in /proc.

Each becomes a table of the page, so that no figure is the only way to a fact.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from ipctrace.tracer.schema import REASONS

from ..columns import pack
from ..figures.matrix import pairs
from ..run import Run
from .part import Part, mapped

TOKENS = ("run", *REASONS)  # what the page's numbers of reasons index, as in waits.py
CONTESTS = ("send", "receive")


def blame(run: Run) -> Part:
    """The columns `matrix.…`, `path.…`, `contests.…` and `sampled.…`, and the `syscalls` of `sampled.call`."""
    seen = run.analysis.sampled
    calls, known = pd.factorize(seen["syscall"] if len(seen) else pd.Series(dtype="str"))
    tables = {"matrix": matrix(run), "path": path(run), "contests": contests(run), "sampled": sampled(run, calls)}
    columns = {f"{table}.{name}": pack(values) for table, made in tables.items() for name, values in made.items()}
    return Part({"syscalls": [str(name) for name in known]}, columns)


def empty(*names: str) -> dict[str, Any]:
    return {name: [] for name in names}


def matrix(run: Run) -> dict[str, Any]:
    """Of two threads, how often and how long the one waited for the other; the longest first."""
    table = pairs(run)
    if table.empty:
        return empty("lane", "by", "time", "count")
    table = table.sort_values("time", ascending=False, kind="stable")
    return {
        "lane": mapped(table["thread"], run.lane_of_thread),
        "by": mapped(table["by"], run.lane_of_thread),
        "time": table["time"],
        "count": table["count"],
    }


def path(run: Run) -> dict[str, Any]:
    """The segments of the critical path, in order of time."""
    table = run.analysis.path
    if table.empty:
        return empty("lane", "begin", "length", "what", "site")
    return {
        "lane": mapped(table["thread"], run.lane_of_thread),
        "begin": table["begin"],
        "length": table["end"] - table["begin"],
        "what": table["what"].replace("runs", "run").map({token: place for place, token in enumerate(TOKENS)}),
        "site": table["site"],
    }


def contests(run: Run) -> dict[str, Any]:
    """Two neighbours on a channel that could have come the other way round: their lanes, times and lines."""
    table = run.analysis.races
    if table.empty:
        return empty("kind", "channel", "first", "second", "begin", "end", "first_site", "second_site", "count")
    enter = run.trace.events["enter"]
    return {
        "kind": table["kind"].map({kind: place for place, kind in enumerate(CONTESTS)}),
        "channel": table["channel"],
        "first": mapped(table["first_thread"], run.lane_of_thread),
        "second": mapped(table["second_thread"], run.lane_of_thread),
        "begin": enter.iloc[table["first"].to_numpy(dtype="int64")].to_numpy(),
        "end": enter.iloc[table["second"].to_numpy(dtype="int64")].to_numpy(),
        "first_site": table["first_site"],
        "second_site": table["second_site"],
        "count": table["count"],
    }


def sampled(run: Run, calls: Any) -> dict[str, Any]:
    """When threads of processes that aren't traced were seen to wait: known to a few milliseconds."""
    table = run.analysis.sampled
    if table.empty:
        return empty("process", "tid", "begin", "length", "open", "call", "reason", "channel")
    return {
        "process": table["process"],
        "tid": table["tid"],
        "begin": table["begin"],
        "length": table["end"] - table["begin"],
        "open": table["open"],
        "call": pd.Series(calls),
        "reason": table["reason"].map({token: place for place, token in enumerate(TOKENS)}),
        "channel": table["channel"],
    }
