"""The events of a trace as arrays, which the analysis asks a million at a time; and the arithmetic of ranges.

Empty values are `NONE`; an event that never returned has exit `NEVER`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from ipctrace.tracer.schema import EMPTY, Trace

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.signedinteger[Any]]

NONE = EMPTY
NEVER = np.iinfo(np.int64).max


def whole(values: pd.Series, missing: int = NONE) -> Ints:
    """A column of integers as an array, no copy if it can be; `missing` where it is empty."""
    if values.dtype == "Int64" and missing == NONE:
        _, data = pa.array(values.array).buffers()
        found = np.frombuffer(data, dtype="int64", count=len(values))
        found.flags.writeable = False  # it is the table itself
        if (found[values.isna().to_numpy()] == NONE).all():  # as in a table that was loaded
            return found
    return values.to_numpy(dtype="int64", na_value=missing)


def number(value: Any) -> int | None:
    """One integer of a table, or None where it is empty."""
    return None if value is None or value is pd.NA or value != value or value == NONE else int(value)


def optional(values: Ints, missing: int = NONE) -> pd.api.extensions.ExtensionArray:
    """The other way round: an array whose `missing` values are empty, as the column of a table."""
    return pd.arrays.IntegerArray(values.astype("int64", copy=False), values == missing)


def pick(values: Ints, index: Ints, missing: int = NONE) -> Ints:
    """`values[index]`, and `missing` where the index is none (negative)."""
    if not len(values):
        return np.full(len(index), missing, dtype="int64")
    found = values[np.maximum(index, 0)].astype("int64", copy=False)
    found[index < 0] = missing
    return found


def distinct(numbers: Ints, count: int) -> Ints:
    """The different ones of numbers from 0 to below `count`, in order; takes no sorting."""
    there = np.zeros(count, dtype=bool)
    there[numbers] = True
    return np.flatnonzero(there)


def different(*columns: Ints) -> Iterator[tuple[int, ...]]:
    """The different rows of columns of ids (or `NONE`), in order of their first appearance."""
    first = np.flatnonzero(~pd.Series(rows_as_one(*columns), copy=False).duplicated().to_numpy())
    yield from zip(*(column[first].tolist() for column in columns), strict=True)


def rows_as_one(*columns: Ints) -> Ints:
    """A number for each row of columns of ids (or `NONE`): the same number, the same row."""
    key = np.zeros(len(columns[0]), dtype="int64")
    for column in columns:
        key *= int(column.max(initial=-1)) + 2
        key += np.maximum(column, -1) + 1
    return key


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table, for loops: a named tuple each."""
    yield from table.itertuples(index=False)


