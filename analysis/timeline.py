"""Moments that are searched by key and time, and edges between begins and ends of events."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from .events import NEVER, NONE, Events, Flags, Ints, pick

WAITED = 1_000_000  # ns: a wait for an event as long as this found it unset


class Nodes(NamedTuple):
    """Begins and ends of events. `end`: which."""

    event: Ints
    end: Flags


class Edges(NamedTuple):
    """`before` comes before `after`; channel NONE where it isn't one's doing."""

    before: Nodes
    after: Nodes
    channel: Ints


def from_begins(before: Ints, after: Ints, channel: Ints | None = None, after_end: bool = True) -> Edges:
    """From begins to ends, or to begins."""
    return Edges(
        Nodes(before, np.zeros(len(before), dtype=bool)),
        Nodes(after, np.full(len(after), after_end)),
        np.full(len(before), NONE) if channel is None else channel,
    )


class Timeline:
    """Moments, each with a key (≥ 0), to be searched by key and time. `index`: the moments in that order."""

    def __init__(self, key: Ints, time: Ints, also: Ints | None = None) -> None:
        times = time if also is None else np.append(time, also)
        self.latest = int(times[times != NEVER].max(initial=0)) + 2  # whatever is later is alike
        line = self.at(key, time)
        self.index = np.argsort(line, kind="stable")
        self.line = line[self.index]

    def at(self, key: Ints, time: Ints) -> Ints:
        """A time (≥ −1) of a key on the line on which the keys' times lie one behind the other."""
        return key * (self.latest + 2) + np.clip(time, -1, self.latest) + 1

    def until(self, key: Ints, time: Ints, side: str = "left") -> Ints:
        """For each the place (in `index`) behind those of its key that lie before its time, or ("right") at it."""
        return np.searchsorted(self.line, self.at(key, time), side)  # type: ignore[call-overload, no-any-return]

    def begin(self, key: Ints) -> Ints:
        """For each the place of the first moment of its key."""
        if 0 <= (highest := int(key.max(initial=-1))) < len(key):  # few keys, asked again and again
            return self._begin(np.arange(highest + 1))[key]
        return self._begin(key)

    def _begin(self, key: Ints) -> Ints:
        return self.until(key, np.full(len(key), -1))

    def last(self, key: Ints, time: Ints, side: str = "left") -> Ints:
        """For each the last moment of its key before its time; -1: none."""
        place = self.until(key, time, side)
        return np.where(place > self.begin(key), pick(self.index, place - 1, -1), -1)


def flagged(flags: Flags | pd.Series, index: Ints) -> Flags:
    """`flags[index]`, and False where the index is none (negative)."""
    return np.append(np.asarray(flags, dtype=bool), False)[np.maximum(index, -1)]


def spread(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """All (number of the range, place) of the ranges [low, high)."""
    length = np.maximum(high - low, 0)
    which = np.repeat(np.arange(len(low)), length)
    start = np.cumsum(length) - length
    return which, np.arange(len(which)) - start[which] + low[which]


def together(parts: list[Edges]) -> Edges:
    nodes = [
        Nodes(np.concatenate([getattr(part, side).event for part in parts]),
              np.concatenate([getattr(part, side).end for part in parts])) for side in ("before", "after")
    ]  # fmt: skip
    return Edges(nodes[0], nodes[1], np.concatenate([part.channel for part in parts]))


def told_by_one(
    events: Events, waits: Ints, key: Ints, says: Ints, of: Ints, since: Ints | None = None, end: bool = True
) -> Edges:
    """Each wait comes after the first of the deeds with its key that lie between `since` and its end, if all of these
    are one thread's."""
    deeds = Timeline(of, events.enter[says], events.exit[says])
    until = deeds.until(key, events.exit[waits] if end else events.enter[waits])
    low = deeds.begin(key)
    if since is not None:  # what had ended before says nothing; what had only begun may have been it
        over = np.maximum.accumulate(deeds.at(of, events.exit[says])[deeds.index])
        low = np.maximum(low, np.searchsorted(over, deeds.at(key, since), "right"))
    thread = events.thread[says[deeds.index]]
    changes = np.cumsum(np.append(0, thread[1:] != thread[:-1])) if len(thread) else thread
    one = np.flatnonzero(until > low)
    one = one[changes[until[one] - 1] == changes[low[one]]]
    return from_begins(says[deeds.index[low[one]]], waits[one], events.channel[waits[one]], after_end=end)
