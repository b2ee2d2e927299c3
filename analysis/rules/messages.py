"""IPC201, IPC202: messages that are read together though nothing parts them, or that others' bytes part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from ..events import NEVER, NONE, Flags, Ints, number
from ..findings import Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding
from ..run import Run
from .evidence import PIPE_BUF, forgotten, moved

BYTE_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")
PREFIXES = (1, 2, 4, 8)  # bytes that a length before a message takes, mostly
MOST = 200  # pairs of writes that are looked at one by one, a channel

# Bytes that a channel holds at most. Of a socket that depends on settings: more than any has by itself.
ROOM = {"pipe": 65536, "fifo": 65536, "socket": 1 << 24}


# IPC201


def merged_messages(context: Context) -> Iterator[Finding]:
    """IPC201: a read of the program's own (no stream finds boundaries for it) got several writes without a boundary."""
    run, events = context.run, context.run.events
    read, write = _unmarked(run)
    # what a reader takes in large pieces up to the end of file is a stream to it, and no messages
    kept = ~_knows(run, read, write)
    read, write = read[kept], write[kept]
    kept = ~_collected(run, read)
    read, write = read[kept], write[kept]
    if not len(read):
        return
    order = np.argsort(events.channel[read], kind="stable")
    channels, starts = np.unique(events.channel[read[order]], return_index=True)
    for channel, rows in zip(channels.tolist(), np.split(order, starts[1:]), strict=True):
        first = int(read[rows[0]])
        parts = write[rows[read[rows] == first]].tolist()
        senders = listing(sorted({run.the_thread(int(events.thread[part])) for part in parts}))
        reads = len(np.unique(read[rows]))
        yield finding(
            "IPC201",
            f"{sentence(run.the_thread(int(events.thread[first])))} got the bytes of {len(parts)} writes of {senders} "
            f"in one read{run.at_event(first)} on {run.channel_name(channel)}, and nothing in them says where one ends"
            + (f" ({plural(reads, 'such read')} in this run)." if reads > 1 else "."),
            f"Mark where a message ends: a newline and readline(), or a length before it{run.at_event(parts[0])}.",
            threads=ids(int(events.thread[first]), *(int(events.thread[part]) for part in parts)),
            channels=ids(channel),
            sites=ids(run.site_of(first), *(run.site_of(part) for part in parts)),
            events=ids(first, *parts),
        )


def _unmarked(run: Run) -> tuple[Ints, Ints]:
    """Reads of the program's own that got several writes, none of which says where it ends: each read with each write,
    once."""
    events = run.events
    merged = run.got[run.got["merged"]]
    read, write = merged["read"].to_numpy(), merged["write"].to_numpy()
    own = (events.stream[read] == NONE) & ~np.isin(events.thread[read], _loops(run))
    for kind in ("take", "receive"):
        own &= events.enclosing(kind, read) == NONE
    kept = own & (write != NONE)
    read, write = read[kept], write[kept]
    unmarked = np.zeros(len(events), dtype=bool)
    unmarked[write] = True
    writes = np.flatnonzero(unmarked)
    unmarked[writes] = ~_marks_boundary(run, writes)
    read, write = read[unmarked[write]], write[unmarked[write]]
    once = ~pd.Series(read * len(events) + write).duplicated().to_numpy()
    read, write = read[once], write[once]
    several = np.bincount(read, minlength=len(events))[read] > 1
    return read[several], write[several]


def _loops(run: Run) -> list[int]:
    """Threads that run an asyncio loop: its streams find the boundaries in what its transports read."""
    return [int(thread) for thread in run.trace.threads["loop"].dropna().unique()]


def _marks_boundary(run: Run, writes: Ints) -> Flags:
    """Whether what a write ends with, or begins with, tells where it ends; what wasn't kept isn't held against it."""
    size = run.events.result[writes]
    # a short write is no message's end
    marked: Flags = (run.payloads.sizes(writes) < size) | (size == 1) | (run.events.size[writes] > size)
    left = np.flatnonzero(~marked)
    marked[left] = np.isin(run.payloads.bytes_at(writes[left], -1), (0, ord("\n")))
    left = left[~marked[left]]
    marked[left] = _begins_with_length(run, writes[left], size[left])
    return marked


def _begins_with_length(run: Run, writes: Ints, size: Ints) -> Flags:
    """Whether messages begin with their own length, with or without that of the length itself."""
    found = np.zeros(len(writes), dtype=bool)
    first, size = run.payloads.first_bytes(writes), size.astype("uint64")
    little, big = (first.view(order).ravel().astype("uint64") for order in ("<u8", ">u8"))
    for width in PREFIXES:
        rest = np.uint64(64 - 8 * width)  # bits of eight bytes that don't belong to the length
        for value in (little << rest >> rest, big >> rest):
            found |= (size > width) & ((value == size) | (value == size - np.uint64(width)))
    return found


