"""Who acts and who waits at the cut: the nodes of the wait-for graph, and what each of them needs.

A wait is a formula in conjunctive form: *all* of an agent's needs must be met, each by *any* of the agents that could.
A read of an empty pipe is one need (any holder of a write end writes); waiting for end of file one need a holder (each
must close); a select one need (anything about any of its members).
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that has to happen before a wait can end: `deed`, on `channel`, by any of `able` (indices of agents).

    able   everybody who could at most. A proof rests on it: it may be too large, never too small
    seen   of these, who was seen to use, make or be given what the deed takes; None: nothing is known, all of them.
           Who waits itself counts as well, whatever it was seen to do (`waiting.likely`)
    meant  of those seen, without who merely came to hold what it takes and was never seen to use it (an end inherited
           by a bystander); None: all that were seen
    """

    able: frozenset[int]
    deed: str
    channel: int | None = None
    seen: frozenset[int] | None = None
    meant: frozenset[int] | None = None


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
