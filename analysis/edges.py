"""What makes one event come before another of another thread: messages, forks and ends, locks, notices, signals.

Every call has a begin and an end, and does what it does in between. What one gives can be had by others from its begin
on, before it returns; whoever gets something has it at the end: so an edge leads from the begin of a write to the end
of the read. (Lamport: "On interprocess communication", 1986: what can affect what.)

Only what the data proves is here. Where one of several threads can have been the one, none is named; a count often
still proves something: the fifth item got from a queue comes after the fifth one put, whoever put them (`_counted`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from .events import NEVER, NONE, Events, Flags, Ints, optional, pick, whole

if TYPE_CHECKING:
    from .run import Run

PARTIES = 64  # threads at one object: with more, only messages, ends and locks are followed
WAITED = 1_000_000  # ns: a wait for an event as long as this found it unset
_QUEUES = ("Queue.put", "Queue.get", "SimpleQueue.put", "SimpleQueue.get", "asyncio.Queue.put", "asyncio.Queue.get")
_EXCLUSIVE = 2  # flock(2): LOCK_EX
_EPIPE = 32
_SHUT, _SHUT_BOTH = {"r": 0, "w": 1}, 2
_ACCESS = 3  # open(2): O_ACCMODE


class Nodes(NamedTuple):
    """Begins and ends of events. `end`: which."""

    event: Ints
    end: Flags


class Edges(NamedTuple):
    """`before` comes before `after`; channel NONE where it isn't one's doing."""

    before: Nodes
    after: Nodes
    channel: Ints


def edges(run: Run) -> pd.DataFrame:
    """A row an edge between threads: before_event, after_event, kind, channel?, before_end and after_end (bool: from or
    to the end of the event and not its begin). Both ends are known; time never runs backwards along an edge."""
    found = [(kind, part) for kind, rule in KINDS for part in [rule(run)] if len(part.channel)]
    codes = np.repeat(np.arange(len(found)), [len(part.channel) for _, part in found])
    table = pd.DataFrame(
        {
            "before_event": _joined([part.before.event for _, part in found]),
            "after_event": _joined([part.after.event for _, part in found]),
            "kind": pd.Categorical.from_codes(codes.tolist(), pd.Index([kind for kind, _ in found], dtype="str")),
            "channel": optional(_joined([part.channel for _, part in found])),
            "before_end": _joined([part.before.end for _, part in found]).astype(bool),
            "after_end": _joined([part.after.end for _, part in found]).astype(bool),
        }
    )
    events = run.events
    before, after = (table[name].to_numpy() for name in ("before_event", "after_event"))
    left = np.where(table["before_end"], events.exit[before], events.enter[before])
    came = np.where(table["after_end"], events.exit[after], events.enter[after])
    sound = (left <= came) & (came != NEVER) & (events.thread[before] != events.thread[after])
    kept: pd.DataFrame = table.loc[sound]
    return kept.reset_index(drop=True)


def _joined(parts: list[Ints] | list[Flags]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, dtype="int64")


def _edges(before: Ints, after: Ints, channel: Ints | None = None, after_end: bool = True) -> Edges:
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


# Messages


def _messages(run: Run) -> Edges:
    """A read comes after the writes whose bytes it got, where it is known whose they were."""
    got, events = run.got, run.events
    write, read = whole(got["write"]), whole(got["read"])
    kept = (write != NONE) & ~flagged(run.messages["ambiguous"], whole(got["message"]))
    write, read = write[kept], read[kept]
    if len(write):  # in order of the channels' bytes: the pieces of one write that one read got lie together
        first = np.append(True, (write[1:] != write[:-1]) | (read[1:] != read[:-1]))
        write, read = write[first], read[first]
    return _edges(write, read, events.channel[read])


def _room(run: Run) -> Edges:
    """A write comes to its end after the read that took the bytes which, with its own, the pipe can't have held.

    Of those that it may have waited for: nobody asks whether a read of long ago had to be, and there is one a write.
    """
    events, got = run.events, run.got
    capacity = whole(run.trace.channels["capacity"])
    pipes = run.trace.channels["kind"].isin(["pipe", "fifo"]).to_numpy() & (capacity > 0)
    read, write, size = (whole(got[name]) for name in ("read", "write", "size"))
    channel = events.channel[read]
    doubted = flagged(run.messages["ambiguous"], whole(got["message"]))
    kept = flagged(pipes, channel) & ~doubted
    read, write, channel, size = read[kept], write[kept], channel[kept], size[kept]
    if not len(read):
        return _edges(read, read)
    end = np.cumsum(size)  # one line for all channels: they lie one behind the other
    start = end - size
    base = start[np.flatnonzero(np.append(True, channel[1:] != channel[:-1]))]
    base = base[np.cumsum(np.append(False, channel[1:] != channel[:-1]))]
    last = np.append(write[1:] != write[:-1], True)
    closing = np.flatnonzero((write != NONE) & last & (end - base > capacity[channel]))
    freed = np.searchsorted(end, end[closing] - capacity[channel[closing]])
    meanwhile = events.exit[read[freed]] > events.enter[write[closing]]
    return _edges(read[freed[meanwhile]], write[closing[meanwhile]], channel[closing[meanwhile]])


def _ready(run: Run) -> Edges:
    """A select that found an end ready comes after the write of what its thread, the only reader, read next."""
    events, got = run.events, run.got
    found = events.is_kind("select") & (events.result > 0) & (events.extra >= 0)
    selects = np.flatnonzero(found & (events.exit != NEVER))
    first = got.drop_duplicates("read")
    read, write = whole(first["read"]), whole(first["write"])
    alone = pd.Series(events.thread[read]).groupby(events.channel[read]).nunique()
    sole = (write != NONE) & (alone.reindex(events.channel[read]).to_numpy() == 1)
    read, write = read[sole], write[sole]
    if not len(read) or not len(selects):
        return _edges(read[:0], read[:0])
    width = int(max(events.fd[read].max(), events.extra[selects].max())) + 1
    reads = Timeline(events.thread[read] * width + np.maximum(events.fd[read], 0), events.enter[read])
    key = events.thread[selects] * width + events.extra[selects]
    place = reads.until(key, events.exit[selects])
    known = place < reads.until(key, np.full(len(key), NEVER), "right")
    following = reads.index[place[known]]
    return _edges(write[following], selects[known], events.channel[read[following]])


def _connections(run: Run) -> Edges:
    """An accept comes after the connect at the other end of what it accepted."""
    events, channels, spans = run.events, run.trace.channels, run.spans
    connects = np.flatnonzero(events.is_kind("connect") & ~events.is_op("socket.accept") & (events.channel != NONE))
    by_channel = np.full(len(channels) + 1, NONE)
    by_channel[events.channel[connects]] = connects
    accepts = np.flatnonzero(events.is_op("socket.accept") & (events.result >= 0) & (events.exit != NEVER))
    if not len(accepts) or not len(connects):
        return _edges(accepts[:0], accepts[:0])
    process, fd = whole(spans["process"]), whole(spans["fd"])
    width = int(max(fd.max(initial=0), events.result[accepts].max())) + 1
    held = Timeline(process * width + fd, whole(spans["opened"]))
    place = held.last(events.process[accepts] * width + events.result[accepts], events.exit[accepts] + WAITED, "right")
    peer = pick(whole(channels["peer"]), pick(whole(spans["channel"]), place, -1), -1)
    connect = pick(by_channel, peer)
    kept = connect != NONE
    return _edges(connect[kept], accepts[kept], events.channel[accepts[kept]])


def _opens(run: Run) -> Edges:
    """Opening one side of a FIFO comes to its end after somebody began to open the other."""
    events = run.events
    fifos = flagged(run.trace.channels["kind"] == "fifo", events.channel)
    opens = np.flatnonzero(events.is_kind("open") & fifos & (events.size != NONE))
    mode = events.size[opens] & _ACCESS
    parts = []
    for own in (0, 1):  # O_RDONLY, O_WRONLY
        others = opens[(mode != own)]
        waiting = opens[(mode == own) & (events.exit[opens] != NEVER) & (events.error[opens] == NONE)]
        parts.append(_told_by_one(events, waiting, events.channel[waiting], others, events.channel[others]))
    return _both(parts)


def _both(parts: list[Edges]) -> Edges:
    nodes = [
        Nodes(np.concatenate([getattr(part, side).event for part in parts]),
              np.concatenate([getattr(part, side).end for part in parts])) for side in ("before", "after")
    ]  # fmt: skip
    return Edges(nodes[0], nodes[1], np.concatenate([part.channel for part in parts]))


# Ends of threads and processes


def first_events(events: Events, threads: int) -> Ints:
    """The first event of each thread; NONE where it has none."""
    first = np.full(threads, NONE)
    thread, event = np.unique(events.thread, return_index=True)
    first[thread] = event
    return first


def last_nodes(events: Events, threads: int) -> tuple[Ints, Flags]:
    """The last that is known of each thread: an event (NONE: nothing) and whether it is its end."""
    event, end = np.full(threads, NONE), np.zeros(threads, dtype=bool)
    event[events.thread] = np.arange(len(events))  # in order of enter: the last one stays
    over = np.flatnonzero(events.exit != NEVER)
    over = over[np.argsort(events.exit[over], kind="stable")]
    done = np.full(threads, NONE)
    done[events.thread[over]] = over
    later = (done != NONE) & (pick(events.exit, done) >= pick(events.enter, event))
    event[later], end[later] = done[later], True
    return event, end


def _after_threads(run: Run, thread: Ints, event: Ints, channel: Ints | None = None) -> Edges:
    """Each event comes to its end after all of a thread."""
    last, end = run.last_nodes
    known = np.flatnonzero(last[thread] != NONE)
    told = np.full(len(event), NONE) if channel is None else channel
    return Edges(
        Nodes(last[thread[known]], end[thread[known]]),
        Nodes(event[known], np.ones(len(known), dtype=bool)),
        told[known],
    )


def of_process(run: Run, process: Ints) -> tuple[Ints, Ints]:
    """All (number of the process in the list, thread of it)."""
    owner = whole(run.trace.threads["process"])
    order = np.argsort(owner, kind="stable")
    which, place = spread(np.searchsorted(owner[order], process), np.searchsorted(owner[order], process, "right"))
    return which, order[place]


def child_of(run: Run, event: Ints, pid: Ints, time: Ints) -> Ints:
    """For each event the child of its process that had this pid at a time; -1: none known."""
    parent, pids = whole(run.trace.processes["parent"], -1), whole(run.trace.processes["pid"])
    width = int(max(pids.max(initial=0), pid.max(initial=0))) + 2
    children = Timeline((parent + 1) * width + pids, whole(run.trace.processes["started"]))
    return children.last((run.events.process[event] + 1) * width + np.clip(pid, 0, width - 1), time, "right")


def _forks(run: Run) -> Edges:
    """All of a child comes after the begin of the fork that made it."""
    events = run.events
    forks = np.flatnonzero(events.is_kind("fork") & (events.result > 0) & (events.exit != NEVER))
    child = child_of(run, forks, events.result[forks], events.exit[forks])
    forks, child = forks[child >= 0], child[child >= 0]
    which, thread = of_process(run, child)
    main = run.trace.threads["main"].to_numpy(dtype=bool)[thread]
    forks, thread = forks[which[main]], thread[main]
    first = run.first_events[thread]
    return _edges(forks[first != NONE], first[first != NONE], after_end=False)


def _exits(run: Run) -> Edges:
    """A wait for a child comes to its end after all threads of the child, and after the signal that killed it."""
    events = run.events
    waits = np.flatnonzero(events.is_kind("wait") & (events.result > 0) & (events.exit != NEVER))
    child = child_of(run, waits, events.result[waits], events.exit[waits])
    ended = whole(run.trace.processes["ended"], NEVER)
    kept = (child >= 0) & (pick(ended, child, NEVER) != NEVER)
    waits, child = waits[kept], child[kept]
    which, thread = of_process(run, child)
    return _after_threads(run, thread, waits[which])


def _kills(run: Run) -> Edges:
    """A wait for a child that a signal killed comes to its end after the kill."""
    events, processes = run.events, run.trace.processes
    waits = np.flatnonzero(events.is_kind("wait") & (events.result > 0) & (events.exit != NEVER))
    child = child_of(run, waits, events.result[waits], events.exit[waits])
    signal = -pick(whole(processes["status"], 0), child, 0)
    waits, pid, signal = waits[signal > 0], events.result[waits][signal > 0], signal[signal > 0]
    return _signalled(run, waits, pid, signal, True)


def _starts(run: Run) -> Edges:
    """All of a thread comes after the begin of the start that made it: the one thread that began meanwhile."""
    events, threads = run.events, run.trace.threads
    starts = np.flatnonzero(events.is_kind("start") & (events.exit != NEVER))
    candidates = np.flatnonzero((~threads["main"].to_numpy(dtype=bool)) & threads["loop"].isna().to_numpy())
    began = Timeline(whole(threads["process"])[candidates], whole(threads["started"])[candidates])
    low = began.until(events.process[starts], events.enter[starts])
    high = began.until(events.process[starts], events.exit[starts], "right")
    one = high - low == 1
    thread = candidates[began.index[low[one]]]
    first = run.first_events[thread]
    return _edges(starts[one][first != NONE], first[first != NONE], after_end=False)


def _joins(run: Run) -> Edges:
    """A join comes to its end after all of the thread or task; the interpreter's own, of all that had ended."""
    events, threads = run.events, run.trace.threads
    joins = np.flatnonzero(events.is_kind("join") & (events.exit != NEVER) & (events.error == NONE))
    owner, tid = whole(threads["process"]), whole(threads["tid"])
    ended = whole(threads["ended"], NEVER)
    named = joins[events.size[joins] > 0]
    width = int(max(tid.max(initial=0), events.size[named].max(initial=0))) + 1
    known = Timeline(owner * width + tid, whole(threads["started"]))
    thread = known.last(events.process[named] * width + events.size[named], events.exit[named])
    some = thread >= 0
    every = joins[events.is_op("threading.shutdown")[joins]]
    which, each = of_process(run, events.process[every])
    thread, join = np.append(thread[some], each), np.append(named[some], every[which])
    over = (ended[thread] <= events.exit[join]) & (thread != events.thread[join])
    return _after_threads(run, thread[over], join[over])


