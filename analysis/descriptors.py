"""Who held which end of which channel, from when to when.

Replayed from what changes descriptors (make, open, duplicate, close, fork, exec, a process's end), in order of time,
and put right where the trace has a whole list: as a program image starts, and where /proc was looked at.

* fork copies every descriptor; exec closes those that aren't inheritable (PEP 446: os.pipe's aren't, os.dup2's are).
* A program that isn't traced is known from looks and samples alone: what was listed at one of them is all that it held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from .events import NEVER, NONE, Events, Ints, by_number, groups, number, optional, rows_as_one, rows_of, whole


class End(NamedTuple):
    """What a descriptor leads to."""

    channel: int
    access: str
    inheritable: bool


@dataclass
class _Span:
    process: int
    fd: int
    end: End
    opened: int
    how: str
    site: int
    closed: int = NONE


@dataclass
class _Replay:
    """All descriptors at one moment, and the spans that they have made so far."""

    spans: list[_Span] = field(default_factory=list)
    held: defaultdict[int, dict[int, _Span]] = field(default_factory=lambda: defaultdict(dict))

    def open(self, time: int, process: int, fd: int, end: End, how: str, site: int = NONE) -> None:
        self.close(time, process, fd)
        self.held[process][fd] = span = _Span(process, fd, end, time, how, site)
        self.spans.append(span)

    def close(self, time: int, process: int, fd: int, since: int = NEVER) -> None:
        """A descriptor is closed, unless it was given out again after `since`, when the closing began."""
        span = self.held[process].get(fd)
        if span is not None and span.opened <= since:
            del self.held[process][fd]
            span.closed = max(time, span.opened)

    def reconcile(self, time: int, process: int, listed: dict[int, End]) -> None:
        """`listed` is all that the process holds now."""
        held = self.held[process]
        for fd in [fd for fd in held if fd not in listed]:
            self.close(time, process, fd)
        for fd, end in listed.items():
            if fd not in held or held[fd].end[:2] != end[:2]:
                self.open(time, process, fd, end, "inherited")


Change = Callable[[_Replay], None]


def unseen_processes(trace: Trace, events: Events) -> set[int]:
    """Processes of which no event tells any more: never traced, or gone over to a program that isn't."""
    unseen = set(trace.processes.loc[~trace.processes["traced"], "process"].tolist())
    told = trace.descriptors[~_sampled(trace)]
    latest = np.full(len(trace.processes), NONE)  # what was last heard of each
    np.maximum.at(latest, events.process, events.enter)
    np.maximum.at(latest, whole(told["process"]), whole(told["time"]))
    replaced = np.flatnonzero(events.is_kind("exec") & (events.exit == NEVER) & (events.error == NONE))
    silent = replaced[latest[events.process[replaced]] <= events.enter[replaced]]
    return unseen | set(events.process[silent].tolist())


def _sampled(trace: Trace) -> np.ndarray:
    """Which rows of `descriptors` tell what a process was seen with from outside."""
    pairs = ["process", "time"]
    samples = pd.MultiIndex.from_frame(trace.samples[pairs].drop_duplicates())
    return np.asarray(pd.MultiIndex.from_frame(trace.descriptors[pairs]).isin(samples), dtype=bool)


def ends_held(trace: Trace, events: Events, unseen: set[int]) -> pd.DataFrame:
    """`Analysis.descriptors`: a row an end held, ordered by opened. Columns: see results.Analysis."""
    changes = [*_calls(trace, events), *_lists(trace, events), *_looks(trace, unseen), *_ended(trace)]
    changes.sort(key=lambda change: change[:2])
    replay = _Replay()
    for _, _, change in changes:
        change(replay)
    table = pd.DataFrame({
        "process": [span.process for span in replay.spans],
        "fd": [span.fd for span in replay.spans],
        "channel": [span.end.channel for span in replay.spans],
        "access": pd.Series([span.end.access for span in replay.spans], dtype="str"),
        "opened": [span.opened for span in replay.spans],
        "closed": optional(np.array([span.closed for span in replay.spans], dtype="int64")),
        "how": pd.Series([span.how for span in replay.spans], dtype="str"),
        "site": optional(np.array([span.site for span in replay.spans], dtype="int64")),
    }).astype({"process": "int64", "fd": "int64", "channel": "int64", "opened": "int64"})  # fmt: skip
    table = table[(table["closed"] > table["opened"]).fillna(True)].sort_values(
        "opened", kind="stable", ignore_index=True
    )
    table["used"] = _used(table, events)
    return table


