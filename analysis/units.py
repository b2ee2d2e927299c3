"""What programs handed to streams at once: a print, a write. The bytes lie on the stream's own line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .events import NONE, Events, Flags, Ints
from .payloads import Payloads


@dataclass(slots=True)
class Units:
    """What programs handed to streams at once, ordered by stream and offset: [start, end) of the stream's bytes."""

    stream: Ints
    start: Ints
    end: Ints
    event: Ints
    accepts: Ints  # the events whose payloads make up the units, in order
    bounds: Ints  # accepts[bounds[k] : bounds[k + 1]] are unit k's

    def pieces(self, unit: int) -> Ints:
        """The events whose payloads make up a unit."""
        return self.accepts[self.bounds[unit] : self.bounds[unit + 1]]


def units(events: Events, payloads: Payloads) -> Units:
    """What each accept, or the accepts of one print, put into a stream."""
    chosen = np.flatnonzero(events.is_kind("accept") & (events.stream != NONE) & (events.size > 0))
    chosen = chosen[events.enclosing("accept", chosen) == NONE]  # writelines writes
    chosen = chosen[np.lexsort((chosen, events.offset[chosen], events.stream[chosen]))]
    stream, start = events.stream[chosen], events.offset[chosen]
    end = start + events.size[chosen]
    if len(chosen) > 1:  # what a failed write left over was accepted again
        same = stream[1:] == stream[:-1]
        end[:-1] = np.where(same, np.minimum(end[:-1], start[1:]), end[:-1])
    begins = _begins(events, chosen, payloads)
    first = np.flatnonzero(begins)
    bounds = np.append(first, len(chosen))
    return Units(stream[first], start[first], end[bounds[1:] - 1], chosen[first], chosen, bounds)


def _begins(events: Events, chosen: Ints, payloads: Payloads) -> Flags:
    """Which accepts begin a unit: all but those that go on with the print before them, which its newline ends."""
    if not len(chosen):
        return np.zeros(0, dtype=bool)
    printed = events.is_op("print")[chosen]
    kept = payloads.sizes(chosen) > 0
    ends_line = printed & (events.size[chosen] == 1) & (payloads.only(chosen, b"\n") | ~kept)
    goes_on = printed[1:] & printed[:-1] & ~ends_line[:-1]
    for column in (events.stream, events.thread, events.site):
        goes_on &= column[chosen][1:] == column[chosen][:-1]
    return np.append(True, ~goes_on)