def _tasks(run: Run) -> Edges:
    """A task is run by its loop's thread: it comes after what that did before, and before what it does then."""
    events, threads = run.events, run.trace.threads
    tasks = np.flatnonzero(threads["loop"].notna().to_numpy() & (run.first_events != NONE))
    loop = whole(threads["loop"])[tasks]
    nodes = Timeline(events.thread, events.enter)
    place = nodes.last(loop, whole(threads["started"])[tasks])
    began = place >= 0
    starts = _edges(place[began], run.first_events[tasks[began]], after_end=False)
    ended = whole(threads["ended"], NEVER)[tasks]
    place = nodes.until(loop, ended, "right")
    last, end = run.last_nodes
    later = (place < nodes.until(loop, np.full(len(loop), NEVER), "right")) & (ended != NEVER)
    after = nodes.index[place[later]]
    ends = Edges(
        Nodes(last[tasks[later]], end[tasks[later]]),
        Nodes(after, np.zeros(len(after), dtype=bool)),
        np.full(len(after), NONE),
    )
    return _both([starts, ends])


def _closings(run: Run) -> Edges:
    """End of file comes after every close of a write end; a broken pipe, of a read end."""
    events = run.events
    carriers = flagged(run.trace.channels["kind"].isin(["pipe", "fifo", "socket"]), events.channel)
    done = carriers & (events.exit != NEVER)
    nothing = events.is_kind("read") & (events.result == 0) & (events.error == NONE) & (events.size != 0)
    ends = np.flatnonzero(done & nothing)
    broken = np.flatnonzero(done & events.is_kind("write") & (events.error == _EPIPE))
    peer = whole(run.trace.channels["peer"])

    def other(which: Ints) -> Ints:  # of a connection each end is a channel of its own
        channel = events.channel[which]
        return np.where(pick(peer, channel) != NONE, pick(peer, channel), channel)

    return _both([_closed(run, ends, other(ends), "w"), _closed(run, broken, other(broken), "r")])


