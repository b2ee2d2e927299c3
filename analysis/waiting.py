"""Who waits for whom at the cut, and whether that can ever end.

The model is Holt's reduction ("Some deadlock properties of computer systems", 1972) on AND-OR graphs, as MUST applies
it to MPI (Hilbrich et al., "Distributed wait state tracking for runtime MPI deadlock detection", 2013): whoever can act
is live; whoever has each of its needs within reach of a live agent is live; repeat. What is left is deadlocked.

Soundness: who could act is never counted too small (see cut.py and waits). `deadlock` is proven by two equal looks at
/proc; less than that is `stalled`, which says what it hangs on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from ipctrace.tracer.schema import Trace

from .agents import Agent, Need
from .events import NEVER
from .run import Run
from .situation import Situation

ROUNDS = 5  # equal rounds of a loop after which a thread is taken to go on like that
PATIENCE = 1_000_000_000  # ns that such a loop must have lasted as well


Waits = tuple[frozenset[int], ...] | None  # all of these have to act, of each any member; None: live by itself


@dataclass(slots=True)
class Knot:
    """What can't go on: agents (indices) that are dead, of them the core, and arcs for the picture.

    `level`: proven, likely or stalled. `waits`: what each agent waits for, as that level tells. `hangs_on`: live agents
    that could help; `outside`: members for which only the outside could act.
    """

    level: str
    dead: frozenset[int]
    core: tuple[int, ...]
    arcs: dict[int, tuple[int, ...]]
    formed: int
    waits: dict[int, Waits] = field(default_factory=dict)
    hangs_on: tuple[int, ...] = ()
    outside: tuple[int, ...] = ()


def reduce(waits: dict[int, Waits]) -> frozenset[int]:
    """What is left when all that can act has acted: of each agent, who would have to.

    That an agent counts itself among those changes nothing: sets may be shared, and are looked at once a round.
    """
    dead = {index for index, needs in waits.items() if needs is not None}
    moved = True
    while moved:
        hopeless: dict[int, bool] = {}
        for needs in waits.values():
            for able in needs or ():
                if id(able) not in hopeless:
                    hopeless[id(able)] = able <= dead
        freed = {index for index in dead if not any(hopeless[id(able)] for able in waits[index] or ())}
        dead -= freed
        moved = bool(freed)
    return frozenset(dead)


# What an agent waits for, from the most cautious answer to the boldest.


def certain(situation: Situation, index: int) -> Waits:
    """For a proof: a wait that two looks don't confirm counts as live."""
    return visible(situation, index) if situation.agents[index].confirmed else None


def visible(situation: Situation, index: int) -> Waits:
    """The same where there is nothing to confirm it by."""
    needs = situation.agents[index].needs
    return None if needs is None else tuple(need.able for need in needs)


def likely(situation: Situation, index: int) -> Waits:
    """Only those that were seen to use, make or be given what it takes, and whoever waits itself."""
    agents = situation.agents
    return _chosen(
        situation,
        index,
        lambda need: None if need.seen is None else need.seen | {other for other in need.able if not agents[other].why},
    )


def meant(situation: Situation, index: int) -> Waits:
    """The same, without who merely came to hold what it takes, and without who waits for something else altogether."""
    return _chosen(situation, index, lambda need: need.seen if need.meant is None else need.meant)


def _chosen(situation: Situation, index: int, chosen: Callable[[Need], frozenset[int] | None]) -> Waits:
    """An agent's needs with only those who are chosen of each (None: all who are able)."""
    needs = situation.agents[index].needs
    if needs is None:
        return None
    some = ((need.able, chosen(need)) for need in needs)
    return tuple(able if few is None else few & able for able, few in some)


def without_outside(situation: Situation, index: int) -> Waits:
    """If the outside never acted; but what waits for a terminal waits for a person, and isn't stuck."""
    agent = situation.agents[index]
    if agent.needs is not None:
        return meant(situation, index)
    terminal = agent.channel is not None and situation.trace.channels["kind"].iloc[agent.channel] == "tty"
    waits = agent.reason != "run" and not (agent.timed or terminal or agent.ready)
    return (frozenset(),) if agent.stopped or waits else None


LEVELS: tuple[tuple[str, Callable[[Situation, int], Waits]], ...] = (
    ("proven", certain),
    ("stalled", visible),
    ("likely", likely),
    ("stalled", meant),
    ("stalled", without_outside),
)


