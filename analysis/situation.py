"""The situation at the cut: every thread and task that lives, what it waits for, and who could end its wait.

First every agent is placed: is it stopped, running, asleep for a time, or within a call that may last for ever, and do
/proc's looks agree? Then the wait's family (`waits`) says what it needs. What can't be seen is the outside, and whoever
waits for the outside, or for a time, is live by itself: `Agent.why`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import OBJECTS

from .agents import Agent
from .bystanders import circles
from .events import NEVER, NONE, Ints, by_number, groups, number, rows_of
from .ownership import STREAM_CALLS, Ownership
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
    "acquire": FUTEX | {"flock", "fcntl"},
    "await": FUTEX | {"pause", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_sigsuspend"},  # or for a signal
    "send": FUTEX,
    "receive": FUTEX | READING,  # a queue between processes is a pipe with locks
    **dict.fromkeys(STREAM_CALLS, FUTEX),
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
        return {
            (row.process, row.tid, Look(row.state, _text(row.syscall), number(row.fd), number(row.pid))): int(row.time)
            for row in rows_of(last)
        }

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
        return self._leads_to.get((process, fd))

    @cached_property
    def _leads_to(self) -> dict[tuple[int, int], int]:
        held = self.run.held
        return dict(zip(zip(held["process"], held["fd"], strict=True), held["channel"].tolist(), strict=True))

    def holders(self, channel: int, way: str) -> list[int]:
        """Processes of the run that hold the end of a channel through which bytes go this way (r, w), in order."""
        return self._holders.get((channel, way), [])

    @cached_property
    def _holders(self) -> dict[tuple[int, str], list[int]]:
        held = self.run.held[self.run.held["process"].isin(self.alive)]
        found: dict[tuple[int, str], list[int]] = {}
        for row in rows_of(held[["channel", "access", "process"]].drop_duplicates().sort_values("process")):
            for way in row.access:
                processes = found.setdefault((row.channel, way), [])
                if row.process not in processes[-1:]:
                    processes.append(row.process)
        return found

    def copies(self, channel: int, way: str) -> list[Any]:
        """The ends through which bytes go this way that living processes hold: rows of `Analysis.descriptors`."""
        return [row for row in self._copies.get(channel, ()) if way in row.access]

    @cached_property
    def _copies(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for row in rows_of(self.run.held[self.run.held["process"].isin(self.alive)]):
            found.setdefault(row.channel, []).append(row)
        return found

    def members(self, event: int | None) -> list[Any]:
        """The ends that an open select waits for: rows of `trace.members`."""
        return self._members.get(event, [])

    @cached_property
    def _members(self) -> dict[int | None, list[Any]]:
        waiting = [agent.event for agent in self.placed if agent.event is not None]
        found: dict[int | None, list[Any]] = {}
        for row in rows_of(self.trace.members[self.trace.members["event"].isin(waiting)]):
            found.setdefault(row.event, []).append(row)
        return found

    def strangers(self, channel: int, way: str) -> bool:
        """Whether a process outside the run holds an end too."""
        return (channel, way) in self._strangers

    @cached_property
    def _strangers(self) -> set[tuple[int, str]]:
        ends = self.trace.ends
        last = ends[ends["process"].isna() & (ends["look"] == self.trace.looks["look"].max())]
        return {
            (row.channel, way) for row in rows_of(last[["channel", "access"]].drop_duplicates()) for way in row.access
        }

    def left(self, channel: int) -> int:
        """Bytes in a channel that was only used by what is traced, else 0."""
        if channel in self.run.mixed:
            return 0
        peer = number(self.trace.channels["peer"].iloc[channel])
        before = self.trace.channels["dropped_written"].iloc[channel if peer is None else peer]
        put = self.moved["w"][channel] + (number(before) or 0)
        got = self.moved["r"][channel] + (number(self.trace.channels["dropped_read"].iloc[channel]) or 0)
        return max(int(put - got), 0)

    @cached_property
    def moved(self) -> dict[str, Ints]:
        """Bytes that went through each channel, as far as traced: written to be read there (w), and read there (r)."""
        found = {}
        for way, kind in (("w", "write"), ("r", "read")):
            done = (self.run.lanes.channel != NONE) & (self.events.result > 0) & self.events.is_kind(kind)
            sums = np.bincount(
                self.run.lanes.channel[done], self.events.result[done], minlength=len(self.trace.channels)
            )
            found[way] = sums.astype("int64")
        return found

    def write_ends(self, channel: int) -> pd.DataFrame:
        """The rows of `Run.spans` that are write ends of a channel."""
        rows = self.run.spans.iloc[self._ends_of(channel)]
        return rows[rows["access"].str.contains("w")]

    @cached_property
    def _ends_of(self) -> Callable[[int], Ints]:
        return by_number(self.run.spans["channel"].to_numpy(dtype="int64"), len(self.trace.channels))

    @cached_property
    def wrote(self) -> dict[int, set[int]]:
        """Channel → the processes whose bytes came to be read there."""
        done = (self.run.lanes.channel != NONE) & (self.events.result > 0) & self.events.is_kind("write")
        pairs = pd.DataFrame({"channel": self.run.lanes.channel[done], "process": self.events.process[done]})
        found: dict[int, set[int]] = {}
        for row in rows_of(pairs.drop_duplicates()):
            found.setdefault(row.channel, set()).add(row.process)
        return found

    @cached_property
    def last_moved(self) -> Ints:
        """When a call about each channel last began or returned; NONE: there was none."""
        found = np.full(len(self.trace.channels), NONE)
        about = np.flatnonzero(self.run.lanes.channel != NONE)
        done = np.where(self.events.exit[about] == NEVER, self.events.enter[about], self.events.exit[about])
        np.maximum.at(found, self.run.lanes.channel[about], done)
        return found

    def forgotten(self, channel: int | None) -> bool:
        """Whether some of what was done to an object of Python's was dropped: who used it isn't known any more.

        Of pipes and the like it is: `users`.
        """
        if channel is None or self.trace.channels["kind"].iloc[channel] not in OBJECTS:
            return False
        columns = ["dropped_written", "dropped_read"]
        return bool(self.trace.channels.loc[channel, columns].notna().any())

    @cached_property
    def on_object(self) -> Callable[[int], Ints]:
        """An object of Python's → the events about it, in order; of other channels none."""
        objects = self.trace.channels["kind"].isin(OBJECTS).to_numpy()
        about = np.flatnonzero(self.events.channel != NONE)
        about = about[objects[self.events.channel[about]]]
        of_channel = by_number(self.events.channel[about], len(objects))
        return lambda channel: about[of_channel(channel)]

    @cached_property
    def passed(self) -> set[int]:
        """Channels of which an end went along with a message: it may lie in a queue, or be anywhere."""
        return set(self.events.channel[self.events.is_kind("pass")].tolist())

    @cached_property
    def in_flight(self) -> dict[int, tuple[int | None, ...]]:
        """Channel → the sockets (None: not known) along which ends of it were sent that nobody was seen to receive."""
        events, found = self.events, dict[int, list[int | None]]()
        for event in np.flatnonzero(events.is_kind("pass") & (events.channel != NONE)).tolist():
            above = int(events.parent[event])
            carrier = number(events.channel[above]) if above >= 0 else None
            found.setdefault(int(events.channel[event]), []).append(carrier)
        if found:
            peers = self.trace.channels["peer"]
            for event in np.flatnonzero(events.is_kind("open") & np.isin(events.channel, list(found))).tolist():
                above, sent = int(events.parent[event]), found[int(events.channel[event])]
                if events.op(event) == "descriptor received" and above >= 0 and events.channel[above] != NONE:
                    carrier = number(peers.iloc[int(events.channel[above])])
                    if carrier in sent:
                        sent.remove(carrier)
        return {channel: tuple(carriers) for channel, carriers in found.items() if carriers}

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
        peers = self.trace.channels["peer"]
        for row in rows_of(self.trace.users):  # of events that were dropped
            peer = number(peers.iloc[row.channel]) if row.access == "w" else None
            found.setdefault((row.channel if peer is None else peer, row.access), set()).add(row.thread)
        return found

    def touched(self, channel: int, process: int) -> set[int]:
        """Threads of a process that had to do with a channel in any way; if none had, the one that was born with it."""
        main = self.run.main_threads.get(process)
        return self._touched.get((channel, process)) or ({main} if main is not None else set())

    def has_touched(self, channel: int, process: int) -> bool:
        """Whether a process had to do with a channel in any way."""
        return (channel, process) in self._touched

    @cached_property
    def _touched(self) -> dict[tuple[int, int], set[int]]:
        about = self.events.channel != NONE
        columns = {"channel": self.events.channel, "process": self.events.process, "thread": self.events.thread}
        threads = pd.DataFrame({name: column[about] for name, column in columns.items()}).drop_duplicates()
        found: dict[tuple[int, int], set[int]] = {}
        for row in rows_of(threads):
            found.setdefault((row.channel, row.process), set()).add(row.thread)
        return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
