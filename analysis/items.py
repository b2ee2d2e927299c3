"""Items of queues, one to one.

A queue between threads or tasks gives its k-th item to the k-th get, if it is first in, first out: LifoQueue and
PriorityQueue aren't, and the trace doesn't tell them apart. So an item's way is certain only where the bytes that were
kept of it are like no other's, or where the queue held nothing else; else it is ambiguous.

Of a multiprocessing.Queue the item goes over a pipe (`ranges`): its put only hands it to a feeder thread, which takes
each process's items in order.
"""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from ipctrace.tracer.schema import Trace

from .events import NEVER, NONE, Events, Flags, Ints, pick, running_sum, whole
from .matched import Matched, paired, pairs
from .payloads import Kept, Payloads
from .receipts import outermost_of

PUTS = ("Queue.put", "SimpleQueue.put", "asyncio.Queue.put")
GETS = ("Queue.get", "SimpleQueue.get", "asyncio.Queue.get")
PUT = "multiprocessing.Queue.put"


def match(trace: Trace, events: Events, payloads: Payloads) -> Matched:
    """The items of queues between threads and between tasks, as messages of no bytes."""
    puts, gets = (_by_queue(events, events.is_op(*ops)) for ops in (PUTS, GETS))
    puts, gets = (_but_of_pools(events, of, puts) for of in (puts, gets))
    numbers = [_numbers(trace, events, of, way) for of, way in ((puts, "written"), (gets, "read"))]
    far = max(int(each.max(initial=0)) for each in numbers) + 1
    keys = [events.channel[of] * far + each for of, each in zip((puts, gets), numbers, strict=True)]
    place = np.searchsorted(keys[1], keys[0])
    there = np.append(keys[1], -1)[np.minimum(place, len(gets))] == keys[0]
    sent, taken = puts, np.where(there, np.append(gets, NONE)[np.minimum(place, len(gets))], NONE)
    strange = gets[~np.isin(keys[1], keys[0])]  # got, and its put was dropped
    sent, taken = np.append(sent, np.full(len(strange), NONE)), np.append(taken, strange)
    channel = np.where(sent != NONE, pick(events.channel, sent), pick(events.channel, taken))
    none = np.zeros(len(sent), dtype="int64")
    certain = _alone(events, sent, taken, puts, gets) | _shown(payloads, channel, sent, taken)
    return pairs(
        sent, taken, channel, none, none, events.exit, taken, ~certain & (taken != NONE),
        Kept.of(np.where(sent != NONE, sent, taken)),
    )  # fmt: skip


def _but_of_pools(events: Events, chosen: Ints, puts: Ints) -> Ints:
    """Without the queue within a pool: its items are pieces of work, which have events of their own."""
    submitted = outermost_of(events, puts, events.is_kind("submit")) != NONE
    return chosen[~np.isin(events.channel[chosen], events.channel[puts[submitted]])]


def _numbers(trace: Trace, events: Events, chosen: Ints, way: str) -> Ints:
    """Which item of its queue each put or get moved, counted from 0, those included that were dropped."""
    dropped = whole(trace.channels[f"dropped_{way}"], 0)[events.channel[chosen]]
    return dropped + running_sum(np.ones(len(chosen), dtype="int64"), events.channel[chosen])


def _by_queue(events: Events, chosen: Flags) -> Ints:
    """The puts or gets that were done, by queue and in order of time."""
    done = np.flatnonzero(chosen & (events.channel != NONE) & (events.exit != NEVER) & (events.error == NONE))
    return done[np.lexsort((events.enter[done], events.exit[done], events.channel[done]))]


