"""The channels: what they are, who holds their ends, and which get a strip of their own under the lanes."""

from __future__ import annotations

from typing import Any

from ..run import OUTWARD, Run, members
from .part import Part

HOLDERS = 20  # open ends of a channel that are named
STRIPS = 16  # channel strips under the lanes; the rest is in the table


def channels(run: Run) -> Part:
    """`channels`, by their number, the `strips`, and which bytes are `stuck` in whose buffers at the cut."""
    stuck = [
        {"lane": run.lane_of_process.get(one.process), "channel": one.channel, "size": one.size}
        for one in (run.graph.stuck if run.graph else ())
    ]
    return Part({"channels": _channels(run), "strips": strips(run), "stuck": stuck})


def _channels(run: Run) -> list[dict[str, Any]]:
    kept = ("kind", "inode", "path", "capacity", "writers", "readers", "written", "read", "left", "messages")
    held = _open_ends(run)
    return [
        {
            "name": run.channel_name(row["channel"]), **{key: row.get(key) for key in kept},
            "unseen": {access: run.unseen(row["channel"], access)[0] for access in ("w", "r")},
            "open": {access: held.get((row["channel"], access), []) for access in ("w", "r")},
        }
        for row in run.channels
    ]  # fmt: skip


def _open_ends(run: Run) -> dict[tuple[int, str], list[str]]:
    """Who holds an end to the last, by channel and access: `child fd 3`; of very many the first."""
    ends = run.analysis.descriptors
    still = ends[ends["closed"].isna() & ends["channel"].notna()] if len(ends) else ends
    found: dict[tuple[int, str], list[str]] = {}
    columns = (still[name].tolist() for name in ("channel", "access", "process", "fd"))
    for channel, access, process, fd in zip(*columns, strict=True):
        for one in access:
            there = found.setdefault((channel, one), [])
            if len(there) < HOLDERS:
                there.append(f"{run.process_name(process)} fd {fd}")
    return found


def strips(run: Run) -> list[int]:
    """The channels that get a strip: those that carried bytes between threads, or should have; the knot's first."""
    graph = run.graph
    wanted = [waiter.channel for waiter in members(run, "core")] + [
        one.channel for one in (graph.stuck if graph else ())
    ]
    busy = sorted((row for row in run.channels if row["messages"]), key=lambda row: -row["messages"])
    wanted += [row["channel"] for row in busy if row["kind"] not in OUTWARD]
    return list(dict.fromkeys(channel for channel in wanted if channel is not None))[:STRIPS]
