"""The situation at the cut: every thread and task that lives, what it waits for, and who could end its wait.

First every agent is placed: is it stopped, running, asleep for a time, or within a call that may last for ever, and do
/proc's looks agree? Then the wait's family (`waits`) says what it needs. What can't be seen is the outside, and whoever
waits for the outside, or for a time, is live by itself: `Agent.why`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar, cast

from .agents import Agent
from .bystanders import circles
from .cut import Cut, Look
from .events import NEVER, NONE, Ints, number, rows_of
from .ownership import STREAM_CALLS, Ownership
from .waits import FAMILIES
from .waits import tasks as asyncio_tasks
from .waits.backlog import by_backlog

READING = frozenset({"read", "readv", "pread64", "preadv", "recvfrom", "recvmsg"})
WRITING = frozenset({"write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg"})
FUTEX = frozenset({"futex", "futex_time64", "futex_wait", "futex_waitv"})
# Calls that a thread sits in while an event waits, by the event's kind.
CALLS = {
    "read": READING,
    "write": WRITING,
    "wait": frozenset({"wait4", "waitid"}),
    "join": FUTEX,
    "acquire": FUTEX | {"flock", "fcntl"},
    "await": FUTEX | {"pause", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigsuspend"},  # or for a signal
    "send": FUTEX,
    "receive": FUTEX | READING,  # a queue between processes is a pipe with locks
    **dict.fromkeys(STREAM_CALLS, FUTEX),
    "select": frozenset({"select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2"}),
}
OUTSIDE = {"read": "nodata", "write": "noroom", "wait": "child"}  # what /proc alone can tell of, and its reason
ASLEEP = ("S", "D")
Anything = TypeVar("Anything")


class Situation(Cut):
    """All agents at the cut and what each waits for."""

    def why(self, agent: Agent) -> str:
        """What makes an agent live by itself, in words."""
        return agent.why.format(channel=self.run.channel_name(agent.channel)) if "{" in agent.why else agent.why

    @cached_property
    def agents(self) -> list[Agent]:
        """Every thread and task that lives, with what it needs: who could end its wait."""
        return [
            asyncio_tasks.by_loop(self, agent)
            if agent.loop is not None
            else asyncio_tasks.with_tasks(self, self.judged(agent))
            for agent in self.placed
        ]

    def judged(self, agent: Agent) -> Agent:
        """A placed agent with what the call that it waits in needs."""
        if agent.why or agent.call not in FAMILIES:
            return replace(agent, why=agent.why or "waits for something that ipctrace can't see")
        return by_backlog(self, agent) or FAMILIES[agent.call](self, agent)

    @cached_property
    def placed(self) -> list[Agent]:
        """The same agents, before it is asked who could end their waits."""
        found: list[Agent] = []
        for process in self.alive:
            threads = list(self._threads(process))
            found += [*threads, *asyncio_tasks.agents_of(self, process, threads)]
        return [replace(agent, index=index) for index, agent in enumerate(found)]

    def waits_in(self, thread: int) -> int | None:
        """The innermost open event of a thread; None: it is in none."""
        event = int(self._innermost[thread])
        return None if event == NONE else event

    @cached_property
    def circling(self) -> set[int]:
        """Threads and tasks that have long done nothing but go round in a circle."""
        living = {agent.thread for agent in self.placed if agent.thread is not None}
        return {thread for thread in living if circles(self, thread)}

    @cached_property
    def ownership(self) -> Ownership:
        """Who holds the locks that are waited for."""
        return Ownership(self)

    @cached_property
    def threads_of(self) -> dict[int, frozenset[int]]:
        """Living process → the indices of its threads' agents (not of its tasks')."""
        found: dict[int, list[int]] = {process: [] for process in self.alive}
        for agent in self.placed:
            if agent.loop is None:
                found[agent.process].append(agent.index)
        return {process: frozenset(indices) for process, indices in found.items()}

    @cached_property
    def everyone(self) -> frozenset[int]:
        """All agents."""
        return frozenset(range(len(self.placed)))

    @cached_property
    def members_of(self) -> dict[int, frozenset[int]]:
        """Living process → its agents, threads and tasks."""
        return _by(self.placed, lambda agent: agent.process)

    @cached_property
    def tasks_of(self) -> dict[int, frozenset[int]]:
        """Thread that runs a loop → the agents of its tasks."""
        return _by((agent for agent in self.placed if agent.loop is not None), lambda agent: cast(int, agent.loop))

    @cached_property
    def numbered(self) -> dict[tuple[int, int], frozenset[int]]:
        """Process and native thread id, or a task's number → its agent."""
        return _by(self.placed, lambda agent: (agent.process, agent.tid))

    def agents_of(self, threads: Iterable[int | None]) -> frozenset[int]:
        """The agents of these threads and tasks, as far as they live."""
        return frozenset(self._of_thread[thread] for thread in threads if thread in self._of_thread)

    @cached_property
    def _of_thread(self) -> dict[int | None, int]:
        return {agent.thread: agent.index for agent in self.placed if agent.thread is not None}

    def once(self, make: Callable[..., Anything], *given: Hashable) -> Anything:
        """What a function of the situation gives, worked out once: thousands may wait for the same."""
        key = (make, *given)
        if key not in self._made:
            self._made[key] = make(self, *given)
        return cast(Anything, self._made[key])

    @cached_property
    def _made(self) -> dict[tuple[Hashable, ...], Any]:
        return {}

    @cached_property
    def index(self) -> dict[int, int]:
        """Thread id → index of its agent."""
        return {agent.thread: index for index, agent in enumerate(self.agents) if agent.thread is not None}

    def _threads(self, process: int) -> Iterable[Agent]:
        # a task isn't a thread: what the thread that runs its loop waits for tells of all of its tasks
        known = {row.tid: row for row in self.rows_of_threads.get(process, ()) if number(row.loop) is None}
        seen = self._last_seen.get(process, {})
        unseen = process in self.run.unseen
        alive = [tid for tid, row in known.items() if number(row.ended) is None or row.ended > self.run.cut]
        tids = list(dict.fromkeys([*(tid for tid in alive if not seen or tid in seen), *seen]))
        if not tids:
            yield Agent(NONE, None, process, 0, why="nothing is known of it")
        for tid in tids:
            thread = known[tid].thread if tid in known else None
            agent = Agent(NONE, thread, process, tid)
            look = seen.get(tid)
            if look is not None and look.state in "Tt":
                yield replace(agent, stopped=True, why="is stopped")
            elif unseen:
                yield self._untraced(agent, look)
            elif thread is None or tid not in alive:
                yield replace(agent, why="runs, and isn't traced")
            else:
                yield self._traced(agent, look)

    @cached_property
    def rows_of_threads(self) -> dict[int, list[Any]]:
        """Process → the rows of `trace.threads` that are its threads and tasks."""
        found: dict[int, list[Any]] = {}
        for row in rows_of(self.trace.threads):
            found.setdefault(row.process, []).append(row)
        return found

    @cached_property
    def _last_seen(self) -> dict[int, dict[int, Look]]:
        """Process → its threads, by native id, as the last look showed them."""
        found: dict[int, dict[int, Look]] = {}
        for (process, tid), look in (self.looks[-1] if self.looks else {}).items():
            found.setdefault(process, {})[tid] = look
        return found

    def _untraced(self, agent: Agent, look: Look | None) -> Agent:
        kind = next((kind for kind in OUTSIDE if look and look.syscall in CALLS[kind]), None)
        if look is None or kind is None or look.state not in ASLEEP:
            return replace(agent, why="runs, and isn't traced")
        reason = OUTSIDE[kind]
        channel = self.channel_of(agent.process, look.fd) if look.fd is not None else None
        same = len(self.looks) == 2 and self.looks[0].get((agent.process, agent.tid)) == look
        return replace(
            agent,
            reason=reason,
            call=kind,
            channel=channel,
            target=look.pid,
            confirmed=same,
            since=min(self.still_since(agent, look), self.times[0 if same else -1]),
        )

    def still_since(self, agent: Agent, look: Look | None = None) -> int:
        """Since when an untraced thread has sat in the call of the last look, by its samples; NEVER: they don't say."""
        look = look or (self.looks[-1].get((agent.process, agent.tid)) if self.looks else None)
        return NEVER if look is None else self._asleep.get((agent.process, agent.tid, look), NEVER)

    @cached_property
    def _asleep(self) -> dict[tuple[int, int, Look], int]:
        """Threads that aren't traced → since when they sit in the call that their last sample shows."""
        samples = self.trace.samples.sort_values(["process", "tid", "time"], kind="stable")
        same = samples.drop(columns=["time", "syscall"]).fillna(NONE).assign(syscall=samples["syscall"].fillna(""))
        stint = (same != same.shift()).any(axis=1).cumsum()
        first = samples.groupby(stint.to_numpy(), sort=True).first()
        last = first.drop_duplicates(["process", "tid"], keep="last")
        return {(row.process, row.tid, Look.of(row)): int(row.time) for row in rows_of(last)}

    def within(self, agent: Agent, look: Look | None = None) -> Agent:
        """An agent within the innermost call that it has not come back from; `event` is None where it is in none."""
        assert agent.thread is not None
        event = int(self._innermost[agent.thread])
        if event == NONE:
            return agent
        reason, kind = self.events.wait(event), self.events.kind(event)
        channel = number(self.events.channel[event])
        if kind == "input" and channel is not None and self.trace.channels["kind"].iloc[channel] == "tty":
            reason = "nodata"
        if not reason and kind in STREAM_CALLS and look is not None and look.syscall in FUTEX:
            reason = "lock" if self.ownership.holders(event) else ""  # of the stream's buffer
        target = number(self.events.size[event]) if kind in ("wait", "join") else None
        since = int(self.events.enter[event])
        placed = replace(
            agent, event=event, channel=channel, since=since, reason=reason or "run", call=kind, target=target
        )
        if not reason:
            return replace(placed, event=None, channel=None)
        if reason == "sleep" or self.events.timed[event]:
            return replace(placed, why="sleeps" if kind == "sleep" else "waits for a set time at most", timed=True)
        return placed

    def _traced(self, agent: Agent, look: Look | None) -> Agent:
        placed = self.within(agent, look)
        if placed.event is None:
            return replace(placed, why="runs")
        if placed.why:
            return placed
        if agent.process in self.armed:
            return replace(placed, why="will be woken by a timer that its process has armed", timed=True)
        if not self._agrees(look, placed):
            return replace(placed, reason="run", why="is on its way", event=None, channel=None)
        before = self.looks[0].get((agent.process, agent.tid)) if len(self.looks) == 2 else None
        confirmed = (
            before is not None and look is not None and look.syscall is not None and placed.since <= self.times[0]
        )
        return self._asking(replace(placed, confirmed=confirmed and self._agrees(before, placed)))

    def _asking(self, agent: Agent) -> Agent:
        """Who reads the pipe inside of a queue waits for the queue: whoever knows it holds the pipe's ends."""
        event = agent.event
        while event is not None and event != NONE:
            if self.events.op(event) == "multiprocessing.Queue.get":
                return replace(agent, event=event, channel=number(self.events.channel[event]), call="receive")
            event = int(self.events.parent[event])
        return agent

    def _agrees(self, look: Look | None, agent: Agent) -> bool:
        """Whether /proc does not contradict that the agent is within its open event."""
        if look is None:
            return True
        if look.state not in ASLEEP:
            return False
        if look.syscall is None or agent.call not in CALLS:
            return True
        fd = number(self.events.fd[agent.event]) if agent.event is not None else None
        return look.syscall in CALLS[agent.call] and (look.fd is None or fd is None or look.fd == fd)

    @cached_property
    def _innermost(self) -> Ints:
        return self.events.last_of_thread(len(self.trace.threads))

    def members(self, event: int | None) -> tuple[tuple[int, str], ...]:
        """The ends that an open select waits for: descriptors, and which way (r, w, rw)."""
        return self._members.get(event, ())

    @cached_property
    def _members(self) -> dict[int | None, tuple[tuple[int, str], ...]]:
        waiting = [agent.event for agent in self.placed if agent.event is not None]
        rows = self.trace.members[self.trace.members["event"].isin(waiting)]
        found: dict[int | None, list[tuple[int, str]]] = {}
        for event, fd, access in zip(*(rows[name].tolist() for name in ("event", "fd", "access")), strict=True):
            found.setdefault(event, []).append((fd, access))
        return {event: tuple(ends) for event, ends in found.items()}


def _by(agents: Iterable[Agent], key: Callable[[Agent], Any]) -> dict[Any, frozenset[int]]:
    """The indices of agents, by a key of theirs."""
    found: dict[Any, list[int]] = {}
    for agent in agents:
        found.setdefault(key(agent), []).append(agent.index)
    return {each: frozenset(indices) for each, indices in found.items()}
