"""Reads the logs that the traced processes write: while they write them, and whole. Laws of the log: runtime/table.py.

A record's state byte is written last and copied last, so a state that says DONE could be newer than the fields that
were copied just before it. Every read therefore takes the states first and the records again after them: what the
earlier states call written is whole in the later copy.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import IpctraceError
from .runtime import table

Records = npt.NDArray[np.void]
Ints = npt.NDArray[np.int64]

FIRST_EVENT = min(code for code, *_ in table.CALLS)
FIELDS = {code: fields for code, _, fields in table.DEFINITIONS}
# Codes of calls in which a thread waits for somebody: an open record of one of these is a blocked thread.
WAITS = {code: wait for code, _, _, wait in table.CALLS if wait not in ("", "sleep")}
SLEEPS = {code for code, _, _, wait in table.CALLS if wait == "sleep"}

_SLICE = 1 << 16  # records whose payloads are taken at once
_CLOSED = -2
_PROBE = 64  # records looked at behind the last written one: more unwritten slots in a row than that are the end
_FIXED = [
    ("op", "u1"), ("flags", "u1"), ("kept", "<u2"), ("thread", "<u4"), ("enter", "<u8"), ("fd", "<i4"), ("site", "<u4"),
    ("channel", "<u4"), ("stream", "<u4"), ("offset", "<u8"), ("size", "<i8"),
    ("exit", "<u8"), ("result", "<i8"), ("extra", "<i8"), ("pending", "<i8"), ("error", "<i4"), ("got", "<u2"),
    ("spare", "V1"), ("state", "u1"),
]  # fmt: skip


def layout(record_size: int) -> np.dtype[np.void]:
    """The numpy type of one record; `payload` is its payload area as bytes."""
    return np.dtype([*_FIXED, ("payload", "u1", (record_size - table.PAYLOAD_AT,))])


class Header(NamedTuple):
    """A log's header: pids, times in ns (monotonic and wall clock), and how many records could not be written."""

    record_size: int
    pid: int
    parent: int
    started: int
    wall: int
    lost: int


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
    bytes), in that order."""

    header: Header
    slots: Ints
    records: Records
    payload_of: Ints
    payloads: list[bytes]
    definitions: list[Definition]

    @property
    def process(self) -> dict[str, str]:
        """The text of the PROCESS definition; empty if the process was killed before it had written it."""
        return next((definition.text for definition in self.definitions if definition.code == table.PROCESS), {})


def read_header(descriptor: int, path: Path) -> Header | None:
    """The header of an open log; None while it is still being written.

    Raises IpctraceError for a file that isn't a log, or is one of a newer ipctrace.
    """
    head = os.pread(descriptor, struct.calcsize(table.HEADER), 0)
    if not head.strip(b"\0") or table.MAGIC.startswith(head):
        return None
    if not head.startswith(table.MAGIC):
        raise IpctraceError(f"{path} is not a log of ipctrace", "it doesn't begin as one", "record the program again")
    if len(head) < struct.calcsize(table.HEADER):
        return None
    _, version, record_size, *rest = struct.unpack(table.HEADER, head)
    if version > table.VERSION:
        raise IpctraceError(
            f"{path} was written by a newer ipctrace",
            f"its log has version {version}; this ipctrace reads up to version {table.VERSION}",
            "python -m pip install --upgrade ipctrace",
        )
    if record_size < table.PAYLOAD_AT or record_size % 8:
        what = f"no log has records of {record_size} bytes"
        raise IpctraceError(f"{path} is damaged", what, "record the program again")
    return Header(record_size, *rest)


def _read_records(descriptor: int, header: Header, first: int, count: int) -> tuple[Records, npt.NDArray[np.uint8]]:
    """Up to `count` whole records from slot `first` on, and their states as they were before the records were read."""
    kind = layout(header.record_size)
    start, length = table.HEADER_SIZE + first * header.record_size, count * header.record_size
    earlier = _read(descriptor, start, length)
    states = np.frombuffer(earlier, kind, len(earlier) // header.record_size)["state"].copy()
    del earlier
    later = _read(descriptor, start, len(states) * header.record_size)
    records = np.frombuffer(later, kind, len(later) // header.record_size)
    return records, states[: len(records)]


def _read(descriptor: int, start: int, length: int) -> bytes:
    """`length` bytes of the file, fewer only at its end: one read moves at most 2 GiB."""
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, start)):
        pieces.append(piece)
        start, length = start + len(piece), length - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


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
    _gaps: set[int] = field(default_factory=set)
    _descriptor: int = -1

    @property
    def closed(self) -> bool:
        """Whether it is followed no more."""
        return self._descriptor == _CLOSED

    def poll(self) -> bool:
        """Take in what was written since the last call; True if anything was. Raises IpctraceError as `read_header`."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if self.header is None:
            self.header = read_header(self._descriptor, self.path)
        if self.header is None:
            return False
        before = self.moved
        for slot in sorted([*self.open, *self._gaps]):
            self._take(slot, *_read_records(self._descriptor, self.header, slot, 1))
        count = _PROBE
        while True:
            records, states = _read_records(self._descriptor, self.header, self._end, count)
            written = np.flatnonzero(states)
            if not len(written):
                break
            used = int(written[-1]) + 1
            self._take(self._end, records[:used], states[:used])
            self._end += used
            count = min(count * 4, 1 << 16)
        return self.moved != before

    def _take(self, first: int, records: Records, states: npt.NDArray[np.uint8]) -> None:
        """Take in the records from slot `first` on: new ones, and earlier ones that were open or unwritten."""
        events = records["op"] >= FIRST_EVENT
        news = ~np.isin(np.arange(first, first + len(records)), list(self.open)) if self.open else np.True_
        self.events += int(np.count_nonzero(events & (states != table.UNWRITTEN) & news))
        self.moved += int(np.count_nonzero(events & (states > table.OPEN)))
        for index in np.flatnonzero(states <= table.OPEN).tolist():
            slot, record = first + index, records[index]
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
            for index in np.flatnonzero(states > table.OPEN).tolist():
                self.open.pop(first + index, None)
                self._gaps.discard(first + index)

    def close(self) -> None:
        """Stop following."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = _CLOSED
        self.open.clear()


def read_log(path: Path) -> Log:
    """Decode a whole log, finished or still being written; about a million records a second.

    A record that was torn, or whose slot was claimed and never written, is left out. Raises IpctraceError for a file
    that isn't a log, is one of a newer ipctrace, or ended before its header was written.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        header = read_header(descriptor, path)
        if header is None:
            raise IpctraceError(f"{path} is empty", "its process ended before it could write anything")
        capacity = (os.fstat(descriptor).st_size - table.HEADER_SIZE) // header.record_size
        records, states = _read_records(descriptor, header, 0, max(0, capacity))
    finally:
        os.close(descriptor)
    return decode(header, records, states)


