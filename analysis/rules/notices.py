"""IPC1xx: the program can't go on, because nobody will say what is waited for: conditions, queues, signals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..agents import Agent
from ..events import NEVER, NONE, number, rows_of
from ..findings import Check, Context, finding, ids
from ..naming import listing, plural, sentence, span
from ..results import Finding
from ..waits import notices as waits
from . import workers
from .gone import peer_gone
from .waiting import (
    ENDED_BY,
    call_of,
    channel_of,
    done_on,
    events_on,
    is_over,
    is_whole,
    kind_of,
    nobody_else,
    told,
)

# IPC118, of queues between processes


def producer_gone(context: Context) -> Iterator[Finding]:
    """IPC118: a process that would have put something into a queue, or had taken a piece of work from it, has ended."""
    found = (_work_lost(context) or _nothing_put(context)) if is_whole(context) else None
    if found is not None and not any(True for check in (workers.starved, peer_gone) for _ in check(context)):
        yield found


def _work_lost(context: Context) -> Finding | None:
    """A process has ended with what it had taken from a queue, and no answer came."""
    run = context.run
    waiters = [agent for agent in told(context) if agent.call == "await" or agent.call == "receive"]
    waiters.sort(key=lambda agent: (agent.call != "await", agent.process))
    if not waiters or any(call_of(context, agent).endswith("Queue.join") for agent in context.dead):
        return None
    agent = waiters[0]
    for gone, how in _failures(context):
        taken = _taken_by(context, gone)
        if taken is None or gone == agent.process:
            continue
        queue = run.channel_name(int(run.events.channel[taken]))
        return finding(
            "IPC118",
            f"{sentence(context.the(agent))} waits{run.at_event(agent.event)} for {run.channel_name(agent.channel)}, "
            f"and {run.the_process(gone)} had taken a piece of work from {queue} and ended ({how}) before it answered: "
            "with it the work is lost, and nobody does it again.",
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
        if agent.call != "receive" or number(run.trace.channels["process"].iloc[channel_of(agent)]) is not None:
            continue
        put, taken = len(done_on(context, agent.channel, "send")), len(done_on(context, agent.channel, "receive"))
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
            f"Get with a timeout{at} and look whether {who} still lives (is_alive, sentinel); have it put an end "
            "marker in a finally; or concurrent.futures, which notices.",
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
    found = [
        event for event in np.flatnonzero(moved & (events.exit != NEVER)) if kinds[events.channel[event]] == "queue"
    ]
    if not found or events.kind(int(found[-1])) != "receive":
        return None
    return int(found[-1])


# IPC119


def lost_wakeup(context: Context) -> Iterator[Finding]:
    """IPC119."""
    if not is_whole(context):
        return
    signals = [agent for agent in context.dead if agent.reason == "signal" and agent.event is not None]
    missed = (_missed(context, agent) for agent in [*told(context), *signals, *_semaphores(context)])
    found = next((each for each in missed if each is not None), None)
    if found is not None and not any(each.events for check in workers.CHECKS for each in check(context)):
        yield found


def _semaphores(context: Context) -> list[Agent]:
    """Who waits for a semaphore that began with no place: there a release is a notice."""
    rows = context.run.trace.channels
    return [
        agent
        for agent in context.core
        if agent.call == "acquire" and agent.channel is not None and rows["kind"].iloc[channel_of(agent)] == "semaphore"
        and not number(rows["capacity"].iloc[channel_of(agent)])
    ]  # fmt: skip


def _missed(context: Context, agent: Agent) -> Finding | None:
    op, kind = call_of(context, agent), "signal" if agent.reason == "signal" else kind_of(context, agent)
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
    at = run.at_event(agent.event)
    name, kind = run.channel_name(agent.channel), kind_of(context, agent)
    deed = {"event": "set", "future": "given its result", "semaphore": "released"}.get(kind, "notified")
    before = events_on(context, agent.channel, *ENDED_BY[agent.call])
    before = before[events.enter[before] < events.enter[agent.event]]
    others = before[events.thread[before] != agent.thread]
    before = others if len(others) or len(context.dead) > 1 else before
    copied = _set_elsewhere(context, agent)
    if copied is not None and not len(before):
        return (
            f"for {name} to be {deed}: {run.the_thread(int(events.thread[copied]))} did that{run.at_event(copied)}, "
            "but to its own: the fork has made a copy of it for each process, and no one tells the one of the other.",
            f"Use what processes share: multiprocessing.{kind.capitalize()}, a pipe, or the child's exit{at}.",
            [copied],
        )
    woken = _told_another(context, agent) if kind == "condition" else None
    if woken is not None and (nobody_else(context, agent) or is_over(context)):
        return (
            f"for {name} to be notified: {run.the_thread(int(events.thread[woken]))} did that{run.at_event(woken)}, "
            "but woke another that waited; nobody is left to do it again.",
            f"Wake all that wait, each of which looks again: notify_all(){run.at_event(woken)}.",
            [woken],
        )
    remedy = {
        "condition": f"Wait for a fact that is kept, not for the notify: wait_for(lambda: ready){at}, "
        "with `ready` set under the same lock before the notify.",
        "event": f"Set it on every way out of who should (finally), and don't clear() what others wait for"
        f"{at}; or wait with a timeout.",
        "future": f"Set a result or an exception on every way, or cancel it; or result(timeout=…){at}.",
        "semaphore": f"Release it once for each acquire{at}, in a finally.",
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
    if _held_up(context, agent) or not (nobody_else(context, agent) or is_over(context)):
        return None
    return (
        f"for {name} to be {deed}, and nobody is left who would: {_others(context, agent)}.",
        remedy,
        before[-1:].tolist(),
    )


def _told_another(context: Context, agent: Agent) -> int | None:
    """The last notify since the wait began that woke another one in its place."""
    events = context.run.events
    since = events.enter[agent.event]
    notified = events_on(context, agent.channel, "notify")
    notified = notified[events.enter[notified] > since]
    woken = done_on(context, agent.channel, "await")
    for notify in notified[::-1].tolist():
        moment = events.enter[notify]
        if ((events.enter[woken] < moment) & (events.exit[woken] > moment)).any():
            return int(notify)
    return None


def _held_up(context: Context, agent: Agent) -> bool:
    """Whether those who would tell are known, and wait for something else: then that is the cause."""
    known = [context.situation.agents[index] for need in agent.needs or () for index in need.seen or ()]
    elsewhere = ("read", "write", "acquire", "open", "connect", "select")
    return bool(known) and (kind_of(context, agent) == "future" or all(each.call in elsewhere for each in known))


def _set_elsewhere(context: Context, agent: Agent) -> int | None:
    """The event by which the object was notified of which what an agent waits for is a fork's copy."""
    origin = number(context.run.trace.channels["copy_of"].iloc[channel_of(agent)])
    if origin is None:
        return None
    told_of = events_on(context, origin, *ENDED_BY[agent.call])
    return int(told_of[-1]) if len(told_of) else None