def _closed(run: Run, told: Ints, channel: Ints, way: str) -> Edges:
    """Each of `told` (its thread's first on its channel) comes after the closes of the channel's ends until then."""
    events = run.events
    _, first = np.unique(np.stack([channel, events.thread[told]]), axis=1, return_index=True)
    told, channel = told[first], channel[first]
    spans = run.spans[run.spans["access"].str.contains(way) & run.spans["closed"].notna()]
    closed, process = whole(spans["closed"]), whole(spans["process"])
    # of a process that ended, the end is known later than whoever reads from it sees it
    ended = closed == pick(whole(run.trace.processes["ended"], NEVER), process, NEVER)
    ends = Timeline(whole(spans["channel"]), np.where(ended, whole(spans["opened"]), closed), events.exit[told])
    which, place = spread(ends.begin(channel), ends.until(channel, events.exit[told], "right"))
    span = ends.index[place]
    closers = closing_events(events, process[span], closed[span])
    by_call = closers >= 0
    calls = _edges(closers[by_call], told[which[by_call]], channel[which[by_call]])
    gone = ~by_call & ended[span]
    index, thread = of_process(run, process[span][gone])
    lives = _after_threads(run, thread, told[which[gone]][index], channel[which[gone]][index])
    return _both([calls, lives, _shut(run, told, channel, way)])


