"""IPC1xx: the program can't go on, as a lock is held by nobody who could release it.

Its holder has ended, or lives in another process than this copy of the lock; or a file's lock outlives its closing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..agents import Agent
from ..events import NEVER, NONE, number
from ..findings import Check, Context, finding
from ..naming import sentence, signal_name
from ..ownership import STREAM_CALLS, Holder
from ..results import Finding
from .links import Link, evidence, links, lives_on, lock, only, owner


def owner_gone(context: Context) -> Iterator[Finding]:
    """IPC114."""
    run = context.run
    for link in only(context, "ended"):
        waiter, holder = link.waiter, link.holder
        yield finding(
            "IPC114",
            f"{sentence(context.the(waiter))} waits for {lock(context, waiter)}{run.at_event(waiter.event)}, which "
            f"{owner(context, holder)} took{run.at_event(holder.event)} and still held as it "
            f"{_ended(context, holder)}: nobody is left to release it.",
            f"Don't end it while it holds the lock: release in a finally, or take it with `with`"
            f"{run.at_event(holder.event)}; or use a lock that goes with its holder (fcntl.flock on a file), or "
            f"acquire(timeout=…){run.at_event(waiter.event)}.",
            certainty=context.certainty,
            **evidence(context, link),
        )


def _ended(context: Context, holder: Holder) -> str:
    status = number(context.run.trace.processes["status"].iloc[holder.process])
    if holder.process in context.situation.alive or status is None or status >= 0:
        return "ended"
    return f"was ended by {signal_name(-status)}"


def reader_gone(context: Context) -> Iterator[Finding]:
    """IPC114 of a queue: whoever reads one holds its lock, which isn't recorded by itself."""
    run, events = context.run, context.run.events
    getting = events.is_op("multiprocessing.Queue.get") & (events.exit == NEVER) & (events.error == NONE)
    reading = events.is_kind("read") & (events.exit == NEVER) & (events.error == NONE) & (events.parent >= 0)
    at_pipe = getting & np.isin(np.arange(len(events)), events.parent[reading])
    for agent in context.dead:
        if agent.event is None or not getting[agent.event]:
            continue  # one that is at the pipe itself has the lock
        for other in np.flatnonzero(at_pipe & (events.channel == agent.channel)).tolist():
            holder = Holder(int(events.process[other]), int(events.thread[other]), other, "ended")
            if context.situation.ownership.fate(int(events.thread[other])) != "ended":
                continue
            yield finding(
                "IPC114",
                f"{sentence(context.the(agent))} waits for its turn to read {run.channel_name(agent.channel)}"
                f"{run.at_event(agent.event)}: {owner(context, holder)} {_ended(context, holder)} as it waited in get"
                f"{run.at_event(other)}, with the queue's lock, which nobody is left to release.",
                f"Don't end a process that reads from a queue: put a sentinel that its get{run.at_event(other)} takes "
                "as the end, and join it; or give each reader a queue of its own.",
                certainty=context.certainty,
                **evidence(context, Link(agent, holder)),
            )
            break


def inherited_by_fork(context: Context) -> Iterator[Finding]:
    """IPC115."""
    run = context.run
    for link in only(context, "ghost"):
        waiter, holder = link.waiter, link.holder
        fork = _fork_between(context, holder.process, waiter.process)
        held = "held it"
        if waiter.call in STREAM_CALLS:
            held = "was inside a call on that stream"
        elif _is_import(context, waiter):
            held = "was at it"
        yield finding(
            "IPC115",
            f"{sentence(context.the(waiter))} waits for {lock(context, waiter)}{run.at_event(waiter.event)}: "
            f"{_other(context, holder)} {held}{_taken(context, link)} when the fork{run.at_event(fork)} copied it, and "
            "isn't there to release the copy.",
            _instead_of_fork(context, waiter, fork),
            certainty=context.certainty,
            **evidence(context, link),
        )


def _instead_of_fork(context: Context, waiter: Agent, fork: int | None) -> str:
    run = context.run
    if waiter.call in STREAM_CALLS:
        also = f"write with os.write, or to a stream of the child's own,{run.at_event(waiter.event)}"
    elif _is_import(context, waiter):
        also = f"finish {lock(context, waiter)} before the fork"
    else:
        also = "make the lock anew in the child (os.register_at_fork)"
    at = run.at_event(fork)
    return f"Fork{at} before that thread is started, or start the process with spawn or forkserver; or {also}."


def _is_import(context: Context, waiter: Agent) -> bool:
    return waiter.event is not None and context.run.events.op(waiter.event) == "import"


def _other(context: Context, holder: Holder) -> str:
    home = context.run.the_process(holder.process)
    return owner(context, holder) if holder.thread is not None else f"another thread of {home}"


def _taken(context: Context, link: Link) -> str:
    return context.run.at_event(link.holder.event) if link.holder.event is not None else ""


def _fork_between(context: Context, ancestor: int, process: int) -> int | None:
    """The event by which a process, or the forebear through which it descends from `ancestor`, was forked."""
    run, processes = context.run, context.run.trace.processes
    child: int | None = process
    while child is not None:
        parent = number(processes["parent"].iloc[child])
        if parent == ancestor:
            pid = int(processes["pid"].iloc[child])
            forks = run.events.is_kind("fork") & (run.events.process == parent) & (run.events.result == pid)
            found = np.flatnonzero(forks)
            return int(found[-1]) if len(found) else None
        child = parent
    return None


def file_lock_held(context: Context) -> Iterator[Finding]:
    """IPC124."""
    run = context.run
    for link in links(context):
        if not lives_on(context, link.holder):
            continue
        waiter, holder = link.waiter, link.holder
        assert holder.event is not None
        process, fd = holder.keepers[0]
        locker = run.the_thread(int(run.events.thread[holder.event]))
        fork = _fork_between(context, int(run.events.process[holder.event]), process)
        yield finding(
            "IPC124",
            f"{sentence(context.the(waiter))} waits for {lock(context, waiter)}{run.at_event(waiter.event)}: the lock "
            f"that {locker} took{run.at_event(holder.event)} lives on in {run.the_process(process)}, whose fd {fd} is "
            f"a copy{f' made by the fork{run.at_event(fork)}' if fork is not None else ''}.",
            f"Unlock it (LOCK_UN) before the descriptor of {run.place(run.site_of(holder.event)) or 'the lock'} is "
            "closed; "
            f"or close fd {fd} in {run.the_process(process)} (close_fds, os.set_inheritable(fd, False)).",
            certainty=context.certainty,
            **evidence(context, link),
        )


CHECKS: tuple[Check, ...] = (owner_gone, reader_gone, inherited_by_fork, file_lock_held)