def _others(context: Context, agent: Agent) -> str:
    """Who is left besides a waiter, and what they do, in words."""
    run = context.run
    others = [other for other in context.dead if other.index != agent.index]
    core = {other.index for other in context.core}
    first = [other for other in others if other.index in core] or others
    told_of = [f"{context.the(o)} {run.waits_for(o.reason, o.channel)}{run.at_event(o.event)}" for o in first[:2]]
    if not told_of:
        alone = len(context.situation.agents) == 1
        return "no other thread lives" if alone else "the threads that go on have never used it"
    return listing(told_of)


def _missing_party(context: Context, agent: Agent) -> Told:
    """A barrier."""
    run, events = context.run, context.run.events
    at = run.at_event(agent.event)
    parties = number(run.trace.channels["capacity"].iloc[channel_of(agent)])
    here = {
        other.thread
        for other in context.situation.placed
        if other.channel == agent.channel and other.event is not None and events.kind(other.event) == "await"
    }
    past = [thread for thread in waits.users(context.situation, agent.channel, "await") if thread not in here]
    ended = [thread for thread in past if number(run.trace.threads["ended"].iloc[thread]) is not None]
    if not ended and not nobody_else(context, agent):
        return None
    name = run.channel_name(agent.channel)
    left = [run.the_thread(thread) for thread in sorted(ended)]
    who = (
        f": {listing(left[:3])} passed it before and ended"
        if left
        else f": {_others(context, agent)}"
        if len(here) < 2
        else ""
    )
    missing = f", {parties - len(here)} of {parties} missing" if parties else ""
    return (
        f"at {name} for parties that never come{missing}: {plural(len(here), 'thread')} "
        f"{'waits' if len(here) == 1 else 'wait'} there, and nobody who is left will{who}.",
        "Make the number of parties that of the threads that really come, abort() the barrier when one of them fails, "
        f"or wait with a timeout{at}.",
        [],
    )