def _shut(run: Run, told: Ints, channel: Ints, way: str) -> Edges:
    """Each of `told` comes after the first shutdown of its channel, in this way or in both: see shutdown(2)."""
    events = run.events
    shuts = np.flatnonzero(events.is_kind("shutdown") & (events.channel != NONE) & (events.error == NONE)
                           & np.isin(events.size, (_SHUT[way], _SHUT_BOTH)))  # fmt: skip
    line = Timeline(events.channel[shuts], events.enter[shuts], events.exit[told])
    begin = line.begin(channel)
    some = line.until(channel, events.exit[told]) > begin
    return _edges(shuts[line.index[begin[some]]], told[some], channel[some])


def closing_events(events: Events, process: Ints, time: Ints) -> Ints:
    """For each the call by which its process closed an end at a time: a close as it returned, an exec as it began."""
    closes = np.flatnonzero(events.is_kind("close", "duplicate") & (events.exit != NEVER))
    execs = np.flatnonzero(events.is_kind("exec") & (events.error == NONE))
    moment = np.append(events.exit[closes], events.enter[execs])
    calls = np.append(closes, execs)
    line = Timeline(events.process[calls], moment)
    place = line.last(process, time, "right")
    return np.where(pick(moment, place, -1) == time, pick(calls, place, -1), -1)


