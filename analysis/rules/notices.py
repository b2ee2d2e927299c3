"""IPC1xx: the program can't go on, because nobody will say what is waited for: conditions, queues, pools, loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..agents import Agent
from ..events import NEVER, NONE, Ints, number, rows_of
from ..findings import Check, Context, finding, ids
from ..naming import listing, plural, sentence, span
from ..results import Finding
from ..waits import notices as waits
from ..waits import loops

TOLD = ("await", "receive", "send")  # kinds of calls that wait for somebody to say, bring or take something
# kind of wait → the kinds of calls that end it
ENDED_BY = {"await": ("notify",), "receive": ("send",), "send": ("receive",), "acquire": ("release",)}


def told(context: Context) -> list[Agent]:
    """Who of the knot's core waits for somebody to say, bring or take something."""
    return [agent for agent in context.core if _is_told(context, agent)]


def _is_told(context: Context, agent: Agent) -> bool:
    return (
        agent.call in TOLD and agent.event is not None and agent.channel is not None and not agent.why
        and not _op(context, agent).startswith(("Connection.", "multiprocessing.Queue.next"))
    )  # fmt: skip


def _op(context: Context, agent: Agent) -> str:
    return "" if agent.event is None else context.run.events.op(agent.event)


def _object(context: Context, agent: Agent) -> str:
    return str(context.run.trace.channels["kind"].iloc[agent.channel])


def _of(context: Context, channel: int | None, *kinds: str) -> Ints:
    """The events of these kinds on an object that came about, in order."""
    events = context.run.events
    return np.flatnonzero((events.channel == channel) & events.is_kind(*kinds) & (events.error == NONE))


def _done(context: Context, channel: int | None, *kinds: str) -> Ints:
    """The same, as far as they returned."""
    found = _of(context, channel, *kinds)
    return found[context.run.events.exit[found] != NEVER]


def _whole(context: Context) -> bool:
    """Whether the recorded program itself waits with the knot, and isn't busy with something else.

    A main thread that runs an event loop waits if its first task does.
    """
    if _sure(context) or 0 not in context.situation.alive or context.knot is None:
        return context.knot is not None
    main = context.run.main_threads.get(0)
    first = [each.index for each in context.situation.agents if each.thread == main or each.loop == main][:2]
    return any(index in context.knot.dead for index in first) or _shut(context)


def _sure(context: Context) -> bool:
    return context.knot is not None and context.knot.level in ("proven", "likely")


# IPC116


def fork_lost_thread(context: Context) -> Iterator[Finding]:
    """IPC116: what an agent of a fork's child waits for is the work of a thread of its parent."""
    run = context.run
    for agent in context.dead:
        lost = _lost(context, agent) if _is_told(context, agent) else None
        if lost is None:
            continue
        parent, fork = int(run.trace.processes["parent"].iloc[agent.process]), _fork_of(context, agent.process)
        whose = run.the_thread(lost)
        forked = f" The fork{run.at_event(fork)} took the objects along, and only one thread." if fork is not None else ""
        made = number(run.trace.channels["site"].iloc[agent.channel])
        yield finding(
            "IPC116",
            f"{sentence(context.the(agent))} waits{run.at_event(agent.event)} for {run.channel_name(agent.channel)}, "
            f"which is the work of {whose}: that thread lives in {run.the_process(parent)}, not in "
            f"{run.the_process(agent.process)}.{forked}",
            f"Make the pool, queue or thread anew in the child, after the fork{run.at_event(fork)}; or start the child by "
            "spawn or forkserver.",
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
    if _object(context, agent) == "future":
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
    """IPC120: a loop's thread waits elsewhere than in its select, for what one of its own tasks or callbacks would do."""
    run, situation = context.run, context.situation
    for agent in context.dead:
        if agent.thread is None or agent.loop is not None or loops.selecting(situation, agent):
            continue
        own = loops.of_loop(situation, agent.thread)
        if not own or agent.event is None or agent.why or not _only_the_loop(context, agent, own):
            continue
        waiting = [situation.agents[index] for index in sorted(own)]
        names = listing([context.the(each) for each in waiting[:3]])
        call = run.events.op(int(run.events.outermost[agent.event]))
        about = f" for {run.channel_name(agent.channel)}" if agent.channel is not None else ""
        yield finding(
            "IPC120",
            f"{sentence(context.the(agent))} runs an event loop and waits in {call}{run.at_event(agent.event)}{about}, "
            f"synchronously: nobody but that loop could bring it, and while it waits it runs nothing, neither {names} nor "
            "any callback.",
            f"Await it{run.at_event(agent.event)}: the coroutine itself, asyncio's own queue, lock or stream; or hand the "
            "blocking call to another thread (await asyncio.to_thread(…)).",
            certainty=context.certainty,
            threads=ids(agent.thread, *(each.thread for each in waiting)),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), *(run.site_of(each.event) for each in waiting)),
            events=ids(agent.event),
        )


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
    situation = context.situation
    queues = context.run.trace.channels
    dead = {agent.thread: agent for agent in context.dead if agent.thread is not None}
    for queue in queues.loc[queues["kind"] == "queue", "channel"].tolist():
        takers = [other.thread for other in situation.placed if other.thread in waits.users(situation, queue, "receive")]
        workers = [dead[thread] for thread in takers if thread in dead and dead[thread].channel != queue]
        left = len(_done(context, queue, "send")) - len(_done(context, queue, "receive"))
        if left < 1 or not workers or len(workers) < len(takers):
            continue
        if all(_handed_on(context, agent, queue) for agent in workers if agent.thread is not None):
            yield Starved(int(queue), tuple(workers), left)