# What a call changes: (time, order at that time, change)


def _calls(trace: Trace, events: Events) -> Iterable[tuple[int, int, Change]]:
    children = {
        (number(row.parent), row.pid): row.process for row in rows_of(trace.processes) if number(row.parent) is not None
    }
    kinds = {"make": _make, "duplicate": _duplicate, "close": _close}
    chosen = events.is_kind("make", "duplicate", "close", "fork", "exec")
    for event in np.flatnonzero(chosen).tolist():
        kind, process = events.kind(event), int(events.process[event])
        done = events.exit[event] != NEVER
        if kind == "exec":
            if not done and events.error[event] == NONE:
                yield int(events.enter[event]), 2, _exec(process, int(events.enter[event]))
        elif kind == "fork":
            child = children.get((process, int(events.result[event])))
            if child is not None and events.op(event) != "fork_exec":
                started = max(int(trace.processes["started"].iloc[child]), int(events.enter[event]))
                yield int(events.enter[event]), 1, _fork(process, child, started, int(events.site[event]))
            elif child is not None and not trace.processes["traced"].iloc[child]:
                yield int(events.enter[event]), 1, _start(events, event, child)
        elif done and (kind == "close" or events.error[event] == NONE):
            yield int(events.exit[event]), 1, kinds[kind](events, event)


def _make(events: Events, event: int) -> Change:
    process, channel = int(events.process[event]), int(events.channel[event])
    time, site = int(events.exit[event]), int(events.site[event])

    def change(replay: _Replay) -> None:
        for fd, access in ((events.fd[event], "r"), (events.result[event], "w")):
            replay.open(time, process, int(fd), End(channel, access, False), "made", site)

    return change


def _duplicate(events: Events, event: int) -> Change:
    process, fd, target = int(events.process[event]), int(events.fd[event]), int(events.result[event])
    inheritable = bool(events.size[event]) if events.size[event] != NONE else events.op(event) != "os.dup"

    def change(replay: _Replay) -> None:
        source = replay.held[process].get(fd)
        if source is not None and fd != target:
            end = source.end._replace(inheritable=inheritable)
            replay.open(int(events.exit[event]), process, target, end, "duplicated", int(events.site[event]))

    return change


def _close(events: Events, event: int) -> Change:
    process, first = int(events.process[event]), int(events.fd[event])
    end = int(events.extra[event]) if events.op(event) == "os.closerange" else first + 1
    time, since = int(events.exit[event]), int(events.enter[event])

    def change(replay: _Replay) -> None:
        for fd in [fd for fd in replay.held[process] if first <= fd < end]:
            replay.close(time, process, fd, since)

    return change


def _exec(process: int, time: int) -> Change:
    def change(replay: _Replay) -> None:
        for fd, span in list(replay.held[process].items()):
            if not span.end.inheritable:
                replay.close(time, process, fd)

    return change


def _fork(parent: int, child: int, started: int, site: int) -> Change:
    def change(replay: _Replay) -> None:
        for fd, span in replay.held[parent].items():
            replay.open(started, child, fd, span.end, "inherited", site)

    return change


def _start(events: Events, event: int, child: int) -> Change:
    """What a program that isn't traced was started with as its standard streams, its parent's where none was given: all
    that is known if it ends soon."""
    given = (events.fd[event], events.size[event], events.extra[event])
    time, parent, site = int(events.enter[event]), int(events.process[event]), int(events.site[event])

    told = events.size[event] != NONE  # older recorders don't say

    def change(replay: _Replay) -> None:
        for fd, source in enumerate(map(int, given) if told else ()):
            span = replay.held[parent].get(source if source >= 0 else fd)
            if span is not None and (source >= 0 or span.end.inheritable):
                replay.open(time, child, fd, span.end._replace(inheritable=True), "inherited", site)

    return change


def _all_are(time: int, process: int, ends: dict[int, End]) -> Change:
    return lambda replay: replay.reconcile(time, process, ends)


def _ended(trace: Trace) -> Iterable[tuple[int, int, Change]]:
    for row in rows_of(trace.processes):
        if (ended := number(row.ended)) is not None:
            yield ended, 9, _all_are(ended, row.process, {})


# Whole lists


