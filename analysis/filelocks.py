"""Who holds a lock on a file at the cut.

* flock(2): a lock belongs to an open file description, which dup and fork share: it lives until it is released through
  any of its descriptors, or the last of them is closed. A lock of the other kind through the same description replaces
  it: the old one goes first.
* lockf and fcntl(2): a lock on a part of a file belongs to a process, and goes with any of its descriptors of the file
  (unless it is one of an "open file description", which the trace can't tell: so whoever has the file open may count).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .events import NEVER, NONE, rows_of
from .run import Run

FILE_LOCKS = ("fcntl.flock", "fcntl.lockf", "os.lockf")
_SHARED, _EXCLUSIVE = 1, 2  # LOCK_SH, LOCK_EX

Descriptor = tuple[int, int]  # process, fd


@dataclass
class _State:
    """What is known of one file at a moment of the replay."""

    description: dict[Descriptor, int] = field(default_factory=dict)  # named by the event that opened it
    flocks: dict[int, int] = field(default_factory=dict)  # description → the acquire that holds it
    parts: dict[int, dict[bytes, int]] = field(default_factory=dict)  # process → part → the acquire that holds it


class FileLocks:
    """The locks on one file (a channel), replayed up to the cut."""

    def __init__(self, run: Run, channel: int) -> None:
        self.run, self.channel, self.events = run, channel, run.events
        self._state = self._replay()
        held = run.held[run.held["channel"] == channel]
        self._open: list[Descriptor] = [(int(row.process), int(row.fd)) for row in rows_of(held)]

    def against(self, event: int) -> list[tuple[int, tuple[Descriptor, ...]]]:
        """What stands against an open call for a lock: (acquire, descriptors through which it is shared)."""
        op = self.events.op(event)
        return self._flocks_against(event) if op == "fcntl.flock" else self._parts_against(event)

    def _flocks_against(self, event: int) -> list[tuple[int, tuple[Descriptor, ...]]]:
        own = self._description(*self._descriptor(event))
        found = []
        for description, acquire in self._state.flocks.items():
            keepers = tuple(each for each in self._open if self._description(*each) in (description, None))
            sure = any(self._description(*each) == description for each in keepers)
            if description != own and sure and self._conflict(event, acquire):
                found.append((acquire, keepers))
        return found

    def _parts_against(self, event: int) -> list[tuple[int, tuple[Descriptor, ...]]]:
        process, wanted = int(self.events.process[event]), self._part(event)
        opened = {keeper for keeper, _ in self._open}
        return [
            (acquire, tuple(each for each in self._open if each[0] == owner))
            for owner, parts in self._state.parts.items()
            for part, acquire in parts.items()
            if owner != process and owner in opened and self._conflict(event, acquire) and _overlap(wanted, part)
        ]

    def _conflict(self, one: int, other: int) -> bool:
        return bool((self.events.size[one] | self.events.size[other]) & _EXCLUSIVE)

    def _descriptor(self, event: int) -> Descriptor:
        return int(self.events.process[event]), int(self.events.fd[event])

    def _part(self, event: int) -> bytes:
        """The part of the file, as it was asked for; os.lockf's begins where the file's position is."""
        part = self.run.payloads[event]
        return part + b"?" if part and self.events.op(event) == "os.lockf" else part

    def _description(self, process: int, fd: int) -> int | None:
        """The description behind a descriptor; None: nothing tells."""
        return self._state.description.get((process, fd))

    # Replay

    def _replay(self) -> _State:
        events, state = self.events, _State()
        mine = (events.channel == self.channel) & events.is_kind("open", "duplicate", "close", "acquire", "release")
        chosen = np.flatnonzero(mine | events.is_kind("fork"))
        times = np.where(events.is_kind("fork", "close", "release")[chosen], events.enter[chosen], events.exit[chosen])
        times = np.where(times == NEVER, events.enter[chosen], times)
        children = {row.pid: row.process for row in rows_of(self.run.trace.processes)}
        for event in chosen[np.argsort(times, kind="stable")].tolist():
            kind, descriptor = events.kind(event), self._descriptor(event)
            if kind == "fork":
                _fork(state, descriptor[0], children.get(int(events.result[event])))
            elif kind == "acquire":
                self._acquire(state, event)
            elif kind == "release":
                self._release(state, event)
            elif events.error[event] == NONE and events.exit[event] != NEVER:
                self._change(state, kind, event)
        return state

    def _change(self, state: _State, kind: str, event: int) -> None:
        process, fd = self._descriptor(event)
        result = int(self.events.result[event])
        if kind == "open":
            state.description[process, result] = event
        elif kind == "duplicate":
            if (process, fd) in state.description:
                state.description[process, result] = state.description[process, fd]
        else:
            state.description.pop((process, fd), None)
            state.parts.pop(process, None)
        shared = set(state.description.values())
        state.flocks = {each: acquire for each, acquire in state.flocks.items() if each in shared}

    def _acquire(self, state: _State, event: int) -> None:
        events, descriptor = self.events, self._descriptor(event)
        got = events.exit[event] != NEVER and events.error[event] == NONE
        if events.op(event) != "fcntl.flock":
            if got:
                state.parts.setdefault(descriptor[0], {})[self._part(event)] = event
            return
        description = state.description.get(descriptor)
        if description is None:
            return
        had = state.flocks.get(description)
        if got:
            state.flocks[description] = event
        elif had is not None and not self._same(had, event):
            del state.flocks[description]

    def _same(self, one: int, other: int) -> bool:
        both = _SHARED | _EXCLUSIVE
        return bool(self.events.size[one] & both == self.events.size[other] & both)

    def _release(self, state: _State, event: int) -> None:
        descriptor = self._descriptor(event)
        if self.events.op(event).startswith("fcntl.flock"):
            state.flocks.pop(state.description.get(descriptor, NONE), None)
            return
        parts = state.parts.get(descriptor[0], {})
        gone = self._part(event)
        state.parts[descriptor[0]] = {part: acquire for part, acquire in parts.items() if not _may_overlap(part, gone)}


def _fork(state: _State, parent: int, child: int | None) -> None:
    """A child shares its parent's descriptions; it has none of the parent's locks on parts."""
    if child is not None:
        for (process, fd), description in list(state.description.items()):
            if process == parent:
                state.description.setdefault((child, fd), description)


def _bounds(part: bytes) -> tuple[float, float] | None:
    """First and last byte of a part; None: not known."""
    if not part:
        return 0, float("inf")
    try:
        start, length = (int(number) for number in part.split(b"+"))
    except ValueError:
        return None
    return start, start + length if length else float("inf")


def _overlap(one: bytes, other: bytes) -> bool:
    """Whether two parts have a byte in common for certain."""
    first, second = _bounds(one), _bounds(other)
    if first is None or second is None:
        return not one or not other
    return first[0] < second[1] and second[0] < first[1]


def _may_overlap(one: bytes, other: bytes) -> bool:
    """Whether they may."""
    return _bounds(one) is None or _bounds(other) is None or _overlap(one, other)