def _handed_on(context: Context, agent: Agent, queue: int) -> bool:
    """Whether a worker has put something into a queue since it took its own work, and now waits to be told of it."""
    events = context.run.events
    if agent.call not in TOLD or agent.thread is None:
        return False
    taken = np.flatnonzero((events.thread == agent.thread) & (events.channel == queue) & events.is_kind("receive"))
    put = np.flatnonzero((events.thread == agent.thread) & events.is_kind("send", "submit"))
    return bool(len(taken) and len(put) and put[-1] > taken[-1])


def executor_starvation(context: Context) -> Iterator[Finding]:
    """IPC121."""
    run, events = context.run, context.run.events
    for pool in starved(context):
        first = pool.workers[0]
        given = np.flatnonzero((events.thread == first.thread) & events.is_kind("send", "submit"))
        given_at = run.at_event(int(events.outermost[given[-1]]))
        count = len(pool.workers)
        who = f"its only worker, {context.the(first)}, waits" if count == 1 else f"all {count} workers wait"
        yield finding(
            "IPC121",
            f"{plural(pool.left, 'piece')} of work {'lies' if pool.left == 1 else 'lie'} in a pool's {run.channel_name(pool.queue)}, "
            f"and {who}{run.at_event(first.event)} for just such work, handed in{given_at}: nobody is left to do it.",
            f"Give the inner work{given_at} a pool of its own, or don't wait for it inside of a task{run.at_event(first.event)}; "
            "a larger pool only moves the limit.",
            certainty=context.certainty,
            threads=ids(*(agent.thread for agent in pool.workers)),
            channels=ids(pool.queue, *(agent.channel for agent in pool.workers)),
            sites=ids(run.site_of(first.event), run.site_of(int(given[-1]))),
            events=ids(*(agent.event for agent in pool.workers)),
        )


# IPC118, of queues between processes


def producer_gone(context: Context) -> Iterator[Finding]:
    """IPC118: a process that would have put something into a queue, or had taken a piece of work from it, has ended."""
    if not _whole(context) or any(True for _ in starved(context)):
        return
    found = _work_lost(context) or _nothing_put(context)
    if found is not None:
        yield found


def _work_lost(context: Context) -> Finding | None:
    """A process has ended with what it had taken from a queue, and no answer came."""
    run = context.run
    waiters = [agent for agent in told(context) if agent.call == "await" or agent.call == "receive"]
    waiters.sort(key=lambda agent: (agent.call != "await", agent.process))
    if not waiters or any(_op(context, agent).endswith("Queue.join") for agent in context.dead):
        return None
    agent = waiters[0]
    for gone, how in _failures(context):
        taken = _taken_by(context, gone)
        if taken is None or gone == agent.process:
            continue
        queue = run.channel_name(int(run.events.channel[taken]))
        return finding(
            "IPC118",
            f"{sentence(context.the(agent))} waits{run.at_event(agent.event)} for {run.channel_name(agent.channel)}, and "
            f"{run.the_process(gone)} had taken a piece of work from {queue} and ended ({how}) before it answered: with it "
            "the work is lost, and nobody does it again.",
            f"Wait with a timeout{run.at_event(agent.event)} and look whether the workers still live; or "
            "concurrent.futures.ProcessPoolExecutor, which raises BrokenProcessPool.",
            certainty=context.certainty,
            threads=ids(agent.thread, run.main_threads.get(gone)),
            channels=ids(agent.channel, int(run.events.channel[taken])),
            sites=ids(run.site_of(agent.event), run.site_of(taken)),
            events=ids(agent.event, taken),
        )
    return None


