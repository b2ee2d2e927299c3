"""Who is who in two runs: processes by lineage and program, threads by name, channels by the line that made them.

Neither pids nor clocks are asked. What is left over (a channel made by another line) is known by who talks over it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from ..events import NONE, Events, Ints, groups, number, rows_of, whole
from ..results import Analysis
from .sequences import LIKE, SAME, align, alike

# Kinds of events that make a channel.
MAKERS = ("make", "pair", "open", "connect", "entry")


class Line(NamedTuple):
    """A line of source as it is known in another run too: by its text, where that was kept."""

    file: str
    function: str
    text: str


@dataclass(slots=True)
class Roles:
    """Ids of the second run → those of the first: processes, threads, channels; files by path. What isn't there has no
    counterpart."""

    processes: dict[int, int] = field(default_factory=dict)
    threads: dict[int, int] = field(default_factory=dict)
    channels: dict[int, int] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


class Cast:
    """One run, with what aligning it asks."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis, self.trace = analysis, analysis.trace
        self.events = Events(analysis.trace.events)
        kept = self.trace.sources
        self.text = dict(zip(zip(kept["file"], kept["line"], strict=True), kept["text"].str.strip(), strict=True))
        self.sites = list(rows_of(self.trace.sites))
        self.children: dict[int | None, list[Any]] = {}
        for row in sorted(rows_of(self.trace.processes), key=lambda row: (row.started, row.process)):
            self.children.setdefault(number(row.parent), []).append(row)

    def line(self, site: int, files: dict[str, str] | None = None) -> Line:
        """The line of a site; `files` renames its file."""
        row = self.sites[site]
        text = self.text.get((row.file, row.line)) or f"line {row.line}"
        name = row.file if files is None else files.get(row.file, row.file)
        return Line(name, str(row.function), text)

    def makers(self) -> dict[int, int]:
        """Channel → the event that made it, or that used it first."""
        known = np.flatnonzero(self.events.channel != NONE)
        made = known[self.events.is_kind(*MAKERS)[known]]
        found: dict[int, int] = {}
        for events in (made, known):
            channels, first = np.unique(self.events.channel[events], return_index=True)
            for channel, event in zip(channels.tolist(), events[first].tolist(), strict=True):
                found.setdefault(channel, event)
        return found


def cast(first: Cast, second: Cast) -> Roles:
    """Who of the second run is who of the first."""
    roles = Roles()
    _processes(first, second, roles)
    _files(first, second, roles)
    _threads(first, second, roles)
    _channels(first, second, roles)
    return roles


def unnumbered(text: object) -> str:
    return re.sub(r"\d+", "#", str(text))


def _processes(first: Cast, second: Cast, roles: Roles) -> None:
    """Children of processes that are alike, in order of their start: alike where they run one program. Whoever is left
    (a shell stands between, or not) is known by its program alone."""

    def key(row: Any) -> Hashable:
        return row.program, unnumbered(row.name) if isinstance(row.name, str) else ""

    def like(one: Any, other: Any) -> int:
        return LIKE + int(bool(one[1] == other[1]))

    todo: list[tuple[int | None, int | None]] = [(None, None)]
    while todo:
        here, there = todo.pop()
        ones, others = first.children.get(here, []), second.children.get(there, [])
        for a, b in align([key(row) for row in ones], [key(row) for row in others], like):
            if a is not None and b is not None:
                roles.processes[others[b].process] = ones[a].process
                todo.append((ones[a].process, others[b].process))
    taken = set(roles.processes.values())
    free: dict[Hashable, list[int]] = {}
    for row in rows_of(first.trace.processes):
        if row.process not in taken:
            free.setdefault(row.program, []).append(row.process)
    for row in rows_of(second.trace.processes):
        if row.process not in roles.processes and free.get(row.program):
            roles.processes[row.process] = free[row.program].pop(0)


def _files(first: Cast, second: Cast, roles: Roles) -> None:
    """Files that have the longest end of their paths in common are one (a program's `pool.py` is not the library's);
    and so are the programs of processes that are alike, whatever they are called."""
    free = list(dict.fromkeys(row.file for row in first.sites))
    left = list(dict.fromkeys(row.file for row in second.sites))
    likely = sorted(
        ((_common_end(one, other), -a, -b, one, other) for a, one in enumerate(free) for b, other in enumerate(left)
         if PurePath(one).name == PurePath(other).name), reverse=True,
    )  # fmt: skip
    programs = [(_program(first, one), _program(second, other)) for other, one in roles.processes.items()]
    likely += [
        (0, 0, 0, one, other) for mine, theirs in dict.fromkeys(programs) for one in free for other in left
        if PurePath(one).name == mine and PurePath(other).name == theirs
    ]  # fmt: skip
    taken: set[str] = set()
    for _, _, _, one, other in likely:
        if one not in taken and other not in roles.files:
            roles.files[other] = one
            taken.add(one)


def _common_end(one: str, other: str) -> int:
    """How many parts two paths have in common, from the end on; of equal paths all and one more."""
    parts = zip(reversed(PurePath(one).parts), reversed(PurePath(other).parts), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], parts)) + (one == other)


