"""Who holds which lock at the cut.

A lock's holder is whoever acquired it last and hasn't released it since. How much of that the trace has differs:

* Locks of threading: an acquire that gets its lock at once writes nothing; whoever has to wait tells of the owner's, on
  the owner's behalf. One that the child of a fork tells of is a thread's that the child hasn't got.
* Locks and semaphores of multiprocessing: every acquire and release. The system knows no owner.
* asyncio's: who waits says which task had it.
* Files: see `filelocks`.
* The lock of a stream's buffer: whoever is inside a call on the stream. A fork copies it as it is.
* A module that is being imported: who waits says who imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from .events import NEVER, NONE, Ints, groups, number, rows_of
from .filelocks import FILE_LOCKS, FileLocks

if TYPE_CHECKING:
    from .situation import Situation

Fate = Literal["alive", "ended", "ghost"]
STREAM_CALLS = ("accept", "flush", "take", "close")  # calls on a stream that take its buffer's lock
INSIDE = (*STREAM_CALLS, "read", "write")  # what a thread does while it has that lock


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock.

    thread   its row in `threads`; None: only its process is known
    event    its acquire, or the call that it is inside of; None: not recorded
    fate     alive; ended (the lock stayed behind); ghost: a thread of a forebear, of whose lock a fork made this copy
    keepers  of a file's lock: (process, descriptor) of all that share it
    """

    process: int
    thread: int | None
    event: int | None
    fate: Fate = "alive"
    keepers: tuple[tuple[int, int], ...] = ()