def _nothing_put(context: Context) -> Finding | None:
    """A process that would have put something has ended."""
    run = context.run
    for agent in told(context):
        if agent.call != "receive" or number(run.trace.channels["process"].iloc[agent.channel]) is not None:
            continue
        put, taken = len(_done(context, agent.channel, "send")), len(_done(context, agent.channel, "receive"))
        used = waits.users(context.situation, agent.channel, "send")
        owners = {int(run.trace.threads["process"].iloc[thread]) for thread in used}
        gone = [(process, how) for process, how in _failures(context) if process in owners or not put]
        if not gone:
            continue
        who, at = run.the_process(gone[0][0]), run.at_event(agent.event)
        return finding(
            "IPC118",
            f"{sentence(context.the(agent))} waits{at} for something to come through {run.channel_name(agent.channel)} "
            f"({put} put, {taken} taken), and {who}, which should have put it, has ended ({gone[0][1]}); every process "
            "holds the queue's pipe open, so no end of file tells.",
            f"Get with a timeout{at} and look whether {who} still lives (is_alive, sentinel); have it put an end marker "
            "in a finally; or concurrent.futures, which notices.",
            certainty=context.certainty,
            threads=ids(agent.thread, run.main_threads.get(gone[0][0])),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event)),
            events=ids(agent.event),
        )
    return None


def _failures(context: Context) -> list[tuple[int, str]]:
    """Children that ended before their time: process, and how."""
    rows = context.run.trace.processes
    return [
        (int(row.process), f"status {row.status}" if row.status >= 0 else f"by signal {-row.status}")
        for row in rows_of(rows[rows["status"].notna() & rows["ended"].notna() & rows["traced"]])
        if row.process and row.status
    ]


def _taken_by(context: Context, process: int) -> int | None:
    """The event by which a process took something from a queue, as the last that it did with queues."""
    events = context.run.events
    moved = (events.process == process) & events.is_kind("send", "receive") & (events.channel != NONE)
    kinds = context.run.trace.channels["kind"].to_numpy()
    found = [event for event in np.flatnonzero(moved & (events.exit != NEVER)) if kinds[events.channel[event]] == "queue"]
    if not found or events.kind(int(found[-1])) != "receive":
        return None
    return int(found[-1])


# IPC119


def lost_wakeup(context: Context) -> Iterator[Finding]:
    """IPC119."""
    explained = {
        event
        for check in (fork_lost_thread, event_loop_blocked, executor_starvation)
        for each in check(context)
        for event in each.events
    }
    if explained or not _whole(context):
        return
    signals = [agent for agent in context.dead if agent.reason == "signal" and agent.event is not None]
    for agent in [*told(context), *signals, *_semaphores(context)]:
        found = _missed(context, agent)
        if found is not None:
            yield found
            return


def _semaphores(context: Context) -> list[Agent]:
    """Who waits for a semaphore that began with no place: there a release is a notice."""
    rows = context.run.trace.channels
    return [
        agent
        for agent in context.core
        if agent.call == "acquire" and agent.channel is not None and rows["kind"].iloc[agent.channel] == "semaphore"
        and not number(rows["capacity"].iloc[agent.channel])
    ]  # fmt: skip


def _missed(context: Context, agent: Agent) -> Finding | None:
    op, kind = _op(context, agent), "signal" if agent.reason == "signal" else _object(context, agent)
    if op.endswith("Queue.join"):
        told_of = _unfinished(context, agent)
    elif kind == "signal":
        told_of = _signal_before(context, agent)
    elif kind == "barrier":
        told_of = _missing_party(context, agent)
    elif kind == "queue":
        told_of = _nothing_left(context, agent)
    else:
        told_of = _told_before(context, agent)
    if told_of is None:
        return None
    why, remedy, events = told_of
    run = context.run
    return finding(
        "IPC119",
        f"{sentence(context.the(agent))} waits{run.at_event(agent.event)} {why}",
        remedy,
        certainty=context.certainty,
        threads=ids(agent.thread, *(int(run.events.thread[event]) for event in events)),
        channels=ids(agent.channel),
        sites=ids(run.site_of(agent.event), *(run.site_of(event) for event in events)),
        events=ids(agent.event, *events),
    )


