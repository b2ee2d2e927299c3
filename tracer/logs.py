"""Reads the logs that the traced processes write: while they write them, and whole."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import proc
from .errors import IpctraceError
from .parts import Parts, Tally
from .records import (
    FIRST_EVENT,
    LATEST,
    SLICE,
    Flags,
    Header,
    Ints,
    Piece,
    Records,
    States,
    read_header,
    read_records,
    read_rest,
    read_slots,
    together,
)  # fmt: skip
from .runtime import table

FIELDS = {code: fields for code, _, fields in table.DEFINITIONS}
# Codes of calls in which a thread waits for somebody: an open record of one of these is a blocked thread.
WAITS = {code: wait for code, _, _, wait in table.CALLS if wait not in ("", "sleep")}
EXECS = {code for code, _, kind, _ in table.CALLS if kind == "exec"}
SLEEPS = {code for code, _, _, wait in table.CALLS if wait == "sleep"}

_NUMERIC = {
    table.SITE: ("line", "column", "end_line", "end_column"), table.CHANNEL: ("device", "inode"),
    table.STREAM: ("buffer_size",),
}  # fmt: skip
_NUMBER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_KINDS = {"pipe", "fifo", "socket", "tty", "file", "device", "other", *table.OBJECTS}
_ACCESS = ("r", "w", "rw")
_KNOWN = np.isin(np.arange(256), [table.MORE, *FIELDS, *(code for code, *_ in table.CALLS)])
_NEVER_MORE = 1 << 32  # ids of a log are below

_CLOSED = -2
_PROBE = 64  # records looked at behind the last written one: more unwritten slots in a row than that are the end
_FEW = 3  # a reader keeps its file open while that takes at most one descriptor in so many


class Definition(NamedTuple):
    """A definition: its code, its record's numbers, and its text by field name."""

    code: int
    slot: int
    thread: int
    time: int
    fd: int
    site: int
    channel: int
    stream: int
    offset: int
    size: int
    text: dict[str, str]


class Open(NamedTuple):
    """A record that was entered and not yet left: where it lies, its call's code, thread and time of entry (ns)."""

    slot: int
    op: int
    thread: int
    enter: int
    flags: int = 0

    @property
    def waits(self) -> bool:
        """Whether a thread waits in it for somebody else, for as long as it takes."""
        return self.op in WAITS and not self.flags & (table.TIMED | table.NONBLOCKING)

    @property
    def sleeps(self) -> bool:
        """Whether a thread waits in it, and a time will end that."""
        return self.op in SLEEPS or (self.op in WAITS and self.flags & table.TIMED != 0)


@dataclass(slots=True)
class Log:
    """A log, decoded. `records` are its events in slot order, `slots` their slots; `payloads` are (index into records,
    bytes), in that order. `damaged` counts records that can't be true and were left out, `dangling` references to what
    nobody defined; `dropped` is what was left out to keep the trace small."""

    header: Header
    slots: Ints
    records: Records
    payload_of: Ints
    payloads: list[bytes]
    definitions: list[Definition]
    damaged: int = 0
    dangling: int = 0
    dropped: Tally = field(default_factory=Tally)

    @property
    def process(self) -> dict[str, str]:
        """The text of the PROCESS definition; empty if the process was killed before it had written it."""
        return next((definition.text for definition in self.definitions if definition.code == table.PROCESS), {})


