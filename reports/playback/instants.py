"""What holds at an instant: who waits for whom, what lies in which channel, where each thread is.

The questions and their answers are those of the page's cursor (assets/instant.js, data.js), over the same tables. Each
is a binary search in an index that is made once; lanes and channels are numbers, times ns since the start.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from ipctrace.analysis.events import NEVER, NONE, Flags, Ints, number, pick, whole
from ipctrace.analysis.timeline import Timeline
from ipctrace.tracer.schema import REASONS

from ..model.marks import marked
from ..model.moment import graph, seen
from ..model.part import mapped
from ..model.passages import TO_UNSEEN, passages
from ..run import Run

PLACES = ("writer", "kernel", "reader")  # where bytes lie, as they go: the writer's buffer, the channel, the reader's


class Wait(NamedTuple):
    """A wait that a lane is in. `row`: of `Instants.waits`; -1: seen from outside only. `to`: (lane, channel, why) of
    those it is for: who ended it later, or, if it never ended, whom the wait-for graph names."""

    lane: int
    row: int
    reason: str
    channel: int | None
    since: int
    site: int | None
    event: int | None
    open: bool
    to: tuple[tuple[int, int | None, str], ...]


class Fill(NamedTuple):
    """Bytes (of a queue between threads: items) in the writers' buffers, in the channel, in the readers' buffers."""

    writer: int
    kernel: int
    reader: int


class Flow:
    """What moved on each channel by when: `by(t)` is the sum for every channel, one search each."""

    def __init__(self, channel: Ints, time: Ints, size: Ints, channels: int) -> None:
        self.times = time
        self._line, self._keys = Timeline(channel, time), np.arange(channels)
        self._sums = np.append(0, np.cumsum(size[self._line.index]))
        self._before = self._sums[self._line.begin(self._keys)]
        self._time = time[self._line.index]
        self._begin = self._line.begin(self._keys)

    def by(self, t: int) -> Ints:
        """What had moved at `t`, by channel."""
        found: Ints = self._sums[self._line.until(self._keys, np.full(len(self._keys), t), "right")] - self._before
        return found

    def near(self, t: int) -> tuple[Ints, Ints]:
        """By channel the last moment at or before `t` (-1: none), and the next after it (NEVER)."""
        place = self._line.until(self._keys, np.full(len(self._keys), t), "right")
        last = np.append(self._begin[1:], len(self._time))
        before = np.where(place > self._begin, pick(self._time, place - 1, -1), -1)
        after = np.where(place < last, pick(np.append(self._time, NEVER), place), NEVER)
        return before, after


class Instants:
    """The instants of one run. `end` is its last moment; `waits`, `messages` and `marks` are tables in order of time,
    whose rows the answers name."""

    def __init__(self, run: Run) -> None:
        self.run, self.end = run, run.end
        self.messages = passages(run).reset_index(drop=True)
        self.marks = marked(run)
        waits = run.analysis.blocking
        self.waits = waits.assign(
            lane=mapped(waits["thread"], run.lane_of_thread), to=mapped(run.waited_for, run.lane_of_thread)
        ).sort_values("begin", kind="stable", ignore_index=True)  # fmt: skip
        self.wait_begin, self.wait_end = whole(self.waits["begin"]), whole(self.waits["end"])
        self._wait_open = self.waits["open"].to_numpy(dtype=bool)
        self._wait_numbers = [_whole(self.waits[name]) for name in ("lane", "channel", "site", "event", "to")]
        self._wait_reasons = self.waits["reason"].to_numpy(dtype=object)
        self.begin, self.size = whole(self.messages["begin"]), whole(self.messages["size"])
        self.channel = whole(self.messages["channel"])
        self.written, self.read, self.received = (
            _whole(self.messages[name], NEVER) for name in ("written", "read", "received")
        )
        self.to_unseen = (self.messages["unseen"] == TO_UNSEEN).to_numpy()
        # what somebody untraced was given isn't known to lie anywhere; a datagram that nobody will get lies nowhere
        self.gone = np.where(self.to_unseen, self.read, self.received)
        lost = (whole(self.messages["lost"], 0) > 0) & (self.read == NEVER)
        self.gone[lost] = self.written[lost]
        items = (run.trace.channels["kind"] == "queue").to_numpy().copy()
        items[self.channel[self.size > 0]] = False
        self.items = items  # of these channels items are counted, since they have no bytes
        self.writer, self.reader = (_whole(self.messages[name]) for name in ("writer", "reader"))

    # ---- moments

    @cached_property
    def moments(self) -> Ints:
        """When anything happened: a wait began or ended, bytes were handed over, written or read, there is a mark."""
        times = [
            self.wait_begin, self.wait_end, self._in.times, self._out.times, self._taken.times,
            _whole(self.marks["time"]),
        ]  # fmt: skip
        found = np.sort(np.concatenate(times))  # of a million, much faster than numpy's own `unique`
        found = found[(found >= 0) & (found <= self.end)]
        return found[np.append(True, found[1:] != found[:-1])] if len(found) else found

    def neighbour(self, t: int, way: int) -> int:
        """The next (`way` 1) or previous (-1) moment; beyond the last one the run's end, before the first its begin."""
        place = int(np.searchsorted(self.moments, t, "right" if way > 0 else "left")) - (way < 0)
        if 0 <= place < len(self.moments):
            return int(self.moments[place])
        return self.end if way > 0 else 0

    def along(self, message: int, t: int, way: int) -> int:
        """The next or previous moment of a message: handed over, written, read, received; outside these, of its
        channel. `t` itself where there is none."""
        stages = [int(times[message]) for times in (self.begin, self.written, self.read, self.received)]
        stages = [time for time in stages if time != NEVER]
        inside = t >= stages[0] if way > 0 else t <= stages[-1]
        nearest = min((time for time in stages if time > t), default=None) if way > 0 else max(
            (time for time in stages if time < t), default=None)  # fmt: skip
        if inside and nearest is not None:
            return nearest
        before, after = (int(times[self.channel[message]]) for times in self.used_near(t if way > 0 else t - 1))
        found = after if way > 0 else before
        return found if 0 <= found < NEVER else t

    def used_near(self, t: int) -> tuple[Ints, Ints]:
        """By channel when it was last used, at or before `t` (-1: never), and when it is next, after it (NEVER)."""
        found = [flow.near(t) for flow in (self._in, self._out, self._taken, self._received)]
        before, after = zip(*found, strict=True)
        return np.max(before, axis=0), np.min(after, axis=0)

    # ---- who waits for whom

    @cached_property
    def born(self) -> Ints:
        """When each lane began."""
        return np.array([self._life(lane, "started") or 0 for lane in range(len(self.run.lanes))], dtype="int64")

    @cached_property
    def ended(self) -> Ints:
        """When each lane ended; the run's end where it didn't."""
        ends = (self._life(lane, "ended") for lane in range(len(self.run.lanes)))
        return np.array([self.end if end is None else end for end in ends], dtype="int64")

    def _life(self, lane: int, which: str) -> int | None:
        one = self.run.lanes[lane]
        row = self.run.processes[one.process] if one.thread is None else self.run.threads[one.thread]
        found: int | None = row[which]
        return found

    def wait_rows(self, t: int) -> Ints:
        """For each lane the row of the wait that it is in, or -1."""
        found: Ints = self._waits.last(self._lanes, np.full(len(self._lanes), t), "right")
        there = (found >= 0) & (self.born <= t) & (t <= self.ended)
        there[there] = (t < self.wait_end[found[there]]) | self._wait_open[found[there]]
        return np.where(there, found, -1)

    @cached_property
    def _lanes(self) -> Ints:
        return np.arange(len(self.run.lanes))

    @cached_property
    def _waits(self) -> Timeline:
        return Timeline(_whole(self.waits["lane"]), self.wait_begin)

    def waits_at(self, t: int) -> dict[int, Wait]:
        """All waits at `t`, by lane."""
        found = {lane: self.wait(row) for lane, row in enumerate(self.wait_rows(t).tolist()) if row >= 0}
        for lane in self._untraced:
            if self.born[lane] <= t <= self.ended[lane] and (wait := self._seen_wait(lane, t)):
                found[lane] = wait
        return found

    def wait(self, row: int) -> Wait:
        """A row of `waits`."""
        lane, channel, site, event, to = (number(column[row]) for column in self._wait_numbers)
        assert lane is not None
        open_ = bool(self._wait_open[row])
        known = self._graph_edges(lane) if open_ else ()
        if not known and to is not None:
            known = ((to, channel, ""),)
        reason, since = str(self._wait_reasons[row]), int(self.wait_begin[row])
        return Wait(lane, row, reason, channel, since, site, event, open_, known)

    @cached_property
    def _untraced(self) -> list[int]:
        return [lane for lane, one in enumerate(self.run.lanes) if not self.run.processes[one.process]["traced"]]

    @cached_property
    def _graph(self) -> dict[str, list[dict[str, object]]]:
        return graph(self.run) or {"waiters": [], "edges": []}

    def _graph_edges(self, lane: int) -> tuple[tuple[int, int | None, str], ...]:
        return tuple(
            (edge["to"], edge["channel"], edge["why"]) for edge in self._graph["edges"] if edge["from"] == lane  # type: ignore[misc]
        )  # fmt: skip

    @cached_property
    def _seen(self) -> pd.DataFrame:
        return seen(self.run).reset_index(drop=True)

    @cached_property
    def _seen_line(self) -> Timeline:
        return Timeline(_whole(self._seen["lane"]), _whole(self._seen["begin"]))

    def _seen_wait(self, lane: int, t: int) -> Wait | None:
        """The wait of a lane that isn't traced: what the graph says of it at the end, before that what was seen."""
        last = next((one for one in self._graph["waiters"] if one["lane"] == lane), None)
        if last is not None and t >= last["since"]:  # type: ignore[operator]
            return Wait(lane, -1, last["reason"], last["channel"], last["since"], last["site"], None, True,  # type: ignore[arg-type]
                        self._graph_edges(lane))  # fmt: skip
        row = int(self._seen_line.last(np.array([lane]), np.array([t]), "right")[0]) if len(self._seen) else -1
        if row < 0 or not (t < (one := self._seen.iloc[row])["end"] or one["open"]):
            return None
        reason = str(one["reason"])
        return Wait(
            lane, -1, reason if reason in REASONS else "nodata", number(one["channel"]), int(one["begin"]), None, None,
            bool(one["open"]), (),
        )  # fmt: skip

    @property
    def formed(self) -> int | None:
        """When the knot closed; None: there is none."""
        found = self.run.graph
        return found.formed if found and any(waiter.role == "core" for waiter in found.waiters) else None

    @cached_property
    def core(self) -> frozenset[int]:
        """The knot's lanes."""
        found = self.run.graph.waiters if self.run.graph else ()
        lanes = (self.run.lane_of(waiter) for waiter in found if waiter.role == "core")
        return frozenset(lane for lane in lanes if lane is not None)

    # ---- what lies in the channels

    def fills(self, t: int) -> list[Fill]:
        """What lies where, by channel: pieces that were read are gone, though the rest of their message isn't."""
        put, left, taken, given = (flow.by(t) for flow in (self._in, self._out, self._taken, self._given))
        amounts = (put - np.maximum(left, taken), left - taken, taken - given)
        return [Fill(*map(int, three)) for three in zip(*(np.maximum(each, 0) for each in amounts), strict=True)]

    def places(self, messages: Ints, t: int) -> Ints:
        """Where each of these messages lies at `t`: a place of `PLACES`, or -1."""
        place = np.where(t < self.written[messages], 0, np.where(t < self.read[messages], 1, 2))
        away = (t < self.begin[messages]) | (t >= self.gone[messages])
        return np.where(away, -1, place)

    def contents(self, channel: int, t: int) -> dict[str, Ints]:
        """The messages (rows) that lie in each of a channel's places, in the order in which they were handed over."""
        rows, begin, reach = self._passage(channel)
        low, high = int(np.searchsorted(reach, t)), int(np.searchsorted(begin, t, "right"))
        under_way = rows[low:high]
        staying = self._staying[self.channel[self._staying] == channel]
        some = np.union1d(under_way, staying)
        where = self.places(some, t)
        return {name: some[where == place] for place, name in enumerate(PLACES)}

    def _passage(self, channel: int) -> tuple[Ints, Ints, Ints]:
        """A channel's messages that end somewhere, when they begin, and the latest end up to and with each."""
        if channel not in self._passages:
            low, high = np.searchsorted(self._by_channel[1], [channel, channel + 1])
            rows = self._by_channel[0][low:high]
            rows = rows[self.gone[rows] != NEVER]
            self._passages[channel] = rows, self.begin[rows], np.maximum.accumulate(self.gone[rows])
        return self._passages[channel]

    @cached_property
    def _passages(self) -> dict[int, tuple[Ints, Ints, Ints]]:
        return {}

    @cached_property
    def _by_channel(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.channel, kind="stable")
        return order, self.channel[order]

    @cached_property
    def _staying(self) -> Ints:
        """Messages that never come to an end: few, or the run would not have gone on."""
        return np.flatnonzero(self.gone == NEVER)

    def _flow(self, time: Ints, rows: Ints | None = None, size: Ints | None = None) -> Flow:
        there = np.flatnonzero(time != NEVER)
        rows = there if rows is None else rows[there]
        moved = self.size[rows] if size is None else size[there]
        channel = self.channel[rows]
        return Flow(channel, time[there], np.where(self.items[channel], 1, moved), len(self.run.trace.channels))

    @cached_property
    def _in(self) -> Flow:
        return self._flow(self.begin)

    @cached_property
    def _out(self) -> Flow:
        return self._flow(self.written)

    @cached_property
    def _received(self) -> Flow:
        return self._flow(self.received)

    @cached_property
    def _split(self) -> tuple[Ints, Ints, Ints]:
        """Of messages that several reads got, the pieces: message (row), bytes, when they were read."""
        many = (whole(self.messages["reads"]) > 1) & (self.read != NEVER)
        pieces, row_of = self.run.analysis.pieces, self.run.message_rows
        chosen = np.flatnonzero(many)
        if not len(chosen) or not len(pieces):
            return chosen[:0], chosen[:0], chosen[:0]
        message = row_of[whole(pieces["message"])]
        some = np.flatnonzero(many[message])
        event = whole(pieces["read_event"])[some]
        left = pick(whole(self.run.trace.events["exit"], NEVER), event, NEVER)
        time = np.where(left == NEVER, self.read[message[some]], left)
        return message[some], (whole(pieces["end"]) - whole(pieces["begin"]))[some], time

    def _in_pieces(self, time: Ints, split: Flags) -> Flow:
        """A flow in which the messages of `split` move piece by piece."""
        message, size, when = self._split
        some, undivided = split[message], np.flatnonzero(~split)
        return self._flow(
            np.append(time[undivided], when[some]),
            np.append(undivided, message[some]),
            np.append(self.size[undivided], size[some]),
        )

    @cached_property
    def _many(self) -> Flags:
        """Messages whose pieces are known."""
        found = np.zeros(len(self.read), dtype=bool)
        found[self._split[0]] = True
        return found

    @cached_property
    def _taken(self) -> Flow:
        return self._in_pieces(self.read, self._many)

    @cached_property
    def _given(self) -> Flow:
        """What left the readers' buffers; without one, with the reads themselves."""
        return self._in_pieces(self.gone, self._many & (self.gone == self.read))

    @cached_property
    def leaving(self) -> Flags:
        """Messages whose write never returned."""
        return (self.messages["written"].isna() & self.messages["write_event"].notna()).to_numpy(dtype=bool)

    def matching(self, text: bytes) -> Flags:
        """Messages in whose payload `text` stands, upper and lower case alike."""
        payloads = pa.array(self.messages["payload"].array)
        found = pc.fill_null(pc.match_substring(payloads, text, ignore_case=True), False)
        return np.array(found.to_numpy(zero_copy_only=False), dtype=bool)

    # ---- who is where

    @cached_property
    def _sightings(self) -> tuple[Timeline, Ints]:
        """Moments at which a lane was seen at a line of source."""
        messages, waits, marks = self.messages, self.waits, self.marks
        accepting = messages["accept_site"].fillna(messages["write_site"])
        parts = [
            (self.writer, self.begin, _whole(accepting)),
            (self.writer, self.written, _whole(messages["write_site"])),
            (self.reader, self.read, _whole(messages["read_site"])),
            (_whole(waits["lane"]), self.wait_end, _whole(waits["site"])),
            (_whole(marks["lane"]), _whole(marks["time"]), _whole(marks["site"])),
        ]
        lane, time, site = (np.concatenate([part[k] for part in parts]) for k in range(3))
        known = (lane != NONE) & (site != NONE) & (time != NEVER)
        return Timeline(lane[known], time[known]), site[known]

    def last_seen(self, t: int) -> Ints:
        """For each lane the site at which it was last seen at or before `t`, or NONE."""
        line, site = self._sightings
        return pick(site, line.last(self._lanes, np.full(len(self._lanes), t), "right"))


def _whole(values: pd.Series[Any], missing: int = NONE) -> Ints:
    """A column that may be one of floating numbers as whole ones, `missing` where it is empty."""
    return whole(values.astype("Int64"), missing)
