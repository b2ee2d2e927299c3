"""Waits for processes and threads to end.

A process ends by itself when its main thread has returned, every thread that isn't a daemon has ended, and what its
queues' feeder threads hold is written; or at once, when any of its threads calls os._exit, or somebody kills it. So a
proof must count every thread of it (`able`); what it was written to do is the first: all of those threads have to end,
each by itself (`seen`), and a daemon that ticks along doesn't bring that nearer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import TASKS

from ..agents import Agent, Need, others
from ..events import NONE, groups

if TYPE_CHECKING:
    from ..situation import Situation

FEEDER = "QueueFeederThread"  # as multiprocessing names it
ASYNCIO_WAIT = "asyncio.Process.wait"
TICK = 10_000_000  # ns: /proc counts a process's start in these


def by_child(situation: Situation, agent: Agent) -> Agent:
    """waitpid and its like: of one child all that it takes to end, of several any."""
    children = situation.once(_children).get(agent.process, situation.trace.processes[:0])
    if agent.target is not None and agent.target > 0:
        children = children[children["pid"] == agent.target]
    if agent.event is not None and situation.events.op(agent.event) == "os.system":
        children = children[children["started"] >= agent.since - TICK]  # its own child is started within it
    living = [process for process in children["process"].tolist() if process in situation.threads_of]
    if len(living) < len(children) and (agent.target or -1) > 0:
        return replace(agent, why="waits for a process that has ended", ready=True)
    if not living or any(not situation.threads_of[process] for process in living):
        return replace(agent, why="waits for a process of which nothing is known")
    if len(living) == 1:
        return replace(agent, needs=end_of(situation, living[0]))
    able = frozenset().union(*(situation.threads_of[process] for process in living))
    mains = frozenset(index for process in living for index in _mains(situation, process))
    return replace(agent, needs=(Need(able, "end", seen=mains),))


def _children(situation: Situation) -> dict[int, pd.DataFrame]:
    """Process → the rows of its children."""
    return dict(groups(situation.trace.processes, "parent"))


def end_of(situation: Situation, process: int) -> tuple[Need, ...]:
    """What it takes for a process to end: by its own way each of the threads that it waits for itself."""
    able = situation.threads_of[process]
    needed = [index for index in sorted(able) if index in _mains(situation, process) or _awaited(situation, index)]
    return tuple(Need(able, "end", seen=frozenset({index})) for index in needed) or (Need(able, "end"),)


def _mains(situation: Situation, process: int) -> frozenset[int]:
    """A process's main thread; where it can't be told, or has ended before the others, all of its threads."""
    threads = situation.threads_of[process]
    main = situation.run.main_threads.get(process)
    return frozenset(index for index in threads if situation.placed[index].thread == main) or threads


def _awaited(situation: Situation, index: int) -> bool:
    """Whether the interpreter waits for a thread before it ends: it is no daemon, or it feeds a queue."""
    thread = situation.placed[index].thread
    return thread is not None and (daemon(situation, thread) is False or feeds(situation, thread) is not None)


def daemon(situation: Situation, thread: int) -> bool | None:
    """Whether a thread is a daemon; None: not known."""
    events = situation.events
    life = situation.once(_last_calls, "thread").get(thread)
    return None if life is None or events.size[life] == NONE else bool(events.size[life])


def _last_calls(situation: Situation, op: str) -> dict[int, int]:
    """Thread → the last of its calls of a name."""
    found = np.flatnonzero(situation.events.is_op(op))
    return dict(zip(situation.events.thread[found].tolist(), found.tolist(), strict=True))


def feeds(situation: Situation, thread: int) -> int | None:
    """The queue of multiprocessing that a thread writes to on behalf of those that put; None: it is no such thread."""
    events = situation.events
    fed = situation.once(_last_calls, "multiprocessing.Queue.feed").get(thread)
    if fed is None and situation.trace.threads["name"].iloc[thread] == FEEDER:
        # it hasn't come to that: what its process has put last is its
        process = situation.trace.threads["process"].iloc[thread]
        put = np.flatnonzero((events.process == process) & events.is_op("multiprocessing.Queue.put"))
        fed = int(put[-1]) if len(put) else None
    return None if fed is None or events.channel[fed] == NONE else int(events.channel[fed])


def by_thread(situation: Situation, agent: Agent) -> Agent:
    """A join: of one thread or task, or (as the interpreter ends) of all threads that aren't daemons.

    Any other thread of the process may end it all by os._exit, and any task may cancel another.
    """
    able = others(situation.members_of[agent.process], agent.index)
    if agent.target:
        named = situation.numbered.get((agent.process, agent.target), frozenset()) - {agent.index}
        if not named and agent.target >= TASKS:
            return replace(agent, why="waits for a task of which nothing is known")
        if not named:
            return replace(agent, why="waits for a thread that has ended", ready=True)
        return replace(agent, needs=(Need(able, "end", seen=named),))
    if not able:
        return replace(agent, why="waits for threads that can't be seen")
    awaited = [index for index in sorted(able) if _awaited(situation, index) and situation.placed[index].loop is None]
    needs = tuple(Need(able, "end", seen=frozenset({index})) for index in awaited)
    return replace(agent, needs=needs or (Need(able, "end"),))