Told = tuple[str, str, list[int]] | None  # why it waits for ever, what to do about it, the events that show it


def _told_before(context: Context, agent: Agent) -> Told:
    """A condition, event, future or semaphore: told too early, or by nobody."""
    run, events = context.run, context.run.events
    name, kind = run.channel_name(agent.channel), _object(context, agent)
    deed = {"event": "set", "future": "given its result", "semaphore": "released"}.get(kind, "notified")
    before = _of(context, agent.channel, *ENDED_BY[agent.call])
    before = before[events.enter[before] < events.enter[agent.event]]
    others = before[events.thread[before] != agent.thread]
    before = others if len(others) or len(context.dead) > 1 else before
    remedy = {
        "condition": f"Wait for a fact that is kept, not for the notify: wait_for(lambda: ready){run.at_event(agent.event)}, "
        "with `ready` set under the same lock before the notify.",
        "event": f"Set it on every way out of who should (finally), and don't clear() what others wait for"
        f"{run.at_event(agent.event)}; or wait with a timeout.",
        "future": f"Set a result or an exception on every way, or cancel it; or result(timeout=…){run.at_event(agent.event)}.",
        "semaphore": f"Release it once for each acquire{run.at_event(agent.event)}, in a finally.",
    }[kind if kind in ("condition", "event", "semaphore") else "future"]
    if len(before) and kind != "semaphore":
        last = int(before[-1])
        ago = span(int(events.enter[agent.event] - events.enter[last]))
        late = "which keeps nothing for who comes later" if kind == "condition" else "and it has been cleared since"
        return (
            f"for {name} to be {deed}; {run.the_thread(int(events.thread[last]))} did that{run.at_event(last)}, {ago} "
            f"before the wait began, {late}; nobody is left to do it again.",
            remedy,
            [last],
        )
    if not _sure(context) and not _shut(context):
        return None
    return (
        f"for {name} to be {deed}, and nobody is left who would: {_others(context, agent)}.",
        remedy,
        before[-1:].tolist(),
    )


def _shut(context: Context) -> bool:
    """Whether the program's main thread is done, and the interpreter only waits for its threads to end."""
    main = context.run.main_threads.get(0)
    return any(each.thread == main and _op(context, each) == "threading.shutdown" for each in context.situation.agents)


def _others(context: Context, agent: Agent) -> str:
    """Who is left besides a waiter, and what they do, in words."""
    run = context.run
    others = [other for other in context.dead if other.index != agent.index]
    core = set(context.knot.core if context.knot else ())
    first = [other for other in others if other.index in core] or others
    told_of = [f"{context.the(o)} {run.waits_for(o.reason, o.channel)}{run.at_event(o.event)}" for o in first[:2]]
    if not told_of:
        alone = len(context.situation.agents) == 1
        return "no other thread lives" if alone else "the threads that go on have never used it"
    return listing(told_of)


def _missing_party(context: Context, agent: Agent) -> Told:
    """A barrier."""
    run, events = context.run, context.run.events
    parties = number(run.trace.channels["capacity"].iloc[agent.channel])
    here = {other.thread for other in context.situation.placed if other.channel == agent.channel and other.event is not None
            and events.kind(other.event) == "await"}  # fmt: skip
    past = [thread for thread in waits.users(context.situation, agent.channel, "await") if thread not in here]
    ended = [thread for thread in past if number(run.trace.threads["ended"].iloc[thread]) is not None]
    if not _sure(context) and not ended:
        return None
    name = run.channel_name(agent.channel)
    left = [run.the_thread(thread) for thread in sorted(ended)]
    who = f": {listing(left[:3])} passed it before and ended" if left else f": {_others(context, agent)}" if len(here) < 2 else ""
    missing = f", {parties - len(here)} of {parties} missing" if parties else ""
    return (
        f"at {name} for parties that never come{missing}: {plural(len(here), 'thread')} "
        f"{'waits' if len(here) == 1 else 'wait'} there, and nobody who is left will{who}.",
        f"Make the number of parties that of the threads that really come, abort() the barrier when one of them fails, or "
        f"wait with a timeout{run.at_event(agent.event)}.",
        [],
    )


