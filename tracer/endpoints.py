"""Finds each connection's other end: of sockets and pseudo-terminals every end is a channel of its own.

What is known of an end comes from the process that has it: its own address, the other's, and the pid that the system
names as the other's (SO_PEERCRED, unix(7)). Where the system itself told which inode is whose peer (sock_diag(7)), that
wins. Where two answers would be possible, none is given: a wrong peer would make a wrong verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Row = dict[str, Any]
_CONNECTIONS = ("unix-stream", "unix-seqpacket")


class Endpoint(NamedTuple):
    """What a process knew of an end: its channel, when (monotonic ns), who knew it, the other end's pid, when its
    connect began (None: it didn't connect, or that isn't known), and which thread knew it."""

    channel: int
    time: int
    pid: int
    peer_pid: int | None
    since: int | None = None
    thread: int = 0


def connect(rows: Sequence[Row], ends: Sequence[Endpoint], inodes: Mapping[int, int]) -> None:
    """Fill in `peer` of the channels' `rows` (by id) where the other end is known."""
    sockets = {row["inode"]: row for row in rows if row["kind"] == "socket"}
    for inode, other in inodes.items():
        if inode in sockets and other in sockets:
            _join(sockets[inode], sockets[other])
    first: dict[int, Endpoint] = {}
    for end in sorted(ends, key=lambda end: end.time):
        known = first.setdefault(end.channel, end)
        # who knew it first had it first; the more telling of its statements counts, and the time of that
        if known.peer_pid is None and known.since is None and (end.peer_pid is not None or end.since is not None):
            first[end.channel] = end
    known_ends = sorted(first.values(), key=lambda end: end.time)
    _terminals(rows, known_ends)
    _by_addresses(rows, _unjoined(rows, known_ends))
    _by_path(rows, _unjoined(rows, known_ends))


def _unjoined(rows: Sequence[Row], ends: Iterable[Endpoint]) -> list[Endpoint]:
    return [end for end in ends if rows[end.channel].get("peer") is None]


def _join(one: Row, other: Row) -> None:
    one["peer"], other["peer"] = other["channel"], one["channel"]


def _terminals(rows: Sequence[Row], ends: Sequence[Endpoint]) -> None:
    """A leader's inode is -1 - N and its follower's path is /dev/pts/N; a process that has a leader may have told so.

    Numbers are used again: the n-th leader of a number goes with its n-th follower. Processes that aren't traced hold
    leaders too, and say nothing of it.
    """
    told = {end.channel for end in ends if rows[end.channel].get("form") == "pty"}
    leaders: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "tty" and row["inode"] < 0:
            name = f"/dev/pts/{-1 - row['inode']}"
            row["form"], row["local"], row["remote"] = "pty", f"master:{name}", name
        elif row["channel"] not in told or row.get("path") == row.get("local"):
            continue
        if row.get("peer") is None:
            leaders[row["remote"] or ""].append(row)
    for row in rows:
        if row["kind"] == "tty" and leaders.get(row.get("path") or "") and row.get("peer") is None:
            _join(row, leaders[row["path"]].pop(0))


def _by_addresses(rows: Sequence[Row], ends: Sequence[Endpoint]) -> None:
    """Two ends whose addresses are each other's, in order of time: ports are used again."""
    waiting: defaultdict[tuple[str, str, str], list[Endpoint]] = defaultdict(list)
    for end in ends:
        row = rows[end.channel]
        form, local, remote = row.get("form") or "", row.get("local") or "", row.get("remote") or ""
        if not local or not remote or local == remote:
            continue
        others = waiting[form, remote, local]
        fitting = [other for other in others if _may_have_met(other, end)]
        if fitting:
            _join(row, rows[fitting[0].channel])
            others.remove(fitting[0])
        else:
            waiting[form, local, remote].append(end)


def _may_have_met(one: Endpoint, other: Endpoint) -> bool:
    """Not where one was accepted before the other had begun to connect: that was another connection.

    Datagram sockets both connect, whenever they like.
    """
    if one.since is None:
        return other.since is None or one.time >= other.since
    return other.since is not None or other.time >= one.since


@dataclass
class _Made:
    """An end that connected, and whether it is doubtful which accepted end is its own."""

    end: Endpoint
    doubtful: bool = False


def _by_path(rows: Sequence[Row], ends: Sequence[Endpoint]) -> None:
    """Who connected to a path has no name of its own; who was accepted there has the path, and the pid of the other.

    Connections are accepted in the order in which they were made. That tells them apart where one was made before the
    next began, and where one thread accepts; else it is doubtful, and stays so.
    """
    made: defaultdict[str, list[_Made]] = defaultdict(list)
    acceptors: defaultdict[tuple[str, int], set[tuple[int, int]]] = defaultdict(set)
    for end in ends:
        if end.peer_pid is not None and not rows[end.channel].get("remote"):
            acceptors[rows[end.channel].get("local") or "", end.peer_pid].add((end.pid, end.thread))
    for end in sorted(ends, key=lambda end: end.time if end.since is None else end.since):
        row = rows[end.channel]
        local, remote = row.get("local") or "", row.get("remote") or ""
        if row.get("form") not in _CONNECTIONS or bool(local) == bool(remote):
            continue
        if remote:
            made[remote].append(_Made(end))
        elif end.peer_pid is None:
            made[local].clear()  # a new listener at that path: none of the earlier ones will be accepted there
        else:
            _accepted(rows, end, made[local], alone=len(acceptors[local, end.peer_pid]) == 1)


def _accepted(rows: Sequence[Row], end: Endpoint, made: list[_Made], alone: bool) -> None:
    """An end was accepted: which of those that had connected is its other end? `alone`: by one thread, as all are."""
    fitting = [one for one in made if one.end.pid == end.peer_pid and (one.end.since or 0) <= end.time]
    if not fitting:
        return
    chosen, others = fitting[0], fitting[1:]
    rivals = others if not alone else [one for one in others if (one.end.since or one.end.time) < chosen.end.time]
    for one in rivals:
        one.doubtful = True
    if not rivals and not chosen.doubtful:
        _join(rows[end.channel], rows[chosen.end.channel])
    made.remove(chosen)