def _knows(run: Run, read: Ints, write: Ints) -> Flags:
    """Whether a reader knew how long what it read was: it asked for exactly that, or all are records of one size.

    The answer is for each pair of a read and a write whose bytes it got.
    """
    events = run.events
    size = events.result[write]
    one = np.zeros(len(events), dtype="int64")
    one[read] = size
    exactly = (events.result[read] == events.size[read]) & (events.size[read] == np.bincount(read, size)[read])
    odd = np.zeros(len(events), dtype=bool)  # reads of what isn't a record, or of another size
    odd[read[size != one[read]]] = True
    alike = np.flatnonzero(~odd[read] & ~exactly)
    odd[read[alike[~_are_records(run, write[alike])]]] = True
    known: Flags = exactly | ~odd[read]
    return known


def _are_records(run: Run, writes: Ints) -> Flags:
    """Whether bytes look like packed numbers: of records of one size the reader knows it. (A pickle isn't one.)"""
    kept = run.payloads.of(writes)
    packed = pc.and_not(pc.match_substring(kept, b"\0"), pc.starts_with(kept, b"\x80"))
    found: Flags = packed.to_numpy(zero_copy_only=False)
    return found


def _collected(run: Run, reads: Ints) -> Flags:
    """Of which of these reads all of their channel were by threads that took what came in large pieces, up to the end
    of file."""
    events, threads = run.events, len(run.trace.threads)
    ends = events.is_kind("read") & (events.result == 0) & (events.size > 0) & (events.error == NONE)
    channel, thread = events.channel[reads], events.thread[reads]
    to_the_end = np.isin(channel * threads + thread, events.channel[ends] * threads + events.thread[ends])
    apart = channel[~to_the_end | (events.size[reads] < PIPE_BUF)]
    found: Flags = ~np.isin(channel, apart)
    return found


# IPC202


class Torn(NamedTuple):
    """The first and last write of a message, a write of somebody else's, and how they met (a key of `HOW`)."""

    first: int
    last: int
    other: int
    how: str


HOW = {
    "between": "{two} wrote{there} between two parts of a message that {one} wrote{here}: their bytes are mixed up on "
    "{name}",
    "together": "{one}{here} and {two}{there} were at once in the middle of a message on {name}: each writes its "
    "length first and then its bytes",
    "within": "{one} was still writing {size} to {name}{here} when {two} wrote{there}: only up to 4,096 bytes go as "
    "a whole",
}


@dataclass(slots=True)
class Gaps:
    """Messages that leave in several writes: between the events `first` and `last` they are open to others' bytes."""

    first: Ints
    last: Ints


def torn_messages(context: Context) -> Iterator[Finding]:
    """IPC202: others' bytes went between the parts of a message, or into a write that is too large to be whole."""
    run, events = context.run, context.run.events
    writes = np.flatnonzero(events.is_kind("write") & (run.lanes.channel != NONE))
    writes = writes[(events.result[writes] > 0) | (events.exit[writes] == NEVER)]
    owner = events.thread.copy()
    shared = _shared(run.lanes.channel, owner, writes)
    if not len(shared):
        return
    by_stream = np.where(events.stream != NONE, -1 - events.stream, owner)  # a stream keeps its bytes in order
    sends = _joined(_sends(run, shared), _framed(run, shared))
    torn = [
        *_between(run, _joined(sends, _prints(run, shared)), shared, owner),
        *_between(run, _cut(run, shared), shared, by_stream),
        *_together(run, sends),
        *_within(run, shared),
    ]
    found: dict[int, list[Torn]] = {}
    for each in torn:
        found.setdefault(int(run.lanes.channel[each.first]), []).append(each)
    for channel, each_torn in sorted(found.items()):
        yield _torn(run, channel, each_torn)


def _shared(channel: Ints, owner: Ints, writes: Ints) -> Ints:
    """The writes on channels that several threads write to, ordered by channel and enter."""
    writes = writes[np.lexsort((writes, channel[writes]))]
    if not len(writes):
        return writes
    channels, starts = np.unique(channel[writes], return_index=True)
    several = np.minimum.reduceat(owner[writes], starts) != np.maximum.reduceat(owner[writes], starts)
    return writes[np.isin(channel[writes], channels[several])]


def _joined(one: Gaps, two: Gaps) -> Gaps:
    return Gaps(np.append(one.first, two.first), np.append(one.last, two.last))


