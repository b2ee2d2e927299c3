"""Waits to be told: conditions, events, barriers, futures, signals; and for an item of a queue or a place in it.

Who could at most: every thread and task that can reach the object. Who is likely to: who was seen to do the like on it
(to notify, to put, to work for that pool). Where none of these is left, whoever isn't going round in a circle might.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..agents import Agent, Need, others, shared
from ..events import Ints, number
from . import channels, loops
from .objects import by_object

if TYPE_CHECKING:
    from ..situation import Situation

# kind of wait → the deed that ends it, and the kinds of calls that do it
DEEDS = {
    "await": ("notify", ("notify",)),
    "acquire": ("release", ("release",)),
    "receive": ("put", ("send",)),
    "send": ("take", ("receive",)),
}


def by_notice(situation: Situation, agent: Agent) -> Agent:
    """A condition's wait and its like."""
    if agent.reason == "signal":
        return replace(agent, why="waits for a signal, which anybody may send")
    if agent.event is not None and situation.events.op(agent.event) == "multiprocessing.Queue.next":
        return _by_own_puts(situation, agent)
    return _by_users(situation, agent)


def by_item(situation: Situation, agent: Agent) -> Agent:
    """A queue's get or put."""
    inner = _inside(situation, agent)
    if inner is not None:  # the pipe of a queue between processes: somebody outside may hold an end of it
        judged = channels.by_channel(situation, inner)
        if judged.needs is None:
            return replace(agent, why=judged.why, ready=judged.ready, channel=judged.channel)
    return _by_users(situation, agent)


def _inside(situation: Situation, agent: Agent) -> Agent | None:
    """The same agent in the read of a pipe that its get makes, if it has come to that."""
    if agent.thread is None or agent.loop is not None:
        return None
    inner = situation.within(replace(agent, why=""))
    return inner if inner.event != agent.event and inner.call == "read" else None


def _by_own_puts(situation: Situation, agent: Agent) -> Agent:
    """The feeder thread of a queue between processes writes what its own process puts."""
    able = others(situation.members_of[agent.process], agent.index)
    put = situation.once(users, agent.channel, "send")
    return replace(agent, needs=(_likely(situation, agent, Need(able, "put", agent.channel), put),))


def _by_users(situation: Situation, agent: Agent) -> Agent:
    deed, kinds = DEEDS[agent.call]
    reached = by_object(situation, agent, deed)
    if reached.needs is None:
        return reached
    if _is_future(situation, agent):
        likely = situation.once(_workers, agent.channel)
    else:
        likely = situation.once(users, agent.channel, *kinds)
    if _is_barrier(situation, agent):
        likely = situation.once(_away, agent.channel)
    elif agent.event is not None and situation.events.op(agent.event).endswith("Queue.join"):
        likely = situation.once(users, agent.channel, "notify", "receive")
    elif agent.call == "acquire" and (owner := owner_of(situation, agent)) is not None:
        likely = frozenset({owner})
    return replace(reached, needs=tuple(_likely(situation, agent, need, likely) for need in reached.needs))


def _likely(situation: Situation, agent: Agent, need: Need, threads: frozenset[int]) -> Need:
    """A need with who is likely to meet it: of these threads those that live. Is none of them left, nobody is known,
    and meant is whoever doesn't just go round in a circle, or wait for tasks to run."""
    reach = shared(need.able)
    seen = others(situation.once(_living, reach, threads), agent.index)
    if seen:
        return replace(need, seen=seen)
    return replace(need, meant=others(situation.once(_unsettled, reach), agent.index))


def _living(situation: Situation, reach: frozenset[int], threads: frozenset[int]) -> frozenset[int]:
    return reach & situation.agents_of(threads)


def _unsettled(situation: Situation, reach: frozenset[int]) -> frozenset[int]:
    return frozenset(other for other in reach if unsettled(situation, situation.placed[other]))


def unsettled(situation: Situation, agent: Agent) -> bool:
    """Whether an agent might come to do yet what it was never seen to do."""
    if agent.thread is None or agent.process in situation.run.unseen or agent.thread in situation.circling:
        return False
    done = agent.event is not None and situation.events.op(agent.event) == "threading.shutdown"
    return not done and not loops.idle(situation, agent)


def _is_future(situation: Situation, agent: Agent) -> bool:
    return agent.channel is not None and situation.trace.channels["kind"].iloc[agent.channel] == "future"


def _is_barrier(situation: Situation, agent: Agent) -> bool:
    return agent.channel is not None and situation.trace.channels["kind"].iloc[agent.channel] == "barrier"


def _away(situation: Situation, channel: int | None) -> frozenset[int]:
    """Who has come to a barrier before, and doesn't wait at it now."""
    waiting = {other.thread for other in situation.placed if other.channel == channel and other.thread is not None}
    return users(situation, channel, "await") - waiting


def users(situation: Situation, channel: int | None, *kinds: str) -> frozenset[int]:
    """Threads and tasks that were seen to do calls of these kinds on an object."""
    return frozenset(situation.events.thread[events_on(situation, channel, *kinds)].tolist())


def events_on(situation: Situation, channel: int | None, *kinds: str) -> Ints:
    """The calls of these kinds on an object, in order."""
    about = np.zeros(0, dtype="int64") if channel is None else situation.on_object(channel)
    return situation.events.among(about, *kinds)


def owner_of(situation: Situation, agent: Agent) -> int | None:
    """The thread or task that held a lock as an agent began to wait for it."""
    tid = None if agent.event is None else number(situation.events.owner[agent.event])
    known = situation.numbered.get((agent.process, tid), frozenset()) if tid else frozenset()
    return situation.placed[min(known)].thread if known else None


# Pools: whose work a future is


def workers(situation: Situation, agent: Agent) -> frozenset[int]:
    """Threads that will set a future: the one that does its work; before it has begun, all workers of its pool."""
    return situation.once(_workers, agent.channel)


def _workers(situation: Situation, future: int | None) -> frozenset[int]:
    doing = users(situation, future, "work")
    queue = queue_of(situation, future)
    if doing or queue is None:
        return doing or users(situation, future, "notify")
    return situation.once(users, queue, "receive")


def submitted(situation: Situation, future: int | None) -> int | None:
    """The event by which a future's work was handed to its pool."""
    found = events_on(situation, future, "submit")
    return int(found[-1]) if len(found) else None


def queue_of(situation: Situation, future: int | None) -> int | None:
    """The queue from which a pool's workers take what was submitted."""
    events, submit = situation.events, submitted(situation, future)
    if submit is None:
        return None
    inside = np.arange(submit + 1, np.searchsorted(events.enter, events.exit[submit], "right"))
    put = events.among(inside[events.parent[inside] == submit], "send")
    return number(events.channel[put[0]]) if len(put) else None
