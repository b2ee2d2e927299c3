"""The channels: what they are, who holds their ends, and which get a strip of their own under the lanes."""

from __future__ import annotations

from typing import Any

from ..run import Run, members
from .part import Part

STRIPS = 16  # channel strips under the lanes; the rest is in the table
OUTWARD = ("tty", "file", "device", "other")  # what a write is only marked for: nobody in the run reads it


def channels(run: Run) -> Part:
    """`channels`, by their number, the `strips`, and which bytes are `stuck` in whose buffers at the cut."""
    stuck = [
        {"lane": run.lane_of_process.get(one.process), "channel": one.channel, "size": one.size}
        for one in (run.graph.stuck if run.graph else ())
    ]
    return Part({"channels": _channels(run), "strips": strips(run), "stuck": stuck})


def _channels(run: Run) -> list[dict[str, Any]]:
    kept = ("kind", "inode", "path", "capacity", "writers", "readers", "written", "read", "left", "messages")
    ends = run.analysis.descriptors
    made = []
    for row in run.channels:
        mine = ends[ends["channel"] == row["channel"]]
        open_ends = mine[mine["closed"].isna()] if len(mine) else mine
        made.append({
            "name": run.channel_name(row["channel"]), **{key: row.get(key) for key in kept},
            "unseen": {access: run.unseen(row["channel"], access)[0] for access in ("w", "r")},
            "open": {
                access: [f"{run.process_name(p)} fd {fd}" for p, fd in zip(some["process"], some["fd"], strict=True)]
                for access in ("w", "r")
                for some in (open_ends[open_ends["access"].isin([access, "rw"])] if len(open_ends) else open_ends,)
            },
        })  # fmt: skip
    return made


def strips(run: Run) -> list[int]:
    """The channels that get a strip: those that carried bytes between threads, or should have; the knot's first."""
    graph = run.graph
    wanted = [waiter.channel for waiter in members(run, "core")] + [
        one.channel for one in (graph.stuck if graph else ())
    ]
    busy = sorted((row for row in run.channels if row["messages"]), key=lambda row: -row["messages"])
    wanted += [row["channel"] for row in busy if row["kind"] not in OUTWARD]
    return list(dict.fromkeys(channel for channel in wanted if channel is not None))[:STRIPS]
