"""Who waits for whom at the cut, and whether that can ever end.

The model is Holt's reduction ("Some deadlock properties of computer systems", 1972) on AND-OR graphs, as MUST applies
it to MPI (Hilbrich et al., "Distributed wait state tracking for runtime MPI deadlock detection", 2013): whoever can act
is live; whoever has each of its needs within reach of a live agent is live; repeat. What is left is deadlocked.

Soundness: who could act is never counted too small (see cut.py and waits). `deadlock` is proven by two equal looks at
/proc; less than that is `stalled`, which says what it hangs on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import overload

import numpy as np
from ipctrace.tracer.schema import Trace

from .agents import Agent, Need, shared
from .events import NEVER
from .run import Run
from .situation import Situation

ROUNDS = 5  # equal rounds of a loop after which a thread is taken to go on like that
PATIENCE = 1_000_000_000  # ns that such a loop must have lasted as well


Waits = tuple[frozenset[int], ...] | None  # all of these have to act, of each any member; None: live by itself


class Reduction:
    """Holt's reduction of a wait-for graph: what each agent (index) waits for. Members that aren't among them are live.

    That an agent counts itself among those it waits for changes nothing: so sets are shared, and each is looked at
    once. It takes as many steps as there are agents, needs and members of different sets.
    """

    def __init__(self, waits: dict[int, Waits]) -> None:
        self.waits = waits
        sets = {id(able): able for needs in waits.values() for able in needs or ()}
        self._of_member: dict[int, list[int]] = {}  # agent → the sets that it is in
        for each, able in sets.items():
            for member in able:
                self._of_member.setdefault(member, []).append(each)
        self._needed: dict[int, list[int]] = {each: [] for each in sets}  # set → who waits for any of it
        self._unmet: dict[int, int] = {}  # agent → how many sets it waits for
        for index, needs in waits.items():
            if needs is not None:
                wanted = {id(able) for able in needs}
                self._unmet[index] = len(wanted)
                for each in wanted:
                    self._needed[each].append(index)

    @cached_property
    def left(self) -> frozenset[int]:
        """What is left when all that can act has acted."""
        return frozenset(self._unmet) - self._freed(self._strangers)

    def untied(self, freed: Iterable[int]) -> frozenset[int]:
        """Who could act as well if these did."""
        live = [index for index in self.waits if index not in self.left]
        return self._freed([*self._strangers, *live, *freed])

    @property
    def _strangers(self) -> list[int]:
        return [index for index in self._of_member if index not in self.waits]

    def _freed(self, live: Iterable[int]) -> frozenset[int]:
        unmet, met = dict(self._unmet), set[int]()
        free = [*live, *(index for index in self.waits if not unmet.get(index))]
        found = set(free)
        while free:
            for each in self._of_member.get(free.pop(), ()):
                if each in met:
                    continue
                met.add(each)
                for index in self._needed[each]:
                    unmet[index] -= 1
                    if not unmet[index] and index not in found:
                        found.add(index)
                        free.append(index)
        return frozenset(found)


@dataclass(slots=True)
class Knot:
    """What can't go on: agents (indices) that are dead, of them the core, and arcs for the picture.

    `level`: proven, likely or stalled. `waits`: what each agent waits for, as that level tells. `hangs_on`: live agents
    that could help; `outside`: members for which only the outside could act.
    """

    level: str
    dead: frozenset[int]
    core: tuple[int, ...]
    arcs: dict[int, Sequence[int]]
    formed: int
    waits: Reduction = field(default_factory=lambda: Reduction({}))
    hangs_on: tuple[int, ...] = ()
    outside: tuple[int, ...] = ()


def reduce(waits: dict[int, Waits]) -> frozenset[int]:
    """What is left when all that can act has acted: of each agent, who would have to."""
    return Reduction(waits).left


# What an agent waits for, from the most cautious answer to the boldest.


def certain(situation: Situation, index: int) -> Waits:
    """For a proof: a wait that two looks don't confirm counts as live."""
    return visible(situation, index) if situation.agents[index].confirmed else None


def visible(situation: Situation, index: int) -> Waits:
    """The same where there is nothing to confirm it by."""
    needs = situation.agents[index].needs
    return None if needs is None else tuple(shared(need.able) for need in needs)


def likely(situation: Situation, index: int) -> Waits:
    """Only those that were seen to use, make or be given what it takes, and whoever waits itself."""
    return _chosen(situation, index, lambda need: None if need.seen is None else situation.once(
        _or_waiting, shared(need.seen), shared(need.able)))  # fmt: skip


def _or_waiting(situation: Situation, seen: frozenset[int], able: frozenset[int]) -> frozenset[int]:
    waiting = situation.once(_waiting_among, able)
    return waiting if seen <= waiting else seen | waiting


def _waiting_among(situation: Situation, able: frozenset[int]) -> frozenset[int]:
    return frozenset(other for other in able if not situation.agents[other].why)


def meant(situation: Situation, index: int) -> Waits:
    """The same, without who merely came to hold what it takes, and without who waits for something else altogether."""
    return _chosen(situation, index, lambda need: need.seen if need.meant is None else need.meant)


def _chosen(situation: Situation, index: int, chosen: Callable[[Need], Set[int] | None]) -> Waits:
    """An agent's needs with only those who are chosen of each (None: all who are able)."""
    needs = situation.agents[index].needs
    if needs is None:
        return None
    some = ((shared(need.able), chosen(need)) for need in needs)
    return tuple(able if few is None else situation.once(_both, shared(few), able) for able, few in some)


def _both(_: Situation, one: frozenset[int], other: frozenset[int]) -> frozenset[int]:
    return one if one <= other else one & other


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
    return knot.waits.untied(freed) & frozenset(knot.core)


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
        index: needs and tuple(
            everyone if situation.once(_processes, able) - {agents[index].process} else able for able in needs
        )
        for index, needs in waits.items()
    }  # fmt: skip