def decode(header: Header, records: Records, states: npt.NDArray[np.uint8]) -> Log:
    """Turn raw records into a Log; record k lies in slot k, and counts only if `states` says that it was written."""
    op, written = records["op"], states != table.UNWRITTEN
    event = np.flatnonzero(written & (op >= FIRST_EVENT))
    definition = np.flatnonzero(written & (op > table.MORE) & (op < FIRST_EVENT)).tolist()
    owners, payloads = _payloads(records, written)
    mine = op[owners] >= FIRST_EVENT
    texts = {owners[index]: payloads[index] for index in np.flatnonzero(~mine).tolist()}
    definitions = [
        _definition(slot, records[slot], texts.get(slot, b"")) for slot in definition if int(op[slot]) in FIELDS
    ]
    kept = payloads if mine.all() else [payloads[index] for index in np.flatnonzero(mine).tolist()]
    head = np.dtype({"names": ["head"], "formats": [f"V{table.PAYLOAD_AT}"], "itemsize": records.dtype.itemsize})
    fixed = records.view(head)["head"][event].view(np.dtype(_FIXED))
    fixed["state"] = states[event]
    return Log(header, event, fixed, np.searchsorted(event, owners[mine]), kept, definitions)


def _payloads(records: Records, written: npt.NDArray[np.bool_]) -> tuple[Ints, list[bytes]]:
    """The payloads by the slot of their first record, in that order, with their MORE records joined on."""
    sizes = np.maximum(records["kept"], records["got"])  # at enter what a write hands over, at exit what a read got
    slots = np.flatnonzero(written & (sizes > 0))
    owners, more = slots, records["op"][slots] == table.MORE
    if more.any():
        owners = np.where(more, records["offset"][slots].astype(np.int64), slots)
        index = np.where(more, records["size"][slots], -1)
        # a MORE record whose first record was never written belongs to nobody
        whole = np.isin(owners, np.flatnonzero(written & (records["op"] != table.MORE)))
        order = np.lexsort((index[whole], owners[whole]))
        slots, owners = slots[whole][order], owners[whole][order]
    kept = np.minimum(sizes[slots].astype(np.int64), records["payload"].shape[1])
    joined, begin = [], 0
    for end in [*range(_SLICE, len(slots), _SLICE), len(slots)]:  # in slices: the areas' masks are as large as the log
        area = records["payload"][slots[begin:end]]
        joined.append(area[np.arange(area.shape[1]) < kept[begin:end, None]].tobytes())
        begin = end
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    ends = np.cumsum(kept)
    begins = (ends - kept)[first].tolist()
    whole_text = b"".join(joined)
    return owners[first], [
        whole_text[begin:end] for begin, end in zip(begins, [*begins[1:], len(whole_text)], strict=bool(begins))
    ]


def _definition(slot: int, record: Any, text: bytes) -> Definition:
    values = text.decode("utf-8", "surrogateescape").split(table.SEPARATOR)
    names = FIELDS[int(record["op"])]
    return Definition(
        int(record["op"]), slot, int(record["thread"]), int(record["enter"]), int(record["fd"]), int(record["site"]),
        int(record["channel"]), int(record["stream"]), int(record["offset"]), int(record["size"]),
        dict(zip(names, [*values, *[""] * len(names)], strict=False)),
    )  # fmt: skip


def read_logs(folder: Path) -> tuple[list[Log], list[str]]:
    """All logs of a run, by the time they were begun, and a note for each that could not be read.

    A newer version is no note: IpctraceError.
    """
    logs, notes = [], []
    for path in sorted(folder.glob("*.log")):
        try:
            logs.append(read_log(path))
        except IpctraceError as error:
            if "newer" in error.what:
                raise
            notes.append(f"{path.name}: {error.why or error.what}")
    return sorted(logs, key=lambda log: log.header.started), notes


def joined(arrays: Sequence[npt.NDArray[Any]], kind: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """The arrays one after the other; an empty one of `kind` if there are none."""
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
