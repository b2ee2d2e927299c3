"""When each thread waited, for what, who ended it, and what that one did meanwhile.

A read waited if the write whose bytes it got began after it; a write, if the read that made room for it came meanwhile;
a wait for a process or thread, if that ended meanwhile; a sleep always did, and so did every call that never returned.
What came from outside is judged by its length alone (`LONG`). Names of the states are those of Scalasca (Geimer et al.,
"The Scalasca performance toolset architecture", 2010); a *late flusher* had the bytes in a buffer of its own.

Invariants: intervals of a thread never overlap, blocked + running = lifetime (`check`); worked + waited + held is the
length of a wait whose end is somebody's doing; bytes written = bytes read + bytes left (`check_bytes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from .edges import child_of, closing_events, of_process
from .events import ENDED_BY, NEVER, NONE, Events, Flags, Ints, optional, pick, rows_of, whole
from .timeline import Timeline, flagged

if TYPE_CHECKING:
    from .run import Run

LONG = 1_000_000  # ns: longer than any call that doesn't wait takes, scheduling included
ROOM = 100_000  # ns: a write that finds room takes less
CAPACITY = 65536  # bytes of a pipe whose size isn't known: pipe(7)
STATES = {  # reason → what kept the thread waiting
    "nodata": "late sender", "noroom": "late receiver", "lock": "contention", "child": "late exiter",
    "peer": "late opener", "sleep": "sleep", "ready": "late sender", "notice": "late notifier", "signal": "late signal",
}  # fmt: skip


class Waits(NamedTuple):
    """Events that waited, with the thread that ended it and the event that did (or NONE)."""

    event: Ints
    by: Ints
    by_event: Ints


def blocking(run: Run) -> pd.DataFrame:
    """`Analysis.blocking`."""
    trace, events = run.trace, run.events
    parts = [
        _reads(run),
        _writes(run),
        _told(run),
        _children(run),
        _joins(run),
        _nobody(
            np.flatnonzero(events.waits_for("sleep"))
        ),  # behind the joins: of one with a time limit, whom it was for
        _others(events),
        _terminal(trace, events),
    ]
    event, by, by_event = (np.concatenate([part[k] for part in parts]).astype("int64") for k in range(3))
    end_of_thread = np.minimum(whole(trace.threads["ended"], NEVER), max(run.cut, 0))
    begin = np.maximum(events.enter[event], whole(trace.threads["started"])[events.thread[event]])
    end = np.minimum(events.exit[event], end_of_thread[events.thread[event]])
    kept = np.flatnonzero(end > begin)
    kept = kept[~_explained(events, event[kept], (end - begin)[kept])]
    kept = kept[np.lexsort((-end[kept], begin[kept], events.thread[event[kept]]))]
    kept = kept[_apart(events.thread[event[kept]], begin[kept], end[kept])]
    kept = kept[np.argsort(begin[kept], kind="stable")]
    begin, end = begin[kept], end[kept]
    event, by, by_event = _known(run, Waits(event[kept], by[kept], by_event[kept]), begin, end)
    thread, owner = events.thread[event], _owners(run, event)
    opened = events.exit[event] == NEVER
    by = np.where((by == NONE) & opened, owner, by)
    reasons = events.table["wait"].iloc[event].astype("str").fillna("nodata").reset_index(drop=True)
    since, until, writer = _hold(run, event, by_event, begin, end)
    held = until - since
    by = np.where((by == NONE) & opened, writer, by)
    waited = sum(_waited_within(thread, begin, end, by, *part) for part in ((begin, since), (until, end)))
    known = by != NONE
    return pd.DataFrame(
        {
            "event": event,
            "thread": thread,
            "process": events.process[event],
            "begin": begin,
            "end": end,
            "open": opened,
            "reason": reasons,
            "kind": _states(events, reasons, event, by_event, held * 2 > end - begin),
            "channel": optional(events.channel[event]),
            "site": optional(events.site[event]),
            "by": optional(by),
            "by_event": optional(by_event),
            "owner": optional(owner),
            "worked": optional(np.where(known, end - begin - waited - held, NONE)),
            "waited": optional(np.where(known, waited, NONE)),
            "held": optional(np.where(known, held, NONE)),
        },
        copy=False,
    )


def _states(events: Events, reasons: pd.Series, event: Ints, by_event: Ints, flusher: Flags) -> pd.Series:
    """What kept each thread waiting."""
    names = [*dict.fromkeys(STATES.values()), "late closer", "late flusher"]
    state = {reason: names.index(name) for reason, name in STATES.items()}
    codes = reasons.map(state).fillna(names.index("late sender")).to_numpy(dtype="int64", copy=True)
    nodata = (reasons == "nodata").to_numpy(dtype=bool)
    at_end = events.is_kind("read")[event] & (events.result[event] == 0) & (events.error[event] == NONE)
    closed = (by_event != NONE) & events.is_kind("close", "exec", "exit", "duplicate")[np.maximum(by_event, 0)]
    codes[at_end | (closed & nodata)] = names.index("late closer")
    codes[flusher & nodata] = names.index("late flusher")
    return pd.Series(pd.array(names, dtype="str").take(codes))


def _known(run: Run, waits: Waits, begin: Ints, end: Ints) -> Waits:
    """The same, with who ended it where an edge that came meanwhile tells: the last one."""
    events, table = run.events, run.edges
    before, after = table["before_event"].to_numpy(), table["after_event"].to_numpy()
    handler = ~table["after_end"].to_numpy() & (table["kind"] == "signal").to_numpy()
    after = np.where(handler & (events.parent[after] >= 0), events.parent[after], after)
    left = np.where(table["before_end"], events.exit[before], events.enter[before])
    last = Timeline(after, left)
    place = last.last(waits.event, end, "right")
    found = (waits.by == NONE) & (place >= 0) & (events.exit[waits.event] != NEVER)
    # of a thread that ended, what is last known of it came earlier
    ends = table["kind"].isin(["close", "exit", "join"]).to_numpy()
    found &= (pick(left, place) > begin) | flagged(ends, place)
    giver = pick(before, place)
    return Waits(
        waits.event,
        np.where(found, pick(events.thread, giver), waits.by),
        np.where(found & (waits.by_event == NONE), giver, waits.by_event),
    )


def _owners(run: Run, event: Ints) -> Ints:
    """The thread that held the lock as each wait for it began; NONE: not known."""
    events, threads = run.events, run.trace.threads
    tid = whole(threads["tid"])
    asked = np.where(events.owner[event] > 0, events.owner[event], -1)
    known = Timeline(tid, whole(threads["started"]))
    found = known.last(np.maximum(asked, 0), events.enter[event], "right")
    return np.where((asked > 0) & (found >= 0), found, NONE)


def _hold(run: Run, event: Ints, by_event: Ints, begin: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """The part of each wait in which its bytes lay in a buffer of their writer, [since, until); and of a wait that
    never ended, whose buffer that is (NONE: nobody's)."""
    events, messages = run.events, run.messages
    accepted, write, channel = (whole(messages[name]) for name in ("accepted", "write_event", "channel"))
    buffered = np.flatnonzero(accepted != NONE)[::-1]  # the first of a write, or of a channel, counts
    first = np.full(len(events) + 1, NONE)
    written = buffered[write[buffered] != NONE]
    first[write[written]] = accepted[written]
    put = first[np.maximum(by_event, -1)]
    left = pick(events.enter, by_event)
    stuck = np.full(len(run.trace.channels) + 1, -1)
    never = buffered[write[buffered] == NONE]
    stuck[channel[never]] = never
    waiting = (events.exit[event] == NEVER) & events.waits_for("nodata")[event] & (events.channel[event] != NONE)
    message = np.where(waiting, stuck[np.maximum(events.channel[event], -1)], -1)
    put = np.where(message >= 0, pick(accepted, message), put)
    left = np.where(message >= 0, end, left)
    since = np.where(put != NONE, np.clip(put, begin, end), begin)
    until = np.where(put != NONE, np.clip(left, since, end), begin)
    return since, until, pick(whole(messages["writer"]), message)


def _waited_within(thread: Ints, begin: Ints, end: Ints, whose: Ints, low: Ints, high: Ints) -> Ints:
    """For how long each of the threads `whose` (or NONE) waited between two times."""
    order = np.lexsort((begin, thread))
    line = Timeline(thread[order], begin[order], end)
    before = np.append(0, np.cumsum((end - begin)[order]))
    ends = np.append(end[order], 0)

    def until(time: Ints) -> Ints:
        place = line.until(np.maximum(whose, 0), time)
        unfinished = np.where(place > 0, np.maximum(ends[place - 1] - time, 0), 0)
        same = np.append(thread[order], -1)[place - 1] == whose
        return before[place] - np.where(same, unfinished, 0)

    return np.where(whose == NONE, 0, until(high) - until(low))


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


def check_bytes(channels: pd.DataFrame) -> None:
    """Raise AssertionError where bytes came from nowhere or went there: written = read + left, where that is known.

    `channels`: `Analysis.channels`.
    """
    known = channels[channels["left"].notna()]
    wrong = known[known["written"] != known["read"] + known["left"]]
    assert not len(wrong), f"bytes don't add up: {wrong}"


def matrix(waits: pd.DataFrame) -> pd.DataFrame:
    """`Analysis.matrix`, from `Analysis.blocking`: sleeps are nobody's doing, and not in it."""
    told = waits[waits["kind"] != "sleep"]
    told = told.assign(time=told["end"] - told["begin"])
    table = told.groupby(["thread", "by"], dropna=False, sort=True)["time"].agg(["sum", "size"]).reset_index()
    table.columns = pd.Index(["thread", "by", "time", "count"])
    return table.astype({"thread": "int64", "by": "Int64", "time": "int64", "count": "int64"})


# Who waited, and who ended it


def _nobody(event: Ints) -> Waits:
    return Waits(event, np.full(len(event), NONE), np.full(len(event), NONE))


def _ended_by(events: Events, event: Ints, by_event: Ints) -> Waits:
    return Waits(event, pick(events.thread, by_event), by_event)


def _all(*parts: Waits) -> Waits:
    return Waits(*(np.concatenate([part[k] for part in parts]) for k in range(3)))


def _reads(run: Run) -> Waits:
    events = run.events
    chosen = np.flatnonzero(events.waits_for("nodata") & ~events.is_kind("receive"))
    source = np.full(len(events), NONE)
    read, write = whole(run.got["read"])[::-1], whole(run.got["write"])[::-1]
    source[read] = write  # the first one stays
    writer = source[chosen]
    after = pick(events.enter, writer) > events.enter[chosen]
    opened = events.exit[chosen] == NEVER
    # a plain file has its bytes at once, however long the disk takes
    lasting = ~flagged(run.trace.channels["kind"] == "file", events.channel[chosen])
    long = (writer == NONE) & lasting & (events.exit[chosen] - events.enter[chosen] > LONG)
    at_end = (events.result[chosen] == 0) & (events.error[chosen] == NONE) & lasting & ~opened
    closed = _closings(run, chosen[at_end])
    plain = np.flatnonzero(opened | after | (long & ~np.isin(chosen, closed.event)))
    return _all(_ended_by(events, chosen[plain], writer[plain]), closed)


def _closings(run: Run, reads: Ints) -> Waits:
    """Reads that got end of file when the last write end was closed: by whom."""
    events = run.events
    spans = run.spans[run.spans["access"].str.contains("w") & run.spans["closed"].notna()]
    closed, process = whole(spans["closed"]), whole(spans["process"])
    place = Timeline(whole(spans["channel"]), closed).last(events.channel[reads], events.exit[reads], "right")
    meanwhile = pick(closed, place) > events.enter[reads]
    reads, span = reads[meanwhile], place[meanwhile]
    closer = closing_events(events, process[span], closed[span])
    closer = np.where(closer >= 0, closer, NONE)
    main = _main_thread(run.trace, process[span])
    return Waits(reads, np.where(closer != NONE, pick(events.thread, closer), main), closer)


def _main_thread(trace: Trace, process: Ints) -> Ints:
    """The main thread of each process; NONE for none."""
    main = np.full(len(trace.processes) + 1, NONE)
    threads = trace.threads[trace.threads["main"]]
    main[whole(threads["process"])] = whole(threads["thread"])
    return main[np.maximum(process, -1)]


def _writes(run: Run) -> Waits:
    events, kinds = run.events, run.trace.channels["kind"]
    lasting = flagged(kinds.isin(["pipe", "fifo", "socket", "tty"]), events.channel)
    chosen = np.flatnonzero(events.waits_for("noroom") & lasting)
    opened = chosen[events.exit[chosen] == NEVER]
    over = chosen[events.exit[chosen] != NEVER]
    length = events.exit[over] - events.enter[over]
    connected = over[flagged(kinds == "socket", events.channel[over]) & (length > LONG)]
    piped = over[flagged(kinds == "pipe", events.channel[over]) & (events.result[over] > 0) & (length > ROOM)]
    return _all(_nobody(opened), _nobody(connected), _made_room(run, piped))


def _made_room(run: Run, slow: Ints) -> Waits:
    """Writes in which a read of the same pipe ended, when the pipe was so full that they can have waited for it.

    A pipe holds pages, not bytes: with writes of just over half a page it is full at half its capacity.
    """
    events, channels = run.events, run.trace.channels
    channel, enter, exit = events.channel[slow], events.enter[slow], events.exit[slow]
    concerned = flagged(channels["channel"].isin(channel), events.channel)
    moved = concerned & (events.result > 0) & (events.exit != NEVER)
    reads, writes = (np.flatnonzero(moved & events.is_kind(kind)) for kind in ("read", "write"))
    taken, put = (Timeline(events.channel[which], events.exit[which]) for which in (reads, writes))
    read, written = (
        np.append(0, np.cumsum(events.result[which[line.index]])) for which, line in ((reads, taken), (writes, put))
    )
    low, high = taken.until(channel, enter, "right"), taken.until(channel, exit, "right")
    dropped = whole(channels["dropped_written"], 0) - whole(channels["dropped_read"], 0)
    level = (
        dropped[channel]
        + (written[put.until(channel, enter, "right")] - written[put.begin(channel)])
        - (read[low] - read[taken.begin(channel)])
    )
    capacity = whole(channels["capacity"], CAPACITY)[channel]
    enough = (high > low) & (level + events.size[slow] > capacity // 2)
    return _ended_by(events, slow[enough], reads[taken.index[high[enough] - 1]])


def _told(run: Run) -> Waits:
    """Waits for a lock, a notification, an item: ended by the last such deed of another thread meanwhile."""
    events = run.events
    boundless = flagged((run.trace.channels["kind"] == "queue") & (whole(run.trace.channels["capacity"], 0) <= 0),
                        events.channel) & events.is_kind("send")  # fmt: skip
    return _all(_nobody(np.zeros(0, dtype="int64")),
                *(_told_of(events, kind, ending, boundless) for kind, ending in ENDED_BY.items()))  # fmt: skip


def _told_of(events: Events, kind: str, ending: str, boundless: Flags) -> Waits:
    waits = np.flatnonzero(events.is_kind(kind) & events.waiting & (events.channel != NONE) & ~boundless)
    deeds = np.flatnonzero(events.is_kind(ending) & (events.channel != NONE) & (events.exit != NEVER))
    # a deed is done as it returns, or a moment before: what it released runs on at once
    line = Timeline(events.channel[deeds], events.enter[deeds])
    deeds = deeds[line.index]
    place = line.until(events.channel[waits], events.exit[waits]) - 1
    thread, channel = events.thread[deeds], events.channel[deeds]
    first = np.append(True, (thread[1:] != thread[:-1]) | (channel[1:] != channel[:-1]))[: len(deeds)]
    of_another = np.maximum.accumulate(np.where(first, np.arange(len(deeds)), 0)) - 1 if len(deeds) else place[:0]
    own = pick(thread, place) == events.thread[waits]
    place = np.where(own, pick(of_another, place), place)
    by = pick(deeds, place)
    by[(pick(channel, place) != events.channel[waits]) | (pick(events.exit, by) <= events.enter[waits])] = NONE
    opened = events.exit[waits] == NEVER
    by[opened] = NONE
    kept = opened | (by != NONE) | (events.exit[waits] - events.enter[waits] > LONG)
    return _ended_by(events, waits[kept], by[kept])


def _children(run: Run) -> Waits:
    events = run.events
    waits = np.flatnonzero(events.is_kind("wait"))
    opened = events.exit[waits] == NEVER
    pid = np.where(opened, events.size[waits], events.result[waits])
    child = child_of(run, waits, np.maximum(pid, -1), np.where(opened, run.cut, events.exit[waits]))
    meanwhile = pick(whole(run.trace.processes["ended"], -1), child, -1) > events.enter[waits]
    kept = opened | meanwhile
    return Waits(waits[kept], _main_thread(run.trace, child[kept]), np.full(int(kept.sum()), NONE))


def _joins(run: Run) -> Waits:
    """The last of the threads waited for that ended meanwhile, or that never did; without a name, of all others."""
    events, threads = run.events, run.trace.threads
    joins = np.flatnonzero(events.is_kind("join"))
    owner, tid, started = (whole(threads[name]) for name in ("process", "tid", "started"))
    ended = whole(threads["ended"], NEVER)
    width = int(max(tid.max(initial=0), events.size[joins].max(initial=0))) + 1
    known = Timeline(owner * width + tid, started)
    named = known.last(events.process[joins] * width + np.maximum(events.size[joins], 0), events.exit[joins])
    every = np.flatnonzero(named < 0)
    which, other = of_process(run, events.process[joins[every]])
    join, thread = np.append(np.flatnonzero(named >= 0), every[which]), np.append(named[named >= 0], other)
    event = joins[join]
    late = ended[thread] > events.enter[event]
    late &= (ended[thread] <= events.exit[event]) | (events.exit[event] == NEVER)
    late &= (started[thread] < events.exit[event]) & (thread != events.thread[event])
    join, thread = join[late], thread[late]
    order = np.lexsort((ended[thread], join))
    last = np.append(join[order][1:] != join[order][:-1], True)[: len(order)]
    return Waits(joins[join[order][last]], thread[order][last], np.full(int(last.sum()), NONE))


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
    chosen = chosen[~np.isin(chosen, events.parent[events.is_kind("take", "read")])]
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
