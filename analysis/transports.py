"""asyncio's transports as streams: what a StreamWriter was given, and the writes of its loop that carried it on.

They aren't rows of `trace.streams`: nobody but the transport knows of their buffer. Here each end that a StreamWriter
writes to gets a number behind the last stream, and its bytes are counted.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from .events import NEVER, NONE, Events, Ints, running_sum
from .units import Units

WRITE = "StreamWriter.write"


def ends_of(events: Events, chosen: Ints) -> Ints:
    """A number for the process and channel of each event."""
    return events.process[chosen] * (int(events.channel.max(initial=0)) + 2) + events.channel[chosen]


def with_transports(events: Events, handed: Units) -> tuple[Events, Units]:
    """The same events, and what was handed to streams, with asyncio's transports as streams beyond the others."""
    given = np.flatnonzero(events.is_op(WRITE) & (events.channel != NONE) & (events.size > 0))
    given = given[events.error[given] == NONE]
    if not len(given):
        return events, handed
    ends = np.unique(ends_of(events, given))
    written = np.flatnonzero(events.is_kind("write") & (events.stream == NONE) & (events.channel != NONE))
    written = written[np.isin(ends_of(events, written), ends)]
    done = np.where(events.exit[written] == NEVER, events.size[written], events.result[written])
    written, done = written[done > 0], done[done > 0]
    # who writes to a transport without its StreamWriter can't be told apart from it
    put, gone = (
        np.bincount(np.searchsorted(ends, ends_of(events, which)), sizes, len(ends))
        for which, sizes in ((given, events.size[given]), (written, done))
    )
    ends = ends[gone <= put]
    streams = int(max(events.stream.max(initial=-1), handed.stream.max(initial=-1))) + 1
    seen = copy(events)
    seen.stream, seen.offset = events.stream.copy(), events.offset.copy()
    for which, sizes in ((given, events.size[given]), (written, done)):
        mine = np.isin(ends_of(events, which), ends)
        order = np.lexsort((events.enter[which[mine]], ends_of(events, which[mine])))
        own, size = which[mine][order], sizes[mine][order]
        group = np.searchsorted(ends, ends_of(events, own))
        seen.stream[own] = streams + group
        seen.offset[own] = running_sum(size, group)
    accepted = given[seen.stream[given] != NONE]
    accepted = accepted[np.lexsort((seen.offset[accepted], seen.stream[accepted]))]
    start, stream = seen.offset[accepted], seen.stream[accepted]
    return seen, Units(
        np.append(handed.stream, stream),
        np.append(handed.start, start),
        np.append(handed.end, start + events.size[accepted]),
        np.append(handed.event, accepted),
        np.append(handed.accepts, accepted),
        np.append(handed.bounds, len(handed.accepts) + 1 + np.arange(len(accepted))),
    )
