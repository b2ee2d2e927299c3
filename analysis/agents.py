"""Who acts and who waits at the cut: the nodes of the wait-for graph, and what each of them needs.

A wait is a formula in conjunctive form: *all* of an agent's needs must be met, each by *any* of the agents that could.
A read of an empty pipe is one need (any holder of a write end writes); waiting for end of file one need a holder (each
must close); a select one need (anything about any of its members).
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

# What would meet a need: token → what somebody would have to do, in words; {channel} is the channel's name.
DEEDS: dict[str, str] = {
    "write": "write {channel}",
    "read": "empty {channel}",
    "close": "close {channel}",
    "ready": "make one of several ends ready",
    "open": "open the other end of {channel}",
    "connect": "connect to {channel}",
    "release": "release {channel}",
    "notify": "notify {channel}",
    "put": "put something on {channel}",
    "take": "take something from {channel}",
    "end": "end",
    "run": "run it",
    "signal": "send a signal",
}


class Others(Set[int]):
    """A set of agents without one of its members. Who waits can't help itself; so all that wait for the same share one
    set, and each leaves itself out, which costs nothing."""

    __slots__ = ("everyone", "without")

    def __init__(self, everyone: frozenset[int], without: int) -> None:
        self.everyone, self.without = everyone, without

    def __contains__(self, index: object) -> bool:
        return index != self.without and index in self.everyone

    def __iter__(self) -> Iterator[int]:
        return (index for index in self.everyone if index != self.without)

    def __len__(self) -> int:
        return len(self.everyone) - 1

    __hash__ = Set._hash
    _from_iterable = frozenset


def others(everyone: frozenset[int], without: int) -> Set[int]:
    """A set of agents without one of them."""
    return Others(everyone, without) if without in everyone else everyone


def shared(some: Set[int]) -> frozenset[int]:
    """The set that such a set is part of: with whoever left itself out."""
    return some.everyone if isinstance(some, Others) else frozenset(some)


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that has to happen before a wait can end: `deed`, on `channel`, by any of `able` (indices of agents).

    able   everybody who could at most. A proof rests on it: it may be too large, never too small
    seen   of these, who was seen to use, make or be given what the deed takes; None: nothing is known, all of them.
           Who waits itself counts as well, whatever it was seen to do (`waiting.likely`)
    meant  of those seen, without who merely came to hold what it takes and was never seen to use it (an end inherited
           by a bystander); None: all that were seen
    """

    able: Set[int]
    deed: str
    channel: int | None = None
    seen: Set[int] | None = None
    meant: Set[int] | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A thread or an asyncio task at the cut. `index`: its place in `Situation.agents`.

    thread     its row in `threads`; None where the trace has none
    tid        the system's number, or the number of a task (from schema.TASKS on)
    loop       of a task: the thread (row) that runs its loop
    call       kind of call that it waits in (`schema`: events.kind), "" where it doesn't
    target     pid, or native id of a thread, or number of a task, that it waits for
    needs      what has to happen before its wait ends: all of it; None: it can go on by itself, or the outside can
               make it, and `why` says how, with {channel} for the channel's name
    stopped    by a signal
    timed      a time will end the wait, or may
    ready      what it waits for is there
    confirmed  two looks show the same wait
    """

    index: int
    thread: int | None
    process: int
    tid: int
    loop: int | None = None
    reason: str = "run"
    call: str = ""
    event: int | None = None
    channel: int | None = None
    target: int | None = None
    since: int = 0
    stopped: bool = False
    timed: bool = False
    ready: bool = False
    confirmed: bool = False
    needs: tuple[Need, ...] | None = None
    why: str = ""

    @property
    def enablers(self) -> frozenset[int]:
        """Everybody who could at most do anything towards the end of its wait."""
        return frozenset().union(*(need.able for need in self.needs or ()))
