"""Event loops: which thread runs one, and whether it is where its loop waits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..agents import Agent
from ..events import number
from . import channels

if TYPE_CHECKING:
    from ..situation import Situation


def of_loop(situation: Situation, thread: int | None) -> frozenset[int]:
    """The tasks (agents) that a thread's loop runs."""
    return frozenset() if thread is None else situation.tasks_of.get(thread, frozenset())


def selecting(situation: Situation, runner: Agent) -> bool:
    """Whether a thread that runs a loop is where the loop waits, and not held up by one of its tasks or callbacks.

    A thread that has ever waited in an epoll, as asyncio's loops do, runs its loop there: another select, as that of
    subprocess.communicate(), is a wait within it.
    """
    events = situation.events
    if runner.call != "select" or runner.event is None:
        return False
    if events.op(runner.event) == "epoll.poll":
        return True
    return runner.thread not in situation.once(_polled)


def _polled(situation: Situation) -> set[int]:
    """Threads that have ever waited in an epoll."""
    return set(situation.events.thread[situation.events.is_op("epoll.poll")].tolist())


def members(situation: Situation, runner: Agent) -> list[Agent]:
    """A loop's thread in its select as so many agents as there are ends that it waits for, each in a read or write."""
    return channels.members(situation, replace(runner, channel=None))


def callers(situation: Situation, runner: Agent) -> frozenset[int]:
    """Who is likely to give a loop something to do: its tasks, who called call_soon_threadsafe, who uses its ends."""
    found = of_loop(situation, runner.thread)
    for member in members(situation, runner):
        peer = None if member.channel is None else number(situation.trace.channels["peer"].iloc[member.channel])
        if peer is not None and situation.holders(peer, "r") == [runner.process]:  # the pipe by which a loop is woken
            wrote = channels.users_of(situation, member) - {runner.thread}
            found |= situation.agents_of(wrote)
            continue
        for need in channels.by_channel(situation, member).needs or ():
            found |= need.able if need.seen is None else need.seen if need.meant is None else need.meant
    return found


def idle(situation: Situation, runner: Agent) -> bool:
    """Whether a loop only waits for its own process, or others of the run, to give it something to do."""
    return (
        bool(of_loop(situation, runner.thread))
        and selecting(situation, runner)
        and not runner.why
        and channels.by_members(situation, runner).needs is not None
    )
