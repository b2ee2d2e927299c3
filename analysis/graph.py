"""The wait-for graph at the cut, as results: who waits for whom, in which role, and why that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .agents import DEEDS, Agent, Need, shared
from .events import NONE
from .naming import MOST as NAMES
from .naming import listing, plural
from .results import Edge, Role, Waiter, WaitGraph
from .run import Run
from .situation import Situation
from .waiting import Knot, repeats

MOST = 10_000  # edges of a graph: where thousands wait for one another, each has only its first ones


def wait_graph(situation: Situation, knot: Knot) -> WaitGraph:
    """The graph: first the core, then who waits behind it, then who goes on without being able to help."""
    run = situation.run
    agents = situation.agents
    victims = [index for index in sorted(knot.dead) if index not in knot.core]
    others = [index for index in range(len(agents)) if index not in knot.dead]
    order = [*knot.core, *victims, *others]
    place = {index: number for number, index in enumerate(order)}
    roles: dict[int, Role] = dict.fromkeys(knot.core, "core")
    roles.update(dict.fromkeys(victims, "victim"))
    waiters = tuple(_waiter(situation, knot, index, roles.get(index, "bystander")) for index in order)
    rows = {index: knot.arcs.get(index, ()) for index in order}
    each = MOST if sum(map(len, rows.values())) <= MOST else max(MOST // len(rows), 1)
    edges = tuple(
        Edge(place[index], place[other], agents[index].channel, why)
        for index, row in rows.items()
        for other, why in _edges(situation, knot, index, row[:each])
    )
    stuck = tuple(held for held in run.stuck if run.streams["held"].iloc[held.stream] > 0)
    return WaitGraph(run.cut, knot.formed, waiters, edges, stuck, tuple(_evidence(situation, knot)))


def name(run: Run, agent: Agent) -> str:
    """An agent's name."""
    return run.process_names[agent.process] if agent.thread is None else run.names[agent.thread]


def _waiter(situation: Situation, knot: Knot, index: int, role: Role) -> Waiter:
    run, agent = situation.run, situation.agents[index]
    outer = None if agent.event is None else int(run.events.outermost[agent.event])
    evidence = _cannot(situation, knot, index) if role != "bystander" else _can(situation, knot, index)
    site = run.site_of(agent.event)
    return Waiter(
        agent.thread,
        agent.process,
        role,
        agent.reason,
        agent.event,
        outer,
        agent.channel,
        site if site is not None else run.site_of(outer),
        agent.since,
        evidence,
    )


def _cannot(situation: Situation, knot: Knot, index: int) -> str:
    agent, run = situation.agents[index], situation.run
    if agent.why:
        return situation.why(agent)
    arcs = knot.arcs[index]
    named = [name(run, situation.agents[other]) for other in (arcs if len(arcs) <= NAMES else arcs[:3])]
    others = listing(named + ([f"{len(arcs) - 3} more"] if len(arcs) > NAMES else [])) or "nobody"
    deeds = listing(list(dict.fromkeys(deed(run, need) for need in unmet(knot, agent)))) or "act"
    state = {"read": "; it is empty", "write": "; it is full"}.get(agent.call, "")
    return f"only {others} can {deeds}{state}"


def _can(situation: Situation, knot: Knot, index: int) -> str:
    agent, run = situation.agents[index], situation.run
    does = situation.why(agent) or f"{run.waits_for(agent.reason, agent.channel)} and may go on"
    if index in knot.hangs_on:
        rounds = "; has gone round one and the same loop since" if repeats(situation, agent, knot) else ""
        return f"{does}; could help, but has only ever used {_used(situation, agent)}{rounds}"
    return f"{does}; cannot help: it has only ever used {_used(situation, agent)}"


def _used(situation: Situation, agent: Agent) -> str:
    """The channels that a thread has moved bytes through, in words."""
    if agent.thread is None:
        return "what ipctrace did not see"
    events = situation.events
    moved = events.among(situation.run.of_thread(agent.thread), "read", "write")
    moved = moved[events.channel[moved] != NONE]
    names = list(
        dict.fromkeys(situation.run.channel_name(channel) for channel in np.unique(events.channel[moved]).tolist())
    )
    return listing(names[:3] + ([f"{len(names) - 3} more"] if len(names) > 3 else [])) if names else "no channel"


def _edges(situation: Situation, knot: Knot, index: int, row: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Whom an agent waits for, and what each of them would have to do, in words."""
    agent, run = situation.agents[index], situation.run
    needs = unmet(knot, agent) if row else []
    for other in row:
        wanted = next((deed(run, need) for need in needs if other in need.able), "act")
        yield other, f"waits for {name(run, situation.agents[other])} to {wanted}"


def unmet(knot: Knot, agent: Agent) -> list[Need]:
    """Of what a dead agent needs, what nobody who is live can do, as far as the knot's level tells."""
    needs = list(agent.needs or ())
    return [need for need in needs if shared(need.able) <= knot.dead] or needs


def deed(run: Run, need: Need) -> str:
    """What would meet a need, in words: "write pipe B"."""
    words = DEEDS[need.deed]
    if need.channel is None:
        return words.removesuffix(" {channel}").removesuffix(" on").removesuffix(" of")
    return words.format(channel=run.channel_name(need.channel))


def _evidence(situation: Situation, knot: Knot) -> Iterator[tuple[str, str]]:
    """What is so, and how it is known."""
    run = situation.run
    looked = bool(situation.looks)
    for index in knot.core:
        agent = situation.agents[index]
        if agent.channel is None or agent.call not in ("read", "write") or agent.why:
            continue
        way, deed = ("w", "write") if agent.call == "read" else ("r", "read")
        holders = listing([run.the_process(process) for process in situation.holders(agent.channel, way)])
        channel = run.channel_name(agent.channel)
        yield (
            f"only {holders} can {deed} {channel}",
            "the open descriptors of every process, from /proc"
            if looked
            else "replayed from the calls; not checked against /proc",
        )
        rows = run.messages[run.messages["channel"] == agent.channel]
        put, taken = (
            int(rows.loc[rows["written"].notna(), "size"].sum()),
            int(rows.loc[rows["read"].notna(), "size"].sum()),
        )
        if agent.call == "read" and agent.channel not in run.mixed:
            yield f"{channel} is empty", f"{plural(put, 'byte')} went in, {plural(taken, 'byte')} came out"
        elif agent.call == "write":
            yield f"{channel} is full", "a write entered and has not returned"
    for held in run.stuck:
        concerned = [agent for agent in map(situation.agents.__getitem__, knot.dead) if agent.channel == held.channel]
        if run.streams["held"].iloc[held.stream] > 0 and concerned:
            leaving = any(agent.call == "write" and agent.process == held.process for agent in concerned)
            yield (
                f"{plural(held.size, 'byte')} are {'on their way out of' if leaving else 'in'} "
                f"{run.stream_name(held.stream)}",
                "the write that carries them has not returned"
                if leaving
                else "counted: bytes the stream accepted, less those that reached its descriptor",
            )
    if len(situation.looks) == 2 and all(situation.agents[index].confirmed for index in knot.core):
        apart = (situation.times[1] - situation.times[0]) / 1e6
        yield (
            "nothing moved between two looks",
            f"the same calls and the same system calls, {apart:.0f} ms apart, from /proc",
        )
