"""Event loops: which thread runs one, and whether it is where its loop waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..agents import Agent
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


def idle(situation: Situation, runner: Agent) -> bool:
    """Whether a loop only waits for its own process, or others of the run, to give it something to do."""
    return (
        bool(of_loop(situation, runner.thread))
        and selecting(situation, runner)
        and not runner.why
        and channels.by_members(situation, runner).needs is not None
    )
