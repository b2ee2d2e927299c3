"""What happened before what: vector clocks over program order and the edges between threads.

Lamport, "Time, clocks, and the ordering of events in a distributed system" (1978); Mattern, "Virtual time and global
states of distributed systems" (1989); Fidge, "Timestamps in message-passing systems" (1988). An event happens at one
moment: what gets something, as it ends; whatever else, as it begins. Two events whose order neither program order nor
any edge gives are concurrent, whatever the clock on the wall said.

A clock counts, for every thread, its points that others have heard of: the begins and ends that edges leave from. Only
getting changes what a thread knows, and only what it gives on after that shows, so one row of counts is kept for each
run of gets without a point between (a *stretch*): stretches × threads × 4 bytes, however many events there are. Where
that is much, a row is there as long as another stretch still needs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from .events import NEVER, Events, Flags, Ints, distinct, sorting
from .timeline import Nodes, Timeline, spread

if TYPE_CHECKING:
    from .run import Run

Order = Literal["before", "after", "concurrent", "same"]
GETS = ("read", "receive", "take", "input", "load", "acquire", "await", "wait", "join", "select", "open")
Counts = npt.NDArray[np.int32]
_FEW = 16  # rows of clocks that are merged one by one
_AT_ONCE = 4096  # rows of clocks that are merged at a time
_ENTRIES = 1 << 24  # of clocks that are kept at a time: 64 MB
_GETS = 1 << 20  # that are gone through at a time


def gets(events: Events) -> Flags:
    """Which events happen as they end; all others as they begin."""
    return events.is_kind(*GETS) | events.is_op("socket.accept")


def keys(nodes: Nodes, enter: Ints, exit: Ints) -> tuple[Ints, Ints, Ints]:
    """What nodes are ordered by, given when each one's event began and ended. Of one time, the ends of what began
    earlier come first, the last begun first."""
    time: Ints = np.where(nodes.end, exit, enter)
    lasted = nodes.end & (enter < time)
    return time, np.where(lasted, 0, 1), np.where(lasted, -nodes.event, 2 * nodes.event + nodes.end)


class Causality:
    """The order that a run's data gives its events. `marked`: further nodes that many questions will be asked about."""

    def __init__(self, run: Run, marked: Nodes | None = None) -> None:
        self.run = run
        self._marked = marked or Nodes(np.zeros(0, dtype="int64"), np.zeros(0, dtype=bool))

    @cached_property
    def edges(self) -> pd.DataFrame:
        """What orders events of different threads: before_event, after_event, kind (message, fork, lock, …), channel?,
        before_end, after_end (bool: the edge leaves from, or comes to, the end of the event and not its begin)."""
        return self.run.edges

    def happens_before(self, a: int, b: int) -> bool:
        """Whether the data gives that event `a` happened before event `b`."""
        return a != b and self._before(a, b)

    def order(self, a: int, b: int) -> Order:
        """How event `a` lies to event `b`: before, after, concurrent (the data gives no order), or the same."""
        if a == b:
            return "same"
        return "before" if self._before(a, b) else "after" if self._before(b, a) else "concurrent"

    def clock(self, event: int) -> dict[int, int]:
        """The event's vector clock, in readable form: thread → the latest point that it comes after, as an event."""
        threads = len(self.run.trace.threads)
        known = self._known(self.moment(np.full(threads, event)), np.arange(threads))
        heard = np.flatnonzero(known)
        points = self._points.event[self._first[heard] + known[heard] - 1]
        clock = dict(zip(heard.tolist(), points.tolist(), strict=True))
        return clock | {int(self.run.events.thread[event]): event}

    @cached_property
    def logical(self) -> pd.Series:
        """Lamport's number of each event, from 1: greater than that of all events before it. Index: event."""
        return self._lamport()

    def moment(self, event: Ints) -> Nodes:
        """The node at which each event happens."""
        return Nodes(event, self._gets[event])

    def reaches(self, before: Nodes, after: Nodes) -> Flags:
        """For each pair of nodes whether the first comes before the second (or is it)."""
        events = self.run.events
        one, two = events.thread[before.event], events.thread[after.event]
        same = one == two
        found = np.zeros(len(one), dtype=bool)
        found[same] = ~self._follows(_some(before, same), _some(after, same))
        across = np.flatnonzero(~same)
        need = self._passed(_some(before, across)) + 1
        told = self._told(one[across], _some(after, across), need)
        found[across[told]] = True
        across, need = across[~told], need[~told]
        found[across] = self._known(_some(after, across), one[across], need) >= need
        return found

    # The nodes: each begin or end has a time and, among those of one time, a place

    @cached_property
    def _gets(self) -> Flags:
        return gets(self.run.events)

    def _keys(self, nodes: Nodes) -> tuple[Ints, Ints, Ints]:
        """What nodes are ordered by."""
        events = self.run.events
        return keys(nodes, events.enter[nodes.event], events.exit[nodes.event])

    def _time(self, nodes: Nodes) -> Ints:
        """When each node was: what they are ordered by first, which for all but a few is enough."""
        events = self.run.events
        return np.where(nodes.end, events.exit[nodes.event], events.enter[nodes.event])

    def _follows(self, one: Nodes, two: Nodes) -> Flags:
        """Whether each of `one` comes later than its of `two` in the order of time."""
        left, right = self._time(one), self._time(two)
        later: Flags = left > right
        tied = np.flatnonzero(left == right)
        equal = np.ones(len(tied), dtype=bool)
        for mine, other in zip(self._keys(_some(one, tied)), self._keys(_some(two, tied)), strict=True):
            later[tied] |= equal & (mine > other)
            equal &= mine == other
        return later

    def _ordered(self, nodes: Nodes) -> Ints:
        """The places of nodes in order of time."""
        time = self._time(nodes)
        order = np.argsort(time, kind="stable")
        same = np.diff(time[order]) == 0
        tied = np.flatnonzero(np.append(False, same) | np.append(same, False)[: len(order)])
        some = order[tied]
        order[tied] = some[np.lexsort(self._keys(_some(nodes, some))[::-1])]
        return order

    @cached_property
    def _ranked(self) -> tuple[Nodes, Nodes, Ints, Ints, Nodes, Ints]:
        """Edges' two sides and their places in the order of time, and all points (what edges leave from, and what is
        marked) with theirs. An edge that would run backwards among nodes of one time is left out."""
        table = self.edges
        before = Nodes(table["before_event"].to_numpy(), table["before_end"].to_numpy())
        after = Nodes(table["after_event"].to_numpy(), table["after_end"].to_numpy())
        nodes = _chain(before, after, self._marked)
        key = nodes.event * 2 + nodes.end
        keys = distinct(key, 2 * len(self.run.events))
        each = Nodes(keys // 2, keys % 2 == 1)
        order = self._ordered(each)
        rank = np.empty(2 * len(self.run.events), dtype="int64")
        rank[keys[order]] = np.arange(len(keys))
        place = rank[key]
        count = len(table)
        left, came = place[:count], place[count : 2 * count]
        kept = left < came
        points = distinct(np.append(left[kept], place[2 * count :]), len(keys))
        return _some(before, kept), _some(after, kept), left[kept], came[kept], _some(each, order[points]), points

    @cached_property
    def _points(self) -> Nodes:
        """The points, by thread and then in order."""
        points = self._ranked[4]
        return _some(points, self._by_thread)

    @cached_property
    def _by_thread(self) -> Ints:
        return sorting(self.run.events.thread[self._ranked[4].event], len(self.run.trace.threads))

    @cached_property
    def _first(self) -> Ints:
        """Where each thread's points begin; one more for the end."""
        return np.searchsorted(self.run.events.thread[self._points.event], np.arange(len(self.run.trace.threads) + 1))

    @cached_property
    def _point_line(self) -> Timeline:
        return Timeline(self.run.events.thread[self._points.event], self._time(self._points))

    def _passed(self, nodes: Nodes) -> Ints:
        """How many points of its thread come before each node."""
        return self._within(self._points, self._point_line, nodes)

    def _within(self, ordered: Nodes, line: Timeline, nodes: Nodes, side: str = "left") -> Ints:
        """How many of `ordered` (by thread, in order) come before each node of their thread ("right": or are it)."""
        thread, time = self.run.events.thread[nodes.event], self._time(nodes)
        begin = line.begin(thread)
        place, last = line.until(thread, time), line.until(thread, time, "right")
        while len(tied := np.flatnonzero(place < last)):  # nodes at one time: few
            here = _some(ordered, place[tied])
            passed = self._follows(_some(nodes, tied), here)
            if side == "right":
                passed |= (here.event == nodes.event[tied]) & (here.end == nodes.end[tied])
            place[tied[passed]] += 1
            last[tied[~passed]] = place[tied[~passed]]
        return place - begin

    # The clocks

    @cached_property
    def _gotten(self) -> tuple[Nodes, Timeline, Ints, Ints, Ints]:
        """What threads get, by thread and in order: the nodes, a line of them; the giving thread, the number of its
        point among that thread's (from 1), and how many of the receiver's own points came before."""
        before, after, left, _, _, points = self._ranked
        events = self.run.events
        order = self._by_receiver
        before, after, left = _some(before, order), _some(after, order), left[order]
        number = np.empty(len(points), dtype="int64")
        number[self._by_thread] = np.arange(len(points))
        giver = events.thread[before.event]
        count = number[np.searchsorted(points, left)] - self._first[giver] + 1
        line = Timeline(events.thread[after.event], self._time(after))
        return after, line, giver, count, self._passed(after)

    @cached_property
    def _by_receiver(self) -> Ints:
        """The edges by the thread that they come to, and then in order."""
        _, after, _, came, _, _ = self._ranked
        order = np.argsort(came, kind="stable")
        return order[sorting(self.run.events.thread[after.event[order]], len(self.run.trace.threads))]

    @cached_property
    def _given(self) -> tuple[Ints, Ints]:
        """The gets in a line, by receiver and giver and then in order; and the latest point of the giver by then."""
        after, _, giver, count, _ = self._gotten
        pair = self.run.events.thread[after.event] * len(self.run.trace.threads) + giver
        order = np.argsort(pair, kind="stable")
        number = np.cumsum(np.append(False, np.diff(pair[order]) != 0)[: len(order)]) * (int(count.max(initial=0)) + 1)
        latest = np.maximum.accumulate(count[order] + number) - number if len(order) else count
        return pair[order] * (len(order) + 1) + order, latest

    def _told(self, giver: Ints, nodes: Nodes, need: Ints) -> Flags:
        """Which nodes' threads had a thread's `need`-th point from itself by then: where threads are many, clocks are
        large, and seldom needed."""
        after, gets_line, _, _, _ = self._gotten
        thread = self.run.events.thread[nodes.event]
        got = gets_line.begin(thread) + self._within(after, gets_line, nodes, "right")
        line, latest = self._given
        pair = (thread * len(self.run.trace.threads) + giver) * (len(line) + 1)
        place = np.searchsorted(line, pair + got)
        known = np.append(line, -1)[place - 1] >= pair
        return known & (np.append(latest, 0)[place - 1] >= need)

    @cached_property
    def _stretches(self) -> tuple[Ints, Ints, Ints, Ints]:
        """By thread and in order: each stretch's thread, the points passed before it, its first get and the one behind
        its last."""
        after, _, _, _, passed = self._gotten
        thread = self.run.events.thread[after.event]
        new = np.append(True, (thread[1:] != thread[:-1]) | (passed[1:] != passed[:-1]))
        first = np.flatnonzero(new[: len(thread)])
        return thread[first], passed[first], first, np.append(first[1:], len(thread))[: len(first)]

    def _stretch_of_points(self, thread: Ints, count: Ints) -> Ints:
        """The last stretch of each thread that ends before its `count`-th point, from 1; 0: none."""
        owner, passed, _, _ = self._stretches
        width = int(max(passed.max(initial=0), count.max(initial=0))) + 2
        place = np.searchsorted(owner * width + passed, thread * width + count)  # passed < count
        return np.where((place > 0) & (np.append(-1, owner)[place] == thread), place, 0)

    def _stretch_at(self, nodes: Nodes) -> tuple[Ints, Flags]:
        """For each node its thread's last stretch that is over by then (from 1; 0: none), and whether it got more."""
        after, line, _, _, _ = self._gotten
        owner, _, first, last = self._stretches
        thread = self.run.events.thread[nodes.event]
        got = line.begin(thread) + self._within(after, line, nodes, "right")  # gets that lie before its node, or are it
        place = np.searchsorted(last, got, "right")  # stretches that end there or before
        over = np.where((place > 0) & (np.append(-1, owner)[place] == thread), place, 0)
        more = np.append(first, 0)[np.minimum(place, len(first))] < got
        return over, more & (place < len(first)) & (np.append(owner, -1)[np.minimum(place, len(owner))] == thread)

    @cached_property
    def _plan(self) -> tuple[Ints, Ints, Ints]:
        """Stretches in an order in which they can be computed; for each its thread's previous one; and for each get the
        giver's stretch then. From 1; 0: none."""
        _, _, giver, count, _ = self._gotten
        owner, _, _, last = self._stretches
        source = self._stretch_of_points(giver, count)
        order = np.argsort(self._ranked[3][self._by_receiver[last - 1]], kind="stable")
        previous = np.where(np.append(-1, owner)[:-1] == owner, np.arange(len(owner)), 0)
        return order, previous, source

    @cached_property
    def _clocks(self) -> Counts:
        """A row a stretch, from 1 (0: nothing known): how many points of each thread are known once it is over."""
        rows, threads = len(self._stretches[0]) + 1, len(self.run.trace.threads)
        clocks = np.zeros((rows, threads), dtype="int32")
        for _ in self._spread(clocks, np.arange(rows), 0):
            pass
        return clocks

    @cached_property
    def _slots(self) -> Ints:
        """Each stretch's row where a row is used again once no later stretch needs it; 0: what knows nothing."""
        order, previous, source = self._plan
        news, first, last = self._news
        place = np.empty(len(order), dtype="int64")
        place[order] = np.arange(len(order))
        needed = np.append(-1, place)
        np.maximum.at(needed, previous, place)
        np.maximum.at(needed, source[news], np.repeat(place, last - first))
        done = np.argsort(needed[1:], kind="stable") + 1
        bounds = np.searchsorted(needed[done], np.arange(len(order) + 1)).tolist()
        slots, free, many, over = [0] * (len(order) + 1), list[int](), 1, done.tolist()
        for at, stretch in enumerate((order + 1).tolist()):
            if not free:
                free.append(many)
                many += 1
            slots[stretch] = free.pop()
            free += [slots[each] for each in over[bounds[at] : bounds[at + 1]]]
        return np.array(slots)

    def _counts(self, stretch: Ints, thread: Ints) -> Ints:
        """For each how many points of a thread are known once a stretch (from 1; 0: none) is over.

        Where there is room, all clocks are kept; else they are gone through in order, and only what is asked is noted.
        """
        threads = len(self.run.trace.threads)
        if self._roomy:
            return self._clocks[stretch, thread].astype("int64")
        found = np.zeros(len(stretch), dtype="int64")
        slots, order, width = self._slots, self._plan[0], self._width
        place = np.empty(len(order) + 1, dtype="int64")
        place[order + 1] = np.arange(len(order))
        for begin in range(0, threads, width):
            asked = np.flatnonzero((thread >= begin) & (thread < begin + width) & (stretch > 0))
            if not len(asked):
                continue
            asked = asked[np.argsort(place[stretch[asked]], kind="stable")]
            bounds = np.searchsorted(place[stretch[asked]], np.arange(len(order) + 1)).tolist()
            column, noted = thread[asked] - begin, np.zeros(len(asked), dtype="int32")
            clocks = np.zeros((int(slots.max(initial=0)) + 1, min(width, threads - begin)), dtype="int32")
            for at, row in enumerate(self._spread(clocks, slots, begin)):
                low, high = bounds[at], bounds[at + 1]
                if low < high:
                    noted[low:high] = row[column[low:high]]
            found[asked] = noted
        return found

    @cached_property
    def _width(self) -> int:
        """For how many threads clocks are gone through at a time; each thread's counts spread by themselves."""
        return int(max(_ENTRIES // (self._slots.max(initial=0) + 1), 1))

    @cached_property
    def _roomy(self) -> bool:
        """Whether there is room for all clocks at once."""
        return (len(self._stretches[0]) + 1) * len(self.run.trace.threads) <= _ENTRIES

    @cached_property
    def _news(self) -> tuple[Ints, Ints, Ints]:
        """Of what each stretch got, the last from each giver: who knew all that is known from those before. The gets,
        stretch by stretch; where each stretch's begin, and where they end."""
        _, _, giver, count, _ = self._gotten
        _, _, first, last = self._stretches
        stretch = np.repeat(np.arange(len(first)), last - first)
        order = np.lexsort((count, giver, stretch))
        both = np.stack([stretch, giver])[:, order]
        latest = order[np.append((both[:, 1:] != both[:, :-1]).any(axis=0), True)[: len(order)]]
        bounds = np.searchsorted(stretch[latest], np.arange(len(first) + 1))
        return latest, bounds[:-1], bounds[1:]

    def _spread(self, clocks: Counts, slots: Ints, begin: int) -> Iterator[Counts]:
        """The clocks of the threads from `begin` on, stretch by stretch in an order in which they can be computed, each
        in its slot of `clocks`."""
        news, first, last = self._news
        giver, count = self._gotten[2][news], self._gotten[3][news]
        order, previous, source = self._plan
        source = slots[source[news]]
        column = np.where((giver >= begin) & (giver < begin + clocks.shape[1]), giver - begin, -1)
        rows = zip(*(each[order].tolist() for each in (slots[1:], slots[previous], first, last)), strict=True)
        sources, columns, counts = source.tolist(), column.tolist(), count.tolist()
        maximum = np.maximum
        for slot, earlier, low, high in rows:
            row = clocks[slot]
            if high - low > _FEW:
                row[:] = _merged(clocks, clocks[earlier], source[low:high], column[low:high], count[low:high])
            else:
                known = clocks[earlier]
                for get in range(low, high):
                    known = maximum(known, clocks[sources[get]], out=row)
                    if (at := columns[get]) >= 0 and row.item(at) < counts[get]:
                        row[at] = counts[get]
            yield row

    def _known(self, nodes: Nodes, thread: Ints, enough: Ints | int = NEVER) -> Ints:
        """How many points of a thread are known at each node; where it is `enough`, it may be more."""
        stretch, partial = self._stretch_at(nodes)
        found = self._counts(stretch, thread)
        rest = np.flatnonzero(partial & (found < enough))
        if len(rest):  # what it got after its last stretch that was over
            after, line, giver, count, _ = self._gotten
            some = _some(nodes, rest)
            begin = line.begin(self.run.events.thread[some.event])
            low = np.where(stretch[rest] > 0, self._stretches[3][stretch[rest] - 1], begin)
            high = begin + self._within(after, line, some, "right")
            for part in np.array_split(np.arange(len(rest)), int((high - low).sum()) // _GETS + 1):
                which, get = spread(low[part], high[part])
                wanted = thread[rest[part]][which]
                told = self._counts(self._plan[2][get], wanted)
                own = np.where(giver[get] == wanted, count[get], 0)
                np.maximum.at(found, rest[part][which], np.maximum(told, own))
        return found

    def _before(self, a: int, b: int) -> bool:
        one, two = self.moment(np.array([a])), self.moment(np.array([b]))
        return bool(self.reaches(one, two)[0])

    # Lamport's numbers

    def _lamport(self) -> pd.Series:
        """Within a thread numbers go up by one an event; what it gets lifts it above the giver. The lift only grows."""
        events = self.run.events
        everything = np.arange(len(events))
        moment = self.moment(everything)
        order = np.lexsort((*self._keys(moment)[::-1], events.thread))
        ordered = _some(moment, order)
        line = Timeline(events.thread[order], self._time(ordered))
        place = np.arange(len(events)) - np.searchsorted(events.thread[order], events.thread[order])
        numbers = np.empty(len(events), dtype="int64")
        after, _, _, _, _ = self._gotten
        if not len(after.event):
            numbers[order] = place + 1
            return pd.Series(numbers, name="logical")
        _, _, first, last = self._stretches
        sequence, previous, source = self._plan
        before = self._ranked[0]
        given = _some(before, self._by_receiver)
        gain = self._within(ordered, line, given, "right") - self._within(ordered, line, after)
        lift = [0] * (len(first) + 1)
        sources, gains = source.tolist(), gain.tolist()
        for stretch, low, high in zip(
            *(each[sequence].tolist() for each in (np.arange(len(first)), first, last)), strict=True
        ):
            best = lift[previous[stretch]]
            for get in range(low, high):
                best = max(best, lift[sources[get]] + gains[get])
            lift[stretch + 1] = best
        lifted = np.array(lift)[source] + gain
        thread = events.thread[after.event]
        height = int(max(lifted.max(initial=0), 0)) + 1
        lifted = np.maximum.accumulate(np.maximum(lifted, 0) + thread * height) - thread * height
        gets_line = self._gotten[1]
        had = self._within(after, gets_line, ordered, "right")
        begin = gets_line.begin(events.thread[order])
        raised = np.where(had > 0, np.append(lifted, 0)[begin + had - 1], 0)
        numbers[order] = place + 1 + raised
        return pd.Series(numbers, name="logical")


def _merged(clocks: Counts, row: Counts, source: Ints, column: Ints, count: Ints) -> Counts:
    """A row with what others bring: the rows of `source`, and the counts of their own (column -1: not kept here)."""
    row = row.copy()
    rows = np.unique(source)
    for start in range(0, len(rows), _AT_ONCE):
        np.maximum(row, clocks[rows[start : start + _AT_ONCE]].max(axis=0), out=row)
    kept = column >= 0
    np.maximum.at(row, column[kept], count[kept].astype("int32"))
    return row


def _some(nodes: Nodes, which: Ints | Flags) -> Nodes:
    return Nodes(nodes.event[which], nodes.end[which])


def _chain(*parts: Nodes) -> Nodes:
    return Nodes(np.concatenate([part.event for part in parts]), np.concatenate([part.end for part in parts]))
