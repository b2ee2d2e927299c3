"""The cut: what is known of the moment that a run is looked at, and of every channel up to it.

Which processes live and what the last two looks at /proc showed of them; which ends each holds, what each was seen to
do with a channel, what lies in it. Who waits for whom is the `situation`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import OBJECTS

from .events import NEVER, NONE, Ints, by_number, different, groups, number, rows_of
from .run import Run

SLACK = 50_000_000  # ns within which a signal is delivered and handled


@dataclass(frozen=True, slots=True)
class Look:
    """What a thread was seen in."""

    state: str
    syscall: str | None
    fd: int | None
    pid: int | None

    @classmethod
    def of(cls, row: Any) -> Look:
        """What a row of `looks` or `samples` shows."""
        syscall = row.syscall if isinstance(row.syscall, str) else None
        return cls(row.state, syscall, number(row.fd), number(row.pid))


class Cut:
    """A run at the cut."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.trace, self.events = run.trace, run.events

    # What /proc showed

    @cached_property
    def looks(self) -> list[dict[tuple[int, int], Look]]:
        """The last two looks (fewer if there are fewer), each (process, tid) → Look.

        A look at which every thread was stopped was taken after ipctrace had frozen the program: it tells nothing.
        """
        return [{(row.process, row.tid): Look.of(row) for row in rows_of(rows)} for rows in self._last_looks]

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

    @cached_property
    def sources_only(self) -> set[tuple[int, int]]:
        """Descriptors (process, fd) through which bytes can only go into a channel: write ends of pipes."""
        held = self.run.held
        pipes = self.trace.channels["kind"].isin(["pipe", "fifo"]).to_numpy()
        into = held[(held["access"] == "w") & pipes[held["channel"].to_numpy(dtype="int64")]]
        return set(zip(into["process"].tolist(), into["fd"].tolist(), strict=True))

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

    def ends(self, channel: int) -> pd.DataFrame:
        """The rows of `Run.spans` that are ends of a channel."""
        return self.run.spans.iloc[self._ends_of(channel)]

    @cached_property
    def _ends_of(self) -> Callable[[int], Ints]:
        return by_number(self.run.spans["channel"].to_numpy(dtype="int64"), len(self.trace.channels))

    @cached_property
    def wrote(self) -> dict[int, set[int]]:
        """Channel → the processes whose bytes came to be read there."""
        done = (self.run.lanes.channel != NONE) & (self.events.result > 0) & self.events.is_kind("write")
        found: dict[int, set[int]] = {}
        for channel, process in different(self.run.lanes.channel[done], self.events.process[done]):
            found.setdefault(channel, set()).add(process)
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
        written = self.events.is_kind("write", "accept")[moved].astype("int64")
        found: dict[tuple[int, str], set[int]] = {}
        for channel, out, thread in different(self.run.lanes.channel[moved], written, self.events.thread[moved]):
            found.setdefault((channel, "w" if out else "r"), set()).add(thread)
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
        columns = (self.events.channel, self.events.process, self.events.thread)
        found: dict[tuple[int, int], set[int]] = {}
        for channel, process, thread in different(*(column[about] for column in columns)):
            found.setdefault((channel, process), set()).add(thread)
        return found