def _lists(trace: Trace, events: Events) -> Iterable[tuple[int, int, Change]]:
    """What a program image listed before its first call is all that it held; what comes later was opened one by one."""
    of_process = by_number(events.process, len(trace.processes))
    begins, opens = events.is_kind("exec"), events.is_kind("open")
    for process, rows in groups(trace.descriptors[~_sampled(trace)], "process"):
        own = of_process(process)
        starts = [int(trace.processes["started"].iloc[process]) - 1]
        starts += events.enter[own[begins[own]]].tolist()
        enters, opening = events.enter[own], own[opens[own]]
        image = np.searchsorted(starts, whole(rows["time"]), side="left") - 1
        for number_, listed in groups(rows.assign(image=image), "image"):
            after = enters[enters > starts[max(number_, 0)]]
            first = int(after[0]) if len(after) else NEVER
            whole_list = listed[listed["time"] <= first]
            if len(whole_list):
                ends = {row.fd: End(row.channel, row.access, row.inheritable) for row in rows_of(whole_list)}
                time = int(whole_list["time"].iloc[0])
                yield time, 3, _all_are(time, process, ends)
            for row in rows_of(listed[listed["time"] > first]):
                yield int(row.time), 3, _opened(events, opening, row)


def _opened(events: Events, own: Ints, row: NamedTuple) -> Change:
    """`own`: the process's opens."""
    process, time, fd = row.process, int(row.time), row.fd  # type: ignore[attr-defined]
    end = End(row.channel, row.access, row.inheritable)  # type: ignore[attr-defined]
    opening = own[(events.result[own] == fd) & (events.enter[own] <= time)]
    site = int(events.site[opening[-1]]) if len(opening) else NONE
    return lambda replay: replay.open(time, process, fd, end, "opened", site)


def _looks(trace: Trace, unseen: set[int]) -> Iterable[tuple[int, int, Change]]:
    """A sample or look tells all that an untraced process holds; of a traced one the last look, at which nothing moved,
    does. The first tells what an untraced process was born with, as far as known."""
    begun: set[int] = set()
    for time, process, listed in sorted([*_at_samples(trace), *_at_looks(trace, unseen)], key=lambda row: row[:2]):
        born = process not in begun and not trace.processes["traced"].iloc[process]
        begun.add(process)
        since = min(time, int(trace.processes["started"].iloc[process])) if born else time
        yield since, 4, _all_are(since, process, listed)


def _at_samples(trace: Trace) -> Iterable[tuple[int, int, dict[int, End]]]:
    for (time, process), rows in groups(trace.descriptors[_sampled(trace)], ["time", "process"]):
        yield time, process, {row.fd: End(row.channel, row.access, row.inheritable) for row in rows_of(rows)}


def _at_looks(trace: Trace, unseen: set[int]) -> Iterable[tuple[int, int, dict[int, End]]]:
    times = dict(zip(trace.looks["look"], trace.looks["time"], strict=True))
    last = max(times, default=-1)
    alive = trace.looks[trace.looks["state"] != "Z"].groupby("look")["process"].unique()
    ends = dict(groups(trace.ends.dropna(subset=["process"]), ["look", "process"]))
    for look, processes in alive.items():
        for process in processes:
            rows = ends.get((look, process))
            if rows is not None and (process in unseen or look == last):
                yield int(times[look]), process, {row.fd: End(row.channel, row.access, False) for row in rows_of(rows)}


def _used(table: pd.DataFrame, events: Events) -> list[bool]:
    """Whether bytes went through each end while it was held."""
    found: dict[tuple[int, ...], tuple[int, int]] = {}
    columns = (events.process, events.fd, events.channel)
    for way, kind in (("r", "read"), ("w", "write")):
        moved = np.flatnonzero(events.is_kind(kind) & (events.result > 0))
        codes, keys = pd.factorize(rows_as_one(*(column[moved] for column in columns)))
        last, first = np.empty((2, len(keys)), dtype="int64")
        last[codes], first[codes[::-1]] = moved, moved[::-1]  # in order of enter
        ends = zip(*(column[first].tolist() for column in columns), strict=True)
        times = zip(events.enter[first].tolist(), events.enter[last].tolist(), strict=True)
        found |= {(*end, way): (begun, latest) for end, (begun, latest) in zip(ends, times, strict=True)}
    used = []
    for row in rows_of(table):
        closed = number(row.closed)
        spans = (found.get((row.process, row.fd, row.channel, way)) for way in row.access)
        used.append(any(s is not None and s[1] >= row.opened and (closed is None or s[0] <= closed) for s in spans))
    return used
