"""Runs that go on and get nowhere: nobody is blocked for good, and what is waited for doesn't come all the same.

Three shapes, each `stalled` at most, and only of a run that was stopped after seconds without progress:

* respawned   worker after worker ends with the same error, and who waits for an answer has waited since before them
* spinning    threads ask again and again for what only one another could change (a livelock)
* outlived    a stream's close waits for a child that has given up its output, and with it every way to be of use
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .agents import Agent
from .events import NEVER, NONE, Ints, groups, number
from .situation import Situation
from .waiting import Knot, find_knot, meant, reduce
from .waits import FAMILIES

QUIET = 1_000_000_000  # ns after which a knot stands (verdict.py)
PATIENCE = 3_000_000_000  # ns without progress
LONG = 4_000_000_000  # ns that a close has waited for a child that sleeps
SERIES = 4  # children that ended in the same way, one after the other
ROUNDS = 100  # equal rounds of a loop that asks
CIRCLING = 8  # and of one that does whatever it does, and will go on to do it
TAIL = 200_000  # events of a thread that are looked at, the last ones
LONGEST_ROUND = 24  # calls
SHORT = 20_000_000  # ns that a loop sleeps at most where nothing but its sleep shows that it asks for something
# Calls that change nothing where they bring nothing: what a loop may consist of.
ASKING = (
    "sleep", "select", "acquire", "release", "receive", "send", "await", "read", "kill", "wait", "join", "load",
    "flush",
)  # fmt: skip
GIVES = ("select", "receive", "send", "await", "read", "wait", "join")  # those that bring something, if they do


def stuck(situation: Situation) -> Knot | None:
    """What can't go on at the cut: a knot of waits, else a standstill."""
    knot = find_knot(situation)
    cut = situation.run.cut
    if (knot is not None and (knot.level != "stalled" or cut - knot.formed >= QUIET)) or not _stopped(situation):
        return knot
    return _of_respawned(situation) or _of_spinning(situation) or _of_outlived(situation) or knot


def _stopped(situation: Situation) -> bool:
    return situation.trace.facts.get("ended") in ("duration", "interrupted")


def _knot(core: tuple[int, ...], arcs: dict[int, tuple[int, ...]], since: int) -> Knot:
    dead = frozenset(core)
    hangs_on = sorted({other for others in arcs.values() for other in others} - dead)
    return Knot("stalled", dead, core, {index: arcs.get(index, ()) for index in dead}, since, hangs_on=tuple(hangs_on))


# Workers that are started again and again


@dataclass(frozen=True, slots=True)
class Series:
    """Children of one process that ended with the same error, one after the other; `agent` waits for their answer."""

    agent: Agent
    processes: tuple[int, ...]
    status: int


def respawned(situation: Situation) -> Series | None:
    """The longest such series that goes on until the cut, if any."""
    rows, cut = situation.trace.processes, situation.run.cut
    failed = rows[rows["ended"].notna() & (rows["ended"] < cut) & rows["status"].notna()]
    found: list[Series] = []
    for parent, own in groups(failed.sort_values("started"), "parent"):
        series = _last_equal(own)
        agent = _awaiting(situation, int(parent))
        if agent is None or len(series) < SERIES or int(series["status"].iloc[-1]) == 0:
            continue
        lived = int((series["ended"] - series["started"]).max())
        recent = cut - int(series["ended"].iloc[-1]) <= max(2 * lived, QUIET)
        before = agent.since <= int(series["started"].iloc[-SERIES])
        if recent and before and not _exchanged(situation, series["process"].tolist()):
            found.append(Series(agent, tuple(series["process"].tolist()), int(series["status"].iloc[-1])))
    return max(found, key=lambda each: len(each.processes), default=None)


def _last_equal(own: pd.DataFrame) -> pd.DataFrame:
    """The last children that ended with one status, each started after the one before it had ended."""
    first = len(own) - 1
    while first > 0:
        before, after = own.iloc[first - 1], own.iloc[first]
        if before["status"] != after["status"] or before["ended"] > after["started"]:
            break
        first -= 1
    return own.iloc[max(first, 0) :]


def _awaiting(situation: Situation, process: int) -> Agent | None:
    """A process's main thread, if it waits for an answer, for as long as it takes."""
    main = situation.run.main_threads.get(process)
    for agent in situation.placed:
        if agent.thread == main and agent.process == process and agent.call in ("await", "receive", "read"):
            return agent if not agent.timed and agent.reason != "signal" else None
    return None


