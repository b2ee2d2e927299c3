"""The bytes that were kept of events, as one array of Arrow's: a million of them are no million objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from ipctrace.tracer.schema import Trace

from .events import Flags, Ints, whole
from .timeline import spread

BYTES = pd.ArrowDtype(pa.large_binary())


class Payloads:
    """Event → the bytes that were kept of it; empty where none were."""

    def __init__(self, trace: Trace, events: int) -> None:
        chunks = pa.chunked_array(pa.array(trace.payloads["data"], pa.large_binary(), from_pandas=True))
        kept = chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()  # of one: the table itself
        _, offsets, data = kept.buffers()
        self._offset = np.frombuffer(offsets, dtype="int64")[kept.offset : kept.offset + len(kept) + 1]
        self._offset = np.append(self._offset, self._offset[-1])  # one more, for no bytes
        self._data = memoryview(data or b"")
        self._all = pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), len(kept) + 1, [None, pa.py_buffer(self._offset), data or pa.py_buffer(b"")]
        )
        self._row = np.full(events, len(kept), dtype="int32")  # half as large as ids are
        self._row[whole(trace.payloads["event"])] = np.arange(len(kept))

    def __getitem__(self, event: int) -> bytes:
        row = self._row[event]
        return bytes(self._data[self._offset[row] : self._offset[row + 1]])

    def of(self, events: Ints) -> pa.LargeBinaryArray:
        """What was kept of each of these; of no event (negative) nothing."""
        return self._all.take(pa.array(np.where(events >= 0, self._row[np.maximum(events, 0)], len(self._all) - 1)))

    def sizes(self, events: Ints) -> Ints:
        """How many bytes were kept of each of these."""
        row = self._row[events]
        found: Ints = self._offset[row + 1] - self._offset[row]
        return found

    def bytes_at(self, events: Ints, place: int) -> npt.NDArray[np.uint8]:
        """The byte at one place of what was kept of each of these (negative: from its end), which must be that long."""
        row = self._row[events]
        found: npt.NDArray[np.uint8] = np.frombuffer(self._data, dtype="uint8")[self._offset[row + (place < 0)] + place]
        return found

    def first_bytes(self, events: Ints) -> npt.NDArray[np.uint8]:
        """The first eight bytes of what was kept of each of these, a row each; of less, what lies behind."""
        data, offset = np.frombuffer(self._data, dtype="uint8"), self._offset[self._row[events]]
        return np.stack([data.take(offset + place, mode="clip") for place in range(8)], axis=1)

    def containing(self, words: bytes) -> Ints:
        """The events of which bytes were kept that have these among them, in order."""
        start = np.array([match.start() for match in re.finditer(re.escape(words), self._data)], dtype="int64")
        row = np.searchsorted(self._offset[: len(self._all)], start, side="right") - 1
        found = np.zeros(len(self._all), dtype=bool)
        found[row[start + len(words) <= self._offset[row + 1]]] = True  # all of them in one
        return np.flatnonzero(found[self._row])

    def only(self, events: Ints, byte: bytes) -> Flags:
        """Of which of these this one byte is all that was kept."""
        single = self.sizes(events) == 1
        found = np.zeros(len(events), dtype=bool)
        first = self._offset[self._row[events[single]]]
        found[single] = np.frombuffer(self._data, dtype="uint8")[first] == byte[0]
        return found


@dataclass(slots=True)
class Kept:
    """What was kept of messages: of message k the bytes of events[bounds[k] : bounds[k + 1]], one behind the other; of
    no event (negative) none. `parts`: the bytes of those messages that have only a part of that."""

    events: Ints
    bounds: Ints
    parts: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Ints) -> Kept:
        """Of each message what was kept of one event."""
        return cls(events, np.arange(len(events) + 1))

    @classmethod
    def between(cls, events: Ints, low: Ints, high: Ints) -> Kept:
        """Of each message what was kept of events[low:high]."""
        return cls(events[spread(low, high)[1]], np.append(0, np.cumsum(high - low)))

    @classmethod
    def joined(cls, several: Sequence[Kept]) -> Kept:
        """The messages of several, one behind the other."""
        events, bounds = [each.events for each in several], np.zeros(1, dtype="int64")
        parts: dict[int, bytes] = {}
        for each in several:
            parts |= {len(bounds) - 1 + at: data for at, data in each.parts.items()}
            bounds = np.append(bounds, bounds[-1] + each.bounds[1:])
        return cls(np.concatenate(events), bounds, parts)

    def taken(self, order: Ints) -> Kept:
        """The same messages in another order."""
        found = Kept.between(self.events, self.bounds[order], self.bounds[order + 1])
        if self.parts:
            place = np.empty(len(order), dtype="int64")
            place[order] = np.arange(len(order))
            found.parts = {int(place[at]): data for at, data in self.parts.items()}
        return found

    def bytes(self, payloads: Payloads) -> pa.LargeBinaryArray:
        """The bytes of each message."""
        pieces = payloads.of(self.events)
        _, offsets, data = pieces.buffers()
        offsets = np.frombuffer(offsets, dtype="int64")[pieces.offset :][self.bounds]
        count = len(self.bounds) - 1
        found = pa.LargeBinaryArray.from_buffers(pa.large_binary(), count, [None, pa.py_buffer(offsets), data])
        if not self.parts:
            return found
        index = np.arange(count)
        index[list(self.parts)] = count + np.arange(len(self.parts))
        return pa.concat_arrays([found, pa.array(self.parts.values(), pa.large_binary())]).take(pa.array(index))