class Ownership:
    """Answers, for a call that waits for a lock, who holds it."""

    def __init__(self, situation: Situation) -> None:
        self.situation, self.run = situation, situation.run
        self.trace, self.events = situation.trace, situation.events
        self._answers: dict[int, tuple[Holder, ...] | None] = {}

    def holders(self, event: int | None) -> tuple[Holder, ...] | None:
        """Who holds what an open call waits for; () if nobody is known to, None if the trace can't tell."""
        if event is None:
            return None
        if event not in self._answers:
            self._answers[event] = self._find(event)
        return self._answers[event]

    def _find(self, event: int) -> tuple[Holder, ...] | None:
        events, op = self.events, self.events.op(event)
        if op in FILE_LOCKS:
            return self._of_file(event)
        if op == "import":
            return self._of_import(event)
        if events.kind(event) in STREAM_CALLS:
            return self._of_stream(event)
        channel = number(events.channel[event])
        return None if channel is None else self._of_object.get(channel)

    # Objects of Python's

    @cached_property
    def _of_object(self) -> dict[int, tuple[Holder, ...] | None]:
        """Lock or semaphore that somebody waits for → its holders."""
        return {channel: self._judge(channel, rows) for channel, rows in groups(self._steps, "channel")}

    @cached_property
    def _steps(self) -> pd.DataFrame:
        """What is known of the locks that are waited for, in order of channel and time (ns): channel, time, thread,
        event, and `by`: 1 for an acquire that got it, -1 for a release, 0 where a waiter says that the thread had it.
        """
        events = self.events
        acquires, releases = events.is_kind("acquire"), events.is_kind("release")
        waiting = acquires & (events.exit == NEVER) & (events.error == NONE) & (events.channel != NONE)
        wanted = self._with_originals(set(events.channel[waiting].tolist()))
        about = np.isin(events.channel, sorted(wanted))
        got = np.flatnonzero(about & acquires & (events.exit != NEVER) & (events.error == NONE) & (events.result != 0))
        given = np.flatnonzero(about & releases & (events.error == NONE))
        said = _last_of_each(np.flatnonzero(about & acquires & (events.owner > 0)), events.channel)
        owners = [self._thread_of(int(events.process[each]), int(events.owner[each])) for each in said.tolist()]
        steps = pd.DataFrame({
            "event": np.concatenate([got, given, said]),
            "thread": np.concatenate([events.thread[got], events.thread[given], np.array(owners, dtype="int64")]),
            "time": np.concatenate([events.exit[got], events.enter[given], events.enter[said]]),
            "by": np.repeat([1, -1, 0], [len(got), len(given), len(said)]),
        })  # fmt: skip
        steps["channel"] = events.channel[steps["event"].to_numpy()]
        return steps.sort_values(["channel", "time", "event"], kind="stable", ignore_index=True)

    def _with_originals(self, channels: set[int]) -> set[int]:
        """These, and what forks copied them from."""
        copies = self.trace.channels["copy_of"]
        todo = list(channels)
        while todo:
            source = number(copies.iloc[todo.pop()])
            if source is not None and source not in channels:
                channels.add(source)
                todo.append(source)
        return channels

    def _thread_of(self, process: int, tid: int) -> int:
        """The thread of a native id or task number, in a process or the nearest forebear that has it; NONE: unknown."""
        above: int | None = process
        while above is not None:
            found = self._threads.get((above, tid))
            if found is not None:
                return found
            above = number(self.trace.processes["parent"].iloc[above])
        return int(NONE)

    @cached_property
    def _threads(self) -> dict[tuple[int, int], int]:
        return {(row.process, row.tid): row.thread for row in rows_of(self.trace.threads)}

    def _judge(self, channel: int, steps: pd.DataFrame) -> tuple[Holder, ...] | None:
        row = self.trace.channels.iloc[channel]
        if row["kind"] == "semaphore":
            return self._places(channel, row)
        if row["kind"] == "rlock" and number(row["process"]) is None:
            return self._nested(channel, steps)
        last = steps.iloc[-1]
        if last["by"] < 0:
            return ()
        return self._held(channel, int(last["thread"]), steps)

    def _held(self, channel: int, thread: int, steps: pd.DataFrame) -> tuple[Holder, ...] | None:
        """The one holder of a lock, with the last acquire of its own."""
        if thread == NONE:
            return None
        own = steps[(steps["thread"] == thread) & (steps["by"] > 0)]
        return (self._holder(channel, thread, int(own["event"].iloc[-1]) if len(own) else None),)

    def _nested(self, channel: int, steps: pd.DataFrame) -> tuple[Holder, ...] | None:
        """An RLock of multiprocessing is free when it was released as often as acquired: where all of that is there."""
        counted = steps[steps["by"] != 0]
        if self.trace.facts.get("dropped"):
            return self._held(channel, int(counted["thread"].iloc[-1]), steps) if counted["by"].iloc[-1] > 0 else None
        depth = counted["by"].cumsum()
        if depth.iloc[-1] <= 0:
            return ()
        outer = counted[(depth == 1) & (counted["by"] > 0)].iloc[-1]
        return (self._holder(channel, int(outer["thread"]), int(outer["event"])),)

    def _places(self, channel: int, row: pd.Series) -> tuple[Holder, ...] | None:
        """Who has a place of a semaphore: has acquired it more often than released. Anybody may release it."""
        if self.trace.facts.get("dropped"):
            return None
        events, counted = self.events, self._inherited(channel)
        if events.is_op("asyncio.Semaphore.acquire")[counted["event"].to_numpy(dtype="int64")].any():
            return None  # of asyncio's only those that wait are recorded
        balance = counted.groupby("thread")["by"].sum()
        last = counted[counted["by"] > 0].groupby("thread")["event"].last()
        return tuple(self._holder(channel, thread, int(last[thread])) for thread in balance[balance > 0].index.tolist())

    def _inherited(self, channel: int) -> pd.DataFrame:
        """The acquires and releases of a semaphore, and those of what a fork copied it from up to the fork."""
        before = int(NEVER)
        parts = []
        each: int | None = channel
        while each is not None:
            row = self.trace.channels.iloc[each]
            done = self._done(each)
            parts.append(done[done["time"] < before])
            process = number(row["process"])
            if process is not None:
                before = int(self.trace.processes["started"].iloc[process])
            each = number(row["copy_of"])
        return pd.concat(parts[::-1])

    def releasers(self, channel: int) -> frozenset[int]:
        """Threads that were seen to release a lock or semaphore that they hadn't acquired before."""
        done = self._done(channel)
        first = done.drop_duplicates("thread")
        strange = set(first[first["by"] < 0]["thread"].tolist())
        if self.trace.channels["kind"].iloc[channel] != "semaphore":
            before = done["thread"].shift()
            strange |= set(done[(done["by"] < 0) & before.notna() & (before != done["thread"])]["thread"].tolist())
        return frozenset(strange)

    def releases_own(self, channel: int, thread: int | None) -> bool:
        """Whether a thread was seen to release a lock that it had acquired itself."""
        done = self._done(channel)
        own = done[(done["thread"] == thread) & (done["by"] < 0)]
        return bool(len(own)) and not self.releasers(channel)

    def _done(self, channel: int) -> pd.DataFrame:
        """The acquires and releases of a lock or semaphore."""
        bounds = self._steps["channel"].searchsorted([channel, channel + 1])
        steps = self._steps.iloc[slice(*bounds)]
        return steps[steps["by"] != 0]

    def _holder(self, channel: int, thread: int, event: int | None) -> Holder:
        process = int(self.trace.threads["process"].iloc[thread])
        home = number(self.trace.channels["process"].iloc[channel])
        return Holder(process, thread, event, "ghost" if home not in (None, process) else self.fate(thread))

    def fate(self, thread: int) -> Fate:
        """Whether a thread is there at the cut."""
        row = self.trace.threads.iloc[thread]
        ended = number(row["ended"])
        there = row["process"] in self.situation.alive and (ended is None or ended > self.run.cut)
        return "alive" if there else "ended"

    # Modules

    def _of_import(self, event: int) -> tuple[Holder, ...] | None:
        process, owner = int(self.events.process[event]), number(self.events.owner[event])
        thread = self._threads.get((process, owner)) if owner else None
        if thread is not None:
            return (Holder(process, thread, None, self.fate(thread)),)
        parent = number(self.trace.processes["parent"].iloc[process])
        forked = self.trace.processes["how"].iloc[process] == "fork" and parent is not None
        return (Holder(parent, None, None, "ghost"),) if forked and not owner and parent is not None else None

    # Streams

    def _of_stream(self, event: int) -> tuple[Holder, ...]:
        """Another thread that is inside a call on the same stream, at its descriptor; or one that was so at a fork."""
        events, stream = self.events, int(self.events.stream[event])
        if stream == NONE:
            return ()
        inside = (events.stream == stream) & (events.exit == NEVER) & (events.error == NONE)
        inside &= events.is_kind("read", "write")
        for other in np.flatnonzero(inside & (events.thread != events.thread[event])).tolist():
            above = int(events.parent[other])
            call = above if above != NONE and events.stream[above] == stream else other
            return (Holder(int(events.process[other]), int(events.thread[other]), call),)
        return self._ghosts(stream)

    def _ghosts(self, stream: int) -> tuple[Holder, ...]:
        """Whoever was inside a call on the stream of which this one is a copy, as the fork was made."""
        events, row = self.events, self.trace.streams.iloc[stream]
        process = self.trace.processes.iloc[int(row["process"])]
        parent = number(process["parent"])
        if process["how"] != "fork" or parent is None:
            return ()
        forks = np.flatnonzero(events.is_kind("fork") & (events.process == parent) & (events.result == process["pid"]))
        streams = self.trace.streams
        same = streams[(streams["process"] == parent) & (streams["opened"] <= process["started"])]
        same = same[(same["fd"] == row["fd"]) & (same["name"] == row["name"]) & (same["mode"] == row["mode"])]
        begun = ((events.process == row["process"]) & (events.enter < row["opened"])).any()
        if not len(forks) or not len(same) or begun:  # the child made it later, itself
            return ()
        time, forker, original = events.enter[forks[-1]], events.thread[forks[-1]], int(same["stream"].iloc[-1])
        inside = (events.stream == original) & (events.enter < time) & (events.exit > time) & (events.thread != forker)
        for other in np.flatnonzero(inside & events.is_kind(*INSIDE) & (events.error == NONE)).tolist():
            return (Holder(parent, int(events.thread[other]), other, "ghost"),)
        return self._ghosts(original)

    # Files

    def _of_file(self, event: int) -> tuple[Holder, ...]:
        found = self._file_locks(int(self.events.channel[event])).against(event)
        return tuple(self._file_holder(acquire, keepers) for acquire, keepers in found)

    def _file_holder(self, acquire: int, keepers: tuple[tuple[int, int], ...]) -> Holder:
        process, thread = int(self.events.process[acquire]), int(self.events.thread[acquire])
        keeping = {keeper for keeper, _ in keepers}
        if process not in keeping:
            process = min(keeping)
        if process != self.events.process[acquire] or self.fate(thread) != "alive":
            return Holder(process, self.run.main_threads.get(process), acquire, "alive", keepers)
        return Holder(process, thread, acquire, "alive", keepers)

    def _file_locks(self, channel: int) -> FileLocks:
        if channel not in self._files:
            self._files[channel] = FileLocks(self.run, channel)
        return self._files[channel]

    @cached_property
    def _files(self) -> dict[int, FileLocks]:
        return {}


def _last_of_each(chosen: Ints, channel: Ints) -> Ints:
    """Of the chosen events the last one of each channel."""
    _, last = np.unique(channel[chosen][::-1], return_index=True)
    return np.sort(chosen[len(chosen) - 1 - last])