# Locks, queues, notices


def _locks(run: Run) -> Edges:
    """Who gets a lock comes after its last release by another: who releases it later can't have had it earlier."""
    events, channels = run.events, run.trace.channels
    plain = (channels["kind"] == "file").to_numpy()
    lockable = channels["kind"].isin(["lock", "rlock"]).to_numpy() | plain
    taken = events.is_kind("acquire") & flagged(lockable, events.channel)
    partly = np.zeros(len(events), dtype=bool)  # a lock on a part of a file
    partly[whole(run.trace.payloads["event"])] = True
    shared = taken & flagged(plain, events.channel) & (partly | ((events.size & _EXCLUSIVE) == 0))
    lockable[events.channel[shared]] = False
    on = flagged(lockable, events.channel)
    got = np.flatnonzero(taken & on & (events.exit != NEVER) & (events.result != 0) & (events.error == NONE))
    freed = np.flatnonzero(events.is_kind("release") & on)
    releases = Timeline(events.channel[freed], events.enter[freed])
    place = releases.until(events.channel[got], events.exit[got]) - 1
    low = releases.begin(events.channel[got])
    own = (place >= low) & (events.thread[pick(freed, pick(releases.index, place, -1), -1)] == events.thread[got])
    place = np.where(own, NONE, place)  # its own was the last: whatever came before, it knows from then
    kept = place >= low
    return _edges(freed[releases.index[place[kept]]], got[kept], events.channel[got[kept]])


def _items(run: Run) -> Edges:
    """The n-th item got from a queue comes after n were put; and one put into a full queue after enough were got."""
    events = run.events
    ours = _counting(run, "queue") & events.is_op(*_QUEUES) & (events.error == NONE)
    puts, gets = (np.flatnonzero(events.is_kind(kind) & ours) for kind in ("send", "receive"))
    limit = whole(run.trace.channels["capacity"], 0)
    taken = _counted(events, gets, _rank(events, gets), puts)
    bounded = puts[limit[events.channel[puts]] > 0]
    roomy = _counted(events, bounded, _rank(events, bounded) - limit[events.channel[bounded]], gets)
    known = (events.channel != NONE) & (events.error == NONE)
    feeds, handed = (np.flatnonzero(events.is_op(f"multiprocessing.Queue.{op}") & known) for op in ("feed", "put"))
    width = len(run.trace.channels) + 1
    own, of = (events.process[which] * width + events.channel[which] for which in (feeds, handed))
    fed = _counted(events, feeds, _rank(events, feeds, own), handed, own, of, begins=True)
    return _both([taken, roomy, fed])


