"""Who holds an end of a channel, and is it there for them? An end goes along with every fork and most often nobody uses
the copy, but while it is open no end of file comes.

Nothing here proves anything: a bystander may still use its copy one day. It tells what is likely, after a long silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .events import number
from .habits import habit, interprets

if TYPE_CHECKING:
    from .situation import Situation

SILENCE = 3_000_000_000  # ns without any use after which an inherited end is taken to be forgotten
STANDARD = 3  # descriptors below are a program's own input and output; others it has to be told of
ROUNDS = 5  # equal rounds after which a thread is taken to go round in a circle
LONGEST_ROUND = 16  # calls
PATIENCE = 1_000_000_000  # ns that the rounds must have lasted as well
SETTLED = 10  # calls, all of kinds that it made before, after which a thread is taken to be busy with something else


def bystanders(situation: Situation, channel: int, way: str) -> frozenset[int]:
    """Processes that hold such an end only because it was inherited, and have long left it alone."""
    if situation.forgotten(channel) or situation.run.cut - int(situation.last_moved[channel]) < SILENCE:
        return frozenset()
    found = set()
    for process in situation.holders(channel, way):
        own = [row for row in situation.copies(channel, way) if row.process == process]
        inherited = all(row.how == "inherited" and not row.used for row in own)
        if inherited and all(situation.run.cut - row.opened >= SILENCE for row in own):
            if process in situation.run.unseen:
                forgot = _never_told(situation, process, channel, own)
            else:
                forgot = _never_touched(situation, process, channel, way)
            if forgot:
                found.add(process)
    return frozenset(found)


def _never_told(situation: Situation, process: int, channel: int, own: list[Any]) -> bool:
    """Of a program that isn't traced: it reads and writes nothing at all, and whoever started it has ended; or nothing
    told it of these descriptors."""
    row = situation.trace.processes.iloc[process]
    if any(other.channel == channel for other in situation.placed if other.process == process):
        return False  # it sits in a read or write of it
    program = str(row["program"])
    if all(copy.fd >= STANDARD for copy in own):
        argv = " ".join(str(word) for word in row["argv"])
        named = situation.trace.channels["kind"].iloc[channel] not in ("pipe", "socket")  # it may have opened it
        told = named or interprets(program) or any(str(copy.fd) in argv for copy in own)
        return habit(program) is not None and not told
    parent = number(row["parent"])
    return habit(program) == "silent" and (parent is None or parent not in situation.alive)


def _never_touched(situation: Situation, process: int, channel: int, way: str) -> bool:
    """Of a traced process: it never had to do with the channel, and such ends were its parent's to use: the parent did,
    and whoever did has let go of them. Where the parent made a pipe for its children alone, any child may yet use it.
    """
    if situation.has_touched(channel, process):
        return False
    spans = situation.run.spans
    users = spans[(spans["channel"] == channel) & spans["access"].str.contains(way) & spans["used"]]
    parent = number(situation.trace.processes["parent"].iloc[process])
    return parent in users["process"].tolist() and bool(users["closed"].notna().all())


def settled(situation: Situation, index: int, since: int) -> bool:
    """Whether an agent has its own thing to do since then: a program that does nothing but sleep, or a thread that has
    only made calls, from places, that it had made before."""
    agent, events = situation.placed[index], situation.events
    if agent.process in situation.run.unseen:
        return habit(str(situation.trace.processes["program"].iloc[agent.process])) == "silent"
    if agent.thread is None:
        return False
    first = int(np.searchsorted(events.enter, since))
    own = first + np.flatnonzero(events.thread[first:] == agent.thread)
    calls = [(events.op(event), int(events.site[event])) for event in own[-2 * SETTLED :].tolist()]
    half = len(calls) // 2
    return half >= SETTLED // 2 and set(calls[half:]) <= set(calls[:half])


def circles(situation: Situation, thread: int) -> bool:
    """Whether a thread or task has done nothing but repeat the same few calls for a while: a heartbeat, a poller."""
    events = situation.events
    own = np.flatnonzero(events.thread == thread)[-4 * ROUNDS * LONGEST_ROUND :]
    own = own[(events.outermost[own] == own) & ~events.is_kind("thread", "task")[own]]
    calls = [(events.op(event), int(events.site[event])) for event in own.tolist()]
    for length in range(1, min(LONGEST_ROUND, len(calls) // ROUNDS) + 1):
        first = len(calls) - length
        while first and calls[first - 1] == calls[first - 1 + length]:
            first -= 1
        if len(calls) - first >= ROUNDS * length and situation.run.cut - int(events.enter[own[first]]) >= PATIENCE:
            return True
    return False
