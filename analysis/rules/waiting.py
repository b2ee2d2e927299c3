"""What the rules on waits to be told ask of the knot: who waits for what, and what was done to it before."""

from __future__ import annotations

from ..agents import Agent
from ..events import NEVER, NONE, Ints
from ..findings import Context
from ..waits import notices as waits
from ..waits import processes

PATIENCE = 3_000_000_000  # ns without progress after which what goes round a loop is taken to go on like that
TOLD = ("await", "receive", "send")  # kinds of calls that wait for somebody to say, bring or take something
# kind of wait → the kinds of calls that end it
ENDED_BY = {"await": ("notify",), "receive": ("send",), "send": ("receive",), "acquire": ("release",)}


def told(context: Context) -> list[Agent]:
    """Who of the knot's core waits for somebody to say, bring or take something."""
    return [agent for agent in context.core if is_told(context, agent)]


def is_told(context: Context, agent: Agent) -> bool:
    return (
        agent.call in TOLD and agent.event is not None and agent.channel is not None and not agent.why
        and not call_of(context, agent).startswith(("Connection.", "multiprocessing.Queue.next"))
    )  # fmt: skip


def channel_of(agent: Agent) -> int:
    assert agent.channel is not None
    return agent.channel


def call_of(context: Context, agent: Agent) -> str:
    return "" if agent.event is None else context.run.events.op(agent.event)


def kind_of(context: Context, agent: Agent) -> str:
    return str(context.run.trace.channels["kind"].iloc[channel_of(agent)])


def events_on(context: Context, channel: int | None, *kinds: str) -> Ints:
    """The events of these kinds on an object that came about, in order."""
    events = context.run.events
    found = waits.events_on(context.situation, channel, *kinds)
    came: Ints = found[events.error[found] == NONE]
    return came


def done_on(context: Context, channel: int | None, *kinds: str) -> Ints:
    """The same, as far as they returned."""
    found = events_on(context, channel, *kinds)
    returned: Ints = found[context.run.events.exit[found] != NEVER]
    return returned


def is_whole(context: Context) -> bool:
    """Whether the recorded program itself waits with the knot, and isn't busy with something else.

    A main thread that runs an event loop waits if its first task does.
    """
    if is_sure(context) or 0 not in context.situation.alive or context.knot is None:
        return context.knot is not None
    main = context.run.main_threads.get(0)
    first = [each.index for each in context.situation.agents if each.thread == main or each.loop == main][:2]
    return any(index in context.knot.dead for index in first) or is_over(context)


def is_sure(context: Context) -> bool:
    return context.knot is not None and context.knot.level in ("proven", "likely")


def nobody_else(context: Context, agent: Agent) -> bool:
    """Whether all who could yet end a wait wait with it, or have for long gone about something else: as daemons do that
    go round a loop, which they are never to leave, and processes that never had to do with the object."""
    knot, situation = context.knot, context.situation
    if is_sure(context):
        return True
    if knot is None or not agent.needs or context.run.cut - knot.formed < PATIENCE:
        return False
    if len(knot.core) < 2:  # nothing but its patience tells of a single waiter: a loop may be what it waits for
        return False
    others = frozenset().union(*(need.able for need in agent.needs)) - knot.dead
    return all(_elsewhere(context, agent, situation.placed[other]) for other in others)


def _elsewhere(context: Context, agent: Agent, other: Agent) -> bool:
    situation = context.situation
    if other.thread is None or other.process in context.run.unseen:
        return True
    if other.process != agent.process and not situation.has_touched(channel_of(agent), other.process):
        return other.thread in situation.circling or processes.daemon(situation, other.thread) is True
    return other.thread in situation.circling and processes.daemon(situation, other.thread) is True


def is_over(context: Context) -> bool:
    """Whether the program's main thread is done, and the interpreter only waits for its threads to end."""
    main = context.run.main_threads.get(0)
    first = [each for each in context.situation.agents if each.thread == main]
    return any(call_of(context, each) == "threading.shutdown" for each in first)
