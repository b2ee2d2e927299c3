"""IPC1xx: who should do the work isn't there, or waits for it: threads that a fork lost, event loops, pools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..agents import Agent
from ..events import NEVER, NONE, Ints, number
from ..findings import Check, Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding
from ..waits import backlog, loops
from ..waits import notices as waits
from .waiting import ENDED_BY, TOLD, channel_of, done_on, is_told, kind_of, nobody_else

# IPC116


def fork_lost_thread(context: Context) -> Iterator[Finding]:
    """IPC116: what an agent of a fork's child waits for is the work of a thread of its parent."""
    run = context.run
    for agent in context.dead:
        lost = _lost(context, agent) if is_told(context, agent) else None
        if lost is None:
            continue
        parent, fork = int(run.trace.processes["parent"].iloc[agent.process]), _fork_of(context, agent.process)
        whose = run.the_thread(lost)
        forked = (
            f" The fork{run.at_event(fork)} took the objects along, and only one thread." if fork is not None else ""
        )
        made = number(run.trace.channels["site"].iloc[channel_of(agent)])
        yield finding(
            "IPC116",
            f"{sentence(context.the(agent))} waits{run.at_event(agent.event)} for {run.channel_name(agent.channel)}, "
            f"which is the work of {whose}: that thread lives in {run.the_process(parent)}, not in "
            f"{run.the_process(agent.process)}.{forked}",
            f"Make the pool, queue or thread anew in the child, after the fork{run.at_event(fork)}; or start the child "
            "by spawn or forkserver.",
            certainty=context.certainty,
            threads=ids(agent.thread, lost),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), run.site_of(fork), made),
            events=ids(agent.event, fork),
        )


def _fork_of(context: Context, process: int) -> int | None:
    """The event by which a process was forked."""
    events, pid = context.run.events, int(context.run.trace.processes["pid"].iloc[process])
    parent = number(context.run.trace.processes["parent"].iloc[process])
    found = np.flatnonzero(events.is_kind("fork") & (events.result == pid) & (events.process == parent))
    return int(found[-1]) if len(found) else None


def _lost(context: Context, agent: Agent) -> int | None:
    """The thread of the parent's that would have done what an agent of its child waits for."""
    situation, trace = context.situation, context.run.trace
    row = trace.processes.iloc[agent.process]
    if row["how"] != "fork" or number(row["parent"]) is None:
        return None
    asked = agent.channel
    if kind_of(context, agent) == "future":
        asked = waits.queue_of(situation, agent.channel)
        own, kinds = waits.workers(situation, agent), ("receive",)
    else:
        kinds = ENDED_BY[agent.call]
        own = waits.users(situation, asked, *kinds)
    origin = number(trace.channels["copy_of"].iloc[asked]) if asked is not None else None
    if origin is None:
        return None
    owners = trace.threads["process"]
    if any(owners.iloc[thread] == agent.process and thread != agent.thread for thread in own):
        return None
    fork = _fork_of(context, agent.process)
    forker = int(context.run.events.thread[fork]) if fork is not None else None
    parent = int(row["parent"])
    likely = waits.users(situation, origin, *kinds) | waits.users(situation, origin, "await", "receive", "notify")
    there = [thread for thread in sorted(likely) if owners.iloc[thread] == parent and thread != forker]
    lived = [thread for thread in there if _lived(context, thread, int(row["started"]))]
    return lived[0] if lived else None


def _lived(context: Context, thread: int, time: int) -> bool:
    row = context.run.trace.threads.iloc[thread]
    ended = number(row["ended"])
    return int(row["started"]) <= time and (ended is None or ended >= time)


# IPC120


