"""asyncio tasks: agents within the thread that runs their loop.

A task goes on when what it waits for is there *and* its loop's thread runs it. That thread waits in a select: for its
descriptors, for a time if any timer is set, and for whoever in its process calls call_soon_threadsafe, which writes to
a pipe of the loop's own. While it is anywhere else, all of its tasks wait for nothing but it.

/proc knows nothing of tasks: what confirms a task's wait is that of its loop's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..agents import Agent, Need, others, shared
from ..events import NONE, number
from . import channels, loops, notices, processes

if TYPE_CHECKING:
    from ..situation import Situation

STREAMS = {"take": "read", "flush": "write"}  # what a task does to a stream, and the loop to the descriptor under it


def agents_of(situation: Situation, process: int, threads: list[Agent]) -> Iterable[Agent]:
    """The tasks of a process that have begun and not ended, as placed agents; `index` is set by the situation.

    `threads`: the process's threads, placed. The tasks of a loop whose thread has ended will never run, nor be missed.
    """
    runners = {agent.thread: agent for agent in threads if agent.thread is not None}
    for row in situation.rows_of_threads.get(process, ()):
        if number(row.loop) is None:
            continue
        runner = runners.get(int(row.loop))
        ended = number(row.ended)
        if runner is None or (ended is not None and ended <= situation.run.cut):
            continue
        task = situation.within(Agent(NONE, row.thread, process, row.tid, loop=runner.thread, since=row.started))
        looked = bool(situation.times) and task.since <= situation.times[0]
        yield replace(task, why="", confirmed=runner.confirmed and looked)


def by_loop(situation: Situation, agent: Agent) -> Agent:
    """A task needs what it waits for, while its loop's thread waits in its select; else that thread alone.

    Who could bring what it waits for is at most whoever lives in the process, with the loop's thread: whatever becomes
    ready there may run a callback that does.
    """
    alone = situation.once(_runner, agent.loop)
    runner = situation.placed[min(alone)]
    run = Need(alone, "run")
    source = _source(situation, agent) if loops.selecting(situation, runner) and not agent.timed else None
    return replace(agent, needs=(source or run,))


def _runner(situation: Situation, thread: int | None) -> frozenset[int]:
    return situation.agents_of([thread])


def with_tasks(situation: Situation, agent: Agent) -> Agent:
    """A thread that waits where its loop waits goes on as well if one of its tasks does."""
    own = loops.of_loop(situation, agent.thread) if agent.needs and loops.selecting(situation, agent) else frozenset()
    if not own:
        return agent
    meant = loops.callers(situation, agent)
    return replace(
        agent,
        needs=tuple(
            replace(need, able=need.able | own, seen=None if need.seen is None else need.seen | own, meant=meant)
            for need in agent.needs or ()
        ),
    )


def _source(situation: Situation, agent: Agent) -> Need | None:
    """What a task waits for; None: it can't be told, or the outside or a time will bring it."""
    if agent.event is None:
        return None
    reach = situation.members_of[agent.process]
    everyone = others(reach, agent.index)
    judged = _by_call(situation, agent, everyone)
    if judged is None or judged.needs is None or len(judged.needs) != 1:
        return None
    [need] = judged.needs
    if agent.index not in need.able:
        within = shared(need.able) is reach or need.able <= everyone
        able = everyone if within else others(situation.once(_both, shared(need.able), reach), agent.index)
    else:
        within, able = False, situation.once(_both, shared(need.able), reach)
    return replace(need, able=able, seen=need.able if need.seen is None and not within else need.seen)


def _both(_: Situation, one: frozenset[int], other: frozenset[int]) -> frozenset[int]:
    return one | other


def _by_call(situation: Situation, agent: Agent, everyone: Set[int]) -> Agent | None:
    if agent.call == "join":
        awaited = situation.numbered.get((agent.process, agent.target or 0), frozenset()) - {agent.index}
        return replace(agent, needs=(Need(everyone, "end", seen=awaited),)) if awaited else None
    if agent.call in STREAMS:
        return _by_stream(situation, channels.by_channel(situation, replace(agent, call=STREAMS[agent.call])))
    if agent.call == "wait":
        return processes.by_child(situation, agent)
    if agent.call in ("receive", "send"):
        return notices.by_item(situation, agent)
    if agent.call in ("await", "acquire") and agent.channel is not None:
        return notices.by_notice(situation, agent)
    work = handed_over(situation, agent)
    return None if work is None else notices.by_notice(situation, replace(agent, channel=work))


def _by_stream(situation: Situation, agent: Agent) -> Agent:
    """What a loop's thread moves, it moves for its tasks: one of them is meant where the thread is."""
    needs = []
    for need in agent.needs or ():
        meant = need.seen if need.meant is None else need.meant
        tasks = frozenset[int]()
        for other in meant or ():
            tasks |= loops.of_loop(situation, situation.placed[other].thread)
        runners = {other for other in meant or () if loops.of_loop(situation, situation.placed[other].thread)}
        needs.append(need if meant is None else replace(need, able=need.able | tasks, meant=(meant - runners) | tasks))
    return replace(agent, needs=tuple(needs) if agent.needs is not None else None)


def handed_over(situation: Situation, agent: Agent) -> int | None:
    """The future of the work that a task gave to a pool just before it began to wait: run_in_executor, to_thread."""
    if agent.event is None or agent.call != "await":
        return None
    events = situation.events
    assert agent.thread is not None
    before = situation.run.of_thread(agent.thread)
    before = before[events.enter[before] < agent.since]
    own = before[events.parent[before] == events.parent[agent.event]]
    if not len(own) or events.op(int(own[-1])) != "loop.run_in_executor":
        return None
    begin, end = int(events.enter[own[-1]]), int(events.exit[own[-1]])
    inside = np.arange(np.searchsorted(events.enter, begin), np.searchsorted(events.enter, end, "right"))
    inside = inside[(events.thread[inside] == agent.loop) & (events.exit[inside] <= end)]
    found = events.among(inside, "submit")
    return number(events.channel[found[0]]) if len(found) else None
