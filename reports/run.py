"""An analysis with the look-ups that every part of the page needs, each made once, when it is first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.analysis.events import LIVES, Ints, optional, outermost, pick, whole
from ipctrace.analysis.results import Analysis, Waiter

OUTWARD = ("tty", "file", "device", "other")  # channels that nobody in the run reads: what goes there is only marked
LINE = 1000  # characters of a line of source in a page


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of the timeline: a thread, or a whole process of which no thread is known (`thread` None)."""

    process: int
    thread: int | None


class Run:
    """An analysis with the lookups that every part of the page needs."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.trace = analysis.trace
        self.facts = analysis.trace.facts
        self.graph = analysis.graph

    @cached_property
    def end(self) -> int:
        """The run's last moment, ns."""
        known = [self.facts.get("duration"), self.facts.get("stopped"), self.graph and self.graph.time]
        seen = [series.max() for series in (self.trace.events["exit"], self.analysis.blocking["end"]) if len(series)]
        return (
            max([int(value) for value in (*known, *seen) if value is not None and not pd.isna(value)], default=0) or 1
        )

    @cached_property
    def processes(self) -> list[dict[str, Any]]:
        """The rows of the trace's processes, missing values as None."""
        return rows(self.trace.processes)

    @cached_property
    def threads(self) -> list[dict[str, Any]]:
        return rows(self.trace.threads)

    @cached_property
    def sites(self) -> list[dict[str, Any]]:
        return rows(self.trace.sites)

    @cached_property
    def streams(self) -> list[dict[str, Any]]:
        return rows(self.analysis.streams)

    @cached_property
    def channels(self) -> list[dict[str, Any]]:
        return rows(self.analysis.channels)

    @cached_property
    def lines(self) -> dict[tuple[str, int], str]:
        """Source by (file, line), as far as it was kept; of a line that is data rather than text its beginning."""
        kept = self.trace.sources
        texts = [text if len(text) <= LINE else f"{text[:LINE]}…" for text in kept["text"]]
        return dict(zip(zip(kept["file"], kept["line"], strict=True), texts, strict=True))

    @cached_property
    def lanes(self) -> list[Lane]:
        """The lanes in display order; a process's threads lie together."""
        shown = [Lane(self.threads[thread]["process"], thread) for thread in self.analysis.lanes]
        with_lane = {lane.process for lane in shown}
        shown += [Lane(row["process"], None) for row in self.processes if row["process"] not in with_lane]
        order = {process: place for place, process in enumerate(dict.fromkeys(lane.process for lane in shown))}
        return sorted(shown, key=lambda lane: order[lane.process])

    @cached_property
    def lane_of_thread(self) -> dict[int, int]:
        return {lane.thread: place for place, lane in enumerate(self.lanes) if lane.thread is not None}

    @cached_property
    def lane_of_process(self) -> dict[int, int]:
        """A process's first lane: its main thread's where there is one."""
        found: dict[int, int] = {}
        for place, lane in enumerate(self.lanes):
            if lane.process not in found or (lane.thread is not None and self.threads[lane.thread]["main"]):
                found[lane.process] = place
        return found

    def lane_of(self, waiter: Waiter) -> int | None:
        if waiter.thread is not None and waiter.thread in self.lane_of_thread:
            return self.lane_of_thread[waiter.thread]
        return self.lane_of_process.get(waiter.process)

    @cached_property
    def waited_for(self) -> pd.Series[Any]:
        """Blocking's column `by`; for a wait that never ended, whom the wait-for graph says it waits for."""
        waits = self.analysis.blocking
        by = waits["by"].astype("Int64")
        if self.graph is None:
            return by
        at = self.graph.waiters
        holders: dict[int, int] = {}
        for edge in sorted(self.graph.edges, key=lambda edge: edge.waiter == edge.holder):  # others before itself
            thread = at[edge.holder].thread
            for event in (at[edge.waiter].event, at[edge.waiter].outer):  # the wait may be known as either
                if event is not None and thread is not None:
                    holders.setdefault(event, thread)
        known = waits["event"].map(holders)
        return by.where(by.notna() | ~waits["open"], known.astype("Int64"))

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """`Analysis.matrix` (thread, by?, time in ns, count), where a wait that never ended is counted for whom the
        wait-for graph says that it waits for."""
        told = self.analysis.blocking.assign(by=self.waited_for)
        told = told[told["kind"] != "sleep"]
        told = told.assign(time=told["end"] - told["begin"])
        table = told.groupby(["thread", "by"], dropna=False)["time"].agg(["sum", "size"]).reset_index()
        return table.set_axis(["thread", "by", "time", "count"], axis=1)

    @cached_property
    def message_begins(self) -> pd.Series[Any]:
        """When each message was handed over, ns; where only that is known, when its write returned, or began, or its
        read returned."""
        table = self.analysis.messages
        tried = optional(pick(whole(self.trace.events["enter"]), whole(table["write_event"])))
        known = table["accepted"].fillna(table["written"]).fillna(pd.Series(tried)).fillna(table["read"])
        return known.fillna(0).astype("int64")

    @cached_property
    def message_rows(self) -> Ints:
        """The row that each message has in the page: they lie in order of their begins."""
        order = self.message_begins.argsort(kind="stable").to_numpy()
        found = np.empty(len(order), dtype="int64")
        found[order] = np.arange(len(order))
        return found

    def unseen(self, channel: int, access: str) -> tuple[str | None, int | None]:
        """Who that is not traced holds an end of a channel: names, and the lane where it is one; (None, None): nobody.

        The ends of a process that was gone before anybody looked are not known: "not traced" where no end is known.
        """
        mine = self.holders.get((channel, access), [])
        found = [process for process in mine if not self.processes[process]["traced"]]
        if found:
            lane = self.lane_of_process.get(found[0]) if len(found) == 1 else None
            return ", ".join(self.process_name(process) for process in found), lane
        return ("not traced" if not mine and not self.all_traced else None), None

    @cached_property
    def holders(self) -> dict[tuple[int, str], list[int]]:
        """The processes that ever held an end of a channel, by channel and access (r or w), in the table's order."""
        ends = self.analysis.descriptors[["channel", "access", "process"]].dropna().drop_duplicates()
        found: dict[tuple[int, str], list[int]] = {}
        for channel, access, process in zip(*(ends[name].tolist() for name in ends.columns), strict=True):
            for one in access:
                there = found.setdefault((channel, one), [])
                if process not in there:
                    there.append(process)
        return found

    @cached_property
    def all_traced(self) -> bool:
        return bool(self.trace.processes["traced"].all())

    def process_name(self, process: int) -> str:
        """The role of a process in sentences."""
        return self.analysis.process_names.get(process) or str(self.processes[process]["program"])

    def thread_name(self, thread: int | None, process: int) -> str:
        """The role of a thread, or of its process."""
        named = None if thread is None else self.analysis.names.get(thread)
        return named or self.process_name(process)

    def channel_name(self, channel: int) -> str:
        return self.analysis.channel_names.get(channel, f"channel {channel}")

    def place(self, site: int | None) -> str:
        """`deadlock.py:41`, or nothing."""
        return "" if site is None else f"{PurePath(self.sites[site]['file']).name}:{self.sites[site]['line']}"

    def call(self, event: int | None) -> str:
        """The call of an event as a person writes it: `sys.stdin.readline()`, `os.read(3)`, `time.sleep(0.3)`."""
        return "" if event is None else str(self.calls(pd.Series([event]))[0])

    def calls(self, events: pd.Series[Any], arguments: bool = True) -> np.ndarray[Any, Any]:
        """`call` for many events at once; without arguments where their number would be without bound."""
        picked = self.trace.events.iloc[events.to_numpy(dtype="int64")]
        said = picked[["op", "kind", "stream", "fd"]].reset_index(drop=True)
        said["size"] = picked["size"].where(picked["kind"] == "sleep").array if arguments else None
        # a million waits are a few different calls: each is put into words once
        groups = said.groupby(list(said.columns), dropna=False, sort=False).ngroup().to_numpy()
        first = np.unique(groups, return_index=True)[1]
        made = np.array([self._in_words(row) for row in rows(said.iloc[first])], dtype=object)
        return made[groups] if len(made) else made

    def _in_words(self, call: dict[str, Any]) -> str:
        op, stream, fd, size = call["op"], call["stream"], call["fd"], call["size"]
        if op.startswith("stream.") and stream is not None:
            return f"{self.streams[stream]['name']}{op.removeprefix('stream')}()"
        if call["kind"] == "sleep" and size is not None:
            return f"{op}({size / 1e9:g})"
        if call["kind"] in ("read", "write") and fd is not None:
            return f"{op.removeprefix('raw.')}({fd})"
        return f"{op}()"

    @cached_property
    def outermost(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Event → the outermost call around it: the `input()` around the `read`. A thread's life is no call."""
        events = self.trace.events
        return outermost(whole(events["parent"]), events["kind"].isin(LIVES).to_numpy())


def members(run: Run, role: str) -> list[Waiter]:
    """The waiters of a role, in the graph's order."""
    return [waiter for waiter in (run.graph.waiters if run.graph else ()) if waiter.role == role]


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries of plain Python values, missing ones as None."""
    columns = {str(name): values.astype(object).where(values.notna(), None).to_list() for name, values in frame.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