def event_loop_blocked(context: Context) -> Iterator[Finding]:
    """IPC120: a loop's thread waits elsewhere than in its select, for what a task or callback of its own would do."""
    run, situation = context.run, context.situation
    tasks, unaccepted = defaultdict[int, set[int]](set), dict[int, list[int]]()
    for other in situation.agents:
        if other.loop is not None:
            tasks[other.loop].add(other.index)
        if listeners := backlog.unaccepted(situation, other):
            unaccepted[other.index] = listeners
    for agent in context.dead:
        if agent.thread is None or agent.loop is not None or loops.selecting(situation, agent):
            continue
        own = frozenset(tasks.get(agent.thread, ()))
        served = bool(unaccepted) and _serves(context, agent, unaccepted)
        if agent.event is None or not (served or (own and not agent.why and _only_the_loop(context, agent, own))):
            continue
        waiting = [situation.agents[index] for index in sorted(own)]
        names = listing([context.the(each) for each in waiting[:3]]) or "the connection that waits for it"
        call = run.events.op(int(run.events.outermost[agent.event]))
        about = f" for {run.channel_name(agent.channel)}" if agent.channel is not None else ""
        at, does = run.at_event(agent.event), "an event loop" if own else "the loop of a server"
        if own:
            remedy = (
                f"Await it{at}: the coroutine itself, asyncio's own queue, lock or stream; or hand the blocking call "
                "to another thread (await asyncio.to_thread(…))."
            )
        else:
            remedy = (
                "Serve each connection in a thread of its own (ThreadingHTTPServer, ThreadingMixIn), or don't ask the "
                f"server from within itself{at}."
            )
        yield finding(
            "IPC120",
            f"{sentence(context.the(agent))} runs {does} and waits in {call}{at}{about}, synchronously: nobody but "
            f"that loop could bring it, and while it waits it runs nothing, neither {names} nor any callback.",
            remedy,
            certainty=context.certainty,
            threads=ids(agent.thread, *(each.thread for each in waiting)),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), *(run.site_of(each.event) for each in waiting)),
            events=ids(agent.event),
        )


def _serves(context: Context, agent: Agent, unaccepted: dict[int, list[int]]) -> bool:
    """Whether a server's thread waits, itself or by way of others, on a connection that it alone would accept.

    `unaccepted`: who waits on such a connection, and where it might be accepted."""
    reach, todo = {agent.index}, [agent.index]
    while todo:
        for index in context.knot.arcs.get(todo.pop(), ()) if context.knot else ():
            if index not in reach:
                reach.add(index)
                todo.append(index)
    return any(
        _accepts(context, agent, listener)
        for index in sorted(reach & unaccepted.keys())
        for listener in unaccepted[index]
    )


def _accepts(context: Context, agent: Agent, listener: int) -> bool:
    """Whether a thread, or its loop, is the one that accepts at a listening socket."""
    events = context.run.events
    tasks = {context.situation.agents[index].thread for index in loops.of_loop(context.situation, agent.thread)}
    about = events.channel == listener
    accepted = set(events.thread[about & events.is_op("socket.accept")].tolist())
    listened = set(events.thread[about & events.is_kind("listen", "bind")].tolist())
    return agent.thread in accepted or bool(tasks and (accepted | listened) & (tasks | {agent.thread}))


def _only_the_loop(context: Context, agent: Agent, own: frozenset[int]) -> bool:
    """Whether what a loop's thread waits for is left to its own tasks, to itself, or to who waits for these."""
    assert context.knot is not None
    arcs = context.knot.arcs
    index = agent.index
    reach, todo = {index}, [index]
    while todo:
        for other in arcs.get(todo.pop(), ()):
            if other not in reach:
                reach.add(other)
                todo.append(other)
    near = set(arcs.get(index, ()))
    if agent.call in ("read", "write", "connect", "select", "wait", "join"):
        # another process or thread, which waits for the loop; or an end that this thread holds itself
        return near <= own | {index} or (bool(own & reach) and index in context.knot.core)
    return bool(own & near) or not near


# IPC121


@dataclass(frozen=True, slots=True)
class Starved:
    """A pool all of whose workers wait: their queue, the workers, and how much work lies behind them."""

    queue: int
    workers: tuple[Agent, ...]
    left: int


def starved(context: Context) -> Iterator[Starved]:
    """Pools whose workers have each handed on a further piece of work, and wait, while work lies in their own queue."""
    waiting = {agent.thread: agent for agent in context.dead if agent.thread is not None and agent.call in TOLD}
    living = {other.thread for other in context.situation.placed}
    for queue in sorted({queue for agent in waiting.values() for queue in _handed_on(context, agent)}):
        takers = sorted(waits.users(context.situation, queue, "receive") & living)
        workers = [waiting[thread] for thread in takers if thread in waiting]
        left = len(done_on(context, queue, "send")) - len(done_on(context, queue, "receive"))
        if left > 0 and len(workers) == len(takers) and all(queue in _handed_on(context, each) for each in workers):
            yield Starved(queue, tuple(workers), left)


def held_up(context: Context) -> Iterator[Starved]:
    """Pools whose workers all wait for what nobody has ever done, or for more parties, with work of another place, or
    those parties, behind them in their queue."""
    situation = context.situation
    waiting = {a.thread: a for a in context.dead if a.thread is not None and a.loop is None and a.call in TOLD}
    queues = {queue for agent in waiting.values() if (queue := _works_for(context, agent)) is not None}
    living = {other.thread for other in situation.placed}
    for queue in sorted(queues):
        takers = sorted(waits.users(situation, queue, "receive") & living)
        workers = [waiting[thread] for thread in takers if thread in waiting]
        put, taken = done_on(context, queue, "send"), done_on(context, queue, "receive")
        left = len(put) - len(taken)
        if left > 0 and len(workers) == len(takers) and all(
            _missed(context, each, put, left) and nobody_else(context, each) for each in workers
        ):
            yield Starved(queue, tuple(workers), left)


