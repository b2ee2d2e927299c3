"""Who holds an end of a channel, and is it there for them? An end goes along with every fork and most often nobody uses
the copy, but while it is open no end of file comes.

Nothing here proves anything: a bystander may still use its copy one day. It tells what is likely, after a long silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .events import NEVER, NONE, Ints, number
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
    found, copies = set(), dict[int, list[Any]]()
    for row in situation.copies(channel, way):
        copies.setdefault(row.process, []).append(row)
    for process in situation.holders(channel, way):
        own = copies.get(process, [])
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
    if any(situation.placed[other].channel == channel for other in situation.members_of.get(process, ())):
        return False  # it sits in a read or write of it
    processes = situation.trace.processes
    program = str(processes["program"].iloc[process])
    if all(copy.fd >= STANDARD for copy in own):
        argv = " ".join(str(word) for word in processes["argv"].iloc[process])
        named = situation.trace.channels["kind"].iloc[channel] not in ("pipe", "socket")  # it may have opened it
        told = named or interprets(program) or any(str(copy.fd) in argv for copy in own)
        return habit(program) is not None and not told
    parent = number(processes["parent"].iloc[process])
    return habit(program) == "silent" and (parent is None or parent not in situation.alive)


def _never_touched(situation: Situation, process: int, channel: int, way: str) -> bool:
    """Of a traced process: it never had to do with the channel, and such ends were its parent's to use: the parent did,
    and whoever did has let go of them. Where the parent made a pipe for its children alone, any child may yet use it.
    """
    if situation.has_touched(channel, process):
        return False
    users, over = situation.once(_used, channel, way)
    return over and number(situation.trace.processes["parent"].iloc[process]) in users


def _used(situation: Situation, channel: int, way: str) -> tuple[set[int], bool]:
    """The processes that used such an end, and whether all of them have let go of it."""
    ends = situation.ends(channel)
    used = ends[ends["access"].str.contains(way) & ends["used"]]
    return set(used["process"].tolist()), bool(used["closed"].notna().all())


def settled(situation: Situation, index: int, since: int) -> bool:
    """Whether an agent has its own thing to do since then."""
    return index in busy(situation, since)


def busy(situation: Situation, since: int) -> frozenset[int]:
    """The agents that have their own thing to do since then: programs that do nothing but sleep, and threads that have
    only made calls, from places, that they had made before."""
    index, first, last = situation.once(_stints)
    return situation.once(_set_of, tuple(index[(first < since) & (since <= last)].tolist()))


def _set_of(_: Situation, indices: tuple[int, ...]) -> frozenset[int]:
    return frozenset(indices)


def _stints(situation: Situation) -> tuple[Ints, Ints, Ints]:
    """For which times (after `first`, up to `last`) an agent is settled since then: a row a stint of an agent's.

    That depends on how many calls it has made since, of which no more than the last ones are looked at.
    """
    events, unseen = situation.events, situation.run.unseen
    found: list[tuple[int, int, int]] = []
    for agent in situation.placed:
        if agent.process in unseen:
            if habit(str(situation.trace.processes["program"].iloc[agent.process])) == "silent":
                found.append((agent.index, NONE, NEVER))
        elif agent.thread is not None:
            own = situation.run.of_thread(agent.thread)[-2 * SETTLED - 1 :]
            calls = [(events.op(event), int(events.site[event])) for event in own.tolist()]
            begun = [NONE, *events.enter[own].tolist()]
            for count in range(SETTLED // 2 * 2, min(len(calls), 2 * SETTLED) + 1):
                before, after = calls[-count : count // 2 - count], calls[count // 2 - count :]
                if set(after) <= set(before):
                    found.append((agent.index, NONE if count == 2 * SETTLED else begun[-count - 1], begun[-count]))
    rows = np.array(found, dtype="int64").reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def circles(situation: Situation, thread: int) -> bool:
    """Whether a thread or task has done nothing but repeat the same few calls for a while: a heartbeat, a poller."""
    events = situation.events
    own = situation.run.of_thread(thread)[-4 * ROUNDS * LONGEST_ROUND :]
    own = own[events.outermost[own] == own]
    own = own[~np.isin(own, events.among(own, "thread", "task"))]
    calls = [(events.op(event), int(events.site[event])) for event in own.tolist()]
    for length in range(1, min(LONGEST_ROUND, len(calls) // ROUNDS) + 1):
        first = len(calls) - length
        while first and calls[first - 1] == calls[first - 1 + length]:
            first -= 1
        if len(calls) - first >= ROUNDS * length and situation.run.cut - int(events.enter[own[first]]) >= PATIENCE:
            return True
    return False
