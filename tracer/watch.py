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
from .logs import EXECS, Log, LogReader, Open, damage, decode
from .parts import Part, Parts
from .records import LATEST, Header, Piece, read_rest
from .samples import Sampler
from .tree import Tree

# Bytes of the logs that are kept unless said otherwise: some 1.5 million calls. To put them together and to analyse
# them takes about eight times as much memory.
MAX_SIZE = 250_000_000

_BLOCKED = 150_000_000  # ns for which a record must have been open
_APART = 50_000_000  # ns between the first two looks
_LONGEST = 2_000_000_000  # ns between looks at the same picture
_TICK = 100_000_000  # ns: coarser than any file system's clock, of those that tick at all
_PARTS = 16  # a part is at most so much of what is kept,
_SMALLEST, _LARGEST = 1 << 10, 1 << 16  # and has so many records
_SHARE = 10  # while others are at work, judging takes at most one part in so many of the time


class LiveLogs:
    """All logs of a run while they are written.

    What they hold beyond `limit` bytes is dropped, the oldest first; see parts.py.
    """

    def __init__(self, folder: Path, origin: int = 0, limit: int = MAX_SIZE) -> None:
        self._folder, self._origin, self._limit = folder, origin, limit
        self._readers: dict[str, LogReader] = {}
        self._living: dict[str, LogReader] = {}  # of processes that haven't ended: polling is for them
        self._before = [0, 0]  # events, and what moved, in the others
        self._names: set[str] = set()
        self._changed = 0  # when the folder was changed last
        self._parts: dict[str, Parts] = {}
        self._ended: dict[str, tuple[Header, Piece]] = {}  # what isn't converted of logs that have ended
        self._grown: set[str] = set()
        self._chunk = 0
        self._size = 0
        self._since = 0
        self._converting = True
        self.notes: list[str] = []

    def poll(self, alive: Container[int]) -> bool:
        """Take in what was written; True if anything was. A log is closed when its process has ended."""
        moved = False
        for name in sorted(set(self._listed()) - self._names):
            self._names.add(name)
            if name.endswith(".log"):
                self._readers[name] = self._living[name] = LogReader(self._folder / name)
                self._parts[name] = Parts(self._folder / name)
        for name, reader in [*self._living.items()]:
            ended = int(name.partition("-")[0]) not in alive
            before = reader.end
            try:
                moved |= reader.poll()
            except (IpctraceError, OSError) as error:
                self._note(f"{name}: {error}")
                ended = True
            if reader.end > before and reader.header is not None:
                self._size += (reader.end - before) * reader.header.record_size
                self._chunk = max(_SMALLEST, min(_LARGEST, self._limit // _PARTS // reader.header.record_size))
                if reader.end - self._parts[name].end >= self._chunk:
                    self._grown.add(name)
            if ended:
                reader.close()
                del self._living[name]
                self._before = [self._before[0] + reader.events, self._before[1] + reader.moved]
        return moved

    def _listed(self) -> list[str]:
        """The folder's names; none if it hasn't changed since the last time."""
        try:
            changed = os.stat(self._folder).st_mtime_ns  # noqa: PTH116  (many times a second)
            if changed == self._changed:
                return []
            # the file system's clock ticks seldom: what comes within the same tick must be seen the next time
            self._changed = changed if time.time_ns() - changed > _TICK else 0
            return os.listdir(self._folder)  # noqa: PTH208
        except OSError as error:
            self._note(f"the trace's folder has vanished while the program ran ({error.strerror})")
            return []

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    @property
    def events(self) -> int:
        """Events so far."""
        return self._before[0] + sum(reader.events for reader in self._living.values())

    @property
    def moved(self) -> int:
        """A number that changes whenever a record is written or completed."""
        return self._before[1] + sum(reader.moved for reader in self._living.values())

    def open(self) -> Iterator[tuple[str, int, Open]]:
        """The open records of living processes: (log, pid, record)."""
        for name, reader in self._living.items():
            if reader.header is not None:
                for record in reader.open.values():
                    yield name, reader.header.pid, record

    def writing(self) -> set[int]:
        """The processes whose present program has begun a log: the latest that each began isn't inside an exec."""
        latest: dict[int, tuple[int, str]] = {}
        for name, reader in self._living.items():
            if not reader.closed and reader.header is not None:
                pid, started = reader.header.pid, reader.header.started
                latest[pid] = max(latest.get(pid, (0, "")), (started, name))
        replaced = {name for name, _, record in self.open() if record.op in EXECS}
        return {pid for pid, (_, name) in latest.items() if name not in replaced}

    def began(self, pid: int, since: int) -> bool:
        """Whether a process has begun a log since a time (monotonic ns)."""
        headers = (reader.header for name, reader in self._readers.items() if name.startswith(f"{pid}-"))
        return any(header is not None and header.started >= since for header in headers)

    def shrink(self) -> None:
        """Convert a part of a log that has grown by enough, and drop the oldest parts if all is too large."""
        if self._grown:
            name = max(self._grown, key=self._waiting)
            if not self._convert(name, self._chunk) or self._waiting(name) < self._chunk:
                self._grown.discard(name)
        if self._size > self._limit:
            for name in [name for name, reader in self._readers.items() if reader.closed]:
                self._convert(name, _SMALLEST, over=True)
        while self._size > self._limit and (parts := self._droppable()):
            self._since = max(self._since, min(part.tally.until for part in parts))
            for part in parts:
                if part.tally.until <= self._since:
                    part.drop()
                    self._size -= part.size

    def _waiting(self, name: str) -> int:
        """How many slots of a log could be converted."""
        return self._readers[name].end - self._parts[name].end

    def _droppable(self) -> list[Part]:
        return [part for parts in self._parts.values() for part in parts.parts if part.there and part.tally.events]

    def _convert(self, name: str, least: int, over: bool = False) -> bool:
        """Convert some of a log, if at least so many slots of it are not yet; True if it was done.

        `over`: its process has ended.
        """
        if not self._converting or self._waiting(name) < least:
            return False
        try:
            converted = self._parts[name].convert(max(self._chunk, least), LATEST if over else None)
        except (IpctraceError, OSError) as error:
            self._converting = False
            self._note(f"the logs could not be converted while the program ran: {error}")
            return False
        self._ended.pop(name, None)
        return converted

    def finish(self) -> None:
        """Convert what is left of large logs, when all processes have ended: to be read piece by piece."""
        if self._size > self._limit or any(parts.parts for parts in self._parts.values()):
            for name in self._readers:
                while self._convert(name, self._chunk, over=True):
                    self.shrink()
        self.shrink()

    def decode(self, newest: int | None = None) -> list[Log]:
        """All logs as they are now, by the time they were begun; with `newest`, of their parts only the newest so many
        bytes, so that it takes as much time and memory late in a run as early.
        """
        while newest is not None and self._grown:
            self.shrink()
        since, logs = max(self._since, 0 if newest is None else self._window(newest)), []
        for name, reader in self._readers.items():
            try:
                log = decode(self._parts[name], self._origin, since, self._rest(name, reader))
            except (IpctraceError, OSError):  # noted as it was polled, or so new that nothing is in it
                continue
            logs.append(log)
            if newest is None:
                for sentence in damage(reader.path, log):
                    self._note(sentence)
        return sorted(logs, key=lambda log: log.header.started)

    def _rest(self, name: str, reader: LogReader) -> tuple[Header, Piece]:
        if name in self._ended:
            return self._ended[name]
        parts = self._parts[name]
        rest = read_rest(reader.path, parts.end, parts.carried, reader.descriptor)
        if reader.closed:
            self._ended[name] = rest
        return rest

    def _window(self, newest: int) -> int:
        """Before when everything has to be left out, so that at most `newest` bytes of parts are left."""
        total = 0
        for part in sorted(self._droppable(), key=lambda part: -part.tally.until):
            total += part.size
            if total > newest:
                return part.tally.until
        return 0

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
