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
    kept = ("kind", "inode", "path", "capacity", "written", "read", "left", "messages")
    held, writers, readers = _open_ends(run), _users(run, "writer"), _users(run, "reader")
    return [
        {
            "name": run.channel_name(row["channel"]), **{key: row.get(key) for key in kept},
            "writers": ", ".join(_named(row["writers"], writers.get(row["channel"], []))),
            "readers": ", ".join(_named(row["readers"], readers.get(row["channel"], []))),
            "unseen": {access: run.unseen(row["channel"], access)[0] for access in ("w", "r")},
            "open": {access: held.get((row["channel"], access), []) for access in ("w", "r")},
        }
        for row in run.channels
    ]  # fmt: skip


def _users(run: Run, end: str) -> dict[int, list[str]]:
    """The threads that gave or got a channel's messages, by name."""
    pairs = run.analysis.messages[["channel", end]].dropna().drop_duplicates().sort_values(["channel", end])
    found: dict[int, list[str]] = {}
    for channel, thread in zip(pairs["channel"].tolist(), pairs[end].tolist(), strict=True):
        found.setdefault(channel, []).append(run.analysis.names[thread])
    return found


def _named(calls: str, messages: list[str]) -> list[str]:
    """Who used a channel: those that made system calls on it and those whose messages these moved. Where a thread of
    the same process has lent its hand, as a queue's feeder does, whose message it was is named, as everywhere else."""
    told = {name.partition("/")[0] for name in messages}
    own = [name for name in calls.split(", ") if name and (name in messages or name.partition("/")[0] not in told)]
    return list(dict.fromkeys([*own, *messages]))


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
