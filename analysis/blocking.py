"""When each thread waited, for what, and who ended it.

A read waited if the write whose bytes it got began after it; a write, if the read that made room for it came meanwhile;
a wait for a process or thread, if that ended meanwhile; a sleep always did, and so did every call that never returned.
What came from outside is judged by its length alone (`LONG`).

Invariant: intervals of a thread never overlap, and blocked + running = lifetime (`check`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from .events import ENDED_BY, NEVER, NONE, Events, Flags, Ints, groups, number, optional, pick, rows_of, whole

LONG = 1_000_000  # ns: longer than any call that doesn't wait takes, scheduling included
ROOM = 100_000  # ns: a write that finds room takes less
CAPACITY = 65536  # bytes of a pipe whose size isn't known: pipe(7)


def blocking(trace: Trace, events: Events, got: pd.DataFrame, spans: pd.DataFrame, cut: int) -> pd.DataFrame:
    """`Analysis.blocking`. `got`: what each read got, as `messages.match` tells it."""
    parts = [
        _reads(trace, events, got, spans),
        _writes(trace, events),
        _told(events),
        _children(trace, events),
        _joins(trace, events),
        _sleeps(events),  # last: of a join with a time limit it is better to know whom it waited for
        _others(events),
        _terminal(trace, events),
    ]
    event, by, by_event = (np.concatenate([part[k] for part in parts]).astype("int64") for k in range(3))
    end_of_thread = np.minimum(whole(trace.threads["ended"], NEVER), max(cut, 0))
    begin = np.maximum(events.enter[event], whole(trace.threads["started"])[events.thread[event]])
    end = np.minimum(events.exit[event], end_of_thread[events.thread[event]])
    kept = np.flatnonzero(end > begin)
    kept = kept[~_explained(events, event[kept], (end - begin)[kept])]
    kept = kept[np.lexsort((-end[kept], begin[kept], events.thread[event[kept]]))]
    kept = kept[_apart(events.thread[event[kept]], begin[kept], end[kept])]
    kept = kept[np.argsort(begin[kept], kind="stable")]
    event, by, by_event, begin, end = event[kept], by[kept], by_event[kept], begin[kept], end[kept]
    reasons = events.table["wait"].iloc[event].fillna("nodata").astype("str").reset_index(drop=True)
    return pd.DataFrame(
        {
            "event": event,
            "thread": events.thread[event],
            "process": events.process[event],
            "begin": begin,
            "end": end,
            "open": events.exit[event] == NEVER,
            "reason": reasons,
            "channel": optional(events.channel[event]),
            "site": optional(events.site[event]),
            "by": optional(by),
            "by_event": optional(by_event),
        }
    )


def busy(trace: Trace, intervals: pd.DataFrame, cut: int) -> pd.DataFrame:
    """`Analysis.busy`: how long each thread lived, waited and ran, in ns."""
    lifetime = np.maximum(np.minimum(whole(trace.threads["ended"], NEVER), cut) - whole(trace.threads["started"]), 0)
    waited = intervals["end"].to_numpy() - intervals["begin"].to_numpy()
    blocked = np.zeros(len(trace.threads), dtype="int64")
    np.add.at(blocked, intervals["thread"].to_numpy(), waited)
    return pd.DataFrame(
        {
            "thread": trace.threads["thread"].to_numpy(),
            "lifetime": lifetime,
            "blocked": blocked,
            "running": lifetime - blocked,
        }
    )


def check(intervals: pd.DataFrame, shares: pd.DataFrame) -> None:
    """Raise AssertionError where intervals of a thread overlap, or a thread waited for longer than it lived."""
    ordered = intervals.sort_values(["thread", "begin"])
    same = ordered["thread"].to_numpy()[1:] == ordered["thread"].to_numpy()[:-1]
    overlapping = same & (ordered["begin"].to_numpy()[1:] < ordered["end"].to_numpy()[:-1])
    assert not overlapping.any(), f"intervals overlap: {ordered[1:][overlapping]}"
    assert (shares["running"] >= 0).all(), f"blocked for longer than it lived: {shares[shares['running'] < 0]}"
    assert (shares["blocked"] + shares["running"] == shares["lifetime"]).all()


def main_threads(trace: Trace) -> dict[int, int]:
    """Process id → its main thread."""
    return {row.process: row.thread for row in rows_of(trace.threads[trace.threads["main"]])}


# Each of these: (events that waited, the thread that ended it, the event that did)

Waits = tuple[Ints, Ints, Ints]


def _collect(found: Iterator[tuple[int, int, int]]) -> Waits:
    rows = np.array(list(found), dtype="int64").reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _nobody(event: Ints) -> Waits:
    return event, np.full(len(event), NONE), np.full(len(event), NONE)


def _sleeps(events: Events) -> Waits:
    return _nobody(np.flatnonzero(events.waits_for("sleep")))


def _reads(trace: Trace, events: Events, got: pd.DataFrame, spans: pd.DataFrame) -> Waits:
    chosen = np.flatnonzero(events.waits_for("nodata") & ~events.is_kind("receive"))
    source = np.full(len(events), NONE)
    first = got.drop_duplicates("read")
    source[first["read"].to_numpy(dtype="int64")] = first["write"].to_numpy(dtype="int64")
    writer = source[chosen]
    opened = events.exit[chosen] == NEVER
    after = pick(events.enter, writer) > events.enter[chosen]
    # a plain file has its bytes at once, however long the disk takes
    lasting = ~np.isin(
        events.channel[chosen], trace.channels.loc[trace.channels["kind"] == "file", "channel"].to_numpy()
    )
    long = (writer == NONE) & lasting & (events.exit[chosen] - events.enter[chosen] > LONG)
    at_end = (events.result[chosen] == 0) & (events.error[chosen] == NONE)
    plain = np.flatnonzero(opened | after | (long & ~at_end))
    end_of_file = _collect(_closings(trace, events, chosen[at_end & ~opened & lasting], spans))
    event = chosen[plain]
    writer = writer[plain]
    return tuple(
        np.concatenate(pair) for pair in zip((event, pick(events.thread, writer), writer), end_of_file, strict=True)
    )  # type: ignore[return-value]


def _closings(trace: Trace, events: Events, reads: Ints, spans: pd.DataFrame) -> Iterator[tuple[int, int, int]]:
    """Reads that got end of file when the last write end was closed: by whom."""
    closers = {
        (int(events.process[k]), int(events.exit[k])): k for k in np.flatnonzero(events.is_kind("close")).tolist()
    }
    main = main_threads(trace)
    ends = spans[spans["access"].str.contains("w")].dropna(subset=["closed"]).sort_values("closed")
    by_channel = dict(groups(ends, "channel"))
    for read in reads.tolist():
        rows = by_channel.get(int(events.channel[read]))
        if rows is None:
            continue
        meanwhile = rows[(rows["closed"] > events.enter[read]) & (rows["closed"] <= events.exit[read])]
        if len(meanwhile):
            process, closed = int(meanwhile["process"].iloc[-1]), int(meanwhile["closed"].iloc[-1])
            event = closers.get((process, closed), NONE)
            yield read, int(events.thread[event]) if event != NONE else main.get(process, NONE), event


def _writes(trace: Trace, events: Events) -> Waits:
    lasting = trace.channels["kind"].isin(["pipe", "fifo", "socket", "tty"]).to_numpy()
    chosen = np.flatnonzero(events.waits_for("noroom") & (events.channel != NONE))
    chosen = chosen[lasting[events.channel[chosen]]]
    opened = chosen[events.exit[chosen] == NEVER]
    slow = chosen[(events.exit[chosen] != NEVER) & (events.exit[chosen] - events.enter[chosen] > ROOM)]
    connected = slow[trace.channels["kind"].isin(["socket"]).to_numpy()[events.channel[slow]]]
    connected = connected[events.exit[connected] - events.enter[connected] > LONG]
    slow = slow[(events.result[slow] > 0) & (trace.channels["kind"].to_numpy()[events.channel[slow]] == "pipe")]
    room = _collect(_made_room(trace, events, slow))
    return tuple(np.concatenate(parts) for parts in zip(_nobody(opened), _nobody(connected), room, strict=True))  # type: ignore[return-value]


def _made_room(trace: Trace, events: Events, slow: Ints) -> Iterator[tuple[int, int, int]]:
    """Writes in which a read of the same pipe ended, when the pipe was so full that they can have waited for it.

    A pipe holds pages, not bytes: with writes of just over half a page it is full at half its capacity.
    """
    capacities = whole(trace.channels["capacity"], CAPACITY)
    dropped = whole(trace.channels["dropped_written"], 0) - whole(trace.channels["dropped_read"], 0)
    for channel in np.unique(events.channel[slow]).tolist():
        on_channel = (events.channel == channel) & (events.result > 0) & (events.exit != NEVER)
        reads, writes = (
            np.flatnonzero(on_channel & events.is_kind("read")),
            np.flatnonzero(on_channel & events.is_kind("write")),
        )
        reads, writes = reads[np.argsort(events.exit[reads])], writes[np.argsort(events.exit[writes])]
        taken, put = (np.append(0, np.cumsum(events.result[which])) for which in (reads, writes))
        waiting = slow[events.channel[slow] == channel]
        low = np.searchsorted(events.exit[reads], events.enter[waiting], "right")
        high = np.searchsorted(events.exit[reads], events.exit[waiting], "right")
        before = np.searchsorted(events.exit[writes], events.enter[waiting], "right")
        level = dropped[channel] + put[before] - taken[low]
        enough = (high > low) & (level + events.size[waiting] > capacities[channel] // 2)
        last = reads[high[enough] - 1]
        yield from zip(waiting[enough].tolist(), events.thread[last].tolist(), last.tolist(), strict=True)


def _told(events: Events) -> Waits:
    """Waits for a lock, a notification, an item: ended by the last such deed of another thread meanwhile."""

    def found() -> Iterator[tuple[int, int, int]]:
        for kind, ending in ENDED_BY.items():
            waits = np.flatnonzero(events.is_kind(kind) & events.waiting & (events.channel != NONE))
            deeds = np.flatnonzero(events.is_kind(ending) & (events.channel != NONE) & (events.exit != NEVER))
            deeds = deeds[np.lexsort((events.exit[deeds], events.channel[deeds]))]
            bounds = np.searchsorted(events.channel[deeds], events.channel[waits], "left")
            limits = np.searchsorted(events.channel[deeds], events.channel[waits], "right")
            for wait, low, high in zip(waits.tolist(), bounds.tolist(), limits.tolist(), strict=True):
                enter, exit = events.enter[wait], events.exit[wait]
                meanwhile = deeds[low:high]
                # a deed is done as it returns, or a moment before: what it released runs on at once
                first = np.searchsorted(events.exit[meanwhile], enter, "right")
                last = np.searchsorted(events.enter[meanwhile], exit, "right")
                by = next(
                    (deed for deed in meanwhile[first:last][::-1].tolist()
                     if events.thread[deed] != events.thread[wait] and events.enter[deed] < exit), NONE,
                )  # fmt: skip
                if exit == NEVER:
                    yield wait, NONE, NONE
                elif by != NONE or exit - enter > LONG:
                    yield wait, int(events.thread[by]) if by != NONE else NONE, by

    return _collect(found())


def _children(trace: Trace, events: Events) -> Waits:
    main = main_threads(trace)
    children = {(number(row.parent), row.pid): row for row in rows_of(trace.processes)}

    def found() -> Iterator[tuple[int, int, int]]:
        for event in np.flatnonzero(events.is_kind("wait")).tolist():
            opened = events.exit[event] == NEVER
            child = children.get((int(events.process[event]), int((events.size if opened else events.result)[event])))
            ended = None if child is None else number(child.ended)
            if opened or (child is not None and ended is not None and ended > events.enter[event]):
                yield event, main.get(child.process, NONE) if child is not None else NONE, NONE

    return _collect(found())


def _joins(trace: Trace, events: Events) -> Waits:
    threads = {(row.process, row.tid): row for row in rows_of(trace.threads)}

    def found() -> Iterator[tuple[int, int, int]]:
        for event in np.flatnonzero(events.is_kind("join")).tolist():
            process, enter, exit = int(events.process[event]), int(events.enter[event]), int(events.exit[event])
            one = threads.get((process, int(events.size[event])))
            others = (
                [one]
                if one is not None
                else [
                    row
                    for (owner, _), row in threads.items()
                    if owner == process and row.thread != events.thread[event]
                ]
            )
            ends = {
                row.thread: NEVER if number(row.ended) is None else int(row.ended)
                for row in others
                if row.started < exit
            }
            late = {thread: end for thread, end in ends.items() if end > enter and (end <= exit or exit == NEVER)}
            if late:
                yield event, max(late, key=lambda thread: late[thread]), NONE

    return _collect(found())


def _others(events: Events) -> Waits:
    """Opening a FIFO, locks: every wait of a kind that has no rule of its own."""
    ruled = (
        events.is_kind("wait", "join")
        | events.waits_for("sleep")
        | events.waits_for("nodata")
        | events.waits_for("noroom")
        | (events.is_kind(*ENDED_BY) & (events.channel != NONE))
    )
    chosen = np.flatnonzero(events.waiting & ~ruled)
    return _nobody(chosen[events.exit[chosen] - events.enter[chosen] > LONG])


def _terminal(trace: Trace, events: Events) -> Waits:
    """input() reads a terminal in C, past every stream: there the call itself is the wait."""
    chosen = np.flatnonzero(events.is_kind("input") & (events.channel != NONE))
    chosen = chosen[trace.channels["kind"].to_numpy()[events.channel[chosen]] == "tty"]
    nested = set(events.parent[events.is_kind("take", "read")].tolist())
    chosen = np.array([event for event in chosen.tolist() if event not in nested], dtype="int64")
    return _nobody(chosen[events.exit[chosen] - events.enter[chosen] > LONG])


def _explained(events: Events, event: Ints, waited: Ints) -> Flags:
    """Which waits are told better by those within them: a Connection's recv by its read, a Queue's get by its lock."""
    place = np.full(len(events) + 1, -1)  # the last is for no event
    place[event] = np.arange(len(event))
    within = np.zeros(len(event), dtype="int64")
    above = pick(events.parent, event, -1)
    while (there := np.flatnonzero(above >= 0)).size:
        outer = place[above[there]]
        np.add.at(within, outer[outer >= 0], waited[there[outer >= 0]])
        above[there] = np.where(outer >= 0, -1, np.maximum(events.parent[above[there]], -1))
    made_of_others = events.is_kind("send", "receive", "wait", "await", "take", "flush")[event]
    return made_of_others & (within * 2 >= np.maximum(waited, 1))


def _apart(thread: Ints, begin: Ints, end: Ints) -> Ints:
    """Of intervals ordered by thread and begin, those that don't begin within an earlier one of the thread."""
    if not len(thread):
        return np.zeros(0, dtype="int64")
    shift = thread * (int(end.max()) + 1)
    reached = np.maximum.accumulate(end + shift)
    return np.flatnonzero(np.append(True, (begin + shift)[1:] >= reached[:-1]))
