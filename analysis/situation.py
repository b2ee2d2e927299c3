"""The situation at the cut: every thread and task that lives, what it waits for, and who could end its wait.

First every agent is placed: is it stopped, running, asleep for a time, or within a call that may last for ever, and do
/proc's looks agree? Then the wait's family (`waits`) says what it needs. What can't be seen is the outside, and whoever
waits for the outside, or for a time, is live by itself: `Agent.why`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from .agents import Agent
from .events import NONE, Ints, groups, number, rows_of
from .run import Run
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
    "acquire": FUTEX,
    "await": FUTEX | {"pause", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigsuspend"},  # or for a signal
    "send": FUTEX,
    "receive": FUTEX | READING,  # a queue between processes is a pipe with locks
    "select": frozenset({"select", "pselect6", "poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_pwait2"}),
}
OUTSIDE = {"read": "nodata", "write": "noroom", "wait": "child"}  # what /proc alone can tell of, and its reason
ASLEEP = ("S", "D")
SLACK = 50_000_000  # ns within which a signal is delivered and handled


@dataclass(frozen=True, slots=True)
class Look:
    """A thread's row in one look."""

    state: str
    syscall: str | None
    fd: int | None
    pid: int | None


class Situation:
    """All agents at the cut and what each waits for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.trace, self.events = run.trace, run.events

    def why(self, agent: Agent) -> str:
        """What makes an agent live by itself, in words."""
        return agent.why.format(channel=self.run.channel_name(agent.channel)) if "{" in agent.why else agent.why

    # What /proc showed

    @cached_property
    def looks(self) -> list[dict[tuple[int, int], Look]]:
        """The last two looks (fewer if there are fewer), each (process, tid) → Look.

        A look at which every thread was stopped was taken after ipctrace had frozen the program: it tells nothing.
        """
        return [
            {
                (row.process, row.tid): Look(row.state, _text(row.syscall), number(row.fd), number(row.pid))
                for row in rows_of(rows)
            }
            for rows in self._last_looks
        ]

    @cached_property
    def times(self) -> list[int]:
        """When those looks were over, in ns."""
        return [int(rows["time"].max()) for rows in self._last_looks]

    @cached_property
    def _last_looks(self) -> list[pd.DataFrame]:
        looks = [rows for _, rows in groups(self.trace.looks, "look")]
        return [rows for rows in looks if not rows["state"].isin(["T", "t", "Z", "X"]).all()][-2:]

    @cached_property
    def alive(self) -> list[int]:
        """Processes that live at the cut."""
        ended = self.trace.processes["ended"]
        living = self.trace.processes.loc[ended.isna() | (ended > self.run.cut), "process"].tolist()
        last = self.looks[-1] if self.looks else {}
        zombies = {process for process, _ in last} - {
            process for (process, _), look in last.items() if look.state not in "ZX"
        }
        return [process for process in living if process not in zombies]

    # Agents

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

    @cached_property
    def threads_of(self) -> dict[int, frozenset[int]]:
        """Living process → the indices of its threads' agents (not of its tasks')."""
        found: dict[int, frozenset[int]] = {process: frozenset() for process in self.alive}
        for agent in self.placed:
            if agent.loop is None:
                found[agent.process] |= {agent.index}
        return found

    @cached_property
    def index(self) -> dict[int, int]:
        """Thread id → index of its agent."""
        return {agent.thread: index for index, agent in enumerate(self.agents) if agent.thread is not None}

    def _threads(self, process: int) -> Iterable[Agent]:
        # a task isn't a thread: what the thread that runs its loop waits for tells of all of its tasks
        rows = self.trace.threads[(self.trace.threads["process"] == process) & self.trace.threads["loop"].isna()]
        known = {row.tid: row for row in rows_of(rows)}
        seen = {tid: look for (owner, tid), look in (self.looks[-1] if self.looks else {}).items() if owner == process}
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
            since=self.times[0] if same else self.times[-1],
        )

    def within(self, agent: Agent) -> Agent:
        """An agent within the innermost call that it has not come back from; `event` is None where it is in none."""
        assert agent.thread is not None
        event = int(self._innermost[agent.thread])
        if event == NONE:
            return agent
        reason, kind = self.events.wait(event), self.events.kind(event)
        channel = number(self.events.channel[event])
        if kind == "input" and channel is not None and self.trace.channels["kind"].iloc[channel] == "tty":
            reason = "nodata"
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
        placed = self.within(agent)
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

    @cached_property
    def armed(self) -> set[int]:
        """Processes with a timer that will still send a signal, or may just have: it may break off what they wait in.

        A timer that went off before the first of the two looks has had its say: its handler returned, and the call went
        back to waiting (PEP 475). exec keeps timers, fork clears them: setitimer(2), fork(2).
        """
        latest: dict[tuple[int, str], int] = {}
        for event in np.flatnonzero(self.events.is_kind("arm") & (self.events.error == NONE)).tolist():
            latest[int(self.events.process[event]), self.events.op(event)] = event
        since = (self.times[0] if self.times else self.run.cut) - SLACK
        return {
            process
            for (process, _), event in latest.items()
            if self.events.size[event] != 0
            and (self.events.extra[event] > 0 or self.events.size[event] == NONE
                 or self.events.enter[event] + self.events.size[event] > since)
        }  # fmt: skip

    @cached_property
    def handling(self) -> set[int]:
        """Processes in which a signal may run code of the program, by their own handlers or those of a forebear."""
        handles = self.events.is_kind("handle") & (self.events.extra == 1) & (self.events.error == NONE)
        found = set(self.events.process[handles].tolist())
        for row in rows_of(self.trace.processes):  # parents come before their children
            if number(row.parent) in found:
                found.add(row.process)
        return found

    # Channels at the cut

    def channel_of(self, process: int, fd: int) -> int | None:
        """What a descriptor leads to at the cut."""
        found = self.run.held[(self.run.held["process"] == process) & (self.run.held["fd"] == fd)]["channel"]
        return int(found.iloc[-1]) if len(found) else None

    def holders(self, channel: int, way: str) -> list[int]:
        """Processes of the run that hold the end of a channel through which bytes go this way (r, w), in order."""
        held = self.run.held
        rows = held[(held["channel"] == channel) & held["access"].str.contains(way)]
        return [process for process in sorted(set(rows["process"].tolist())) if process in set(self.alive)]

    def strangers(self, channel: int, way: str) -> bool:
        """Whether a process outside the run holds an end too."""
        ends = self.trace.ends
        last = ends[ends["process"].isna() & (ends["channel"] == channel) & ends["access"].str.contains(way)]
        return bool(len(last) and (last["look"] == self.trace.looks["look"].max()).any())

    def left(self, channel: int) -> int:
        """Bytes in a channel that was only used by what is traced, else 0."""
        if channel in self.run.mixed:
            return 0
        done = (self.run.lanes.channel == channel) & (self.events.result > 0)
        peer = number(self.trace.channels["peer"].iloc[channel])
        put, got = (
            int(self.events.result[done & self.events.is_kind(kind)].sum()) + (number(before.iloc[end]) or 0)
            for kind, end, before in (
                ("write", channel if peer is None else peer, self.trace.channels["dropped_written"]),
                ("read", channel, self.trace.channels["dropped_read"]),
            )
        )
        return max(put - got, 0)

    def forgotten(self, channel: int | None) -> bool:
        """Whether some of what was done to a channel was dropped: who used it isn't known any more."""
        columns = ["dropped_written", "dropped_read"]
        return channel is not None and bool(self.trace.channels.loc[channel, columns].notna().any())

    @cached_property
    def passed(self) -> set[int]:
        """Channels of which an end went along with a message: it may lie in a queue, or be anywhere."""
        return set(self.events.channel[self.events.is_kind("pass")].tolist())

    @cached_property
    def uses(self) -> dict[tuple[int, str], set[int]]:
        """(channel, r or w) → threads that moved bytes there, or handed them to a stream on their way."""
        moved = self.events.is_kind("read", "take", "write", "accept") & (self.events.channel != NONE)
        ways = np.where(self.events.is_kind("read", "take")[moved], "r", "w")
        channels, threads = self.run.lanes.channel[moved], self.events.thread[moved]
        pairs = pd.DataFrame({"channel": channels, "way": ways, "thread": threads})
        found: dict[tuple[int, str], set[int]] = {}
        for channel, way, thread in rows_of(pairs.drop_duplicates()):
            found.setdefault((channel, way), set()).add(thread)
        return found

    def touched(self, channel: int, process: int) -> set[int]:
        """Threads of a process that had to do with a channel in any way; if none had, the one that was born with it."""
        own = (self.events.channel == channel) & (self.events.process == process)
        main = self.run.main_threads.get(process)
        return set(self.events.thread[own].tolist()) or ({main} if main is not None else set())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