def _places(run: Run) -> Edges:
    """The n-th acquire of a semaphore with k places comes after n − k releases."""
    events = run.events
    on = _counting(run, "semaphore")
    taken = np.flatnonzero(on & events.is_kind("acquire") & (events.error == NONE) & (events.result != 0))
    freed = np.flatnonzero(on & events.is_kind("release"))
    places = whole(run.trace.channels["capacity"], NEVER)
    known = taken[places[events.channel[taken]] != NEVER]
    freed = np.repeat(freed, np.clip(events.size[freed], 1, PARTIES))
    return _counted(events, known, _rank(events, known) - places[events.channel[known]], freed)


def _finished(run: Run) -> Edges:
    """A queue's join comes after as many task_done as items had been put before it began."""
    events = run.events
    joins = np.flatnonzero(events.is_op("Queue.join", "asyncio.Queue.join") & (events.channel != NONE))
    done = np.flatnonzero(events.is_op("Queue.task_done", "asyncio.Queue.task_done") & (events.channel != NONE))
    puts = np.flatnonzero(events.is_kind("send") & (events.channel != NONE) & (events.exit != NEVER))
    put = Timeline(events.channel[puts], events.exit[puts])
    need = put.until(events.channel[joins], events.enter[joins], "right") - put.begin(events.channel[joins])
    return _counted(events, joins, need, done)


def _counting(run: Run, kind: str) -> Flags:
    """Which events are on an object of this kind of which every one is known, from its making on."""
    channels = run.trace.channels
    known = channels["copy_of"].isna() & channels["dropped_written"].isna() & channels["dropped_read"].isna()
    return flagged((channels["kind"] == kind) & known, run.events.channel)


def _rank(events: Events, takers: Ints, key: Ints | None = None) -> Ints:
    """The how-manieth of its object each is at least: one more than had ended before it began."""
    key = events.channel[takers] if key is None else key
    over = Timeline(key, events.exit[takers])
    return over.until(key, events.enter[takers], "right") - over.begin(key) + 1


def _counted(
    events: Events, takers: Ints, need: Ints, givers: Ints, key: Ints | None = None, of: Ints | None = None,
    begins: bool = False,
) -> Edges:  # fmt: skip
    """Each taker comes after `need` givers of its object: of each thread's, as many as the others can't have given."""
    key = events.channel[takers] if key is None else key
    of = events.channel[givers] if of is None else of
    bound = events.enter[takers] if begins else events.exit[takers]
    wanted = np.flatnonzero((bound != NEVER) & (need > 0))
    takers, need, key, bound = takers[wanted], need[wanted], key[wanted], bound[wanted]
    if not len(takers) or not len(givers):
        return _edges(takers[:0], takers[:0])
    everyone = Timeline(of, events.enter[givers])
    total = everyone.until(key, bound) - everyone.begin(key)
    pairs = np.unique(np.stack([of, events.thread[givers]]), axis=1)
    low, high = np.searchsorted(pairs[0], key), np.searchsorted(pairs[0], key, "right")
    low = np.where(high - low > PARTIES, high, low)
    which, pair = spread(low, high)
    threads = int(events.thread.max()) + 1
    code = np.searchsorted(pairs[0] * threads + pairs[1], of * threads + events.thread[givers])
    of_thread = Timeline(code, events.enter[givers])
    begin = of_thread.begin(pair)
    own = of_thread.until(pair, bound[which]) - begin
    least = need[which] - (total[which] - own)
    kept = (least > 0) & (least <= own)
    giver = givers[of_thread.index[(begin + least - 1)[kept]]]
    taker = takers[which[kept]]
    return _edges(giver, taker, events.channel[taker], after_end=not begins)


