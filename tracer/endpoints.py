"""Finds each connection's other end: of sockets and pseudo-terminals every end is a channel of its own.

What is known of an end comes from the process that has it: its own address, the other's, and the pid that the system
names as the other's (SO_PEERCRED, unix(7)). Where the system itself told which inode is whose peer (sock_diag(7)), that
wins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Endpoint(NamedTuple):
    """What a process knew of an end: its channel, when (monotonic ns), who knew it, and the other end's pid."""

    channel: int
    time: int
    pid: int
    peer_pid: int | None


def connect(rows: Sequence[dict[str, Any]], ends: Sequence[Endpoint], inodes: Mapping[int, int]) -> None:
    """Fill in `peer` of the channels' `rows` (by id) where the other end is known."""
    sockets = {row["inode"]: row for row in rows if row["kind"] == "socket"}
    for inode, other in inodes.items():
        if inode in sockets and other in sockets:
            _join(sockets[inode], sockets[other])
    _terminals(rows)
    latest = {end.channel: end for end in sorted(ends, key=lambda end: end.time)}
    open_ends = [end for end in sorted(latest.values(), key=lambda end: end.time) if not _joined(rows[end.channel])]
    _by_addresses(rows, open_ends)
    _by_path(rows, [end for end in open_ends if not _joined(rows[end.channel])])


def _joined(row: Mapping[str, Any]) -> bool:
    return row.get("peer") is not None


def _join(one: dict[str, Any], other: dict[str, Any]) -> None:
    one["peer"], other["peer"] = other["channel"], one["channel"]


def _terminals(rows: Sequence[dict[str, Any]]) -> None:
    """A pseudo-terminal's leader has -1 - N for its inode, its follower is /dev/pts/N. Numbers are used again: the n-th
    of the one goes with the n-th of the other. Processes that aren't traced hold leaders too, and say nothing of it."""
    leaders: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "tty" and row["inode"] < 0:
            name = f"/dev/pts/{-1 - row['inode']}"
            row["form"], row["local"], row["remote"] = "pty", f"master:{name}", name
            if not _joined(row):
                leaders[name].append(row)
    for row in rows:
        if row["kind"] == "tty" and leaders.get(row["path"] or "") and not _joined(row):
            _join(row, leaders[row["path"]].pop(0))


def _by_addresses(rows: Sequence[dict[str, Any]], ends: Sequence[Endpoint]) -> None:
    """Two ends whose addresses are each other's, in order of time: ports are used again."""
    waiting: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for end in ends:
        row = rows[end.channel]
        form, local, remote = row.get("form") or "", row.get("local") or "", row.get("remote") or ""
        if not local or not remote:
            continue
        if waiting[form, remote, local]:
            _join(row, rows[waiting[form, remote, local].pop(0)])
        else:
            waiting[form, local, remote].append(end.channel)


def _by_path(rows: Sequence[dict[str, Any]], ends: Sequence[Endpoint]) -> None:
    """Who connected to a path has no name of its own; who was accepted there has the path. Connections are accepted in
    the order in which they were made, and the system names the pid of whoever made them."""
    made: defaultdict[str, list[Endpoint]] = defaultdict(list)
    for end in ends:
        row = rows[end.channel]
        if row.get("remote") and not row.get("local"):
            made[row["remote"]].append(end)
    for end in ends:
        row = rows[end.channel]
        candidates = made.get(row.get("local") or "", []) if not row.get("remote") else []
        fitting = [one for one in candidates if end.peer_pid in (None, one.pid)]
        if fitting:
            _join(row, rows[fitting[0].channel])
            candidates.remove(fitting[0])