def _between(run: Run, gaps: Gaps, shared: Ints, owner: Ints) -> Iterator[Torn]:
    """Gaps into which a write of another owner fell, on the same channel, and that write; some of each channel."""
    events, channel = run.events, run.lanes.channel
    if not len(gaps.first):
        return
    span = int(events.enter.max()) + 2
    _, rank = np.unique(channel[shared], return_inverse=True)
    line = events.enter[shared] + rank * span
    place = np.full(len(events), -1)
    place[shared] = np.arange(len(shared))
    ranks = rank[place[gaps.first]]
    # from its begin: a thread that waits for the interpreter's lock notes the end of its call late
    low = np.searchsorted(line, events.enter[gaps.first] + ranks * span, side="right")
    high = np.searchsorted(line, events.enter[gaps.last] + ranks * span, side="left")
    # where the next write of another owner stands, for each write
    change = np.append(np.flatnonzero(np.diff(owner[shared])) + 1, len(shared))
    following = change[np.searchsorted(change, np.arange(len(shared)), side="right")] if len(shared) else change
    inside = np.flatnonzero(low < high)
    other = low[inside]
    same = owner[shared[other]] == owner[gaps.first[inside]]
    other = np.where(same, following[other], other)
    hit = other < high[inside]
    for gap, write in zip(inside[hit][:MOST].tolist(), shared[other[hit][:MOST]].tolist(), strict=True):
        yield Torn(int(gaps.first[gap]), int(gaps.last[gap]), int(write), "between")


def _together(run: Run, sends: Gaps) -> Iterator[Torn]:
    """Two threads were at once inside messages of several writes: the second had begun all of its writes before the
    first's last had returned."""
    events, channel = run.events, run.lanes.channel
    order = np.lexsort((sends.first, channel[sends.first]))
    first, last = sends.first[order], sends.last[order]
    met = (channel[first[1:]] == channel[first[:-1]]) & (events.thread[first[1:]] != events.thread[first[:-1]])
    met &= (events.enter[first[1:]] > events.exit[first[:-1]]) & (events.enter[last[1:]] < events.exit[last[:-1]])
    for at in np.flatnonzero(met)[:MOST].tolist():
        yield Torn(int(first[at]), int(last[at]), int(first[at + 1]), "together")


def _runs(events_of: Ints, group: Ints) -> Gaps:
    """First and last event of every group that has several; `group` NONE: of none."""
    kept = group != NONE
    members, keys = events_of[kept], group[kept]
    order = np.lexsort((members, keys))
    members, keys = members[order], keys[order]
    if not len(keys):
        return Gaps(members, members)
    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    ends = np.append(starts[1:], len(keys)) - 1
    several = ends > starts
    return Gaps(members[starts[several]], members[ends[several]])


def _sends(run: Run, shared: Ints) -> Gaps:
    """The messages of Connections: what each send wrote, a length and then the bytes."""
    return _runs(shared, run.events.enclosing("send", shared))


def _prints(run: Run, shared: Ints) -> Gaps:
    """A print to a stream without a buffer writes its text, and then its newline."""
    events, payloads = run.events, run.payloads
    above = events.parent[shared]
    printed = shared[(above != NONE) & events.is_op("print")[np.maximum(above, 0)]]
    order = printed[np.lexsort((printed, events.thread[printed]))]
    one, two = order[:-1], order[1:]
    ends = np.array([payloads[event] == b"\n" for event in order.tolist()], dtype=bool)
    pair = (events.thread[one] == events.thread[two]) & (events.site[one] == events.site[two])
    pair &= (events.fd[one] == events.fd[two]) & (events.stream[one] == events.stream[two])
    pair &= ~ends[:-1] & ends[1:] if len(order) else False
    return Gaps(one[pair], two[pair])


def _framed(run: Run, shared: Ints) -> Gaps:
    """A thread's write of a few bytes that are the length of its next one on the channel: a message in two parts."""
    events, payloads, channel = run.events, run.payloads, run.lanes.channel
    plain = shared[(events.stream[shared] == NONE) & (events.enclosing("send", shared) == NONE)]
    plain = plain[np.lexsort((plain, events.thread[plain], channel[plain]))]
    one, two = plain[:-1], plain[1:]
    pair = (events.thread[one] == events.thread[two]) & (channel[one] == channel[two])
    pair &= np.isin(events.size[one], PREFIXES[1:])
    one, two = one[pair], two[pair]
    told = [
        any(int.from_bytes(payloads[a], order) == events.size[b] for order in BYTE_ORDERS)
        for a, b in zip(one.tolist(), two.tolist(), strict=True)
    ]
    chosen = np.array(told, dtype=bool)
    return Gaps(one[chosen], two[chosen])


