"""What the small figures draw, as rows: who waited for whom, the critical path, and waits seen in /proc.

Each becomes a table of the page, so that no figure is the only way to a fact.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..columns import pack
from ..run import Run
from .part import Part, mapped, reason_numbers


def blame(run: Run) -> Part:
    """The columns `matrix.…`, `path.…` and `sampled.…`, and the `syscalls` of `sampled.call`."""
    seen = run.analysis.sampled
    calls, known = pd.factorize(seen["syscall"] if len(seen) else pd.Series(dtype="str"))
    tables = {"matrix": matrix(run), "path": path(run), "sampled": sampled(run, calls)}
    columns = {f"{table}.{name}": pack(values) for table, made in tables.items() for name, values in made.items()}
    return Part({"syscalls": [str(name) for name in known]}, columns)


def empty(*names: str) -> dict[str, Any]:
    return {name: [] for name in names}


def matrix(run: Run) -> dict[str, Any]:
    """Of two threads, how often and how long the one waited for the other; the longest first."""
    table = run.pairs
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
        "what": reason_numbers(table["what"].replace("runs", "run")),
        "site": table["site"],
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
        "reason": reason_numbers(table["reason"]),
        "channel": table["channel"],
    }
