"""Sees that a program hangs: the logs as they grow, looks at /proc when nothing moves, and the judge.

A blocked thread is an open record. When one has been open for a while a look is taken, and another one later; if both
show the same threads in the same calls, the judge is asked whether they can ever go on. Where they can, or may, the
next look waits twice as long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterator
from pathlib import Path

from . import proc
from .assemble import Look
from .errors import IpctraceError
from .logs import EXECS, Log, LogReader, Open, read_log
from .samples import Sampler
from .tree import Tree

_BLOCKED = 150_000_000  # ns for which a record must have been open
_APART = 50_000_000  # ns between the first two looks
_LONGEST = 2_000_000_000  # ns between looks at the same picture
_SHARE = 10  # while others are at work, judging takes at most one part in so many of the time


class LiveLogs:
    """All logs of a run while they are written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[str, LogReader] = {}
        self._whole: dict[str, Log] = {}
        self.notes: list[str] = []

    def poll(self, alive: Container[int]) -> bool:
        """Take in what was written; True if anything was. A log is closed when its process has ended."""
        moved = False
        for name in os.listdir(self._folder):  # noqa: PTH208  (many times a second)
            if name.endswith(".log") and name not in self._readers:
                self._readers[name] = LogReader(self._folder / name)
        for name, reader in self._readers.items():
            if reader.closed:
                continue
            ended = int(name.partition("-")[0]) not in alive
            try:
                moved |= reader.poll()
            except (IpctraceError, OSError) as error:
                self.notes.append(f"{name}: {error}")
                ended = True
            if ended:
                reader.close()
        return moved

    @property
    def events(self) -> int:
        """Events so far."""
        return sum(reader.events for reader in self._readers.values())

    @property
    def moved(self) -> int:
        """A number that changes whenever a record is written or completed."""
        return sum(reader.moved for reader in self._readers.values())

    def open(self) -> Iterator[tuple[str, int, Open]]:
        """The open records of living processes: (log, pid, record)."""
        for name, reader in self._readers.items():
            if not reader.closed and reader.header is not None:
                for record in reader.open.values():
                    yield name, reader.header.pid, record

    def writing(self) -> set[int]:
        """The processes whose present program has begun a log: the latest that each began isn't inside an exec."""
        latest: dict[int, tuple[int, str]] = {}
        for name, reader in self._readers.items():
            if not reader.closed and reader.header is not None:
                pid, started = reader.header.pid, reader.header.started
                latest[pid] = max(latest.get(pid, (0, "")), (started, name))
        replaced = {name for name, _, record in self.open() if record.op in EXECS}
        return {pid for pid, (_, name) in latest.items() if name not in replaced}

    def began(self, pid: int, since: int) -> bool:
        """Whether a process has begun a log since a time (monotonic ns)."""
        headers = (reader.header for name, reader in self._readers.items() if name.startswith(f"{pid}-"))
        return any(header is not None and header.started >= since for header in headers)

    def decode(self) -> list[Log]:
        """All logs as they are now, by the time they were begun."""
        logs = []
        for name, reader in self._readers.items():
            if name not in self._whole:
                try:
                    log = read_log(reader.path)
                except IpctraceError:  # noted as it was polled, or so new that nothing is in it
                    continue
                if not reader.closed:
                    logs.append(log)
                    continue
                self._whole[name] = log
            logs.append(self._whole[name])
        return sorted(logs, key=lambda log: log.header.started)

    def close(self) -> None:
        """Read no more."""
        for reader in self._readers.values():
            reader.close()


class Watch:
    """Takes looks and asks the judge. `looks` are those that belong into the trace.

    Where nothing is traced and everything sleeps, looks are taken, but the judge isn't asked: a program that isn't
    Python may have armed a timer that nobody can see.
    """

    def __init__(self, tree: Tree, logs: LiveLogs, sampler: Sampler, judge: Callable[[], bool]) -> None:
        self._tree, self._logs, self._sampler, self._judge = tree, logs, sampler, judge
        self._proven: list[Look] = []
        self._recent: list[Look] = []
        self._picture: frozenset[tuple[object, ...]] = frozenset()
        self._moved = 0
        self._gap, self._due = _APART, 0

    @property
    def looks(self) -> list[Look]:
        """The pairs of looks that a deadlock was proven by, and the last ones."""
        return [*self._proven, *(look for look in self._recent if look not in self._proven)]

    def waiting(self, now: int) -> list[tuple[str, int, Open]]:
        """The open records in which a thread has waited for somebody for a while."""
        return [entry for entry in self._logs.open() if entry[2].waits and now - entry[2].enter >= _BLOCKED]

    def everything_waits(self) -> bool:
        """Whether no thread runs or sleeps: every process is in a call that waits for somebody else."""
        records = [record for _, _, record in self._logs.open()]
        seen = [thread for look in self._recent[-1:] for threads in look.threads.values() for thread in threads]
        waits, sleeps = any(record.waits for record in records), any(record.sleeps for record in records)
        return waits and not sleeps and not any(thread.state in "RD" for thread in seen)

    def look(self) -> Look:
        """Look at everything that lives, and at who else holds its pipes."""
        look = Look(time.monotonic_ns())
        pipes = set()
        for pid in self._tree.alive:
            look.threads[pid] = proc.threads(pid)
            look.ends[pid] = [end for end in proc.ends(pid) if end.kind != "other"]
            pipes |= {(end.device, end.inode) for end in look.ends[pid] if end.kind in ("pipe", "fifo")}
            self._sampler.ask(pid, look.ends[pid])
        self._sampler.ask_peers()
        look.outside = list(proc.outside_holders(pipes, {*self._tree.alive, os.getpid()}))
        self._recent = [*self._recent[-1:], look]
        return look

    def step(self) -> bool:
        """Look, if it is time to; True if the judge says that the program is deadlocked, once for each picture."""
        now = time.monotonic_ns()
        waiting = self.waiting(now)
        picture = frozenset((name, record.slot) for name, _, record in waiting) or self._sampler.asleep()
        if picture != self._picture:
            self._picture, self._gap, self._due = picture, _APART, now
            self._recent = []
        if not picture or now < self._due:
            return False
        self._tree.scan(now=True)
        earlier = self._recent[-1] if self._recent else None
        moved, self._moved = self._moved, self._logs.moved
        threads = {(pid, record.thread) for _, pid, record in waiting}
        traced = {pid for _, pid, _ in self._logs.open()}
        look = self.look()
        cost = 0
        if earlier is not None and _state(earlier, threads, traced) == _state(look, threads, traced):
            proven = bool(waiting) and self._judge()
            if proven:
                self._proven += self._recent
                self._due = now + (1 << 62)  # nothing more to say of this picture
                return True
            cost = time.monotonic_ns() - look.time
        if earlier is not None:
            self._gap = min(2 * self._gap, _LONGEST)
        quiet = moved == self._moved
        self._due = time.monotonic_ns() + max(self._gap, 0 if quiet else cost * _SHARE)
        return False


def _state(look: Look, threads: set[tuple[int, int]], traced: set[int]) -> list[tuple[object, ...]]:
    """What must be equal in two looks: the blocked threads, and those of the processes that aren't traced."""
    return [
        (pid, thread.tid, thread.state, thread.call)
        for pid, seen in look.threads.items()
        for thread in seen
        if (pid, thread.tid) in threads or pid not in traced
    ]
