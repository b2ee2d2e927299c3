"""Who waits for whom at the cut, and whether that can ever end.

The model is Holt's reduction ("Some deadlock properties of computer systems", 1972) as MUST applies it to MPI: whoever
can act is live; whoever a live agent could satisfy is live; repeat. What is left is deadlocked. Every wait here is
satisfied by any of a set of enablers (an OR); where a wait needs several parties, any of them counts, which can only
make more agents live, so what is left is still certain.

Soundness: who could act is never counted too small (see situation.py). `deadlock` is proven by two equal looks at
/proc; less than that is `stalled`, which says what it hangs on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ipctrace.tracer.schema import Trace

from .events import NEVER
from .run import Run
from .situation import Agent, Situation

ROUNDS = 5  # equal rounds of a loop after which a thread is taken to go on like that
PATIENCE = 1_000_000_000  # ns that such a loop must have lasted as well


@dataclass(slots=True)
class Knot:
    """What can't go on: agents (indices) that are dead, of them the core, and arcs for the picture.

    `level`: proven, likely or stalled. `hangs_on`: live agents that could help; `outside`: members for which only
    the outside could act.
    """

    level: str
    dead: frozenset[int]
    core: tuple[int, ...]
    arcs: dict[int, tuple[int, ...]]
    formed: int
    hangs_on: tuple[int, ...] = ()
    outside: tuple[int, ...] = ()


Enablers = frozenset[int] | None  # None: live by itself


def reduce(waits: dict[int, Enablers]) -> frozenset[int]:
    """What is left when all that can act has acted: of each agent, who could end its wait."""
    dead = {index for index, others in waits.items() if others is not None}
    moved = True
    while moved:
        freed = {index for index in dead if not (waits[index] or frozenset()) <= dead}
        dead -= freed
        moved = bool(freed)
    return frozenset(dead)


# Who could end an agent's wait, from the most cautious answer to the boldest.


def certain(situation: Situation, index: int) -> Enablers:
    """For a proof: a wait that two looks don't confirm counts as live."""
    agent = situation.agents[index]
    return agent.enablers if agent.confirmed else None


def visible(situation: Situation, index: int) -> Enablers:
    """The same where there is nothing to confirm it by."""
    return situation.agents[index].enablers


def seen_using(situation: Situation, index: int) -> Enablers:
    """In those processes in which some thread has used the end: only the threads that have, or that wait themselves."""
    return _only(situation, index, lambda process: _users(situation, situation.agents[index]))


def concerned(situation: Situation, index: int) -> Enablers:
    """The same, and where nobody has used the end: only the threads that had to do with the channel at all."""
    agent = situation.agents[index]
    users, owners = _users(situation, agent), situation.trace.threads["process"]

    def threads(process: int) -> set[int]:
        own = {user for user in users if owners.iloc[user] == process}
        return own if own or agent.channel is None else situation.touched(agent.channel, process)

    return _only(situation, index, threads)


def _only(situation: Situation, index: int, chosen: Callable[[int], set[int]]) -> Enablers:
    """An agent's enablers, in each process only the chosen threads if any of its threads are; and those that wait."""
    agents, agent = situation.agents, situation.agents[index]
    if agent.enablers is None or agent.call not in ("read", "write") or situation.forgotten(agent.channel):
        return agent.enablers
    kept: set[int] = set()
    for process in {agents[other].process for other in agent.enablers}:
        threads = {other for other in agent.enablers if agents[other].process == process}
        wanted = chosen(process)
        seen = any(agents[other].thread in wanted for other in threads)
        kept |= {other for other in threads if not seen or agents[other].thread in wanted or not agents[other].why}
    return frozenset(kept)


def without_outside(situation: Situation, index: int) -> Enablers:
    """If the outside never acted; but what waits for a terminal waits for a person, and isn't stuck."""
    agent = situation.agents[index]
    if agent.enablers is not None:
        return concerned(situation, index)
    terminal = agent.channel is not None and situation.trace.channels["kind"].iloc[agent.channel] == "tty"
    waits = agent.reason != "run" and not (agent.timed or terminal or agent.ready)
    return frozenset() if agent.stopped or waits else None


LEVELS: tuple[tuple[str, Callable[[Situation, int], Enablers]], ...] = (
    ("proven", certain),
    ("stalled", visible),
    ("likely", seen_using),
    ("stalled", concerned),
    ("stalled", without_outside),
)


def find_knot(situation: Situation) -> Knot | None:
    """The knot at the cut, at the highest level that holds; None: nothing is stuck."""
    found = []
    for level, enablers in LEVELS:
        waits = {index: enablers(situation, index) for index in range(len(situation.agents))}
        dead = reduce(_signalled(situation, waits) if level != "stalled" else waits)
        if dead:
            knot = _knot(situation, level, dead, waits)
            if level == "proven" and _is_whole(situation, knot):
                return knot
            if level == "likely" and _is_likely(situation, knot):
                return knot
            knot.level = "stalled"
            found.append(knot)
    return found[0] if found else None