def _exchanged(situation: Situation, processes: list[int]) -> bool:
    """Whether any of these processes has got or sent a whole message."""
    events = situation.events
    return bool((np.isin(events.process, processes) & events.is_kind("send", "receive") & (events.exit != NEVER)
                 & (events.error == NONE)).any())  # fmt: skip


def _of_respawned(situation: Situation) -> Knot | None:
    series = respawned(situation)
    if series is None:
        return None
    agent = series.agent
    starters = {int(thread) for thread in situation.events.thread[situation.events.is_kind("start", "fork")]}
    own = situation.threads_of[agent.process] - {agent.index}
    helpers = tuple(index for index in sorted(own) if situation.placed[index].thread in starters)
    since = int(situation.trace.processes["started"].iloc[series.processes[0]])
    return _knot((agent.index,), {agent.index: helpers}, max(since, agent.since))


# Loops that ask for what doesn't change


@dataclass(frozen=True, slots=True)
class Loop:
    """What a thread has done again and again until the cut: the calls of a round (events), how often, since when."""

    calls: tuple[int, ...]
    rounds: int
    since: int


def loop_of(situation: Situation, thread: int) -> Loop | None:
    """The loop that a thread goes round at the cut, by the names and places of its outermost calls."""
    events, cut = situation.events, situation.run.cut
    own = np.flatnonzero(events.thread == thread)[-TAIL:]
    own = own[(events.outermost[own] == own) & ~events.is_kind("thread", "task", "work")[own]]
    own = own[events.exit[own] != NEVER]
    codes = _codes(situation, own)
    for length in range(1, min(LONGEST_ROUND, len(own) // CIRCLING) + 1):
        same = codes[length:] == codes[:-length]
        broken = np.flatnonzero(~same)
        repeated = len(same) - (int(broken[-1]) + 1 if len(broken) else 0)
        rounds, since = (repeated + length) // length, int(events.enter[own[len(own) - repeated - length]])
        if rounds >= CIRCLING and cut - since >= PATIENCE:
            return Loop(tuple(own[-length:].tolist()), rounds, since)
    return None


def _codes(situation: Situation, own: Ints) -> Ints:
    """A number for what an event is: its call and its place."""
    table = situation.events.table
    pairs = pd.MultiIndex.from_arrays([table["op"].iloc[own], situation.events.site[own]])
    codes: Ints = pd.factorize(pairs)[0].astype("int64")
    return codes


def asks(situation: Situation, agent: Agent, loop: Loop) -> frozenset[int] | None:
    """Who could change what a loop asks for; None: the outside might, or the loop does something, or it isn't known."""
    events = situation.events
    own = np.flatnonzero((events.thread == agent.thread) & (events.enter >= loop.since) & (events.exit != NEVER))
    own = own[events.outermost[own] == own]
    brought = events.is_kind(*GIVES)[own] & (events.error[own] == NONE) & (events.result[own] != 0)
    brought |= events.is_kind("kill")[own] & (events.extra[own] != 0)
    if loop.rounds < ROUNDS or brought.any() or not events.is_kind(*ASKING)[own].all():
        return None
    able: frozenset[int] = frozenset()
    for event in loop.calls:
        kind = events.kind(event)
        if kind in ("sleep", "kill", "release", "load", "flush") or (kind == "acquire" and events.result[event] != 0):
            continue
        placed = replace(agent, event=event, call=kind, channel=number(events.channel[event]), timed=False, why="",
                         target=number(events.size[event]) if kind in ("wait", "join") else None)  # fmt: skip
        judged = FAMILIES[kind](situation, placed)
        if judged.needs is None:
            return None
        able |= judged.enablers
    return able or _sharers(situation, agent, loop)


def _sharers(situation: Situation, agent: Agent, loop: Loop) -> frozenset[int] | None:
    """Who shares memory with a loop that only sleeps, if what lies there hasn't changed; None: nobody does."""
    events, run = situation.events, situation.run
    slept = [int(events.size[event]) for event in loop.calls if events.kind(event) == "sleep"]
    memory = run.trace.channels[run.trace.channels["unchanged"].notna()]
    held = run.held[run.held["channel"].isin(memory["channel"])]
    mine = set(held.loc[held["process"] == agent.process, "channel"].tolist())
    others = set(held.loc[held["channel"].isin(mine), "process"].tolist()) - {agent.process}
    fresh = memory.loc[memory["channel"].isin(mine), "unchanged"] > run.cut - PATIENCE
    if not others or fresh.any() or sum(slept) > SHORT:
        return None
    return frozenset().union(*(situation.threads_of[process] for process in others if process in situation.threads_of))


def spinning(situation: Situation) -> dict[int, Loop]:
    """Agents (by index) that go round loops which ask for what only the others among them, or who waits for them for
    good, could change; empty: somebody may yet."""
    loops = {agent.index: loop for agent in situation.agents
             if agent.thread is not None and not agent.stopped
             and (loop := loop_of(situation, agent.thread)) is not None}  # fmt: skip
    asked = {index: able for index, loop in loops.items()
             if (able := asks(situation, situation.agents[index], loop)) is not None}  # fmt: skip
    mains = {situation.index.get(thread) for thread in situation.run.main_threads.values()}
    circling = frozenset(loops) - frozenset(asked) - mains  # heartbeats and loggers, by the side of the program
    waits = {agent.index: meant(situation, agent.index) for agent in situation.agents}
    for index, able in asked.items():
        own = frozenset(situation.threads_of[situation.agents[index].process])
        waits[index] = ((able | own) - circling - {index},)
    dead = reduce(waits)
    main = situation.index.get(situation.run.main_threads.get(0, -1))
    return {index: loops[index] for index in sorted(dead & frozenset(asked))} if main in dead else {}


def _of_spinning(situation: Situation) -> Knot | None:
    loops = spinning(situation)
    if not loops:
        return None
    core = tuple(loops)
    arcs = {index: tuple(other for other in core if other != index) for index in core}
    return _knot(core, arcs, max(loop.since for loop in loops.values()))


# A child that outlives its output


@dataclass(frozen=True, slots=True)
class Outlived:
    """`agent` waits for a process to end, as part of the close (event) of the stream that led to it."""

    agent: Agent
    process: int
    close: int


def outlived(situation: Situation) -> Outlived | None:
    """A wait that a close brought with it, for a child that no channel leads to any more and that only sleeps."""
    run, events = situation.run, situation.events
    for agent in situation.agents:
        if agent.call != "wait" or agent.event is None or agent.timed or run.cut - agent.since < LONG:
            continue
        children = run.trace.processes
        children = children[(children["parent"] == agent.process) & (children["pid"] == agent.target)]
        living = [process for process in children["process"].tolist() if process in situation.threads_of]
        if len(living) != 1 or not _sleeps_on(situation, living[0]) or _leads_anywhere(situation, living[0]):
            continue
        site = events.site[agent.event]
        closed = np.flatnonzero((events.thread == agent.thread) & (events.site == site) & events.is_kind("close")
                                & (events.enter < agent.since) & (events.channel != NONE))  # fmt: skip
        for event in closed[::-1].tolist():
            if site != NONE and _led_to(situation, living[0], int(events.channel[event])):
                return Outlived(agent, living[0], event)
    return None


def _sleeps_on(situation: Situation, process: int) -> bool:
    """Whether every thread of a process has sat still for long."""
    cut = situation.run.cut
    for index in situation.threads_of[process]:
        agent = situation.agents[index]
        if agent.thread is not None and process not in situation.run.unseen:
            if agent.event is None or cut - agent.since < PATIENCE:
                return False
        elif cut - situation.still_since(agent) < PATIENCE:
            return False
    return True


def _leads_anywhere(situation: Situation, process: int) -> bool:
    """Whether a process holds an end of anything by which another could hear of it."""
    held, channels = situation.run.held, situation.trace.channels
    mine = held[held["process"] == process]["channel"]
    kinds = channels[channels["channel"].isin(mine)]
    return bool((kinds["kind"].isin(["pipe", "fifo", "socket"]) & ~kinds["outside"]).any())


def _led_to(situation: Situation, process: int, channel: int) -> bool:
    """Whether the call that started a process made a channel for it: a child soon closes what it doesn't want, and
    may never have been seen with it."""
    events, pid = situation.events, int(situation.trace.processes["pid"].iloc[process])
    forks = np.flatnonzero(events.is_kind("fork") & (events.result == pid))
    made = np.flatnonzero(events.is_kind("make", "pair") & (events.channel == channel))
    return bool(len(forks) and len(made)) and bool(
        events.thread[made[0]] == events.thread[forks[-1]] and events.site[made[0]] == events.site[forks[-1]]
    )


def _of_outlived(situation: Situation) -> Knot | None:
    found = outlived(situation)
    if found is None:
        return None
    index, others = found.agent.index, tuple(sorted(situation.threads_of[found.process]))
    return _knot((index,), {index: others}, found.agent.since)
