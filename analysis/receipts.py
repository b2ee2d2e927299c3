"""When a program got what its process had read: at once, or by a later take out of the reader's buffer.

A buffered stream reads ahead; the program takes lines or bytes of it bit by bit. Takes count characters where the
stream is text: each time that a take had to read on, all that was read before it had been taken, which puts the count
right again. asyncio's StreamReaders are read by their loop, and count bytes.
"""

from __future__ import annotations

import numpy as np

from .events import NEVER, NONE, Events, Flags, Ints, pick, running_sum
from .transports import ends_of


def outermost_of(events: Events, chosen: Ints, wanted: Flags) -> Ints:
    """For each of these events the outermost of the `wanted` around it; `NONE`: there is none."""
    found = np.full(len(chosen), NONE)
    above = events.parent[chosen]
    while (inside := np.flatnonzero(above >= 0)).size:
        hit = inside[wanted[above[inside]]]
        found[hit] = above[hit]
        above[inside] = events.parent[above[inside]]
    return found


def receipts(events: Events, read: Ints, upto: Ints) -> Ints:
    """The event that gave byte `upto` (counted from 1, in what that read moved) of each `read` to the program.

    Itself where nothing stands between; `NONE` where the byte still lies in a buffer. A read that is `NONE` has none.
    """
    there = np.flatnonzero(read >= 0)
    found = read.copy()
    whole_message = outermost_of(events, read[there], events.is_kind("receive"))
    found[there] = np.where(whole_message != NONE, whole_message, read[there])
    buffers = _buffers(events)
    loose = there[(whole_message == NONE) & (buffers[read[there]] >= 0)]
    if len(loose):
        found[loose] = _taken(events, buffers, read[loose], upto[loose])
    return found


def _buffers(events: Events) -> Ints:
    """The buffer that each read fills and each take empties: a stream, or an asyncio StreamReader's; -1: none."""
    takes = events.is_kind("take") & (events.result > 0) & (events.exit != NEVER)
    moves = np.flatnonzero(takes | (events.is_kind("read") & (events.result > 0)))
    found = np.full(len(events), -1)
    with_stream = moves[events.stream[moves] != NONE]
    found[with_stream] = events.stream[with_stream]
    loose = moves[(events.stream[moves] == NONE) & (events.channel[moves] != NONE)]
    ends = np.unique(ends_of(events, loose[takes[loose]]))
    loose = loose[np.isin(ends_of(events, loose), ends)]
    found[loose] = int(events.stream.max(initial=-1)) + 1 + np.searchsorted(ends, ends_of(events, loose))
    taken_from = np.zeros(int(found.max(initial=-1)) + 1, dtype=bool)
    taken_from[found[takes & (found >= 0)]] = True
    found[found >= 0] = np.where(taken_from[found[found >= 0]], found[found >= 0], -1)
    return found


def _taken(events: Events, buffers: Ints, wanted: Ints, upto: Ints) -> Ints:
    inside = buffers >= 0
    reads = np.flatnonzero(inside & events.is_kind("read") & (events.result > 0))
    reads = reads[np.lexsort((events.exit[reads], buffers[reads]))]
    before = np.full(len(events), 0)
    before[reads] = running_sum(events.result[reads], buffers[reads])
    takes = np.flatnonzero(inside & events.is_kind("take") & (events.exit != NEVER))
    takes = takes[np.lexsort((events.exit[takes], buffers[takes]))]
    # all that was read before the last read within a take had been taken
    least = np.zeros(len(events), dtype="int64")
    within = events.enclosing("take", reads)
    nested = within >= 0
    np.maximum.at(least, within[nested], before[reads][nested])

    group = buffers[takes]
    counted = running_sum(events.result[takes], group) + events.result[takes]
    far = int(max(counted.max(initial=0), (before[reads] + events.result[reads]).max(initial=0))) * 2 + 2
    behind = np.maximum(least[takes] - counted, 0)
    place = counted + np.maximum.accumulate(behind + group * far) - group * far
    line = place + group * far
    place_wanted = before[wanted] + upto + buffers[wanted] * far
    at = np.searchsorted(line, place_wanted)
    take = np.append(takes, NONE)[at]
    return np.where(pick(buffers, take, -1) == buffers[wanted], take, NONE)