def _notices(run: Run) -> Edges:
    """Who was told comes after who told: if that was one thread, and it was told (not out of time)."""
    events = run.events
    kinds = run.trace.channels["kind"]
    on = flagged(kinds.isin(["condition", "event", "future"]), events.channel)
    waits = np.flatnonzero(on & events.is_kind("await") & (events.exit != NEVER) & (events.result != 0)
                           & (events.error == NONE))  # fmt: skip
    says = np.flatnonzero(on & events.is_kind("notify"))
    long = events.exit[waits] - events.enter[waits] > WAITED
    unset = flagged(kinds == "event", events.channel[waits]) & long  # one that is set lets everybody pass at once
    momentary = flagged(kinds == "condition", events.channel[waits]) | unset
    since = np.where(momentary, events.enter[waits], -1)
    return _told_by_one(events, waits, events.channel[waits], says, events.channel[says], since)


def _told_by_one(
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
    return _edges(says[deeds.index[low[one]]], waits[one], events.channel[waits[one]], after_end=end)


def _barriers(run: Run) -> Edges:
    """Nobody gets past a barrier before the last has come."""
    events = run.events
    parties = whole(run.trace.channels["capacity"], 0)
    met = _counting(run, "barrier") & events.is_kind("await")
    waits = np.flatnonzero(met & (events.error == NONE) & (events.exit != NEVER))
    parts = [_edges(waits[:0], waits[:0])]
    for channel in np.unique(events.channel[waits]).tolist():
        size = int(parties[channel])
        own = waits[events.channel[waits] == channel]
        own = own[np.argsort(events.exit[own], kind="stable")]
        if not 1 < size <= PARTIES or len(own) < size:
            continue
        rounds = own[: len(own) // size * size].reshape(-1, size)
        met = events.enter[rounds].max(axis=1) <= events.exit[rounds].min(axis=1)
        rounds = rounds[met]
        before, after = (np.broadcast_to(side, (len(rounds), size, size)).ravel()
                         for side in (rounds[:, :, None], rounds[:, None, :]))  # fmt: skip
        parts.append(_edges(before, after, np.full(len(before), channel)))
    return _both(parts)


def _work(run: Run) -> Edges:
    """A piece of work comes after it was handed over."""
    events = run.events
    submits = np.flatnonzero(events.is_kind("submit") & (events.channel != NONE))
    works = np.flatnonzero(events.is_op("work") & (events.channel != NONE))
    place = Timeline(events.channel[submits], events.enter[submits]).last(events.channel[works], events.enter[works])
    return _edges(submits[place[place >= 0]], works[place >= 0], events.channel[works[place >= 0]], after_end=False)


# Signals


def _signals(run: Run) -> Edges:
    """A signal's handler, or a wait for the signal, comes after it was sent: if one thread alone can have sent it."""
    events, pids = run.events, whole(run.trace.processes["pid"])
    handlers = np.flatnonzero(events.is_kind("signal") & (events.size > 0))
    waits = np.flatnonzero(events.is_kind("await") & events.waits_for("signal") & (events.result > 0)
                           & (events.exit != NEVER))  # fmt: skip
    return _both([
        _signalled(run, handlers, pids[events.process[handlers]], events.size[handlers], False),
        _signalled(run, waits, pids[events.process[waits]], events.result[waits], True),
    ])  # fmt: skip


def _signalled(run: Run, told: Ints, pid: Ints, signal: Ints, end: bool) -> Edges:
    events = run.events
    kills = np.flatnonzero(events.is_kind("kill") & (events.size > 0) & (events.extra > 0) & (events.error == NONE))
    key = pid * 128 + np.clip(signal, 0, 127)
    moment = events.exit[told] if end else events.enter[told]
    earlier = Timeline(key, moment)
    before = earlier.last(key, moment)
    since = np.where(before >= 0, pick(moment, before, -1), -1)  # what came then was the one before it
    return _told_by_one(events, told, key, kills, events.size[kills] * 128 + events.extra[kills], since, end)


KINDS: tuple[tuple[str, Callable[[Run], Edges]], ...] = (
    ("message", _messages), ("room", _room), ("ready", _ready), ("connection", _connections), ("open", _opens),
    ("fork", _forks), ("exit", _exits), ("killed", _kills), ("start", _starts), ("join", _joins), ("task", _tasks),
    ("close", _closings), ("lock", _locks), ("item", _items), ("place", _places), ("done", _finished),
    ("notice", _notices), ("barrier", _barriers), ("work", _work), ("signal", _signals),
)  # fmt: skip