def _works_for(context: Context, agent: Agent) -> int | None:
    """The queue from which a worker took what it is at, if it waits for something else."""
    events = context.run.events
    work = events.inside("work", agent.event) if agent.event is not None else NONE
    if work == NONE:
        return None
    queue = waits.queue_of(context.situation, number(events.channel[work]))
    return None if queue == agent.channel else queue


def _missed(context: Context, agent: Agent, put: Ints, left: int) -> bool:
    """Whether a worker waits for what work that lies in its queue might bring."""
    if agent.event is None or agent.channel is None or kind_of(context, agent) == "future":
        return False
    if kind_of(context, agent) == "barrier":
        parties = number(context.run.trace.channels["capacity"].iloc[channel_of(agent)]) or 0
        here = sum(other.channel == agent.channel for other in context.dead)
        return here < parties <= here + left
    done = done_on(context, agent.channel, *ENDED_BY[agent.call])
    sites = context.run.events.site[context.run.events.outermost[put]]
    return not len(done) and not set(sites[-left:].tolist()) <= set(sites[:-left].tolist())


def _handed_on(context: Context, agent: Agent) -> set[int]:
    """The queue from which a worker took its work, if it has put something into a queue since and waits elsewhere."""
    events = context.run.events
    own = np.flatnonzero((events.thread == agent.thread) & events.is_kind("send", "submit", "receive"))
    taken = own[(events.exit[own] != NEVER) & events.is_kind("receive")[own]]
    if not len(taken) or not (own[events.exit[own] != NEVER] > taken[-1]).any():
        return set()
    queue = int(events.channel[taken[-1]])
    return {queue} - {NONE, agent.channel}


def executor_starvation(context: Context) -> Iterator[Finding]:
    """IPC121."""
    run, events = context.run, context.run.events
    for pool in held_up(context):
        yield _held_up(context, pool)
        return
    for pool in starved(context):
        first = pool.workers[0]
        given = np.flatnonzero((events.thread == first.thread) & events.is_kind("send", "submit"))
        given_at = run.at_event(int(events.outermost[given[-1]]))
        count = len(pool.workers)
        who = f"its only worker, {context.the(first)}, waits" if count == 1 else f"all {count} workers wait"
        at, queue = run.at_event(first.event), run.channel_name(pool.queue)
        yield finding(
            "IPC121",
            f"{plural(pool.left, 'piece')} of work {'lies' if pool.left == 1 else 'lie'} in a pool's {queue}, and "
            f"{who}{at} for just such work, handed in{given_at}: nobody is left to do it.",
            f"Give the inner work{given_at} a pool of its own, or don't wait for it inside of a task{at}; a larger "
            "pool only moves the limit.",
            certainty=context.certainty,
            threads=ids(*(agent.thread for agent in pool.workers)),
            channels=ids(pool.queue, *(agent.channel for agent in pool.workers)),
            sites=ids(run.site_of(first.event), run.site_of(int(given[-1]))),
            events=ids(*(agent.event for agent in pool.workers)),
        )


def _held_up(context: Context, pool: Starved) -> Finding:
    run, first, count = context.run, pool.workers[0], len(pool.workers)
    who = f"its only worker, {context.the(first)}, waits" if count == 1 else f"all {count} workers wait"
    at, queue = run.at_event(first.event), run.channel_name(pool.queue)
    last = int(done_on(context, pool.queue, "send")[-1])
    given_at = run.at_event(int(run.events.outermost[last]))
    return finding(
        "IPC121",
        f"{plural(pool.left, 'piece')} of work {'lies' if pool.left == 1 else 'lie'} in a pool's {queue}, handed in"
        f"{given_at}, and {who}{at} for {run.channel_name(first.channel)}, which nothing else is left to bring: nobody "
        "is free to do it.",
        f"Give the pool a worker for each piece of work that waits for others{at}, or a pool of their own to those "
        f"that are waited for{given_at}.",
        certainty=context.certainty,
        threads=ids(*(agent.thread for agent in pool.workers)),
        channels=ids(pool.queue, *(agent.channel for agent in pool.workers)),
        sites=ids(run.site_of(first.event), run.site_of(last)),
        events=ids(*(agent.event for agent in pool.workers)),
    )


CHECKS: tuple[Check, ...] = (fork_lost_thread, event_loop_blocked, executor_starvation)
