"""IPC1xx: the program can't go on, because of locks.

What a waiter waits for, a holder has (`ownership`). Who follows the holders comes to an end, which names the rule: the
waiter itself, somebody who is gone, a thread that a fork left behind, a copy of a descriptor; or comes round, by way of
locks alone or of other waits as well. A lock that leads to such a knot without being part of it has only a victim.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..agents import Agent
from ..events import NONE, number
from ..filelocks import FILE_LOCKS
from ..findings import Check, Context, finding, ids
from ..naming import listing, sentence
from ..ownership import STREAM_CALLS, Holder
from ..results import Finding
from ..waits.channels import users_of


@dataclass(frozen=True, slots=True)
class Link:
    """Somebody waits for a lock that somebody holds."""

    waiter: Agent
    holder: Holder


def links(context: Context) -> list[Link]:
    """All waits for locks of those that can't go on, with each holder that is known."""
    return [
        Link(agent, holder)
        for agent in context.dead
        if agent.reason == "lock" and agent.event is not None
        for holder in context.situation.ownership.holders(agent.event) or ()
    ]


def only(context: Context, fate: str) -> Iterator[Link]:
    """The first link of each waiter whose lock's holders all have this fate."""
    told = set()
    for link in links(context):
        holders = context.situation.ownership.holders(link.waiter.event) or ()
        if link.waiter.index not in told and all(holder.fate == fate for holder in holders):
            told.add(link.waiter.index)
            yield link


# Words


def lock(context: Context, waiter: Agent) -> str:
    """What a waiter waits for, in words."""
    run = context.run
    assert waiter.event is not None
    op = run.events.op(waiter.event)
    if op == "import":
        return f"the import of {run.payloads[waiter.event].decode('utf-8', 'replace') or 'a module'}"
    if waiter.call in STREAM_CALLS:
        return f"the lock of {run.stream_name(int(run.events.stream[waiter.event]))}"
    return f"the lock on {run.channel_name(waiter.channel)}" if op in FILE_LOCKS else run.channel_name(waiter.channel)


def owner(context: Context, holder: Holder) -> str:
    """A holder's name within a sentence."""
    return context.run.the_process(holder.process) if holder.thread is None else context.run.the_thread(holder.thread)


def since(context: Context, holder: Holder) -> str:
    """Where a holder took the lock: ", taken at a.py:4," or nothing."""
    place = context.run.place(context.run.site_of(holder.event))
    return f", taken at {place}," if place else ""


def evidence(context: Context, *found: Link) -> dict[str, tuple[int, ...]]:
    """Threads, channels, sites and events of links, as a finding has them."""
    run = context.run
    events = [each for link in found for each in (link.waiter.event, link.holder.event)]
    return {
        "threads": ids(*(each for link in found for each in (link.waiter.thread, link.holder.thread))),
        "channels": ids(*(link.waiter.channel for link in found)),
        "sites": ids(*map(run.site_of, events)),
        "events": ids(*events),
    }


# Rules


def lock_self(context: Context) -> Iterator[Finding]:
    """IPC112."""
    run = context.run
    for link in links(context):
        waiter, holder = link.waiter, link.holder
        if holder.fate != "alive" or holder.thread is None or holder.thread != waiter.thread:
            continue
        name, handler = lock(context, waiter), _handler(context, waiter)
        taken = run.place(run.site_of(holder.event))
        within = f", in a signal handler that interrupted it{run.at_event(handler)}" if handler is not None else ""
        yield finding(
            "IPC112",
            f"{sentence(context.the(waiter))} waits for {name}{run.at_event(waiter.event)}{within}, and holds it itself"
            f"{f' since {taken}' if taken else ''}: nobody else is to release it.",
            _other_than_twice(context, link, handler),
            certainty=context.certainty,
            **evidence(context, link),
        )


def _handler(context: Context, waiter: Agent) -> int | None:
    """The signal handler that a wait happens in."""
    assert waiter.event is not None
    found = int(context.run.events.enclosing("signal")[waiter.event])
    return None if found == NONE else found


def _other_than_twice(context: Context, link: Link, handler: int | None) -> str:
    run, waiter = context.run, link.waiter
    assert waiter.event is not None
    here, taken = run.at_event(waiter.event), run.place(run.site_of(link.holder.event)) or "its first acquire"
    if handler is not None:
        return f"Take no lock in a signal handler: in place of the acquire{here}, set a flag that the program looks at."
    if run.events.op(waiter.event) in FILE_LOCKS:
        return (
            f"Lock the file once: hand on the descriptor that {taken} locked, in the place of the one{here}; or unlock "
            "it before."
        )
    made = number(run.trace.channels["site"].iloc[waiter.channel]) if waiter.channel is not None else None
    return (
        f"Make it an RLock{f', at {run.place(made)}' if made is not None else ''}; or leave the lock of {taken} before "
        f"what leads to the acquire{here}."
    )