def _program(one: Cast, process: int) -> str:
    return str(one.trace.processes["program"].iloc[process])


def _threads(first: Cast, second: Cast, roles: Roles) -> None:
    """Threads of processes that are alike, by name, in order of their start; the main thread is the main thread."""

    def own(one: Cast) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for row in sorted(rows_of(one.trace.threads), key=lambda row: (not row.main, row.started, row.thread)):
            found.setdefault(row.process, []).append(row)
        return found

    ones, others = own(first), own(second)
    for process, same in roles.processes.items():
        here, there = ones.get(same, []), others.get(process, [])
        one, other = ([(row.main, number(row.loop), unnumbered(row.name)) for row in rows] for rows in (here, there))
        for a, b in align([_kind(key) for key in one], [_kind(key) for key in other], _like_thread):
            if a is not None and b is not None:
                roles.threads[there[b].thread] = here[a].thread


def _kind(key: tuple[bool, int | None, str]) -> tuple[bool, bool, str]:
    """Main or not, a task or not, and the name without its number."""
    main, loop, name = key
    return main, loop is not None, name


def _like_thread(one: Any, other: Any) -> int:
    return LIKE if one[:2] == other[:2] else 0


def _channels(first: Cast, second: Cast, roles: Roles) -> None:
    """Channels by process and line that made them, in order; what came from outside by descriptor; else by talkers."""
    ones, others = _made(first, None), _made(second, roles)
    for maker in dict.fromkeys([*ones, *others]):
        here, there = ones.get(maker, []), others.get(maker, [])
        pairs = align([key for key, _ in here], [key for key, _ in there], _like_channel)
        _pair(roles, [channel for _, channel in here], [channel for _, channel in there], pairs)
    talk_here, talk_there = _talkers(first, None), _talkers(second, roles)
    taken = set(roles.channels.values())
    left: dict[Hashable, list[int]] = {}
    for channel, who in talk_here.items():
        if channel not in taken:
            left.setdefault(who, []).append(channel)
    for channel, who in talk_there.items():
        if channel not in roles.channels and left.get(who):
            roles.channels[channel] = left[who].pop(0)


def _pair(roles: Roles, here: list[int], there: list[int], pairs: list[tuple[int | None, int | None]]) -> None:
    for a, b in pairs:
        if a is not None and b is not None:
            roles.channels.setdefault(there[b], here[a])


def _like_channel(one: Any, other: Any) -> int:
    """Made by lines that are nearly the same, in one function: of one kind."""
    if one[0] != other[0] or (one[1] is None) != (other[1] is None) or one[1] is None:
        return 0
    same = one[1].file == other[1].file and one[1].function == other[1].function
    return LIKE if same and alike(one[1].text, other[1].text) else 0


def _made(one: Cast, roles: Roles | None) -> dict[Hashable, list[tuple[Hashable, int]]]:
    """Who made channels → their keys, in order of making: kind, line, call, and which end of a connection."""
    makers = one.makers()
    found: dict[Hashable, list[tuple[int, bool, Hashable, int]]] = {}
    table = one.trace.channels
    peers = dict(zip(table["channel"].tolist(), whole(table["peer"]).tolist(), strict=True))
    for row in rows_of(table):
        if row.outside or row.kind in ("file", "tty", "device"):
            continue
        event = makers.get(row.channel)
        other = makers.get(peers.get(row.channel, NONE))
        far = event is None or (other is not None and other < event)
        event = other if far else event
        if event is None:
            continue
        process = int(one.events.process[event])
        maker = process if roles is None else roles.processes.get(process, ("second", process))
        site = number(one.events.site[event])
        line = None if site is None else one.line(site, None if roles is None else roles.files)
        key = (row.kind, line, one.events.op(event), far)
        found.setdefault(maker, []).append((event, far, key, row.channel))
    return {
        maker: [(key, channel) for _, _, key, channel in sorted(rows, key=lambda row: row[:2])]
        for maker, rows in found.items()
    }


def _talkers(one: Cast, roles: Roles | None) -> dict[int, Hashable]:
    """Channel → the processes that wrote and read most of its messages (an empty side: -1); what came from outside by
    the descriptors of the first process instead."""
    table = one.analysis.messages
    owner = whole(one.trace.threads["process"])

    def role(process: int) -> Hashable:
        return process if roles is None or process < 0 else roles.processes.get(process, ("second", process))

    found: dict[int, Hashable] = {}
    for channel, rows in groups(table, "channel"):
        ends = []
        for side in ("writer", "reader"):
            threads: Ints = whole(rows[side])
            threads = threads[threads != NONE]
            ends.append(int(np.bincount(owner[threads]).argmax()) if len(threads) else -1)
        found[int(channel)] = tuple(role(end) for end in ends)
    held = one.trace.descriptors
    held = held[(held["process"] == 0) & (held["time"] == held["time"].min())]
    outside = set(one.trace.channels.loc[one.trace.channels["outside"], "channel"].tolist())
    for channel, rows in groups(held, "channel"):
        if channel in outside:
            fds = rows["fd"]
            found[channel] = ("outside", *sorted(fds.tolist()))
    return found


__all__ = ["SAME", "Cast", "Line", "Roles", "cast"]