def _unfinished(context: Context, agent: Agent) -> Told:
    """Queue.join: more was put than was said to be done."""
    run, events = context.run, context.run.events
    put, taken = done_on(context, agent.channel, "send"), done_on(context, agent.channel, "receive")
    done = done_on(context, agent.channel, "notify")
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
        then = "ended" if gone else "went on"
        who = f"{run.the_thread(owing[0])} took one{run.at_event(last)}, and {then} without task_done()"
        where = run.at_event(last)
    else:
        last, who, where = None, "nobody is left to take the rest", ""
    if not owing and not nobody_else(context, agent):
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
        if not nobody_else(context, agent) and not is_over(context):
            return None
        return (
            f"for a place in {name}, which is full, and nobody is left to take anything from it: "
            f"{_others(context, agent)}.",
            f"Go on taking until the end, or put with a timeout{run.at_event(agent.event)}.",
            [],
        )
    put, taken = done_on(context, agent.channel, "send"), done_on(context, agent.channel, "receive")
    counts = f"{plural(len(put), 'item')} put, {len(taken)} taken"
    at = run.at_event(agent.event)
    remedy = (
        f"Put an end marker for each consumer, or get with a timeout{at}; empty() says nothing about the next moment."
    )
    rivals = taken[events.thread[taken] != agent.thread]
    if len(rivals) and len(taken) >= len(put):
        last = int(rivals[-1])
        when = span(abs(int(events.exit[last] - events.enter[agent.event])))
        order = "after this wait began" if events.exit[last] > events.enter[agent.event] else "before"
        return (
            f"for something in {name} that will not come: {counts}, the last by "
            f"{run.the_thread(int(events.thread[last]))}{run.at_event(last)}, {when} {order}; "
            "nobody is left to put more.",
            remedy,
            [last],
        )
    if not nobody_else(context, agent) and not is_over(context):
        return None
    return (f"for something in {name}, and nobody is left to put it: {counts}; {_others(context, agent)}.", remedy, [])


def _signal_before(context: Context, agent: Agent) -> Told:
    """signal.pause and sigwait: the signal came first."""
    run, events = context.run, context.run.events
    at = run.at_event(agent.event)
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
    if any(
        thread in living and living[thread].index not in (context.knot.dead if context.knot else ())
        for thread in senders
    ):
        return None  # who sent it before may send it again
    event = int(last[0])
    ago = span(int(events.enter[agent.event] - events.enter[event]))
    return (
        f"in {call_of(context, agent)} for a signal that came already{run.at_event(event)}, {ago} before: one that has "
        "been handled is not kept, and nobody in the run is left to send another.",
        f"Block the signal first (signal.pthread_sigmask) and take it by sigwait(){at}: that finds it "
        "even if it came before; or let the handler write to a pipe (set_wakeup_fd).",
        [event],
    )


CHECKS: tuple[Check, ...] = (producer_gone, lost_wakeup)
