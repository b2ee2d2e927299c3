"""Waits for processes and threads to end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..agents import Agent, Need

if TYPE_CHECKING:
    from ..situation import Situation

TICK = 10_000_000  # ns: /proc counts a process's start in these


def by_child(situation: Situation, agent: Agent) -> Agent:
    """waitpid and its like: any thread of the child may end it."""
    processes = situation.trace.processes
    children = processes[processes["parent"] == agent.process]
    if agent.target is not None and agent.target > 0:
        children = children[children["pid"] == agent.target]
    if agent.event is not None and situation.events.op(agent.event) == "os.system":
        children = children[children["started"] >= agent.since - TICK]  # its own child is started within it
    living = [process for process in children["process"].tolist() if process in situation.threads_of]
    if len(living) < len(children) and (agent.target or -1) > 0:
        return replace(agent, why="waits for a process that has ended", ready=True)
    if not living or any(not situation.threads_of[process] for process in living):
        return replace(agent, why="waits for a process of which nothing is known")
    able = frozenset().union(*(situation.threads_of[process] for process in living))
    return replace(agent, needs=(Need(able, "end"),))


def by_thread(situation: Situation, agent: Agent) -> Agent:
    """A join: of one thread, or (as the interpreter ends) of all that aren't daemons."""
    siblings = [other for other in situation.placed if other.process == agent.process and other.index != agent.index]
    if agent.target:
        named = frozenset(other.index for other in siblings if other.tid == agent.target)
        if not named:
            return replace(agent, why="waits for a thread that has ended", ready=True)
        return replace(agent, needs=(Need(named, "end"),))
    if not siblings:
        return replace(agent, why="waits for threads that can't be seen")
    return replace(agent, needs=(Need(frozenset(other.index for other in siblings), "end"),))
