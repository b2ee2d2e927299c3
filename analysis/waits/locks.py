"""Waits for locks: threading's, multiprocessing's, those of files, of modules, of streams' buffers.

Python lets any thread release a Lock, and programs do so to pass a signal. So `able` is everybody who can reach it, but
where the rules forbid it; `seen` is the holder alone where the lock is used as a lock: see `_as_a_lock`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..agents import Agent, Need, others
from ..events import NEVER, NONE
from ..filelocks import FILE_LOCKS
from ..ownership import STREAM_CALLS, Holder
from .objects import by_object
from .processes import FEEDER

if TYPE_CHECKING:
    from ..situation import Situation


def by_owner(situation: Situation, agent: Agent) -> Agent:
    """An acquire, or a call on a stream that waits for its buffer's lock: its holder releases it."""
    assert agent.event is not None
    op = situation.events.op(agent.event)
    holders = situation.ownership.holders(agent.event)
    if op in FILE_LOCKS:
        return _of_file(situation, agent, holders or ())
    if op == "import" or agent.call in STREAM_CALLS:
        siblings = others(situation.members_of[agent.process], agent.index)
        known = bool(holders)
        return replace(agent, needs=(Need(siblings, "release", agent.channel, _agents(situation, holders, known)),))
    agent = by_object(situation, agent, "release")
    if agent.needs is None or agent.channel is None:
        return agent
    (need,) = agent.needs
    seen = _agents(situation, holders, _as_a_lock(situation, agent, holders or ()))
    if seen is None:
        seen = _feeding(situation, agent)
    if seen is not None:
        seen = (seen - {agent.index}) & need.able
    only = holders and situation.trace.channels["kind"].iloc[agent.channel] == "rlock" and seen is not None
    return replace(agent, needs=(replace(need, able=seen if only and seen is not None else need.able, seen=seen),))


def _agents(situation: Situation, holders: tuple[Holder, ...] | None, known: bool) -> frozenset[int] | None:
    """The agents of these holders that are there; None: not `known`."""
    if holders is None or not known:
        return None
    there = {holder.thread for holder in holders if holder.fate == "alive"}
    return situation.agents_of(there)


def _feeding(situation: Situation, agent: Agent) -> frozenset[int] | None:
    """Of the lock by which the feeders of a multiprocessing.Queue take turns, only waits are recorded: it is held by
    whoever is feeding an item. Such a lock is known by its place, which is that of the queue."""
    if agent.thread is None or situation.run.names[agent.thread].rpartition("/")[2] != FEEDER:
        return None
    events, site = situation.events, situation.trace.channels["site"].fillna(NONE).to_numpy(dtype="int64")
    feeding = np.flatnonzero(events.is_op("multiprocessing.Queue.feed") & (events.exit == NEVER))
    feeding = feeding[site[events.channel[feeding]] == site[agent.channel]]
    return situation.agents_of(set(events.thread[feeding].tolist())) if len(feeding) else None


def _as_a_lock(situation: Situation, agent: Agent, holders: tuple[Holder, ...]) -> bool:
    """Whether only its holder may be expected to release a lock.

    A `with` says so, and so does whoever released it himself before, or waits for another lock now. Otherwise a lock
    may be a signal that another thread is to give, as a semaphore is.
    """
    if agent.channel is None or not holders:
        return False
    if situation.trace.channels["kind"].iloc[agent.channel] == "rlock":
        return True
    if situation.once(_releasers, agent.channel):
        return False
    return all(
        situation.once(_disciplined, agent.channel, holder, holder.thread == agent.thread)
        or (holder.fate == "alive" and holder.thread == agent.thread and _interrupted(situation, agent, holder))
        for holder in holders
    )


def _releasers(situation: Situation, channel: int) -> frozenset[int]:
    return situation.ownership.releasers(channel)


def _disciplined(situation: Situation, channel: int, holder: Holder, itself: bool) -> bool:
    run, thread = situation.run, holder.thread
    if holder.fate == "ghost" or thread is None:
        return True
    if holder.fate == "ended":  # killed with it, or thrown out of what it did; who ended in peace may have left it so
        return holder.process not in situation.alive or thread in situation.once(_failed)
    if situation.ownership.releases_own(channel, thread):
        return True
    if run.source_line(run.site_of(holder.event)).startswith(("with ", "async with ")):
        return True
    waits = situation.waits_in(thread)
    return not itself and waits is not None and situation.events.kind(waits) == "acquire"


def _failed(situation: Situation) -> set[int]:
    """Threads that an exception which nothing handled has ended."""
    return set(situation.events.thread[situation.events.is_kind("uncaught")].tolist())


def _interrupted(situation: Situation, agent: Agent, holder: Holder) -> bool:
    """Whether a signal handler waits for what its own thread took before the signal came."""
    if agent.event is None or holder.event is None:
        return False
    handler = situation.events.inside("signal", agent.event)
    return handler != NONE and bool(situation.events.enter[holder.event] < situation.events.enter[handler])


def _of_file(situation: Situation, agent: Agent, holders: tuple[Holder, ...]) -> Agent:
    """A file's lock: whoever holds a descriptor that shares it, where somebody within the run is known to."""
    assert agent.event is not None
    if not holders:
        return replace(agent, why="waits for a lock on {channel}, which somebody may hold whom ipctrace cannot see")
    processes = {process for holder in holders for process, _ in holder.keepers}
    if situation.events.op(agent.event) != "fcntl.flock":
        held = situation.run.held
        processes |= set(held[held["channel"] == agent.channel]["process"].tolist()) - {agent.process}
    if any(not situation.threads_of.get(process) for process in processes):
        return replace(agent, why="waits for a lock on {channel}, held by a process of which nothing is known")
    able = frozenset().union(*(situation.threads_of[process] for process in processes)) - {agent.index}
    seen = _agents(situation, holders, True)
    others = {process for holder in holders for process, _ in holder.keepers if process != holder.process}
    shared = frozenset().union(*(situation.threads_of[process] for process in others))
    seen = ((seen or frozenset()) | shared) & able
    return replace(agent, needs=(Need(able, "release", agent.channel, seen, _users(situation, agent, seen)),))


def _users(situation: Situation, agent: Agent, keepers: frozenset[int]) -> frozenset[int]:
    """Of who shares a file's lock, whose process had to do with the file; not who merely inherited a descriptor."""
    assert agent.channel is not None
    return frozenset(
        index for index in keepers if situation.has_touched(agent.channel, situation.placed[index].process)
    )  # fmt: skip
