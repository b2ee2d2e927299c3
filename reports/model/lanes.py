"""The lanes of the timeline: a thread each, in display order."""

from __future__ import annotations

from typing import Any

from ..run import Run, members
from .part import Part


def lanes(run: Run) -> Part:
    """`lanes`, in order from the top, and which of them are the knot's (`core`)."""
    core = [lane for lane in (run.lane_of(waiter) for waiter in members(run, "core")) if lane is not None]
    return Part({"lanes": _lanes(run), "core": core})


def _lanes(run: Run) -> list[dict[str, Any]]:
    roles = {run.lane_of(waiter): waiter.role for waiter in (run.graph.waiters if run.graph else ())}
    made = []
    for place, lane in enumerate(run.lanes):
        process, traced = run.processes[lane.process], run.processes[lane.process]["traced"]
        life = process if lane.thread is None else run.threads[lane.thread]
        made.append({
            "process": lane.process,
            "who": run.thread_name(lane.thread, lane.process),
            "program": run.process_name(lane.process),
            "file": process["program"],
            "pid": process["pid"],
            "thread": run.threads[lane.thread]["name"] if traced and lane.thread is not None else "not traced",
            "task": lane.thread is not None and run.threads[lane.thread]["loop"] is not None,
            "role": roles.get(place, ""),
            "traced": traced,
            "started": life["started"],
            "ended": life["ended"],
        })  # fmt: skip
    return made
