"""Message races: two sends to one channel, or two receives from it, that could have come in the other order.

Netzer and Miller, "Optimal tracing and replay for debugging message-passing parallel programs" (1992): two messages
race where neither send happened before the other. Of neighbours on a channel: if no neighbours race, no others do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from .events import NEVER, NONE, Flags, Ints, optional, pick, whole
from .timeline import Nodes

if TYPE_CHECKING:
    from .run import Run

LISTED = 100  # of each channel; all are counted


class Pairs(NamedTuple):
    """Neighbours on a channel by two threads, `first` before `second`; `other`: who got what the first sent, or who
    sent what the first got (NONE: not known). `sends`: which are sends."""

    first: Ints
    second: Ints
    channel: Ints
    other: Ints
    sends: Flags


def contested(run: Run) -> Pairs:
    """Neighbours on each channel by different threads: the sends, and the receives, that may have raced."""
    parts = [_neighbours(run, True), _neighbours(run, False), _queued(run, True), _queued(run, False)]
    first, second, channel, other = (np.concatenate([part[k] for part in parts]) for k in range(4))
    return Pairs(first, second, channel, other, np.concatenate([part.sends for part in parts]))


def marks(pairs: Pairs) -> Nodes:
    """The nodes whose order tells: the begins of the later ones."""
    return Nodes(pairs.second, np.zeros(len(pairs.second), dtype=bool))


def races(run: Run) -> pd.DataFrame:
    """`Analysis.races`."""
    pairs, events = run.contested, run.events
    # a send is made as it begins; of two receives the later one began to wait not knowing that the earlier was over
    ordered = np.zeros(len(pairs.first), dtype=bool)
    if len(ordered):
        ordered = run.causality.reaches(Nodes(pairs.first, ~pairs.sends), marks(pairs))
    raced = np.flatnonzero(~ordered)
    count = pd.Series(raced).groupby([pairs.channel[raced], pairs.sends[raced]])
    listed = np.flatnonzero((count.cumcount() < LISTED).to_numpy())
    number = count.transform("size").to_numpy(dtype="int64")[listed] if len(raced) else raced
    first, second, channel, other = (column[raced[listed]] for column in pairs[:4])
    pairs = Pairs(first, second, channel, other, pairs.sends[raced[listed]])
    site = _sites(run, np.append(pairs.first, pairs.second))
    table = pd.DataFrame(
        {
            "kind": np.where(pairs.sends, "send", "receive"),
            "channel": pairs.channel,
            "first": pairs.first,
            "second": pairs.second,
            "first_thread": pick(events.thread, pairs.first),
            "second_thread": pick(events.thread, pairs.second),
            "first_site": optional(site[: len(listed)]),
            "second_site": optional(site[len(listed) :]),
            "other": optional(pairs.other),
            "count": number,
        }
    )
    return table.sort_values(["channel", "first"], kind="stable", ignore_index=True)


def _sites(run: Run, event: Ints) -> Ints:
    """Where events were called from; of a stream's write, where the program handed over the bytes in it first."""
    write, handed = (whole(run.messages[name]) for name in ("write_event", "accept_site"))
    told = np.flatnonzero(np.isin(write, event) & (write != NONE) & (handed != NONE))
    site = dict(zip(write[told[::-1]].tolist(), handed[told[::-1]].tolist(), strict=True))  # the first one stays
    own = zip(event.tolist(), run.events.site[event].tolist(), strict=True)
    return np.array([site.get(each, given) for each, given in own], dtype="int64")


def _pairs(run: Run, event: Ints, channel: Ints, other: Ints, sends: bool) -> Pairs:
    """Of events that lie in order on channels, the neighbours by different threads."""
    thread = run.events.thread[event]
    two = np.flatnonzero((channel[1:] == channel[:-1]) & (thread[1:] != thread[:-1]))
    return Pairs(event[two], event[two + 1], channel[two], other[two], np.full(len(two), sends))


def _neighbours(run: Run, sends: bool) -> Pairs:
    """Writes, or reads, on byte streams, as their bytes lie there; what was not read lies behind, as it was written."""
    events, got = run.events, run.got
    own, other = (whole(got[name]) for name in (("write", "read") if sends else ("read", "write")))
    channel = events.channel[whole(got["read"])]
    known = own != NONE
    own, other, channel = own[known], other[known], channel[known]
    if not len(own):
        return Pairs(own, own, own, own, np.zeros(0, dtype=bool))
    first = np.append(True, (own[1:] != own[:-1]) | (channel[1:] != channel[:-1]))
    own, other, channel = own[first], other[first], channel[first]
    if sends:
        lanes = run.lanes
        carriers = np.zeros(len(run.trace.channels) + 1, dtype=bool)
        carriers[channel] = True
        written = np.zeros(len(events) + 1, dtype=bool)
        written[own] = True
        left = np.flatnonzero(
            events.is_kind("write") & carriers[np.maximum(lanes.channel, -1)] & ~written[:-1]
            & ((events.result > 0) | (events.exit == NEVER)) & (events.error == NONE)
        )  # fmt: skip
        left = left[np.argsort(events.exit[left], kind="stable")]
        own, other = np.append(own, left), np.append(other, np.full(len(left), NONE))
        channel = np.append(channel, lanes.channel[left])
        order = np.argsort(channel, kind="stable")
        own, other, channel = own[order], other[order], channel[order]
    return _pairs(run, own, channel, other, sends)


def _queued(run: Run, sends: bool) -> Pairs:
    """Items put into queues, or got from them, in the order in which the calls returned."""
    events = run.events
    queues = np.append((run.trace.channels["kind"] == "queue").to_numpy(), False)
    chosen = np.flatnonzero(
        events.is_kind("send" if sends else "receive") & queues[np.maximum(events.channel, -1)]
        & (events.exit != NEVER) & (events.error == NONE)
    )  # fmt: skip
    chosen = chosen[np.lexsort((events.exit[chosen], events.channel[chosen]))]
    return _pairs(run, chosen, events.channel[chosen], np.full(len(chosen), NONE), sends)