def groups(table: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The groups of a table: key (a tuple for several columns) and rows, in order of the keys."""
    yield from table.groupby(by)


LIVES = ("thread", "task", "work", "signal")  # kinds of events that last, with calls inside them: no calls themselves
# What ends a wait on an object of Python's, by the waiting event's kind.
ENDED_BY = {"acquire": "release", "await": "notify", "receive": "send", "send": "receive"}


def outermost(parent: Ints, lives: Flags) -> Ints:
    """For every event the outermost call around it, itself where there is none (negative); `lives` aren't calls."""
    above = parent.copy()
    inner = np.flatnonzero(above >= 0)
    above[inner[lives[above[inner]]]] = NONE
    top = np.arange(len(parent))
    nested = np.flatnonzero(above >= 0)
    while len(nested):
        top[nested] = above[top[nested]]
        nested = nested[above[top[nested]] >= 0]
    return top


class Events:
    """`trace.events`, column by column, and what kinds of event there are. Row k is event k."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table
        self.process, self.thread = whole(table["process"]), whole(table["thread"])
        self.enter, self.exit = whole(table["enter"]), whole(table["exit"], NEVER)
        self.fd, self.channel = whole(table["fd"]), whole(table["channel"])
        self.stream, self.site = whole(table["stream"]), whole(table["site"])
        self.size, self.result = whole(table["size"]), whole(table["result"])
        self.error, self.offset = whole(table["error"]), whole(table["offset"])
        self.pending, self.parent = whole(table["pending"]), whole(table["parent"])
        self.extra, self.owner = whole(table["extra"]), whole(table["owner"])
        self.timed = table["timed"].to_numpy(dtype=bool)
        self._kinds, self._kind_names = _coded(table["kind"])
        self._ops, self._op_names = _coded(table["op"])
        self._waits, self._wait_names = _coded(table["wait"])

    def __len__(self) -> int:
        return len(self.enter)

    def kind(self, event: int) -> str:
        """What an event does."""
        return str(self._kind_names[self._kinds[event]])

    def op(self, event: int) -> str:
        """The name of an event's call."""
        return str(self._op_names[self._ops[event]])

    def ops(self, chosen: Ints) -> pd.Series:
        """The names of these events' calls, as a column; empty where there is no event."""
        there = chosen >= 0
        codes = np.full(len(chosen), -1, dtype=self._ops.dtype)
        codes[there] = self._ops[chosen[there]]
        return pd.Series(pd.Categorical.from_codes(codes, self._op_names))

    def wait(self, event: int) -> str:
        """Why a thread stays in an event; "" where it doesn't wait."""
        code = self._waits[event]
        return str(self._wait_names[code]) if code >= 0 else ""

    def is_kind(self, *kinds: str) -> Flags:
        """Which events are of one of these kinds."""
        return _named(self._kinds, self._kind_names, kinds)

    def among(self, chosen: Ints, *kinds: str) -> Ints:
        """Those of these events that are of one of these kinds."""
        found: Ints = chosen[_named(self._kinds[chosen], self._kind_names, kinds)]
        return found

    def is_op(self, *ops: str) -> Flags:
        """Which events are of one of these calls."""
        return _named(self._ops, self._op_names, ops)

    def waits_for(self, reason: str) -> Flags:
        """Which events wait for this reason."""
        return _named(self._waits, self._wait_names, (reason,))

    def lanes(self, channels: pd.DataFrame) -> Events:
        """The same events, but bytes written to a socket have the channel that they are read at: the other end's.

        Each end of a connection is a channel of its own. Where the other end isn't known, such a write has none.
        """
        towards = channels["channel"].to_numpy(dtype="int64").copy()
        ends = (channels["kind"] == "socket").to_numpy()
        towards[ends] = whole(channels["peer"])[ends]
        lanes = copy(self)
        lanes.channel = self.channel.copy()
        outward = self.is_kind("write", "accept", "flush") & (self.channel != NONE)
        lanes.channel[outward] = pick(towards, self.channel[outward])
        return lanes

    @cached_property
    def waiting(self) -> Flags:
        """Which events have a reason to wait."""
        return self._waits >= 0

    @cached_property
    def outermost(self) -> Ints:
        """For every event the outermost call around it; see `outermost`."""
        return outermost(self.parent, self.is_kind(*LIVES))

    def enclosing(self, kind: str, chosen: Ints) -> Ints:
        """For each of these events the innermost event of `kind` around it (not itself), or NONE."""
        found = self.parent[chosen]
        nested = np.flatnonzero(found >= 0)
        while len(nested := nested[~_named(self._kinds[found[nested]], self._kind_names, (kind,))]):
            found[nested] = self.parent[found[nested]]
            nested = nested[found[nested] >= 0]
        return found

    def inside(self, kind: str, event: int) -> int:
        """The innermost event of `kind` around one event, or NONE."""
        return int(self.enclosing(kind, np.array([event]))[0])

    def last_of_thread(self, threads: int) -> Ints:
        """The last event that each thread entered and that is open at the end: where it is now; NONE: nowhere."""
        last = np.full(threads, NONE)
        opened = np.flatnonzero((self.exit == NEVER) & (self.error == NONE))
        last[self.thread[opened]] = opened  # in order of enter: the last one stays
        return last


def sorting(values: Ints, count: int) -> Ints:
    """The indices of values from 0 to below `count` in order of the values, and of one value in their own order."""
    few: Any = np.min_scalar_type(count)  # numbers of two bytes are sorted in linear time
    return np.argsort(values.astype(few), kind="stable")


def by_number(values: Ints, count: int) -> Callable[[int], Ints]:
    """What gives for each number below `count` the indices of the values that are it, in order."""
    order = sorting(values, count)
    bounds = np.append(0, np.cumsum(np.bincount(values, minlength=count)))
    return lambda number: order[bounds[number] : bounds[number + 1]]


def _coded(words: pd.Series) -> tuple[Codes, Any]:
    """Each word's number (-1: empty), as small as it can be, and the words by number."""
    codes, names = pd.factorize(words)
    return codes.astype(np.min_scalar_type(-len(names) - 1)), names.astype("str")


def _named(codes: Codes, names: Any, wanted: tuple[str, ...]) -> Flags:
    """Which codes stand for one of the names that are wanted."""
    found = np.zeros(len(codes), dtype=bool)
    for code in np.flatnonzero([name in wanted for name in names]).tolist():
        found |= codes == code  # of numbers of one byte, as fast as memory is
    return found


class Overlay(NamedTuple):
    """Pieces [start, end) of a line, each with the range of either list that covers it (index, or -1)."""

    start: Ints
    end: Ints
    left: Ints
    right: Ints


def overlay(left_start: Ints, left_end: Ints, right_start: Ints, right_end: Ints) -> Overlay:
    """Lay two lists of ranges over each other and cut at every border.

    Each list is ordered and its ranges don't overlap one another; the pieces come out in order, and only those that a
    range covers. n log n in the number of ranges.
    """
    borders = np.sort(
        np.concatenate([left_start, left_end, right_start, right_end]), kind="stable"
    )  # runs: merged fast
    borders = borders[np.append(True, borders[1:] != borders[:-1])] if len(borders) else borders
    start, end = borders[:-1], borders[1:]
    left, right = _covering(start, left_start, left_end), _covering(start, right_start, right_end)
    kept = (left >= 0) | (right >= 0)
    return Overlay(start[kept], end[kept], left[kept], right[kept])


def _covering(points: Ints, start: Ints, end: Ints) -> Ints:
    """Which range [start, end) each point lies in; -1: none."""
    nonempty = np.flatnonzero(end > start)
    if not len(nonempty):
        return np.full(len(points), -1)
    found = np.searchsorted(start[nonempty], points, side="right") - 1
    inside = (found >= 0) & (points < end[nonempty][found])
    return np.where(inside, nonempty[found], -1)


def running_sum(sizes: Ints, group: Ints) -> Ints:
    """For each item the sum of the sizes of the items before it in its group; items of a group lie together."""
    before = np.cumsum(sizes) - sizes
    if not len(group):
        return before
    first = np.flatnonzero(np.diff(group, prepend=group[0] - 1))
    return before - np.repeat(before[first], np.diff(np.append(first, len(group))))


def cut_of(trace: Trace) -> int:
    """The moment that everything is judged at: when the program was stopped, else when it ended, else what is known."""
    for fact in ("stopped", "duration"):
        if trace.facts.get(fact) is not None:
            return int(trace.facts[fact])
    times = [trace.looks["time"], trace.events["enter"], trace.events["exit"].dropna(), trace.processes["started"]]
    return max((int(column.max()) for column in times if len(column)), default=0)
