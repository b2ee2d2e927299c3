"""Who waits for a lock and who holds it, as the rules about locks see it, and the words for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..agents import Agent
from ..filelocks import FILE_LOCKS
from ..findings import Context, ids
from ..ownership import STREAM_CALLS, Holder


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


def lives_on(context: Context, holder: Holder) -> bool:
    """Whether a file's lock is kept by others alone than the process that took it."""
    if not holder.keepers or holder.event is None:
        return False
    return int(context.run.events.process[holder.event]) not in {process for process, _ in holder.keepers}


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