def owner_gone(context: Context) -> Iterator[Finding]:
    """IPC114."""
    run = context.run
    for link in only(context, "ended"):
        waiter, holder = link.waiter, link.holder
        yield finding(
            "IPC114",
            f"{sentence(context.the(waiter))} waits for {lock(context, waiter)}{run.at_event(waiter.event)}, which "
            f"{owner(context, holder)} took{run.at_event(holder.event)} and held as it {_ended(context, holder)}: "
            "nobody is left to release it.",
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
    return f"was ended by {signal.Signals(-status).name}"


def inherited_by_fork(context: Context) -> Iterator[Finding]:
    """IPC115."""
    run = context.run
    for link in only(context, "ghost"):
        waiter, holder = link.waiter, link.holder
        fork = _fork_between(context, holder.process, waiter.process)
        held = "was inside a call on that stream" if waiter.call in STREAM_CALLS else "held it"
        yield finding(
            "IPC115",
            f"{sentence(context.the(waiter))} waits for {lock(context, waiter)}{run.at_event(waiter.event)}: "
            f"{_other(context, holder)} {held}{_taken(context, link)} when the fork{run.at_event(fork)} copied it, and "
            "isn't there to release the copy.",
            f"Fork{run.at_event(fork)} before that thread is started, or start the process by spawn or forkserver; or "
            + (
                f"write with os.write, or to a stream of the child's own{run.at_event(waiter.event)}."
                if waiter.call in STREAM_CALLS
                else "make the lock anew in the child (os.register_at_fork)."
            ),
            certainty=context.certainty,
            **evidence(context, link),
        )


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
        if not _lives_on(context, link.holder):
            continue
        waiter, holder = link.waiter, link.holder
        assert holder.event is not None
        process, fd = holder.keepers[0]
        locker = run.the_thread(int(run.events.thread[holder.event]))
        fork = _fork_between(context, int(run.events.process[holder.event]), process)
        yield finding(
            "IPC124",
            f"{sentence(context.the(waiter))} waits for {lock(context, waiter)}{run.at_event(waiter.event)}: the lock "
            f"that {locker} took{run.at_event(holder.event)} lives on in {run.the_process(process)}: its fd {fd} is a "
            f"copy{f' made by the fork{run.at_event(fork)}' if fork is not None else ''}.",
            f"Unlock it (LOCK_UN) before its descriptor{run.at_event(holder.event)} is closed; "
            f"or close fd {fd} in {run.the_process(process)} (close_fds, os.set_inheritable(fd, False)).",
            certainty=context.certainty,
            **evidence(context, link),
        )


def _lives_on(context: Context, holder: Holder) -> bool:
    """Whether a file's lock is kept by others alone than the process that took it."""
    if not holder.keepers or holder.event is None:
        return False
    return int(context.run.events.process[holder.event]) not in {process for process, _ in holder.keepers}


def _agent(context: Context, holder: Holder) -> int | None:
    """The agent of a holder that can't go on either."""
    found = context.situation.index.get(holder.thread) if holder.thread is not None and holder.fate == "alive" else None
    return found if context.knot is not None and found in context.knot.dead else None


def _followed(context: Context) -> dict[int, Link]:
    """Who waits for a lock → the link to a holder other than itself that can't go on either."""
    found: dict[int, Link] = {}
    for link in links(context):
        at = _agent(context, link.holder)
        if at is not None and at != link.waiter.index and not _lives_on(context, link.holder):
            found.setdefault(link.waiter.index, link)
    return found


def lock_cycle(context: Context) -> Iterator[Finding]:
    """IPC111."""
    for cycle in _cycles(context):
        pairs = zip(cycle[-1:] + cycle, cycle, strict=False)
        chain = [_holds_and_waits(context, before, link) for before, link in pairs]
        many = "neither" if len(cycle) == 2 else "none of them"
        yield finding(
            "IPC111",
            f"{sentence(chain[0])}; {'; '.join(chain[1:])}: {many} can go on.",
            _one_order(context, cycle),
            certainty=context.certainty,
            **evidence(context, *cycle),
        )


def _cycles(context: Context) -> list[list[Link]]:
    """Cycles of waiters and holders by way of locks alone, each once; each link's holder is the next one's waiter."""
    followed = _followed(context)
    found: list[list[Link]] = []
    done: set[int] = set()
    for start in followed:
        path: list[int] = []
        at: int | None = start
        while at is not None and at in followed and at not in done:
            done.add(at)
            path.append(at)
            at = _agent(context, followed[at].holder)
        if at in path:
            found.append([followed[each] for each in path[path.index(at) :]])
    return found


def _holds_and_waits(context: Context, before: Link, link: Link) -> str:
    """One member of a cycle: what it holds (`before` waits for it), and what it waits for."""
    run = context.run
    return (
        f"{context.the(link.waiter)} holds {lock(context, before.waiter)}{since(context, before.holder)} and waits for "
        f"{lock(context, link.waiter)}{run.at_event(link.waiter.event)}"
    )


def _one_order(context: Context, cycle: list[Link]) -> str:
    """Which line to swap with which."""
    run = context.run
    last, before = cycle[-1], cycle[-2]
    first = run.place(run.site_of(before.holder.event)), run.place(run.site_of(last.holder.event))
    names = [lock(context, link.waiter) for link in cycle]
    if first[0] and first[0] == first[1]:
        return (
            f"Take them in one order everywhere: the same lines take {listing(names)} in different orders; sort them "
            f"before {first[0]} (by a number, a name or id())."
        )
    return (
        f"Take them in one order everywhere: in {context.the(last.waiter)}, take {lock(context, last.waiter)}"
        f"{run.at_event(last.waiter.event)} before {lock(context, before.waiter)}"
        f"{since(context, before.holder).rstrip(',')}."
    )


def lock_and_channel(context: Context) -> Iterator[Finding]:
    """IPC113."""
    run, situation = context.run, context.situation
    followed = _followed(context)
    told: set[int] = set()
    for waiter, link in followed.items():
        holder = _agent(context, link.holder)
        if holder is None or holder in told or holder in followed:
            continue  # the holder waits for a lock, too: its own link tells
        way = _way(context, holder, waiter)
        if way is None:
            continue
        told.add(holder)
        keeps = situation.agents[holder]
        name = lock(context, link.waiter)
        through = [context.the(situation.agents[each]) for each in way[1:-1]]
        helper = f", for which {context.the(link.waiter)} has to go on"
        if not through and keeps.call in ("join", "wait"):
            helper = ""  # it is who has to end
        yield finding(
            "IPC113",
            f"{sentence(context.the(keeps))} {_has(name)}{since(context, link.holder)} while it "
            f"{_waits(context, keeps)}{run.at_event(keeps.event)}{helper}"
            f"{f' (by way of {listing(through)})' if through else ''}, which waits for {name}"
            f"{run.at_event(link.waiter.event)}.",
            _let_go(context, link, keeps),
            certainty=context.certainty,
            **evidence(context, link) | {"sites": ids(
                run.site_of(keeps.event), run.site_of(link.holder.event), run.site_of(link.waiter.event),
            ), "channels": ids(link.waiter.channel, keeps.channel)},
        )  # fmt: skip


def _has(name: str) -> str:
    return name.replace("the import of", "is importing", 1) if name.startswith("the import of") else f"holds {name}"


def _waits(context: Context, agent: Agent) -> str:
    """What an agent waits for, in words; of a join or wait, whom."""
    ends = list((context.knot.arcs if context.knot else {}).get(agent.index, ()))
    if agent.call in ("join", "wait") and len(ends) == 1:
        return f"waits for {context.the(context.situation.agents[ends[0]])} to end"
    return context.run.waits_for(agent.reason, agent.channel)


def _let_go(context: Context, link: Link, keeps: Agent) -> str:
    run = context.run
    assert link.waiter.event is not None
    name, wait = lock(context, link.waiter), run.place(run.site_of(keeps.event)) or "the wait"
    if run.events.op(link.waiter.event) == "import":
        module = name.removeprefix("the import of ")
        return f"Don't wait at {wait} while {module} is being imported: move that into a function, called afterwards."
    held = run.place(run.site_of(link.holder.event))
    whose = f" of {held}" if held else ""
    return f"Release {name}{whose} before the wait at {wait}: guard what is shared, not the wait."


def _way(context: Context, start: int, goal: int) -> list[int] | None:
    """From one agent to another by way of who would have to act; None: no such way."""
    came: dict[int, int] = {}
    todo = [start]
    while todo:
        at = todo.pop(0)
        for other in _awaited(context, at, goal):
            if other == goal:
                return [*_back(came, at, start), goal]
            if other not in came and other != start:
                came[other] = at
                todo.append(other)
    return None


def _back(came: dict[int, int], at: int, start: int) -> list[int]:
    way = [at]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _awaited(context: Context, index: int, goal: int) -> list[int]:
    """Who would have to act for an agent's wait to end, as far as that can be told.

    Of many that could use a channel, who has used it; where nobody has, who isn't of the same process, if anybody is.
    """
    situation, knot = context.situation, context.knot
    agent = situation.agents[index]
    if agent.reason == "lock" or knot is None:
        holders = situation.ownership.holders(agent.event) or ()
        return [found for holder in holders if (found := _agent(context, holder)) is not None]
    if agent.call not in ("read", "write") or agent.channel is None:
        return list(knot.arcs.get(index, ()))
    users, dead = users_of(situation, agent), sorted(agent.enablers & knot.dead)
    used = [each for each in dead if situation.agents[each].thread in users]
    chosen = used or [each for each in dead if situation.agents[each].process != agent.process] or dead
    there = situation.agents[goal]
    same_end = there.call in STREAM_CALLS and there.channel == agent.channel  # would do the same, not what is needed
    return [each for each in chosen if not (each == goal and same_end)]


CHECKS: tuple[Check, ...] = (lock_self, owner_gone, inherited_by_fork, file_lock_held, lock_cycle, lock_and_channel)
