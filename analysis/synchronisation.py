"""What locks, queues, notices, barriers, pools and signals prove of the order of events of different threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .events import NEVER, NONE, Events, Flags, Ints, pick, whole
from .timeline import WAITED, Edges, Timeline, flagged, from_begins, spread, together, told_by_one

if TYPE_CHECKING:
    from .run import Run

PARTIES = 64  # threads at one object: with more, only messages, ends and locks are followed
_QUEUES = ("Queue.put", "Queue.get", "SimpleQueue.put", "SimpleQueue.get", "asyncio.Queue.put", "asyncio.Queue.get")
_EXCLUSIVE = 2  # flock(2): LOCK_EX


# Locks, queues, notices


def locks(run: Run) -> Edges:
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
    return from_begins(freed[releases.index[place[kept]]], got[kept], events.channel[got[kept]])


def items(run: Run) -> Edges:
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
    return together([taken, roomy, fed])


def places(run: Run) -> Edges:
    """The n-th acquire of a semaphore with k places comes after n − k releases."""
    events = run.events
    on = _counting(run, "semaphore")
    taken = np.flatnonzero(on & events.is_kind("acquire") & (events.error == NONE) & (events.result != 0))
    freed = np.flatnonzero(on & events.is_kind("release"))
    places = whole(run.trace.channels["capacity"], NEVER)
    known = taken[places[events.channel[taken]] != NEVER]
    freed = np.repeat(freed, np.clip(events.size[freed], 1, PARTIES))
    return _counted(events, known, _rank(events, known) - places[events.channel[known]], freed)


def finished(run: Run) -> Edges:
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
        return from_begins(takers[:0], takers[:0])
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
    return from_begins(giver, taker, events.channel[taker], after_end=not begins)


def notices(run: Run) -> Edges:
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
    return told_by_one(events, waits, events.channel[waits], says, events.channel[says], since)


def barriers(run: Run) -> Edges:
    """Nobody gets past a barrier before the last has come."""
    events = run.events
    parties = whole(run.trace.channels["capacity"], 0)
    met = _counting(run, "barrier") & events.is_kind("await")
    waits = np.flatnonzero(met & (events.error == NONE) & (events.exit != NEVER))
    parts = [from_begins(waits[:0], waits[:0])]
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
        parts.append(from_begins(before, after, np.full(len(before), channel)))
    return together(parts)


def work(run: Run) -> Edges:
    """A piece of work comes after it was handed over."""
    events = run.events
    submits = np.flatnonzero(events.is_kind("submit") & (events.channel != NONE))
    works = np.flatnonzero(events.is_op("work") & (events.channel != NONE))
    place = Timeline(events.channel[submits], events.enter[submits]).last(events.channel[works], events.enter[works])
    return from_begins(
        submits[place[place >= 0]], works[place >= 0], events.channel[works[place >= 0]], after_end=False
    )


# Signals


def signals(run: Run) -> Edges:
    """A signal's handler, or a wait for the signal, comes after it was sent: if one thread alone can have sent it."""
    events, pids = run.events, whole(run.trace.processes["pid"])
    handlers = np.flatnonzero(events.is_kind("signal") & (events.size > 0))
    waits = np.flatnonzero(events.is_kind("await") & events.waits_for("signal") & (events.result > 0)
                           & (events.exit != NEVER))  # fmt: skip
    return together([
        signalled(run, handlers, pids[events.process[handlers]], events.size[handlers], False),
        signalled(run, waits, pids[events.process[waits]], events.result[waits], True),
    ])  # fmt: skip


def signalled(run: Run, told: Ints, pid: Ints, signal: Ints, end: bool) -> Edges:
    events = run.events
    kills = np.flatnonzero(events.is_kind("kill") & (events.size > 0) & (events.extra > 0) & (events.error == NONE))
    key = pid * 128 + np.clip(signal, 0, 127)
    moment = events.exit[told] if end else events.enter[told]
    earlier = Timeline(key, moment)
    before = earlier.last(key, moment)
    since = np.where(before >= 0, pick(moment, before, -1), -1)  # what came then was the one before it
    return told_by_one(events, told, key, kills, events.size[kills] * 128 + events.extra[kills], since, end)
