"""The bytes that were kept of events, as one array of Arrow's: a million of them are no million objects."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from ipctrace.tracer.schema import Trace

from .events import Flags, Ints, whole

BYTES = pd.ArrowDtype(pa.large_binary())


class Payloads:
    """Event → the bytes that were kept of it; empty where none were."""

    def __init__(self, trace: Trace, events: int) -> None:
        found = pa.chunked_array(pa.array(trace.payloads["data"], pa.large_binary(), from_pandas=True))
        self._all = pa.concat_arrays([*found.chunks, pa.array([b""], pa.large_binary())])  # the last is for no bytes
        self._row = np.full(events, len(found), dtype="int64")
        self._row[whole(trace.payloads["event"])] = np.arange(len(found))
        _, offsets, data = self._all.buffers()
        self._offset = np.frombuffer(offsets, dtype="int64")[self._all.offset :]
        self._data = memoryview(data or b"")

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


def joined(array: pa.LargeBinaryArray, first: Ints) -> pa.LargeBinaryArray:
    """The elements from first[k] up to first[k + 1] as one, for every k but the last. Copies no bytes."""
    offsets, data = _parts(array)
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), max(len(first) - 1, 0), [None, pa.py_buffer(offsets[first]), data]
    )


def cut(array: pa.LargeBinaryArray, index: Ints, skip: Ints, size: Ints) -> pa.LargeBinaryArray:
    """Elements `index`, of each the `size` bytes from `skip` on, as far as it has them."""
    offsets, _ = _parts(array)
    length = np.diff(offsets)[index]
    odd = np.flatnonzero((skip > 0) | (size < length))
    rest = [array[int(index[k])].as_py()[skip[k] : skip[k] + size[k]] for k in odd.tolist()]
    chosen = index.copy()
    chosen[odd] = len(array) + np.arange(len(odd))
    return pa.concat_arrays([array, pa.array(rest, pa.large_binary())]).take(pa.array(chosen))


def _parts(array: pa.LargeBinaryArray) -> tuple[Ints, pa.Buffer]:
    _, offsets, data = array.buffers()
    empty = np.zeros(1, dtype="int64")
    found = np.frombuffer(offsets, dtype="int64")[array.offset : array.offset + len(array) + 1] if offsets else empty
    return found, data or pa.py_buffer(b"")