def find_knot(situation: Situation) -> Knot | None:
    """The knot at the cut, at the highest level that holds; None: nothing is stuck."""
    found = []
    for level, wanted in LEVELS:
        waits = {index: wanted(situation, index) for index in range(len(situation.agents))}
        enabled = _signalled(situation, waits) if level != "stalled" else waits
        dead = reduce(_killable(situation, enabled) if level == "proven" else enabled)
        if dead:
            knot = _knot(situation, level, dead, waits)
            if level == "proven" and _is_whole(situation, knot):
                return knot
            if level == "likely" and _is_likely(situation, knot):
                return knot
            knot.level = "stalled"
            found.append(knot)
    return found[0] if found else None


def untied(knot: Knot, freed: Iterable[int]) -> frozenset[int]:
    """Which of the core could go on if the waits of these agents ended: what a repair would come to."""
    waits = knot.waits | dict.fromkeys(freed, None)
    return frozenset(knot.core) - reduce(waits)


def _signalled(situation: Situation, waits: dict[int, Waits]) -> dict[int, Waits]:
    """The same waits, if whoever is live sends a signal to all whose program would run code of its own then."""
    everyone = frozenset(waits)
    return {
        index: (everyone,) if needs is not None and situation.agents[index].process in situation.handling else needs
        for index, needs in waits.items()
    }


def _killable(situation: Situation, waits: dict[int, Waits]) -> dict[int, Waits]:
    """The same waits, if whoever is live may kill another process: it ends then, and closes all that it holds.

    Who waits for its own process only gains nothing by a kill.
    """
    everyone = frozenset(waits)
    agents = situation.agents
    return {
        index: needs and tuple(everyone if _elsewhere(agents, index, able) else able for able in needs)
        for index, needs in waits.items()
    }


def _elsewhere(agents: list[Agent], index: int, able: frozenset[int]) -> bool:
    return any(agents[other].process != agents[index].process for other in able)


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


def _knot(situation: Situation, level: str, dead: frozenset[int], waits: dict[int, Waits]) -> Knot:
    """The dead agents' bottom components: from whichever of a core's members one starts, one comes back to it."""
    agents = situation.agents
    arcs = {index: _likeliest(situation, index, _unmet(waits[index] or (), dead)) for index in sorted(dead)}
    reach = {index: _reachable(index, arcs) for index in arcs}
    core = tuple(index for index in arcs if all(index in reach[other] for other in reach[index]))
    return Knot(
        level,
        dead,
        core,
        arcs,
        formed=max(agents[index].since for index in core),
        waits=waits,
        hangs_on=tuple(sorted({other for index in dead for other in agents[index].enablers - dead})),
        outside=tuple(index for index in sorted(dead) if agents[index].why),
    )


def _unmet(needs: tuple[frozenset[int], ...], dead: frozenset[int]) -> frozenset[int]:
    """Who would have to act for the needs that nobody who is live can meet."""
    return frozenset().union(*(able for able in needs if able <= dead))


def _likeliest(situation: Situation, index: int, others: frozenset[int]) -> tuple[int, ...]:
    """Of the agents that could end a wait those that were seen to do the like; none where there is nobody left to.

    Who waits for bytes or room that only it itself was seen to provide waits for whoever else could.
    """
    needs = situation.agents[index].needs or ()
    seen = frozenset().union(*(need.able if need.seen is None else need.seen for need in needs))
    if others & seen == {index} and all(need.deed in ("write", "read") for need in needs):
        return tuple(sorted(others))
    return tuple(sorted(others & seen or (others if seen else ())))


def repeats(situation: Situation, agent: Agent, knot: Knot) -> bool:
    """Whether a live thread has only gone round one and the same loop since the knot formed.

    `ROUNDS` equal rounds between sleeps that returned, for at least `PATIENCE`, that start nothing and never touched a
    channel of the core. It could still do something else one day: such a knot is only `likely`.
    """
    events = situation.events
    if agent.thread is None or situation.run.cut - knot.formed < PATIENCE:
        return False
    channels = {each for index in knot.core if (each := situation.agents[index].channel) is not None}
    if any(map(situation.forgotten, channels)) or (situation.trace.facts.get("dropped_before") or 0) > knot.formed:
        return False
    if any(agent.thread in users for (channel, _), users in situation.uses.items() if channel in channels):
        return False
    acted = (events.thread == agent.thread) & events.is_kind("acquire", "release", "await", "notify", "send", "receive")
    if np.isin(events.channel[acted], sorted(channels)).any():
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