@dataclass(slots=True)
class LogReader:
    """Follows one log while it grows.

    `events` counts the events written so far, `moved` everything that was written or completed (a number that changes
    when the process does something), `open` holds the open records by slot.
    """

    path: Path
    header: Header | None = None
    events: int = 0
    moved: int = 0
    open: dict[int, Open] = field(default_factory=dict)
    _end: int = 0
    end: int = 0
    _gaps: set[int] = field(default_factory=set)
    _descriptor: int = -1

    @property
    def descriptor(self) -> int:
        """Its file, where that is open; else negative."""
        return self._descriptor

    @property
    def closed(self) -> bool:
        """Whether it is followed no more."""
        return self._descriptor == _CLOSED

    def poll(self) -> bool:
        """Take in what was written since the last call; True if anything was. Raises IpctraceError as `read_header`."""
        descriptor = self._descriptor if self._descriptor >= 0 else os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return self._follow(descriptor)
        finally:
            if descriptor * _FEW < proc.most_descriptors():
                self._descriptor = descriptor
            else:  # so many logs that descriptors would run short: opened again each time
                os.close(descriptor)

    def _follow(self, descriptor: int) -> bool:
        if self.header is None:
            self.header = read_header(descriptor, self.path)
        if self.header is None:
            return False
        before = self.moved
        pending = np.array(sorted([*self.open, *self._gaps]), np.int64)
        for slots, records, states in read_slots(descriptor, self.header, pending):
            self._take(slots, records, states)
        count = _PROBE
        while True:
            records, states = read_records(descriptor, self.header, self.end, count)
            written = np.flatnonzero(states)
            if not len(written):
                break
            used = int(written[-1]) + 1
            self._take(np.arange(self.end, self.end + used), records[:used], states[:used])
            self.end += used
            if len(states) - used > _PROBE:
                break
            count = min(count * 4, SLICE)
        return self.moved != before

    def _take(self, slots: Ints, records: Records, states: States) -> None:
        """Take in records: new ones, and earlier ones that were open or unwritten."""
        events = records["op"] >= FIRST_EVENT
        news = ~np.isin(slots, list(self.open)) if self.open else np.True_
        self.events += int(np.count_nonzero(events & (states != table.UNWRITTEN) & news))
        self.moved += int(np.count_nonzero(events & (states > table.OPEN)))
        for index in np.flatnonzero(states <= table.OPEN).tolist():
            slot, record = int(slots[index]), records[index]
            if states[index] == table.UNWRITTEN:
                if slot not in self.open:  # an open record is being completed at this very moment
                    self._gaps.add(slot)
                continue
            self._gaps.discard(slot)
            if slot not in self.open and events[index]:
                fields = (int(record[name]) for name in ("op", "thread", "enter", "flags"))
                self.open[slot] = Open(slot, *fields)
                self.moved += 1
        if self.open or self._gaps:
            for slot in slots[states > table.OPEN].tolist():
                self.open.pop(slot, None)
                self._gaps.discard(slot)

    def close(self) -> None:
        """Stop following."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = _CLOSED
        self.open.clear()


def read_log(path: Path, origin: int = 0) -> Log:
    """Decode a whole log, finished or still being written, with the parts of it that were converted; about a million
    records a second.

    A record that was torn, or whose slot was claimed and never written, is left out; so is one that can't be true, and
    counted: `origin` is when the run began. Raises IpctraceError for a file that isn't a log, is one of a newer
    ipctrace, or ended before its header was written.
    """
    return decode(Parts.found(path), origin)


def decode(parts: Parts, origin: int = 0, since: int = 0, rest: tuple[Header, Piece] | None = None) -> Log:
    """The log whose parts these are; `rest` is what is not in them, where that is known already.

    Without what had returned before `since`, but for what the analysis can't do without (`parts.spared`).
    """
    header, piece = rest or read_rest(parts.path, parts.end, parts.carried)
    pieces, dropped = parts.newest(since, piece)
    log = join(header, pieces, origin)
    log.dropped = dropped
    return log


def join(header: Header, pieces: list[Piece], origin: int = 0) -> Log:
    """Turn a log's pieces into a Log, and use them up: however it was cut into them, it is the same one."""
    piece = together(pieces)
    pieces.clear()  # they may be large
    slots, records, op = piece.slots, piece.records, piece.records["op"]
    sound = _sound(records, origin, header.record_size - table.PAYLOAD_AT)
    more, event = op == table.MORE, op >= FIRST_EVENT
    owner, owned = slots, sound
    if more.any():
        owner = np.where(more, records["offset"].astype(np.int64), slots)
        # a piece of a record that was never written belongs to nobody; of what can't be a record, to nothing
        sound &= ~more | ((owner >= 0) & (owner < slots) & ~np.isin(owner, slots[more]))
        owned = sound & np.isin(owner, slots[sound & ~more])
    owners, texts = _texts(piece, np.flatnonzero(owned), owner)
    others = np.flatnonzero(sound & ~more & ~event)
    mine = np.isin(owners, slots[others], invert=True)
    said = {int(owners[index]): texts[index] for index in np.flatnonzero(~mine).tolist()}
    definitions = [
        _definition(slot, records[index], said.get(slot, b""), origin)
        for index, slot in zip(others.tolist(), slots[others].tolist(), strict=True)
    ]
    chosen = np.flatnonzero(sound & event)
    whole = len(chosen) == len(slots)
    log = Log(
        header, slots[chosen], records if whole else records[chosen], np.searchsorted(slots[chosen], owners[mine]),
        texts if mine.all() else [texts[index] for index in np.flatnonzero(mine).tolist()],
        [definition for definition in definitions if definition is not None],
        damaged=int(np.count_nonzero(~sound)) + definitions.count(None),
    )  # fmt: skip
    _forget_undefined(log)
    return log


def _sound(records: Records, origin: int, area: int) -> Flags:
    """Which records can be true by themselves: a call that is known, within the run, that ends after it began."""
    enter, exit, over = records["enter"], records["exit"], records["state"] > table.OPEN
    event = records["op"] >= FIRST_EVENT
    sound: Flags = _KNOWN[records["op"]] & (records["state"] <= table.FAILED)
    sound &= (np.maximum(records["kept"], records["got"]) <= area) & (enter <= LATEST)
    sound &= ~event | ((enter >= origin) & (~over | ((exit >= enter) & (exit <= LATEST))))
    return sound


