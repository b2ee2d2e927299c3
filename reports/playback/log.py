"""A run as lines: one an event, in order of time; for pipes, files and people who like grep.

    0.000390  parent              os.write  26 bytes  pipe A  message 1  deadlock.py:38  Hello 1 from parent 47110

Time (s) at which it began, thread, call (indented by what it happens inside), what came of it, channel, message, place,
the beginning of its payload. The parts stand two spaces apart, and the form stays as it is.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import PurePath

import numpy as np
from ipctrace.analysis.events import NEVER, NONE, Ints, number, whole
from ipctrace.analysis.run import Run
from ipctrace.tracer.schema import REASONS, Trace

from ..ink import Ink, cut, escape
from ..markup import count, payload_text, span
from ..sequence import padded

NAME = 24  # columns of a thread's name
SAID = 60  # characters of a payload
LATE = 1_000_000  # ns a call lasts that are worth a word
_MOVING = ("read", "write", "accept", "take", "send", "receive", "load", "store")


def lines(trace: Trace, begin: int, ink: Ink) -> Iterator[tuple[int, str]]:
    """(ns, line) of every event from `begin` on, and of every process's end."""
    told = _Told(Run(trace), ink)
    ends = sorted(
        (int(time), int(process)) for time, process in zip(
            whole(trace.processes["ended"], NEVER), trace.processes["process"], strict=True) if begin <= time < NEVER
    )  # fmt: skip
    events = told.run.events
    place = 0
    for event in range(int(np.searchsorted(events.enter, begin)), len(events)):
        time = int(events.enter[event])
        while place < len(ends) and ends[place][0] < time:
            yield ends[place][0], told.ending(*ends[place])
            place += 1
        yield time, told.line(event)
    for time, process in ends[place:]:
        yield time, told.ending(time, process)


class _Told:
    def __init__(self, run: Run, ink: Ink) -> None:
        self.run, self.ink, self.events = run, ink, run.events
        names = {thread: self._plain(name) for thread, name in run.names.items()}
        self.width = min(NAME, max(map(len, names.values()), default=0))
        self.names = {thread: padded(cut(name, NAME, ink.ellipsis), self.width) for thread, name in names.items()}
        files, numbers = run.trace.sites["file"].tolist(), run.trace.sites["line"].tolist()
        self.places = [self._plain(f"{PurePath(file).name}:{line}") for file, line in zip(files, numbers, strict=True)]
        self.channels = {channel: self._plain(name) for channel, name in run.channel_names.items()}
        self.messages = self._numbers()
        depth = np.zeros(len(run.events), dtype="int64")
        for event in np.flatnonzero(run.events.parent >= 0).tolist():  # parents come first
            depth[event] = depth[run.events.parent[event]] + 1
        self.depth: list[int] = depth.tolist()

    def _plain(self, text: str) -> str:
        return self.ink.plain(escape(text))

    def _numbers(self) -> Ints:
        """For each event the number of the first message that it handed over, carried or got; 0: of none."""
        table, found = self.run.messages, np.zeros(len(self.events), dtype="int64")
        numbers = table["message"].to_numpy(dtype="int64") + 1
        for column in ("receive_event", "read_event", "write_event", "accept_event"):
            event = whole(table[column])
            there = np.flatnonzero(event != NONE)[::-1]  # of several the first stays
            found[event[there]] = numbers[there]
        return found

    def line(self, event: int) -> str:
        """One event."""
        events = self.events
        parts = [f"{'  ' * min(self.depth[event], 8)}{events.op(event)}", *self._outcome(event)]
        if (channel := int(events.channel[event])) != NONE:
            parts.append(self.channels.get(channel, f"channel {channel}"))
        if self.messages[event]:
            parts.append(f"message {self.messages[event]}")
        if (site := int(events.site[event])) != NONE:
            parts.append(self.places[site])
        if data := self.run.payloads[event]:
            parts.append(self._plain(payload_text(data[:SAID]).replace("\n", "\\n")))
        head = f"{events.enter[event] / 1e9:12.6f}  {self.names[int(events.thread[event])]}"
        return f"{head}  {'  '.join(parts)}"

    def _outcome(self, event: int) -> Iterator[str]:
        """`26 bytes`, `end of file`, `EAGAIN`, `after 355 ms`, `waits for data, never returned`."""
        events, kind = self.events, self.events.kind(event)
        error, result, lasting = int(events.error[event]), int(events.result[event]), int(events.exit[event])
        if error != NONE:
            yield errno.errorcode.get(error, "an exception")
        elif lasting == NEVER:
            wait = REASONS.get(events.wait(event))
            yield f"{wait}, never returned" if wait else "never returned"
        elif kind in _MOVING and result != NONE and result >= 0:
            yield "end of file" if kind == "read" and not result and events.size[event] else count(result, "byte")
        elif kind in ("fork", "start") and result != NONE:
            yield f"process {result}"
        if lasting != NEVER and lasting - events.enter[event] >= LATE:
            yield f"after {span(int(lasting - events.enter[event]))}"

    def ending(self, time: int, process: int) -> str:
        """The end of a process."""
        row = self.run.trace.processes.iloc[process]
        status = number(row["status"])
        how = "" if status is None else f"  status {status}" if status >= 0 else f"  signal {-status}"
        name = padded(cut(self._plain(self.run.process_names[process]), NAME, self.ink.ellipsis), self.width)
        return f"{time / 1e9:12.6f}  {name}  ends{how}"
