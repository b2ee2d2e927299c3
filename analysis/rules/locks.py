"""IPC1xx: the program can't go on, because of locks.

What a waiter waits for, a holder has (`ownership`). Who follows the holders comes to an end, which names the rule: the
waiter itself, or nobody who could release it (`ownerless`); or comes round, by way of locks alone or of other waits as
well. A lock that leads to such a knot without being part of it has only a victim.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..agents import Agent
from ..events import NONE, number
from ..filelocks import FILE_LOCKS
from ..findings import Check, Context, finding, ids
from ..naming import listing, sentence
from ..ownership import STREAM_CALLS, Holder
from ..results import Finding
from ..waits.channels import users_of
from ..waits.processes import feeds
from .links import Link, evidence, links, lives_on, lock, since


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
    found = context.run.events.inside("signal", waiter.event)
    return None if found == NONE else found


def _other_than_twice(context: Context, link: Link, handler: int | None) -> str:
    run, waiter = context.run, link.waiter
    assert waiter.event is not None
    here, taken = run.at_event(waiter.event), run.place(run.site_of(link.holder.event)) or "its first acquire"
    if handler is not None:
        return f"Take no lock in a signal handler: set a flag in the place of the acquire{here}, to be looked at later."
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


def _agent(context: Context, holder: Holder) -> int | None:
    """The agent of a holder that can't go on either."""
    found = context.situation.index.get(holder.thread) if holder.thread is not None and holder.fate == "alive" else None
    return found if context.knot is not None and found in context.knot.dead else None


def _followed(context: Context) -> dict[int, Link]:
    """Who waits for a lock → the link to a holder other than itself that can't go on either."""
    found: dict[int, Link] = {}
    for link in links(context):
        at = _agent(context, link.holder)
        if at is not None and at != link.waiter.index and not lives_on(context, link.holder):
            found.setdefault(link.waiter.index, link)
    return found


def lock_cycle(context: Context) -> Iterator[Finding]:
    """IPC111."""
    for cycle in _cycles(context):
        pairs = zip([cycle[-1], *cycle], cycle, strict=False)
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
            f"Take them in one order everywhere: the same lines take {listing(names)} in different orders, so sort "
            f"them before {first[0]} (by a number, a name or id())."
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
        if keeps.thread is not None and feeds(situation, keeps.thread) is not None:
            continue  # the turn of a queue's own thread, of which `processes.feeder_join` tells
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
        return f"Don't wait at {wait} while {module} is being imported: move that into a function to call afterwards."
    held = run.place(run.site_of(link.holder.event))
    return (
        f"Release {name}{f' of {held}' if held else ''} before the wait at {wait}: guard what is shared, not the wait."
    )


def _way(context: Context, start: int, goal: int) -> list[int] | None:
    """From one agent to another by way of who would have to act; None: no such way."""
    came: dict[int, int] = {}
    todo = [start]
    while todo:
        at = todo.pop(0)
        for other in _awaited(context, at, start, goal):
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


def _awaited(context: Context, index: int, start: int, goal: int) -> list[int]:
    """Who would have to act for an agent's wait to end, as far as that can be told.

    Of many that could use a channel: who has used it; else who had to do with it. Where they merely wait for others to
    end, the holder of the lock (`start`) may wait for any that could, rather of another process than of its own.
    """
    situation, knot = context.situation, context.knot
    agent = situation.agents[index]
    if agent.reason == "lock" or knot is None:
        holders = situation.ownership.holders(agent.event) or ()
        return [at for holder in holders if (at := _agent(context, holder)) is not None]
    if agent.call not in ("read", "write") or agent.channel is None:
        return list(knot.arcs.get(index, ()))
    users, dead = users_of(situation, agent), sorted(agent.enablers & knot.dead - {index})
    found = [each for each in dead if situation.agents[each].thread in users]
    if not found:
        meant = [each for each in dead if any(each in (need.meant or need.able) for need in agent.needs or ())]
        talk = any(situation.agents[each].call in ("read", "write", "select") for each in meant)
        away = [each for each in dead if situation.agents[each].process != agent.process]
        found = meant if index != start or talk else away or dead
    there = situation.agents[goal]
    same_end = there.call in STREAM_CALLS and there.channel == agent.channel  # would do the same, not what is needed
    return [each for each in found if not (each == goal and same_end)]


CHECKS: tuple[Check, ...] = (lock_self, lock_cycle, lock_and_channel)
