"""A log's records as they lie in the file, and pieces of it. Laws of the log: runtime/table.py.

A record's state byte is written last and copied last, so a state that says DONE could be newer than the fields that
were copied just before it. Every read therefore takes the states first and the records again after them: what the
earlier states call written is whole in the later copy.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import IpctraceError
from .runtime import table

Records = npt.NDArray[np.void]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
States = npt.NDArray[np.uint8]

FIRST_EVENT = min(code for code, *_ in table.CALLS)
LATEST = 1 << 62  # ns: no clock shows more
SLICE = 1 << 16  # records that are taken at once: the masks of their payload areas are as large as they

_NEAR = 64  # slots of one group lie no further from each other: one read gets them all
_LARGEST_RECORD = table.record_size((1 << 16) - 1)
_FIXED = [
    ("op", "u1"), ("flags", "u1"), ("kept", "<u2"), ("thread", "<u4"), ("enter", "<u8"), ("fd", "<i4"), ("site", "<u4"),
    ("channel", "<u4"), ("stream", "<u4"), ("offset", "<u8"), ("size", "<i8"),
    ("exit", "<u8"), ("result", "<i8"), ("extra", "<i8"), ("pending", "<i8"), ("error", "<i4"), ("got", "<u2"),
    ("spare", "V1"), ("state", "u1"),
]  # fmt: skip
FIXED = np.dtype(_FIXED)


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


@dataclass(slots=True)
class Piece:
    """Some written records of a log, of any code, in order of their `slots`: `records` are their fixed parts, `data`
    the bytes of their payload areas one after the other, each up to its place in `ends`."""

    slots: Ints
    records: Records
    ends: Ints
    data: bytes

    def take(self, chosen: Flags) -> Piece:
        """The chosen ones of its records."""
        sizes = np.diff(self.ends, prepend=0)
        data = np.frombuffer(self.data, np.uint8)[np.repeat(chosen, sizes)].tobytes()
        return Piece(self.slots[chosen], self.records[chosen], np.cumsum(sizes[chosen]), data)


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
    header = Header(record_size, *rest)
    wrong = ""
    if not table.PAYLOAD_AT <= record_size <= _LARGEST_RECORD or record_size % 8:
        wrong = f"no log has records of {record_size} bytes"
    elif max(header.started, header.lost) > LATEST:
        wrong = "its header tells of what can't be"
    if wrong:
        raise IpctraceError(f"{path} is damaged", wrong, "record the program again")
    return header


def read_records(descriptor: int, header: Header, first: int, count: int) -> tuple[Records, States]:
    """Up to `count` whole records from slot `first` on, and their states as they were before the records were read."""
    kind = layout(header.record_size)
    start, length = table.HEADER_SIZE + first * header.record_size, count * header.record_size
    earlier = _read(descriptor, start, length)
    states = np.frombuffer(earlier, kind, len(earlier) // header.record_size)["state"].copy()
    del earlier
    later = _read(descriptor, start, len(states) * header.record_size)
    records = np.frombuffer(later, kind, len(later) // header.record_size)
    return records, states[: len(records)]


def read_slots(descriptor: int, header: Header, slots: Ints) -> Iterator[tuple[Ints, Records, States]]:
    """The records in these slots (ascending) and their earlier states, in groups that lie together."""
    for group in np.split(slots, np.flatnonzero(np.diff(slots) > _NEAR) + 1) if len(slots) else ():
        first = int(group[0])
        records, states = read_records(descriptor, header, first, int(group[-1]) - first + 1)
        group = group[group - first < len(states)]
        yield group, records[group - first], states[group - first]


def _read(descriptor: int, start: int, length: int) -> bytes:
    """`length` bytes of the file, fewer only at its end: one read moves at most 2 GiB."""
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, start)):
        pieces.append(piece)
        start, length = start + len(piece), length - len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def read_rest(
    path: Path, first: int = 0, carried: Ints | None = None, opened: int = -1
) -> tuple[Header, Piece]:
    """The header of a log and what is written in it from slot `first` on, and in the `carried` slots before that.

    `opened`: a descriptor of it, if there is one. Raises as `read_log`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if opened < 0 else opened
    try:
        header = read_header(descriptor, path)
        if header is None:
            raise IpctraceError(f"{path} is empty", "its process ended before it could write anything")
        pieces = [compact(*group) for group in read_slots(descriptor, header, none() if carried is None else carried)]
        capacity = (os.fstat(descriptor).st_size - table.HEADER_SIZE) // header.record_size
        while first < capacity:
            records, states = read_records(descriptor, header, first, min(SLICE, capacity - first))
            if not len(states):
                break
            pieces.append(compact(np.arange(first, first + len(states)), records, states))
            first += len(states)
    finally:
        if opened < 0:
            os.close(descriptor)
    return header, together(pieces)


def none() -> Ints:
    """No slots."""
    return np.empty(0, np.int64)


def compact(slots: Ints, records: Records, states: States) -> Piece:
    """What is written of raw records, without the unused rest of their payload areas.

    At enter a record says what a write hands over, at exit what a read got.
    """
    written = np.flatnonzero(states != table.UNWRITTEN)
    head = np.dtype({"names": ["head"], "formats": [f"V{table.PAYLOAD_AT}"], "itemsize": records.dtype.itemsize})
    fixed = records.view(head)["head"][written].view(FIXED)
    fixed["state"] = states[written]
    kept = np.minimum(np.maximum(fixed["kept"], fixed["got"]), records["payload"].shape[1]).astype(np.int64)
    area = records["payload"][written]
    data = area[np.arange(area.shape[1]) < kept[:, None]].tobytes()
    return Piece(slots[written], fixed, np.cumsum(kept), data)


def together(pieces: Sequence[Piece]) -> Piece:
    """Pieces of one log as one, in order of slots; of a slot that is in two of them, what the first one says."""
    pieces = [piece for piece in pieces if len(piece.slots)]
    if len(pieces) == 1:
        return pieces[0]
    slots = joined([piece.slots for piece in pieces])
    sizes = joined([np.diff(piece.ends, prepend=0) for piece in pieces])
    records = joined([piece.records for piece in pieces], FIXED)
    data = b"".join([piece.data for piece in pieces])
    if (np.diff(slots) > 0).all():
        return Piece(slots, records, np.cumsum(sizes), data)
    _, order = np.unique(slots, return_index=True)
    begins = (np.cumsum(sizes) - sizes)[order].tolist()
    data = b"".join([data[begin : begin + size] for begin, size in zip(begins, sizes[order].tolist(), strict=True)])
    return Piece(slots[order], records[order], np.cumsum(sizes[order]), data)


def joined(arrays: Sequence[npt.NDArray[Any]], kind: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
    """The arrays one after the other; an empty one of `kind` if there are none."""
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