def _texts(piece: Piece, chosen: Ints, owner: Ints) -> tuple[Ints, list[bytes]]:
    """What records say beside their numbers: their slots, and their payload areas with their MORE records joined on."""
    begins, ends, data = piece.ends - np.diff(piece.ends, prepend=0), piece.ends, piece.data
    chosen = chosen[ends[chosen] > begins[chosen]]
    more = piece.records["op"][chosen] == table.MORE
    if more.any():
        index = np.where(more, piece.records["size"][chosen], -1)
        chosen = chosen[np.lexsort((index, owner[chosen]))]
    slots = owner[chosen]
    texts = [data[begin:end] for begin, end in zip(begins[chosen].tolist(), ends[chosen].tolist(), strict=True)]
    if not more.any():
        return slots, texts
    firsts = np.flatnonzero(np.diff(slots, prepend=-1))
    bounds = pairwise([*firsts.tolist(), len(texts)])
    return slots[firsts], [b"".join(texts[first:last]) for first, last in bounds]


def _definition(slot: int, record: Any, text: bytes, origin: int) -> Definition | None:
    """A definition; None if it can't be one."""
    code, values = int(record["op"]), text.decode("utf-8", "surrogateescape").split(table.SEPARATOR)
    names = FIELDS[code]
    said = dict(zip(names, [*values, *[""] * len(names)], strict=False))
    found = Definition(
        code, slot, int(record["thread"]), int(record["enter"]), int(record["fd"]), int(record["site"]),
        int(record["channel"]), int(record["stream"]), int(record["offset"]), int(record["size"]), said,
    )  # fmt: skip
    if found.time < origin or found.offset > LATEST or found.fd < table.NO_FD:
        return None
    for name in _NUMERIC.get(code, ()):
        if not _NUMBER.fullmatch(said[name]) or abs(int(said[name])) >= (1 << 31 if code == table.SITE else 1 << 64):
            return None
    return found if code not in _POSSIBLE or _POSSIBLE[code](found) else None


_DEFINED = (("site", table.SITE), ("channel", table.CHANNEL), ("stream", table.STREAM))


_POSSIBLE: dict[int, Callable[[Definition], bool]] = {
    table.SITE: lambda found: found.site > 0,
    table.CHANNEL: lambda found: found.channel > 0 and found.text["kind"] in _KINDS,
    table.DESCRIPTOR: lambda found: found.text["access"] in _ACCESS,
    table.STREAM: lambda found: found.stream > 0,
    table.ADDRESS: lambda found: 0 < found.offset < _NEVER_MORE,
    table.TASK: lambda found: found.size >= table.TASKS,
}


def _forget_undefined(log: Log) -> None:
    """Empty the references to what no definition tells of, and count them."""
    copied = False
    for name, code in _DEFINED:
        known = np.array([0, *{getattr(found, name) for found in log.definitions if found.code == code}])
        unknown = np.flatnonzero(~np.isin(log.records[name], known))
        if len(unknown):
            log.records = log.records if copied else log.records.copy()
            log.records[name][unknown] = 0
            log.dangling, copied = log.dangling + len(unknown), True


def damage(path: Path, log: Log) -> list[str]:
    """What is wrong with a log, in sentences."""
    notes = []
    if log.damaged:
        many = log.damaged != 1
        are, them = ("records", "are") if many else ("record", "is")
        notes.append(f"{log.damaged:,} {are} of {path.name} {them} damaged and left out")
    if log.dangling:
        notes.append(f"{path.name}: what its records refer to was not written, {log.dangling:,} times")
    return notes


def read_logs(folder: Path, origin: int = 0) -> tuple[list[Log], list[str]]:
    """All logs of a run as `read_log` reads them, by the time they were begun, and notes on what could not be read.

    What had returned before the last of what was dropped is left out of all of them. A newer version is no note:
    IpctraceError.
    """
    logs, notes, found = [], [], []
    for path in sorted(folder.glob("*.log")):
        try:
            found.append(Parts.found(path))
        except IpctraceError as error:
            notes.append(f"{path.name}: {error.why}")
            found.append(Parts(path))
    since = max((part.tally.until for parts in found for part in parts.parts if not part.there), default=0)
    for parts in found:
        try:
            log = decode(parts, origin, since)
        except IpctraceError as error:
            if "newer" in error.what:
                raise
            notes.append(f"{parts.path.name}: {error.why or error.what}")
        else:
            logs.append(log)
            notes += damage(parts.path, log)
    return sorted(logs, key=lambda log: log.header.started), notes
