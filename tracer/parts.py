"""The completed beginning of a log, converted while its process goes on writing; and the oldest of it, dropped.

A part is what had been completed of a log since the part before it: a Parquet file of the records that are always kept
(`….kept.parquet`), and one of those that may be dropped (`….data.parquet`). An open record stays in the log, is carried
along, and lies in the part of the time when it has been completed. What is converted is given back to the disk.

Laws
----
1. A part's records are complete: nobody writes them again. So a part is never changed, and joined with the others and
   with the rest of the log it gives the log as it was.
2. The file of what is kept is written last, whole or not at all, and says how far the log is converted then
   (`end`, `carried`). So whatever moment the recorder is killed at, each record is in a part or is still read from the
   log, and none in both.
3. What is dropped is what had returned before a moment, in all logs: what is left of the bytes of a channel is an end
   of them, and `Tally` says how many came before. What opens, closes, starts and ends things is always kept, and so
   is the last that each thread did to a lock or the like.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import IpctraceError
from .records import (
    FIRST_EVENT,
    FIXED,
    LATEST,
    Flags,
    Header,
    Ints,
    Piece,
    compact,
    joined,
    none,
    read_header,
    read_records,
    read_slots,
    together,
)  # fmt: skip
from .runtime import table

FOLDER = "parts"
_KINDS = {code: kind for code, _, kind, _ in table.CALLS}
# What only tells of data, and may be dropped; and of this, what tells who holds or awaits something: its last is kept.
_DATA = ("read", "write", "accept", "flush", "take", "input", "send", "receive", "load", "store", "select", "sleep")
_STATE = ("acquire", "release", "await", "notify", "submit", "work")
_LAG = 100_000_000  # ns: a payload is written with its state, and a moment after it; then it is there


def _is(*kinds: str) -> Flags:
    return np.array([_KINDS.get(code) in kinds for code in range(256)])


_DROPPABLE, _STATES = _is(*_DATA, *_STATE), _is(*_STATE)
_READS, _WRITES, _SENDS, _RECEIVES, _ACCEPTS = (_is(kind) for kind in ("read", "write", "send", "receive", "accept"))
_USES = {"r": _is("read", "take"), "w": _is("write", "accept")}
_NAMES = [name for name in FIXED.names or () if name != "spare"]


@dataclass(slots=True)
class Tally:
    """What the records that were dropped from a log come to, so that what is left still adds up.

    `until`: they had all returned before this time (monotonic ns). `moved`: by channel and way (r, w) the bytes that
    they moved, or the items of a queue; `streams`: how many bytes each stream had accepted, and how many had reached
    the descriptor; `users`: who moved bytes (thread, channel, way).
    """

    events: int = 0
    until: int = 0
    moved: dict[tuple[int, str], int] = field(default_factory=dict)
    streams: dict[int, tuple[int, int]] = field(default_factory=dict)
    users: set[tuple[int, int, str]] = field(default_factory=set)

    def add(self, other: Tally) -> None:
        """Take in what other records of the same log come to."""
        self.events += other.events
        self.until = max(self.until, other.until)
        for key, amount in other.moved.items():
            self.moved[key] = self.moved.get(key, 0) + amount
        for stream, (accepted, reached) in other.streams.items():
            before = self.streams.get(stream, (0, 0))
            self.streams[stream] = max(before[0], accepted), max(before[1], reached)
        self.users |= other.users

    def to_json(self) -> list[Any]:
        """As plain data."""
        return [
            self.events, self.until, [[*key, amount] for key, amount in self.moved.items()],
            [[stream, *counts] for stream, counts in self.streams.items()], [[*user] for user in self.users],
        ]  # fmt: skip

    @classmethod
    def from_json(cls, data: list[Any]) -> Tally:
        """The other way round."""
        moved = {(channel, way): amount for channel, way, amount in data[2]}
        streams = {stream: (accepted, reached) for stream, accepted, reached in data[3]}
        return cls(data[0], data[1], moved, streams, {(thread, channel, way) for thread, channel, way in data[4]})


def tally(records: Any) -> Tally:
    """What these records, all complete, come to."""
    if not len(records):
        return Tally()
    found, op = Tally(), records["op"]
    found.events = int(np.count_nonzero(op >= FIRST_EVENT))
    found.until = int(records["exit"].max()) + 1
    result, objects = records["result"], records["fd"] == table.NO_FD
    there = (records["channel"] > 0) & (result != table.NONE)
    for way, bytes_, items in (("r", _READS, _RECEIVES), ("w", _WRITES, _SENDS)):
        chosen = there & bytes_[op] & (result > 0)
        counted = (records["channel"] > 0) & items[op] & objects & (records["state"] == table.DONE)
        amount = np.where(bytes_[op], result, 1)
        for channel, total in _sums(records["channel"][chosen | counted], amount[chosen | counted]):
            found.moved[channel, way] = total
        used = (records["channel"] > 0) & _USES[way][op]
        pairs = records["thread"][used].astype(np.int64) << 32 | records["channel"][used]
        found.users |= {(pair >> 32, pair & 0xFFFFFFFF, way) for pair in np.unique(pairs).tolist()}
    offsets, streamed = records["offset"].astype(np.int64), records["stream"] > 0
    accepts = streamed & _ACCEPTS[op] & (records["size"] > 0)
    writes = streamed & _WRITES[op] & (result > 0)
    accepted = dict(_largest(records["stream"][accepts], (offsets + records["size"])[accepts]))
    reached = dict(_largest(records["stream"][writes], (offsets + result)[writes]))
    found.streams = {each: (accepted.get(each, 0), reached.get(each, 0)) for each in accepted | reached}
    return found


def _sums(keys: Any, amounts: Any) -> Iterable[tuple[int, int]]:
    every, index = np.unique(keys, return_inverse=True)
    totals = np.zeros(len(every), np.int64)
    np.add.at(totals, index, amounts)
    return zip(every.tolist(), totals.tolist(), strict=True)


def _largest(keys: Any, amounts: Any) -> Iterable[tuple[int, int]]:
    every, index = np.unique(keys, return_inverse=True)
    most = np.zeros(len(every), np.int64)
    np.maximum.at(most, index, amounts)
    return zip(every.tolist(), most.tolist(), strict=True)


def spared(piece: Piece, before: int = LATEST) -> Flags:
    """Which records of a piece may not be dropped, where whatever had returned `before` is to be.

    What belongs to a record (MORE) shares its fate; where that record isn't in the piece, it is a definition.
    """
    records, op = piece.records, piece.records["op"]
    drops: Flags = _DROPPABLE[op] & (records["state"] > table.OPEN) & (records["exit"] < before)
    if not drops.any():
        return ~drops
    states = np.flatnonzero(drops & _STATES[op])
    if len(states):  # the last that each thread did to each of them
        keys = np.stack([records[name][states].astype(np.int64) for name in ("thread", "op", "channel", "fd")])
        _, last = np.unique(keys[:, ::-1], axis=1, return_index=True)
        drops[states[len(states) - 1 - last]] = False
    more = np.flatnonzero(op == table.MORE)
    if len(more):
        drops[more] = np.isin(records["offset"][more].astype(np.int64), piece.slots[drops])
    return ~drops


@dataclass(slots=True)
class Part:
    """A part of a log: the path of what is always kept of it, and `kept` itself, which is little.

    `tally` is what the rest comes to, `size` its bytes in the log, `there` whether it has not been dropped.
    """

    path: Path
    tally: Tally
    size: int
    kept: Piece
    there: bool = True

    @property
    def data(self) -> Path:
        """The file of what may be dropped."""
        return self.path.with_name(self.path.name.replace(".kept.", ".data."))

    def drop(self) -> None:
        """Drop what may be dropped."""
        self.data.unlink(missing_ok=True)
        self.there = False


@dataclass(slots=True)
class Parts:
    """The converted beginning of one log: all slots before `end` but for those that are `carried`.

    `punched`: its space was given back to the disk.
    """

    path: Path
    end: int = 0
    carried: Ints = field(default_factory=none)
    parts: list[Part] = field(default_factory=list)
    punched: bool = True
    _holes: int = 0  # pages up to this one were given back, but for `_stayed` of them, with open records
    _stayed: int = 0

    @classmethod
    def found(cls, path: Path) -> Parts:
        """The parts of a log that a recorder left."""
        self = cls(path)
        for file in sorted((path.parent / FOLDER).glob(f"{path.stem}.*.kept.parquet")):
            piece, said = _read(file)
            part = Part(file, Tally.from_json(said["tally"]), said["size"], piece)
            part.there = part.data.exists()
            self.end, self.carried = said["end"], np.array(said["carried"], np.int64)
            self.parts.append(part)
        return self

    def convert(self, limit: int, now: int | None = None) -> bool:
        """Convert what is complete of the next `limit` slots, or of all that was carried; True if there was anything.

        Raises OSError where a part can't be written (then nothing has changed) or the log can't be read.
        """
        now = time.monotonic_ns() if now is None else now
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = read_header(descriptor, self.path)
            if header is None:
                return False
            records, states = read_records(descriptor, header, self.end, limit)
            fresh = np.arange(self.end, self.end + len(states))
            groups = [*read_slots(descriptor, header, self.carried), (fresh, records, states)]
            piece = together([compact(*group) for group in groups])
            ready = _ready(piece, joined([group[0][group[2] == table.UNWRITTEN] for group in groups]), now)
            if not ready.any():
                return False
            last = int(piece.slots[ready][-1])
            end = max(self.end, last + 1)
            carried = np.setdiff1d(np.append(self.carried, fresh[fresh < end]), piece.slots[ready])
            self._write(header, piece.take(ready), end, carried)
            self.end, self.carried = end, carried
            self._give_back(descriptor, header)
        finally:
            os.close(descriptor)
        return True

    def _write(self, header: Header, piece: Piece, end: int, carried: Ints) -> None:
        keep = spared(piece)
        drops = piece.take(~keep)
        path = self.path.parent / FOLDER / f"{self.path.stem}.{len(self.parts):06}.kept.parquet"
        part = Part(path, tally(drops.records), len(drops.slots) * header.record_size, piece.take(keep))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _save(drops, part.data, {})
        said = {"end": end, "carried": carried.tolist(), "tally": part.tally.to_json(), "size": part.size}
        _save(part.kept, path, said)
        self.parts.append(part)

    def _give_back(self, descriptor: int, header: Header) -> None:
        """Give what is converted back to the disk: whole pages in which nothing is open."""
        page = os.sysconf("SC_PAGE_SIZE")
        begins = table.HEADER_SIZE + self.carried * header.record_size
        stay = np.unique(np.concatenate([begins // page, (begins + header.record_size - 1) // page]))
        first, last = -(-table.HEADER_SIZE // page), (table.HEADER_SIZE + self.end * header.record_size) // page
        borders = [first - 1, *stay[(stay >= first) & (stay < last)].tolist(), last]
        for before, after in pairwise(borders):
            # a page that stayed may have been freed since: what lies behind the last of them is new in any case
            if self.punched and after > before + 1 and (after > self._holes or stay.size != self._stayed):
                self.punched = _punch(descriptor, (before + 1) * page, (after - before - 1) * page)
        self._holes, self._stayed = last, stay.size

    def newest(self, since: int, rest: Piece) -> tuple[list[Piece], Tally]:
        """The pieces of the log, without what may be dropped and had returned before `since`; and what that came to."""
        pieces, dropped = [part.kept for part in self.parts], Tally()
        for part in self.parts:
            if not part.there or (part.tally.events and part.tally.until <= since):
                dropped.add(part.tally)
            elif part.tally.events:
                pieces.append(_newer(_read(part.data)[0], since, dropped))
        return [*pieces, _newer(rest, since, dropped)], dropped


def _newer(piece: Piece, since: int, dropped: Tally) -> Piece:
    """What of a piece is kept; the rest goes into the tally."""
    keep = spared(piece, since)
    if keep.all():
        return piece
    dropped.add(tally(piece.records[~keep]))
    return piece.take(keep)


def _ready(piece: Piece, unwritten: Ints, now: int) -> Flags:
    """Which records nobody will write again."""
    records = piece.records
    exit = records["exit"]
    ready: Flags = (records["state"] > table.OPEN) & ((exit + np.uint64(_LAG) <= now) | (exit > now))
    more = np.flatnonzero(records["op"] == table.MORE)
    if len(more):  # a piece of a record goes with it
        waiting = np.append(piece.slots[~ready], unwritten)
        ready[more] &= ~np.isin(records["offset"][more].astype(np.int64), waiting)
    return ready


def _save(piece: Piece, path: Path, said: dict[str, Any]) -> None:
    """Write a piece, whole or not at all."""
    columns = {name: pa.array(np.ascontiguousarray(piece.records[name])) for name in _NAMES}
    offsets = pa.py_buffer(np.append(0, piece.ends).astype(np.int64).tobytes())
    data = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(piece.slots), [None, offsets, pa.py_buffer(piece.data)]
    )
    made = pa.table({"slot": pa.array(piece.slots)} | columns | {"data": data})
    made = made.replace_schema_metadata({"ipctrace.part": json.dumps(said)})
    unfinished = path.with_name(path.name + ".new")
    try:
        pq.write_table(made, unfinished, compression="zstd", compression_level=1, write_statistics=False)
        os.replace(unfinished, path)  # noqa: PTH105
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _read(path: Path) -> tuple[Piece, dict[str, Any]]:
    """A piece, and what was said of it. Raises IpctraceError for a damaged file."""
    try:
        read = pq.read_table(path)
        said = json.loads(read.schema.metadata[b"ipctrace.part"])
        records = np.zeros(len(read), FIXED)
        for name in _NAMES:
            records[name] = read.column(name).to_numpy()
        data: list[bytes] = [item or b"" for item in read.column("data").to_pylist()]
        slots = read.column("slot").to_numpy().astype(np.int64)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        why = f"{path.name}: {str(error).splitlines()[0]}"
        raise IpctraceError(f"a part of {path.name.partition('.')[0]}.log is damaged", why) from error
    return Piece(slots, records, np.cumsum([len(each) for each in data], dtype=np.int64), b"".join(data)), said


_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # of fallocate(2)


def _punch(descriptor: int, begin: int, length: int) -> bool:
    """Give a range of a file back to the disk; reading it gives zeros then. False where that can't be done."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        fallocate = getattr(library, "fallocate64", None) or library.fallocate  # musl has one name for both
    except (OSError, AttributeError):
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return int(fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, begin, length)) == 0