def _unfinished(context: Context, agent: Agent) -> Told:
    """Queue.join: more was put than was said to be done."""
    run, events = context.run, context.run.events
    put, taken = _done(context, agent.channel, "send"), _done(context, agent.channel, "receive")
    done = _done(context, agent.channel, "notify")
    if context.situation.forgotten(agent.channel) or len(put) <= len(done):
        return None
    owing = [
        int(thread)
        for thread in np.unique(events.thread[taken]).tolist()
        if (events.thread[taken] == thread).sum() > (events.thread[done] == thread).sum()
    ]
    counts = f"{plural(len(put), 'item')} put, {len(taken)} taken, {len(done)} marked task_done"
    if owing:
        last = int(taken[events.thread[taken] == owing[0]][-1])
        gone = _has_ended(context, owing[0])
        who = f"{run.the_thread(owing[0])} took one{run.at_event(last)}, and {'ended' if gone else 'went on'} without task_done()"
        where = run.at_event(last)
    else:
        last, who, where = None, "nobody is left to take the rest", ""
    if not _sure(context) and not owing:
        return None
    return (
        f"for all of {run.channel_name(agent.channel)} to be done: {counts}; {who}.",
        f"Call task_done() in a finally after each get(){where}, and let a worker that fails go on with the next item.",
        [] if last is None else [last],
    )


def _has_ended(context: Context, thread: int) -> bool:
    row = context.run.trace.threads.iloc[thread]
    return number(row["ended"]) is not None or int(row["process"]) not in context.situation.alive


def _nothing_left(context: Context, agent: Agent) -> Told:
    """A queue: a get where nobody puts any more, or a put where nobody gets."""
    run, events = context.run, context.run.events
    name = run.channel_name(agent.channel)
    if agent.call == "send":
        if not _sure(context) and not _shut(context):
            return None
        return (
            f"for a place in {name}, which is full, and nobody is left to take anything from it: {_others(context, agent)}.",
            f"Go on taking until the end, or put with a timeout{run.at_event(agent.event)}.",
            [],
        )
    put, taken = _done(context, agent.channel, "send"), _done(context, agent.channel, "receive")
    counts = f"{plural(len(put), 'item')} put, {len(taken)} taken"
    at = run.at_event(agent.event)
    remedy = f"Put an end marker for each consumer, or get with a timeout{at}; empty() says nothing about the next moment."
    rivals = taken[events.thread[taken] != agent.thread]
    if len(rivals) and len(taken) >= len(put):
        last = int(rivals[-1])
        when = span(abs(int(events.exit[last] - events.enter[agent.event])))
        order = "after this wait began" if events.exit[last] > events.enter[agent.event] else "before"
        return (
            f"for something in {name} that will not come: {counts}, the last by {run.the_thread(int(events.thread[last]))}"
            f"{run.at_event(last)}, {when} {order}; nobody is left to put more.",
            remedy,
            [last],
        )
    if not _sure(context) and not _shut(context):
        return None
    return (f"for something in {name}, and nobody is left to put it: {counts}; {_others(context, agent)}.", remedy, [])


def _signal_before(context: Context, agent: Agent) -> Told:
    """signal.pause and sigwait: the signal came first."""
    run, events = context.run, context.run.events
    assert agent.event is not None
    came = np.flatnonzero(events.is_kind("signal") & (events.process == agent.process) & (events.exit != NEVER))
    came = came[events.enter[came] < events.enter[agent.event]]
    pid = int(run.trace.processes["pid"].iloc[agent.process])
    sent = np.flatnonzero(events.is_kind("kill") & (np.abs(events.size) == pid) & (events.error == NONE))
    last = sent[-1:] if len(sent) else came[-1:]
    if not len(last) or (events.enter[last[0]] > events.enter[agent.event] and not len(came)):
        return None
    senders = {int(events.thread[event]) for event in sent.tolist()}
    living = {a.thread: a for a in context.situation.agents}
    if any(thread in living and living[thread].index not in (context.knot.dead if context.knot else ()) for thread in senders):
        return None  # who sent it before may send it again
    event = int(last[0])
    ago = span(int(events.enter[agent.event] - events.enter[event]))
    return (
        f"in {_op(context, agent)} for a signal that came already{run.at_event(event)}, {ago} before: a signal that has been "
        "handled is not kept, and nobody in the run is left to send another.",
        f"Block the signal first (signal.pthread_sigmask) and take it by sigwait(){run.at_event(agent.event)}: that finds it "
        "even if it came before; or let the handler write to a pipe (set_wakeup_fd).",
        [event],
    )


CHECKS: tuple[Check, ...] = (
    fork_lost_thread,
    event_loop_blocked,
    executor_starvation,
    producer_gone,
    lost_wakeup,
)