def _cut(run: Run, shared: Ints) -> Gaps:
    """What a program handed to a stream at once and that left it in two writes, where its buffer was full."""
    events, units = run.events, run.units
    raw = shared[(events.stream[shared] != NONE) & (events.offset[shared] != NONE) & (events.result[shared] > 0)]
    order = raw[np.lexsort((raw, events.offset[raw], events.stream[raw]))]
    one, two = order[:-1], order[1:]
    ends = events.offset[one] + events.result[one]
    joined = (events.stream[one] == events.stream[two]) & (events.offset[two] == ends)
    one, two, ends = one[joined], two[joined], ends[joined]
    if not len(one) or not len(units.end):
        return Gaps(one[:0], two[:0])
    width = int(max(units.end.max(), ends.max())) + 1
    at = np.searchsorted(units.stream * width + units.start, events.stream[one] * width + ends) - 1
    inside = (at >= 0) & (units.stream[at] == events.stream[one]) & (units.end[at] > ends)
    line = np.array([_ends_line(run, event) for event in one.tolist()], dtype=bool)
    return Gaps(one[inside & ~line], two[inside & ~line])


def _ends_line(run: Run, write: int) -> bool:
    """Whether a write ends with a newline, as far as its bytes were kept."""
    kept = run.payloads[write]
    return bool(len(kept) == run.events.result[write] and kept.endswith(b"\n"))


def _within(run: Run, shared: Ints) -> Iterator[Torn]:
    """Writes too large to be whole that weren't done when another thread's, begun meanwhile, was: by then not all of
    both can have been in the channel, as its readers had not made room for it."""
    channels = run.lanes.channel
    seen = ~run.trace.channels["outside"] & run.trace.channels["kind"].isin(list(ROOM))
    hidden = run.mixed | run.one_sided
    for channel in np.unique(channels[shared]).tolist():
        if seen.iloc[channel] and channel not in hidden and not forgotten(run, channel):
            yield from _interrupted(run, channel, shared[channels[shared] == channel])


def _interrupted(run: Run, channel: int, writes: Ints) -> Iterator[Torn]:
    events, row = run.events, run.trace.channels.iloc[channel]
    room = max(number(row["capacity"]) or 0, ROOM[str(row["kind"])])
    reads = moved(run, channel, "read")
    taken = np.append(0, np.cumsum(np.where(events.exit[reads] == NEVER, events.size[reads], events.result[reads])))
    by_end = writes[np.argsort(events.exit[writes], kind="stable")]
    put = np.append(0, np.cumsum(np.maximum(events.result[by_end], 0)))
    large = writes[events.size[writes] > PIPE_BUF]
    low = np.searchsorted(events.enter[writes], events.enter[large], side="right")
    high = np.searchsorted(events.enter[writes], events.exit[large], side="left")
    overlapped = np.flatnonzero(low < high)[:MOST]
    for write, first, last in zip(large[overlapped].tolist(), low[overlapped], high[overlapped], strict=True):
        others = writes[first : min(last, first + MOST)]
        ends = events.exit[others]
        drained = taken[np.searchsorted(events.enter[reads], ends)]
        done = put[np.searchsorted(events.exit[by_end], ends, side="right")]
        early = (events.thread[others] != events.thread[write]) & (ends != NEVER) & (ends < events.exit[write])
        torn = others[early & (done + events.size[write] > drained + room)]
        if len(torn):
            yield Torn(write, write, int(torn[0]), "within")


def _torn(run: Run, channel: int, torn: list[Torn]) -> Finding:
    events = run.events
    first, last, other, how = torn[0]
    place, there = run.at_event(first), run.at_event(other)
    what = HOW[how].format(
        one=run.the_thread(int(events.thread[first])), two=run.the_thread(int(events.thread[other])),
        here=place, there=there, name=run.channel_name(channel), size=plural(int(events.size[first]), "byte"),
    )  # fmt: skip
    times = f" ({len(torn)} times in this run)." if len(torn) > 1 else "."
    lock = "threading.Lock" if events.process[first] == events.process[other] else "lock that both processes share"
    if events.stream[first] != NONE:
        lock += " (and flush before it is released)"
    places = place if there in ("", place) else f"{place} and{there}"
    return finding(
        "IPC202",
        sentence(what) + times,
        f"Hold one {lock} around each message{places}, or give every sender a channel of its own.",
        severity="error",
        threads=ids(int(events.thread[first]), int(events.thread[other])),
        channels=ids(channel),
        sites=ids(run.site_of(first), run.site_of(other)),
        events=ids(first, last, other),
    )


CHECKS = (merged_messages, torn_messages)
