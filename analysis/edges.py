"""What makes one event come before another of another thread: messages, forks and ends, locks, notices, signals.

Every call has a begin and an end, and does what it does in between. What one gives can be had by others from its begin
on, before it returns; whoever gets something has it at the end: so an edge leads from the begin of a write to the end
of the read. (Lamport: "On interprocess communication", 1986: what can affect what.)

Only what the data proves is here. Where one of several threads can have been the one, none is named; a count often
still proves something: the fifth item got from a queue comes after the fifth one put, whoever put them. What locks,
queues and the like prove is in `synchronisation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from . import synchronisation
from .events import NEVER, NONE, Events, Flags, Ints, optional, pick, whole
from .timeline import WAITED, Edges, Nodes, Timeline, flagged, from_begins, spread, together, told_by_one

if TYPE_CHECKING:
    from .run import Run

_EPIPE = 32
_SHUT, _SHUT_BOTH = {"r": 0, "w": 1}, 2
_ACCESS = 3  # open(2): O_ACCMODE


def edges(run: Run) -> pd.DataFrame:
    """A row an edge between threads: before_event, after_event, kind, channel?, before_end and after_end (bool: from or
    to the end of the event and not its begin). Both ends are known; time never runs backwards along an edge."""
    found = [(kind, part) for kind, rule in KINDS for part in [rule(run)] if len(part.channel)]
    codes = np.repeat(np.arange(len(found)), [len(part.channel) for _, part in found])
    table = pd.DataFrame(
        {
            "before_event": _joined([part.before.event for _, part in found]),
            "after_event": _joined([part.after.event for _, part in found]),
            "kind": pd.Categorical.from_codes(codes, pd.Index([kind for kind, _ in found], dtype="str")),
            "channel": optional(_joined([part.channel for _, part in found])),
            "before_end": _joined([part.before.end for _, part in found]).astype(bool),
            "after_end": _joined([part.after.end for _, part in found]).astype(bool),
        },
        copy=False,
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
    return from_begins(write, read, events.channel[read])


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
        return from_begins(read, read)
    end = np.cumsum(size)  # one line for all channels: they lie one behind the other
    start = end - size
    base = start[np.flatnonzero(np.append(True, channel[1:] != channel[:-1]))]
    base = base[np.cumsum(np.append(False, channel[1:] != channel[:-1]))]
    last = np.append(write[1:] != write[:-1], True)
    closing = np.flatnonzero((write != NONE) & last & (end - base > capacity[channel]))
    freed = np.searchsorted(end, end[closing] - capacity[channel[closing]])
    meanwhile = events.exit[read[freed]] > events.enter[write[closing]]
    return from_begins(read[freed[meanwhile]], write[closing[meanwhile]], channel[closing[meanwhile]])


def _ready(run: Run) -> Edges:
    """A select that found an end ready comes after the write of what its thread, the only reader, read next."""
    events, got = run.events, run.got
    found = events.is_kind("select") & (events.result > 0) & (events.extra >= 0)
    selects = np.flatnonzero(found & (events.exit != NEVER))
    if not len(selects):
        return from_begins(selects, selects)
    read, write = whole(got["read"]), whole(got["write"])
    first = np.append(True, read[1:] != read[:-1])[: len(read)]  # the pieces of a read lie together
    read, write = read[first], write[first]
    least, most = np.full(len(run.trace.channels), NEVER), np.full(len(run.trace.channels), NONE)
    np.minimum.at(least, events.channel[read], events.thread[read])
    np.maximum.at(most, events.channel[read], events.thread[read])
    sole = (write != NONE) & (least == most)[events.channel[read]]
    read, write = read[sole], write[sole]
    if not len(read):
        return from_begins(read, read)
    width = int(max(events.fd[read].max(), events.extra[selects].max())) + 1
    reads = Timeline(events.thread[read] * width + np.maximum(events.fd[read], 0), events.enter[read])
    key = events.thread[selects] * width + events.extra[selects]
    place = reads.until(key, events.exit[selects])
    known = place < reads.until(key, np.full(len(key), NEVER), "right")
    following = reads.index[place[known]]
    return from_begins(write[following], selects[known], events.channel[read[following]])


def _connections(run: Run) -> Edges:
    """An accept comes after the connect at the other end of what it accepted."""
    events, channels, spans = run.events, run.trace.channels, run.spans
    connects = np.flatnonzero(events.is_kind("connect") & ~events.is_op("socket.accept") & (events.channel != NONE))
    by_channel = np.full(len(channels) + 1, NONE)
    by_channel[events.channel[connects]] = connects
    accepts = np.flatnonzero(events.is_op("socket.accept") & (events.result >= 0) & (events.exit != NEVER))
    if not len(accepts) or not len(connects):
        return from_begins(accepts[:0], accepts[:0])
    process, fd = whole(spans["process"]), whole(spans["fd"])
    width = int(max(fd.max(initial=0), events.result[accepts].max())) + 1
    held = Timeline(process * width + fd, whole(spans["opened"]))
    place = held.last(events.process[accepts] * width + events.result[accepts], events.exit[accepts] + WAITED, "right")
    peer = pick(whole(channels["peer"]), pick(whole(spans["channel"]), place, -1), -1)
    connect = pick(by_channel, peer)
    kept = connect != NONE
    return from_begins(connect[kept], accepts[kept], events.channel[accepts[kept]])


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
        parts.append(told_by_one(events, waiting, events.channel[waiting], others, events.channel[others]))
    return together(parts)


# Ends of threads and processes


def first_events(events: Events, threads: int) -> Ints:
    """The first event of each thread; NONE where it has none."""
    first = np.full(threads, NONE)
    first[events.thread[::-1]] = np.arange(len(events))[::-1]  # the first one stays
    return first


def last_nodes(events: Events, threads: int) -> tuple[Ints, Flags]:
    """The last that is known of each thread: an event (NONE: nothing) and whether it is its end."""
    event, end = np.full(threads, NONE), np.zeros(threads, dtype=bool)
    event[events.thread] = np.arange(len(events))  # in order of enter: the last one stays
    over = np.flatnonzero(events.exit != NEVER)
    ends, latest, done = events.exit[over], np.full(threads, NONE), np.full(threads, NONE)
    np.maximum.at(latest, events.thread[over], ends)
    over = over[ends == latest[events.thread[over]]]
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
    return from_begins(forks[first != NONE], first[first != NONE], after_end=False)


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
    return synchronisation.signalled(run, waits, pid, signal, True)


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
    return from_begins(starts[one][first != NONE], first[first != NONE], after_end=False)


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
    starts = from_begins(place[began], run.first_events[tasks[began]], after_end=False)
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
    return together([starts, ends])


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

    return together([_closed(run, ends, other(ends), "w"), _closed(run, broken, other(broken), "r")])


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
    calls = from_begins(closers[by_call], told[which[by_call]], channel[which[by_call]])
    gone = ~by_call & ended[span]
    index, thread = of_process(run, process[span][gone])
    lives = _after_threads(run, thread, told[which[gone]][index], channel[which[gone]][index])
    return together([calls, lives, _shut(run, told, channel, way)])


def _shut(run: Run, told: Ints, channel: Ints, way: str) -> Edges:
    """Each of `told` comes after the first shutdown of its channel, in this way or in both: see shutdown(2)."""
    events = run.events
    shuts = np.flatnonzero(events.is_kind("shutdown") & (events.channel != NONE) & (events.error == NONE)
                           & np.isin(events.size, (_SHUT[way], _SHUT_BOTH)))  # fmt: skip
    line = Timeline(events.channel[shuts], events.enter[shuts], events.exit[told])
    begin = line.begin(channel)
    some = line.until(channel, events.exit[told]) > begin
    return from_begins(shuts[line.index[begin[some]]], told[some], channel[some])


def closing_events(events: Events, process: Ints, time: Ints) -> Ints:
    """For each the call by which its process closed an end at a time: a close as it returned, an exec as it began."""
    closes = np.flatnonzero(events.is_kind("close", "duplicate") & (events.exit != NEVER))
    execs = np.flatnonzero(events.is_kind("exec") & (events.error == NONE))
    moment = np.append(events.exit[closes], events.enter[execs])
    calls = np.append(closes, execs)
    line = Timeline(events.process[calls], moment)
    place = line.last(process, time, "right")
    return np.where(pick(moment, place, -1) == time, pick(calls, place, -1), -1)


KINDS: tuple[tuple[str, Callable[[Run], Edges]], ...] = (
    ("message", _messages), ("room", _room), ("ready", _ready), ("connection", _connections), ("open", _opens),
    ("fork", _forks), ("exit", _exits), ("killed", _kills), ("start", _starts), ("join", _joins), ("task", _tasks),
    ("close", _closings), ("lock", synchronisation.locks), ("item", synchronisation.items),
    ("place", synchronisation.places), ("done", synchronisation.finished), ("notice", synchronisation.notices),
    ("barrier", synchronisation.barriers), ("work", synchronisation.work), ("signal", synchronisation.signals),
)  # fmt: skip
