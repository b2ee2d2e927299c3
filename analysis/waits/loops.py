"""Event loops: which thread runs one, and whether it is where its loop waits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..agents import Agent
from ..events import number, rows_of
from . import channels

if TYPE_CHECKING:
    from ..situation import Situation


def of_loop(situation: Situation, thread: int | None) -> frozenset[int]:
    """The tasks (agents) that a thread's loop runs."""
    return frozenset(other.index for other in situation.placed if other.loop is not None and other.loop == thread)


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
    return not ((events.thread == runner.thread) & events.is_op("epoll.poll")).any()


def members(situation: Situation, runner: Agent) -> list[Agent]:
    """A loop's thread in its select as so many agents as there are ends that it waits for, each in a read or write."""
    rows = situation.trace.members[situation.trace.members["event"] == runner.event]
    return [
        replace(runner, call=call, channel=situation.channel_of(runner.process, member.fd))
        for member in rows_of(rows)
        for way, call in (("r", "read"), ("w", "write"))
        if way in member.access
    ]


def callers(situation: Situation, runner: Agent) -> frozenset[int]:
    """Who is likely to give a loop something to do: its tasks, who called call_soon_threadsafe, who uses its ends."""
    found = of_loop(situation, runner.thread)
    for member in members(situation, runner):
        peer = None if member.channel is None else number(situation.trace.channels["peer"].iloc[member.channel])
        if peer is not None and situation.holders(peer, "r") == [runner.process]:  # the pipe by which a loop is woken
            wrote = channels.users_of(situation, member) - {runner.thread}
            found |= {other.index for other in situation.placed if other.thread in wrote}
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
