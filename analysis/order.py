"""The order of the bytes on a channel, where several threads write to it or read from it.

One transfer comes before another where it ended before the other began. Where they overlap, the other side decides: of
the threads' next transfers, the one whose bytes are what was got (or given) at this place, and that had begun by the
time that they were got. Where more than one fits, or none is known, the order is that of the ends, and everything up to
the next clear border is ambiguous.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

import numpy as np

from .events import NEVER, Events, Flags, Ints, running_sum
from .payloads import Payloads
from .timeline import spread


@dataclass(slots=True)
class Transfers:
    """Reads or writes, ordered by channel and then as their bytes lie on it; `position` is the first byte's."""

    event: Ints
    channel: Ints
    size: Ints
    position: Ints
    ambiguous: Flags


def by_end(events: Events, chosen: Ints, dropped: Ints) -> Transfers:
    """The transfers `chosen` (event ids) in order of channel and end; those that never ended come last, in full.

    `dropped` are by channel the bytes that went before them, in events that are no longer there.
    """
    ends = events.exit[chosen]
    event = chosen[np.lexsort((events.enter[chosen], ends, events.channel[chosen]))]
    size = _sizes(events, event)
    channel = events.channel[event]
    return _placed(event, channel, size, np.zeros(len(event), dtype=bool), dropped[channel])


def arrange(
    events: Events, own: Transfers, other: Transfers, payloads: Payloads, begun: Ints, until: Ints
) -> Transfers:
    """`own` in the order that the other side's bytes prove, or flagged as ambiguous where nothing does.

    `begun` says for each transfer of `own` when it can have moved its first byte at the earliest; `until` for each of
    `other` by when the bytes at its place had been moved at the latest.
    """
    event, ambiguous = own.event.copy(), own.ambiguous.copy()
    firsts, lasts = _clusters(events, own, begun)
    cluster, place = spread(firsts, lasts)
    members = _members(events, payloads, own.event[place], begun[place])
    bounds = np.searchsorted(cluster, np.arange(len(firsts) + 1)).tolist()
    known: dict[int, _Known] = {}
    starts = zip(firsts.tolist(), own.channel[firsts].tolist(), own.position[firsts].tolist(), strict=True)
    for number, (first, channel, position) in enumerate(starts):
        if channel not in known:
            known[channel] = _Known(other, until, payloads, channel)
        low, high = bounds[number], bounds[number + 1]
        order, doubtful = _arrange(members, low, high, position, known[channel])
        event[first : first + high - low] = [members.event[member] for member in order]
        ambiguous[first + doubtful : first + high - low] = True
    size = _sizes(events, event)
    return _placed(event, own.channel, size, ambiguous, own.position - running_sum(own.size, own.channel))


def _placed(event: Ints, channel: Ints, size: Ints, ambiguous: Flags, first: Ints) -> Transfers:
    return Transfers(event, channel, size, first + running_sum(size, channel), ambiguous)


def _clusters(events: Events, own: Transfers, begun: Ints) -> tuple[Ints, Ints]:
    """Maximal runs [first, last) of transfers of several threads without a moment that parts them."""
    if len(own.event) < 2:
        return own.event[:0], own.event[:0]
    ends = events.exit[own.event]
    latest = int(ends[ends != NEVER].max(initial=0)) + 2
    ends = np.minimum(ends, latest)
    _, rank = np.unique(own.channel, return_inverse=True)
    shift = rank * (latest + 1)  # channels one behind the other on one line of time
    first_to_come = np.minimum.accumulate((np.minimum(begun, latest) + shift)[::-1])[::-1]
    border = np.flatnonzero(first_to_come[1:] >= (ends + shift)[:-1]) + 1
    firsts, lasts = np.append(0, border), np.append(border, len(ends))
    several = np.flatnonzero(lasts - firsts > 1)
    # a run that only one thread is in needs nobody to decide
    others = np.append(0, np.cumsum(np.diff(events.thread[own.event]) != 0))
    several = several[others[lasts[several] - 1] > others[firsts[several]]]
    return firsts[several], lasts[several]


class _Known:
    """What the other side tells of a channel's bytes: fragments of payloads and times, by position."""

    def __init__(self, other: Transfers, until: Ints, payloads: Payloads, channel: int) -> None:
        low, high = np.searchsorted(other.channel, [channel, channel + 1])
        self.positions: list[int] = other.position[low:high].tolist()
        self.until: list[int] = until[low:high].tolist()
        self.reach = self.positions[-1] + int(other.size[high - 1]) if low < high else 0
        self.fragments = _beginnings(payloads, other.event[low:high], other.size[low:high].tolist())

    def agrees(self, data: bytes, position: int, begun: int) -> bool:
        """Whether these bytes of a transfer that began then can lie at this position, for all that is known."""
        at = max(bisect_right(self.positions, position) - 1, 0)
        if position < self.reach and begun > self.until[at]:
            return False
        while at < len(self.positions) and self.positions[at] < position + len(data):
            start, fragment = self.positions[at], self.fragments[at]
            low, high = max(position, start), min(position + len(data), start + len(fragment))
            if low < high and data[low - position : high - position] != fragment[low - start : high - start]:
                return False
            at += 1
        return True


@dataclass(slots=True)
class _Members:
    """The transfers of all clusters, as lists: a few at a time are compared, again and again."""

    event: list[int]
    thread: list[int]
    begun: list[int]
    end: list[int]
    size: list[int]
    data: list[bytes]


def _members(events: Events, payloads: Payloads, event: Ints, begun: Ints) -> _Members:
    size = _sizes(events, event).tolist()
    return _Members(
        event.tolist(), events.thread[event].tolist(), begun.tolist(), events.exit[event].tolist(), size,
        _beginnings(payloads, event, size),
    )  # fmt: skip


def _beginnings(payloads: Payloads, event: Ints, size: list[int]) -> list[bytes]:
    """What was kept of each transfer, of what it moved."""
    return [data[:moved] for data, moved in zip(payloads.of(event).to_pylist(), size, strict=True)]


def _arrange(members: _Members, low: int, high: int, position: int, known: _Known) -> tuple[list[int], int]:
    """The order of the members [low, high), and from which of them on it is doubtful (their number: none)."""
    waiting: dict[int, deque[int]] = {}
    for member in range(low, high):
        waiting.setdefault(members.thread[member], deque()).append(member)
    order: list[int] = []
    doubtful = high - low
    while waiting:
        heads = [queue[0] for queue in waiting.values()]
        ended = min(members.end[head] for head in heads)
        heads = [head for head in heads if members.begun[head] < ended or members.end[head] == ended]
        if len(heads) > 1:
            possible = [head for head in heads if known.agrees(members.data[head], position, members.begun[head])]
            if len(possible) != 1:
                doubtful = min(doubtful, len(order))
            heads = possible or heads
        chosen = min(heads, key=lambda head: (members.end[head], members.event[head]))
        order.append(chosen)
        position += members.size[chosen]
        queue = waiting[members.thread[chosen]]
        queue.popleft()
        if not queue:
            del waiting[members.thread[chosen]]
    return order, doubtful


def _sizes(events: Events, chosen: Ints) -> Ints:
    """What each transfer moved; one that never ended counts in full."""
    return np.where(events.exit[chosen] == NEVER, events.size[chosen], events.result[chosen])