def _processes(situation: Situation, some: frozenset[int]) -> frozenset[int]:
    return frozenset(situation.agents[index].process for index in some)


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
    arcs = {index: _likeliest(situation, index, _unmet(situation, waits[index] or (), dead)) for index in sorted(dead)}
    core = _bottom(arcs)
    enablers = {id(able): able for index in dead for need in agents[index].needs or () for able in [shared(need.able)]}
    return Knot(
        level,
        dead,
        core,
        arcs,
        formed=max(agents[index].since for index in core),
        waits=Reduction(waits),
        hangs_on=tuple(sorted(_union(situation, *enablers.values()) - dead)),
        outside=tuple(index for index in sorted(dead) if agents[index].why),
    )


def _unmet(situation: Situation, needs: tuple[frozenset[int], ...], dead: frozenset[int]) -> frozenset[int]:
    """Who would have to act for the needs that nobody who is live can meet."""
    return situation.once(_union, *(able for able in dict.fromkeys(needs) if situation.once(_within, able, dead)))


def _within(_: Situation, one: frozenset[int], other: frozenset[int]) -> bool:
    return one <= other


def _union(_: Situation, *some: frozenset[int]) -> frozenset[int]:
    return some[0] if len(some) == 1 else frozenset().union(*some)


class Row(Sequence[int]):
    """Agents in order without one of them; as `agents.Others`."""

    __slots__ = ("everyone", "place")

    def __init__(self, everyone: tuple[int, ...], without: int) -> None:
        self.everyone, self.place = everyone, bisect_left(everyone, without)

    def __len__(self) -> int:
        return len(self.everyone) - 1

    def __iter__(self) -> Iterator[int]:
        return chain(self.everyone[: self.place], self.everyone[self.place + 1 :])

    def __contains__(self, index: object) -> bool:
        return index in self.everyone and index != self.everyone[self.place]

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[int, ...]: ...

    def __getitem__(self, at: int | slice) -> int | tuple[int, ...]:
        places = range(len(self))[at]
        if isinstance(places, int):
            return self.everyone[places + (places >= self.place)]
        return tuple(self.everyone[each + (each >= self.place)] for each in places)


def _likeliest(situation: Situation, index: int, able: frozenset[int]) -> Sequence[int]:
    """Of the agents that could end a wait those that were seen to do the like; none where there is nobody left to.

    Who waits for bytes or room that only it itself was seen to provide waits for whoever else could.
    """
    needs = situation.agents[index].needs or ()
    likely = (shared(need.able if need.seen is None else need.seen) for need in needs)
    seen = situation.once(_union, *dict.fromkeys(likely))
    both = situation.once(_both, seen, able)
    if any(index in need.able for need in needs):
        if both == {index} and all(need.deed in ("write", "read") for need in needs):
            return situation.once(_row, able)
        return situation.once(_row, both or (able if seen else both))
    if both - {index} if len(both) == 1 else both:
        return _but(situation, both, index)
    return _but(situation, able, index) if (seen - {index} if len(seen) == 1 else seen) else ()


def _row(_: Situation, some: frozenset[int]) -> tuple[int, ...]:
    return tuple(sorted(some))


def _but(situation: Situation, some: frozenset[int], index: int) -> Sequence[int]:
    row = situation.once(_row, some)
    if index not in some:
        return row
    return Row(row, index) if len(row) > 1 else ()


def _bottom(arcs: dict[int, Sequence[int]]) -> tuple[int, ...]:
    """The agents from which one comes back wherever one goes: strongly connected components that no arc leaves (Tarjan,
    "Depth-first search and linear graph algorithms", 1972). A row that many share is a node of its own, so that it is
    gone through once; that it leads back to who left itself out of it changes nothing."""
    rows = {index: row.everyone if isinstance(row, Row) else row for index, row in arcs.items()}
    node = {id(row): -1 - place for place, row in enumerate(rows.values())}
    onward: dict[int, Sequence[int]] = {index: (node[id(row)],) if row else () for index, row in rows.items()}
    onward.update({node[id(row)]: row for row in rows.values()})
    number, lowest, component, found = dict[int, int](), dict[int, int](), dict[int, int](), list[int]()
    for start in arcs:
        todo = [] if start in number else [(start, iter(onward[start]))]
        while todo:
            each, rest = todo[-1]
            if each not in number:
                number[each] = lowest[each] = len(number)
                found.append(each)
            for other in rest:
                if other not in number:
                    todo.append((other, iter(onward.get(other, ()))))
                    break
                if other not in component:
                    lowest[each] = min(lowest[each], number[other])
            else:
                todo.pop()
                if todo:
                    lowest[todo[-1][0]] = min(lowest[todo[-1][0]], lowest[each])
                while lowest[each] == number[each] and each not in component:
                    component[found.pop()] = each
    left = {component[one] for one, row in onward.items() if any(component[each] != component[one] for each in row)}
    return tuple(index for index in arcs if component[index] not in left)


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
    own = situation.run.of_thread(agent.thread)
    acted = events.among(own, "acquire", "release", "await", "notify", "send", "receive")
    if np.isin(events.channel[acted], sorted(channels)).any():
        return False
    own = own[events.enter[own] >= knot.formed]
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


def is_deadlock(trace: Trace) -> bool:
    """Whether the program can't go on: proven, or as likely as a loop that repeats itself (see `repeats`).

    For a trace that is still being recorded, with its last looks. Never true of a program that has ended.
    """
    if trace.facts.get("ended") in ("exit", "signal"):
        return False
    knot = find_knot(Situation(Run(trace)))
    return knot is not None and knot.level in ("proven", "likely")
