"""The marks on the lanes: forks, execs, thread starts, exits, and writes that leave the run."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import pandas as pd

from ..columns import pack
from ..run import Run
from .channels import OUTWARD
from .part import Part, mapped

MARKS = ("fork", "exec", "start", "exit", "out")


def marks(run: Run) -> Part:
    """The columns `marks.…`: time, lane, kind (of `marks`), other lane, site."""
    events = run.trace.events
    outward = [row["channel"] for row in run.channels if row["kind"] in OUTWARD]
    kinds = events["kind"].where(~((events["kind"] == "write") & events["channel"].isin(outward)), "out")
    picked = events[kinds.isin(MARKS)]
    others = [
        started(run, kind, result, size, enter) if kind in ("fork", "start") else None
        for kind, result, size, enter in zip(
            picked["kind"], *(optional(picked[name]) for name in ("result", "size")), picked["enter"], strict=True
        )
    ]
    columns = {
        "time": pack(picked["enter"], differences=True),
        "lane": pack(mapped(picked["thread"], run.lane_of_thread)),
        "kind": pack(kinds[picked.index].map({kind: place for place, kind in enumerate(MARKS)})),
        "other": pack(pd.Series(others, dtype="Int64")),
        "site": pack(picked["site"]),
    }
    return Part({"marks": MARKS}, {f"marks.{name}": column for name, column in columns.items()})


def optional(series: pd.Series[Any]) -> Iterable[int | None]:
    return [None if pd.isna(value) else int(value) for value in series]


def started(run: Run, kind: str, result: int | None, size: int | None, time: int) -> int | None:
    """The lane that a fork (by pid) or a thread's start (by native id) began: of equal numbers the nearest in time."""
    table, key, wanted, lane = (
        (run.processes, "pid", result, run.lane_of_process)
        if kind == "fork"
        else (run.threads, "tid", size, run.lane_of_thread)
    )
    found = [row for row in _by(run, table, key).get(wanted, ()) if row["started"] is not None]
    if not found:
        return None
    nearest = min(found, key=lambda row: abs(row["started"] - time))
    return lane.get(nearest["process" if kind == "fork" else "thread"])


def _by(run: Run, table: list[dict[str, Any]], key: str) -> dict[Hashable, list[dict[str, Any]]]:
    """Rows by a column's value; kept on the run, so that a thousand forks look it up once."""
    cache: dict[str, dict[Hashable, list[dict[str, Any]]]] = run.__dict__.setdefault("_indices", {})
    if key not in cache:
        found = cache[key] = {}
        for row in table:
            found.setdefault(row[key], []).append(row)
    return cache[key]