def _signalled(situation: Situation, waits: dict[int, Enablers]) -> dict[int, Enablers]:
    """The same waits, if whoever is live sends a signal to all whose program would run code of its own then."""
    everyone = frozenset(waits)
    return {
        index: everyone if others is not None and situation.agents[index].process in situation.handling else others
        for index, others in waits.items()
    }


def _is_whole(situation: Situation, knot: Knot) -> bool:
    """Whether the recorded program itself is stuck (or gone): otherwise the rest of it goes on."""
    return 0 not in situation.alive or _main(situation) in knot.dead


def _main(situation: Situation) -> int | None:
    """The agent of the recorded program's main thread."""
    return situation.index.get(situation.run.main_threads.get(0, -1))


def _is_likely(situation: Situation, knot: Knot) -> bool:
    """Whether all that the knot hangs on are threads that have long done nothing but go round a loop."""
    return (
        bool(knot.hangs_on)
        and all(situation.agents[index].confirmed for index in knot.dead)
        and all(repeats(situation, situation.agents[index], knot) for index in knot.hangs_on)
        and (_is_whole(situation, knot) or _main(situation) in knot.hangs_on)
    )


def _knot(situation: Situation, level: str, dead: frozenset[int], waits: dict[int, Enablers]) -> Knot:
    """The dead agents' bottom components: from whichever of a core's members one starts, one comes back to it."""
    agents = situation.agents
    arcs = {index: _likeliest(situation, index, (waits[index] or frozenset()) & dead) for index in sorted(dead)}
    reach = {index: _reachable(index, arcs) for index in arcs}
    core = tuple(index for index in arcs if all(index in reach[other] for other in reach[index]))
    return Knot(
        level,
        dead,
        core,
        arcs,
        formed=max(agents[index].since for index in core),
        hangs_on=tuple(sorted({other for index in dead for other in (agents[index].enablers or frozenset()) - dead})),
        outside=tuple(index for index in sorted(dead) if agents[index].why),
    )


def _likeliest(situation: Situation, index: int, others: frozenset[int]) -> tuple[int, ...]:
    """Of the agents that could end a wait, in each process those that have done the like before, if any have."""
    agents = situation.agents
    users = _users(situation, agents[index])
    kept: list[int] = []
    for process in sorted({agents[other].process for other in others}):
        threads = sorted(other for other in others if agents[other].process == process)
        kept += [other for other in threads if agents[other].thread in users] or threads
    return tuple(kept)


def _users(situation: Situation, agent: Agent) -> set[int]:
    """Threads that have moved bytes through the end that an agent's wait is about."""
    if agent.channel is None or agent.call not in ("read", "write"):
        return set()
    return situation.uses.get((agent.channel, "w" if agent.call == "read" else "r"), set())


def repeats(situation: Situation, agent: Agent, knot: Knot) -> bool:
    """Whether a live thread has only gone round one and the same loop since the knot formed.

    `ROUNDS` equal rounds between sleeps that returned, for at least `PATIENCE`, that start nothing and never touched a
    channel of the core. It could still do something else one day: such a knot is only `likely`.
    """
    events = situation.events
    if agent.thread is None or situation.run.cut - knot.formed < PATIENCE:
        return False
    channels = {situation.agents[index].channel for index in knot.core}
    if any(map(situation.forgotten, channels)) or (situation.trace.facts.get("dropped_before") or 0) > knot.formed:
        return False
    if any(agent.thread in users for (channel, _), users in situation.uses.items() if channel in channels):
        return False
    own = np.flatnonzero((events.thread == agent.thread) & (events.enter >= knot.formed))
    rounds: list[list[tuple[str, int]]] = [[]]
    for event in own[events.outermost[own] == own].tolist():
        kind = events.kind(event)
        if kind not in ("sleep", "read", "write", "accept", "flush", "take"):
            return False
        if kind == "sleep" and events.exit[event] == NEVER:
            break
        rounds[-1].append((events.op(event), int(events.site[event])))
        if kind == "sleep":
            rounds.append([])
    whole_rounds = rounds[1:-1]
    return len(whole_rounds) >= ROUNDS and all(each == whole_rounds[0] for each in whole_rounds)


def _reachable(start: int, arcs: dict[int, tuple[int, ...]]) -> set[int]:
    found, todo = {start}, [start]
    while todo:
        for other in arcs.get(todo.pop(), ()):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


def is_deadlock(trace: Trace) -> bool:
    """Whether the program can't go on: proven, or as likely as a loop that repeats itself (see `repeats`).

    For a trace that is still being recorded, with its last looks. Never true of a program that has ended.
    """
    if trace.facts.get("ended") in ("exit", "signal"):
        return False
    knot = find_knot(Situation(Run(trace)))
    return knot is not None and knot.level in ("proven", "likely")