def _alone(events: Events, sent: Ints, taken: Ints, puts: Ints, gets: Ints) -> Flags:
    """Which items were put into an empty queue and got before another was put: whatever the queue's order is."""
    both = np.flatnonzero((sent != NONE) & (taken != NONE))
    found = np.zeros(len(sent), dtype=bool)
    if not len(both):
        return found
    put, got, channel = sent[both], taken[both], events.channel[sent[both]]
    latest = int(max(events.exit[gets].max(), events.enter[puts].max())) + 1
    begun = np.sort(events.channel[puts] * latest + events.enter[puts])
    gone = np.sort(events.channel[gets] * latest + events.exit[gets])
    before = np.searchsorted(begun, channel * latest + events.enter[put]) - np.searchsorted(begun, channel * latest)
    by_then = np.searchsorted(begun, channel * latest + events.exit[got])
    by_then -= np.searchsorted(begun, channel * latest)
    gone_before = np.searchsorted(gone, channel * latest + events.enter[put], "right")
    gone_before -= np.searchsorted(gone, channel * latest)
    found[both] = (gone_before == before) & (by_then == before + 1)
    return found


def _shown(payloads: Payloads, channel: Ints, sent: Ints, taken: Ints) -> Flags:
    """Which items have bytes that no other of their queue has, the same as they went in and came out."""
    found = np.zeros(len(sent), dtype=bool)
    put = np.flatnonzero(sent != NONE)
    if not len(put):
        return found
    kept = payloads.of(sent[put])
    kind = np.asarray(kept.dictionary_encode().indices).astype("int64") + channel[put] * len(put)
    _, which, count = np.unique(kind, return_inverse=True, return_counts=True)
    same = np.asarray(pc.equal(kept, payloads.of(taken[put])), dtype=bool)
    found[put] = same & (payloads.sizes(sent[put]) > 0) & (count[which] == 1)
    return found


def fed(trace: Trace, events: Events, feeds: Ints) -> tuple[Ints, Ints]:
    """Event → the put whose item it fed to the pipe (NONE: not known, or no feed); and the puts that aren't fed yet."""
    found = np.full(len(events), NONE)
    done = (events.exit != NEVER) & (events.error == NONE) & (events.channel != NONE)
    puts = np.flatnonzero(events.is_op(PUT) & done)
    direct = np.zeros(len(events), dtype=bool)  # a SimpleQueue's put writes itself
    inner = events.parent[events.is_op("Connection.send")]
    direct[inner[inner >= 0]] = True
    whole_story = whole(trace.channels["dropped_written"]) == NONE  # else the first puts or feeds are missing
    puts = puts[~direct[puts] & whole_story[events.channel[puts]]]
    puts = puts[np.argsort(events.exit[puts], kind="stable")]
    feeds = feeds[np.argsort(events.enter[feeds], kind="stable")]
    width = int(events.channel.max(initial=0)) + 1
    keys = [events.process[of] * width + events.channel[of] for of in (puts, feeds)]
    more = np.isin(keys[1], keys[0])
    counts = [np.unique(key, return_counts=True) for key in (keys[0], keys[1][more])]
    put_count = dict(zip(*(each.tolist() for each in counts[0]), strict=True))
    # with more feeds than puts, some puts were dropped: which feed was whose isn't known
    feed_count = zip(*(each.tolist() for each in counts[1]), strict=True)
    unknown = [key for key, count in feed_count if count > put_count[key]]
    sure = [~np.isin(key, unknown) for key in keys]
    puts, feeds = puts[sure[0]], feeds[sure[1]]
    place = paired(*(key[each] for key, each in zip(keys, sure, strict=True)))
    found[feeds[place[place >= 0]]] = puts[place >= 0]
    return found, puts[place < 0]


def at_once(events: Events) -> Flags:
    """Which puts overlap another thread's on the same queue of the same process: which went first isn't known."""
    puts = np.flatnonzero(events.is_op(PUT) & (events.exit != NEVER) & (events.channel != NONE))
    puts = puts[np.lexsort((events.exit[puts], events.channel[puts], events.process[puts]))]
    one, two = puts[:-1], puts[1:]
    meets = (events.enter[two] < events.exit[one]) & (events.thread[two] != events.thread[one])
    for column in (events.process, events.channel):
        meets &= column[one] == column[two]
    found = np.zeros(len(events), dtype=bool)
    found[one[meets]] = found[two[meets]] = True
    return found
