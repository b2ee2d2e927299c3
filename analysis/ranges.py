"""Which write's bytes each read got.

On a byte stream a write covers bytes [a, b) of the channel and a read [c, d): matching is the overlap of ranges
(`events.overlay`). The same arithmetic, on the line of a stream's bytes, says which raw write carried what a program
had handed to its stream. What several writes carried that one send or one item of a queue was made of is one message.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from .datagrams import PACKETS
from .events import NEVER, NONE, Events, Flags, Ints, overlay, pick, running_sum, whole
from .items import at_once, fed
from .matched import Matched, got_table
from .order import Transfers, arrange, by_end
from .payloads import Kept, Payloads
from .receipts import outermost_of, receipts
from .units import Units

CARRIERS = ("pipe", "fifo", "socket")  # byte streams; of a socket, the one towards it (see Events.lanes)
FEED = "multiprocessing.Queue.feed"


@dataclass(slots=True)
class _Pieces:
    """Ranges of units (index, -1: none known) and the raw writes (event id, NONE: never written) that carried them."""

    unit: Ints
    event: Ints
    start: Ints  # in the stream, or in the write
    size: Ints
    within: Ints  # offset in the raw write


@dataclass(slots=True)
class _Rows:
    """Pieces of messages on channels, ordered by channel and position; `message` numbers messages."""

    message: Ints
    unit: Ints
    origin: Ints  # what handed it over
    accept: Ints  # the same, where something took it before it was written
    write: Ints
    channel: Ints
    position: Ints  # NONE: never written
    size: Ints
    start: Ints
    stream: Ints


def talking(trace: Trace, events: Events) -> Ints:
    """Channels whose bytes are messages: pipes, FIFOs, stream sockets that threads of the run use among themselves."""
    carriers = trace.channels[trace.channels["kind"].isin(CARRIERS) & ~trace.channels["form"].isin(PACKETS)]
    carriers = carriers[(carriers["kind"] != "socket") | carriers["peer"].notna()]
    ids, outside = whole(carriers["channel"]), carriers["outside"].to_numpy(dtype=bool)
    there = events.channel != NONE
    read, written = (np.isin(ids, events.channel[there & events.is_kind(kind)]) for kind in ("read", "write"))
    return ids[~outside | (read & written)]


def match(
    trace: Trace, events: Events, payloads: Payloads, handed: Units, mixed: set[int], leads_to: pd.Series
) -> Matched:
    """The messages on byte streams; see `messages.match`."""
    channels = talking(trace, events)
    on_channel = np.isin(events.channel, channels)
    some = (events.result > 0) | ((events.exit == NEVER) & events.is_kind("write") & (events.error == NONE))
    written, read = (whole(trace.channels[f"dropped_{way}"], 0) for way in ("written", "read"))
    writes = by_end(events, np.flatnonzero(on_channel & some & events.is_kind("write")), written)
    reads = by_end(events, np.flatnonzero(on_channel & (events.result > 0) & events.is_kind("read")), read)
    # bytes go out in order: when reads of n bytes have returned, in whatever order, the first n are gone
    writes = arrange(events, writes, reads, payloads, events.enter[writes.event], events.exit[reads.event])
    always = np.full(len(writes.event), NEVER)
    reads = arrange(events, reads, writes, payloads, _earliest(events, reads, writes), always)
    rows = _rows(trace, events, handed, _carried(events, handed), writes, leads_to, channels)
    return _matched(events, payloads, handed, rows, reads, writes, mixed)


def _carried(events: Events, handed: Units) -> _Pieces:
    """Lay what the streams accepted over what they wrote."""
    chosen = np.flatnonzero(events.is_kind("write") & (events.stream != NONE) & (events.offset != NONE))
    chosen = chosen[(events.result[chosen] > 0) | (events.exit[chosen] == NEVER)]
    chosen = chosen[np.lexsort((chosen, events.offset[chosen], events.stream[chosen]))]
    size = np.where(events.exit[chosen] == NEVER, events.size[chosen], events.result[chosen])
    start, end = events.offset[chosen], events.offset[chosen] + size
    extent = np.zeros(int(max(events.stream[chosen].max(initial=-1), handed.stream.max(initial=-1))) + 1, dtype="int64")
    np.maximum.at(extent, events.stream[chosen], end)
    np.maximum.at(extent, handed.stream, handed.end)
    base = running_sum(extent + 1, np.zeros(len(extent), dtype="int64"))
    write_base, unit_base = base[events.stream[chosen]], base[handed.stream]
    laid = overlay(unit_base + handed.start, unit_base + handed.end, write_base + start, write_base + end)
    within = np.where(laid.right >= 0, laid.start - pick(write_base + start, laid.right, 0), 0)
    origin = pick(unit_base, laid.left, 0)
    return _Pieces(laid.left, pick(chosen, laid.right), laid.start - origin, laid.end - laid.start, within)


def _earliest(events: Events, reads: Transfers, writes: Transfers) -> Ints:
    """When each read can have taken its first byte: not before the write that carried it began."""
    base = _base(reads, writes)
    laid = overlay(*_line(base, reads), *_line(base, writes))
    begun = events.enter[reads.event].copy()
    first = np.flatnonzero((laid.left >= 0) & (laid.right >= 0))
    first = first[np.append(True, laid.left[first][1:] != laid.left[first][:-1])] if len(first) else first
    begun[laid.left[first]] = np.maximum(begun[laid.left[first]], events.enter[writes.event[laid.right[first]]])
    return begun


def _base(*sides: Transfers) -> Ints:
    """Where on one line each channel's bytes begin, a channel behind the other."""
    extent = np.zeros(max((int(side.channel.max(initial=-1)) for side in sides), default=-1) + 1, dtype="int64")
    for side in sides:
        np.maximum.at(extent, side.channel, side.position + side.size)
    return running_sum(extent + 1, np.zeros(len(extent), dtype="int64"))


def _line(base: Ints, side: Transfers) -> tuple[Ints, Ints]:
    start = base[side.channel] + side.position
    return start, start + side.size


def _rows(
    trace: Trace, events: Events, handed: Units, pieces: _Pieces, writes: Transfers, leads_to: pd.Series, channels: Ints
) -> _Rows:
    place = np.full(len(events), NONE)
    place[writes.event] = writes.position
    on_channel = pick(place, pieces.event) != NONE
    ends_at = pick(_destinations(leads_to), np.where(handed.stream < len(trace.streams), handed.stream, -1))
    beyond = handed.stream >= len(trace.streams)  # of a transport
    ends_at[beyond] = events.channel[handed.event[beyond]]
    stuck = (pieces.event == NONE) & np.isin(pick(ends_at, pieces.unit), channels)
    carried = np.zeros(len(events), dtype=bool)
    carried[pieces.event[pieces.event >= 0]] = True
    direct = writes.event[~carried[writes.event]]

    kept = np.flatnonzero(on_channel | stuck)
    unit, event = pieces.unit[kept], pieces.event[kept]
    accept, origin = pick(handed.event, unit), np.where(unit >= 0, pick(handed.event, unit), event)
    written = event != NONE
    send, put, unfed, queue = _whole_messages(trace, events, direct)
    size = np.where(events.exit[direct] == NEVER, events.size[direct], events.result[direct])
    parts: dict[str, tuple[Ints | int, ...]] = {
        "unit": (unit, -1, -1),
        "origin": (origin, np.where(put != NONE, put, np.where(send != NONE, send, direct)), unfed),
        "accept": (accept, put, unfed),
        "write": (event, direct, NONE),
        "channel": (np.where(written, pick(events.channel, event), pick(ends_at, unit)), events.channel[direct], queue),
        "position": (np.where(written, pick(place, event, 0) + pieces.within[kept], NONE), place[direct], NONE),
        "size": (pieces.size[kept], size, 0),
        "start": (pieces.start[kept], 0, 0),
        "stream": (np.where(unit >= 0, pick(handed.stream, unit), pick(events.stream, event)), NONE, NONE),
        # a message: the pieces of one unit or send on one channel; what is still stuck of it apart
        "message": (np.where(unit >= 0, unit, len(handed.start) + event),
                    len(handed.start) + np.where(send != NONE, send, direct), len(handed.start) + unfed),
    }  # fmt: skip
    counts = (len(kept), len(direct), len(unfed))
    columns = {name: _behind(given, counts) for name, given in parts.items()}
    order = np.lexsort((columns["position"], columns["channel"]))
    columns = {name: values[order] for name, values in columns.items()}
    fate = np.where(columns["position"] == NONE, -1, columns["channel"]) + 1
    columns["message"] = pd.factorize(columns["message"] * (len(trace.channels) + 1) + fate)[0].astype("int64")
    return _Rows(**columns)


def _behind(parts: tuple[Ints | int, ...], counts: tuple[int, ...]) -> Ints:
    """Arrays, or one value for all of a part, one behind the other."""
    pairs = zip(parts, counts, strict=True)
    return np.concatenate([np.broadcast_to(np.asarray(part, "int64"), size) for part, size in pairs])


def _destinations(leads_to: pd.Series) -> Ints:
    found = np.full(int(leads_to.index.max()) + 1 if len(leads_to) else 0, NONE)
    found[leads_to.index.to_numpy(dtype="int64")] = whole(leads_to.astype("Int64"))
    return found


def _whole_messages(trace: Trace, events: Events, direct: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Of each write the send or feed that it was made by, and the put whose item that was (NONE: none); and

    the puts whose items their feeder still has, with the channels that those would have gone to.
    """
    feeds = events.is_op(FEED)
    send = outermost_of(events, direct, events.is_kind("send") | feeds)
    put_of, unfed = fed(trace, events, np.flatnonzero(feeds))
    put = pick(put_of, send)
    of_queue = np.flatnonzero(pick(put_of, send) != NONE)
    carrier = dict(zip(events.channel[send[of_queue]].tolist(), events.channel[direct[of_queue]].tolist(), strict=True))
    channel = np.array([carrier.get(queue, queue) for queue in events.channel[unfed].tolist()], dtype="int64")
    return send, put, unfed, channel


def _matched(
    events: Events, payloads: Payloads, handed: Units, rows: _Rows, reads: Transfers, writes: Transfers, mixed: set[int]
) -> Matched:
    (read, row, start, size), (_, lying, _, rest) = _overlap(rows, reads)
    count = int(rows.message.max(initial=-1)) + 1
    # a read's bytes that nobody wrote are a message of their own
    alien = row < 0
    unknown, number = np.unique(read[alien], return_inverse=True)
    message = pick(rows.message, row, -1)
    message[alien] = count + number
    total = count + len(unknown)
    write = pick(rows.write, row)
    merged = _merged(read, write)

    first_row, last_row = np.zeros(count, dtype="int64"), np.zeros(count, dtype="int64")
    first_row[rows.message[::-1]] = np.arange(len(rows.message))[::-1]
    last_row[rows.message] = np.arange(len(rows.message))

    def grown(values: Ints, others: Ints | int = NONE) -> Ints:
        return np.append(values[first_row], np.broadcast_to(others, len(unknown)))

    sizes = np.bincount(np.append(rows.message, message[alien]), np.append(rows.size, size[alien]), total)
    sizes = sizes.astype("int64")
    reader = _readers(events, message, read, start + size, size, merged, total)
    complete = (reader.size >= sizes) & (sizes > 0)
    last = np.where(complete, reader.end, NEVER)
    finished = np.append(pick(events.exit, rows.write[last_row], NEVER), np.full(len(unknown), NEVER))
    # what was read had left, even where the write had not returned yet; when bytes left that nobody wrote isn't known
    written = np.where(np.arange(total) < count, np.minimum(finished, last), NEVER)
    place = np.zeros(len(events), dtype="int64")
    place[reads.event] = reads.position
    upto = reader.upto - pick(place, reader.last, 0)
    doubted = np.zeros(len(events), dtype=bool)
    doubted[writes.event] = writes.ambiguous
    doubted[reads.event] |= reads.ambiguous
    channel, first_write = grown(rows.channel, events.channel[unknown]), grown(rows.write)
    return Matched(
        channel=channel,
        stream=grown(rows.stream),
        origin=grown(rows.origin),
        accept=grown(rows.accept),
        write=first_write,
        read=reader.first,
        receive=receipts(events, np.where(complete, reader.last, NONE), upto),
        written=written,
        read_at=last,
        size=sizes,
        lost=np.zeros(total, dtype="int64"),
        first=grown(rows.position),
        reads=reader.count,
        merged=reader.merged,
        ambiguous=np.isin(channel, list(mixed))
        | _any(doubted, first_write)
        | _any(doubted, reader.first)
        | _any(at_once(events), grown(rows.accept)),
        payload=_kept(payloads, handed, rows, first_row, sizes[:count], unknown),
        got=got_table(read, message, write, size, merged),
        unread=got_table(
            np.full(len(lying), NONE), rows.message[lying], rows.write[lying], rest, np.zeros(len(lying), dtype=bool)
        ),
    )


def _any(flags: Flags, events: Ints) -> Flags:
    found = np.zeros(len(events), dtype=bool)
    found[events >= 0] = flags[events[events >= 0]]
    return found


def _overlap(rows: _Rows, reads: Transfers) -> tuple[tuple[Ints, Ints, Ints, Ints], tuple[Ints, Ints, Ints, Ints]]:
    """What each read got, a range a place, ordered by channel and position: read, row (-1: none), position, size; and
    the same of what no read got."""
    placed = np.flatnonzero(rows.position != NONE)
    sure = np.zeros(len(placed), dtype=bool)
    lying = Transfers(rows.write[placed], rows.channel[placed], rows.size[placed], rows.position[placed], sure)
    base = _base(lying, reads)
    laid = overlay(*_line(base, lying), *_line(base, reads))
    row, read, size = pick(placed, laid.left, -1), pick(reads.event, laid.right), laid.end - laid.start
    channel = np.where(laid.right >= 0, pick(reads.channel, laid.right, 0), pick(rows.channel, row, 0))
    start = laid.start - base[channel]
    taken = laid.right >= 0
    got, unread = ((read[some], row[some], start[some], size[some]) for some in (taken, ~taken))
    return got, unread


def _merged(read: Ints, write: Ints) -> Flags:
    """Which ranges were read together with those of another write; the ranges of a read lie together."""
    if not len(read):
        return np.zeros(0, dtype=bool)
    same = read[1:] == read[:-1]
    group: Ints = np.cumsum(np.append(0, ~same))
    several = np.zeros(group[-1] + 1, dtype=bool)
    several[group[1:][same & (write[1:] != write[:-1])]] = True
    found: Flags = several[group]
    return found


@dataclass(slots=True)
class _Readers:
    """Of each message: its first and its last read, the position behind its last byte, when that read ended, …"""

    first: Ints
    last: Ints
    upto: Ints
    end: Ints
    size: Ints
    count: Ints
    merged: Flags


def _readers(
    events: Events, message: Ints, read: Ints, upto: Ints, size: Ints, merged: Flags, total: int
) -> _Readers:  # fmt: skip
    ends = events.exit[read]
    order = np.lexsort((upto, ends, message))
    ordered, by = message[order], read[order]
    begins = np.flatnonzero(np.diff(ordered, prepend=-1))
    lasts = np.append(begins[1:], len(order)) - 1 if len(order) else begins
    first, last, upto_, end = (np.full(total, missing) for missing in (NONE, NONE, 0, NEVER))
    found = _Readers(first, last, upto_, end, upto_, upto_, np.zeros(total, dtype=bool))
    which = ordered[begins]
    found.first[which], found.last[which] = by[begins], by[lasts]
    found.upto[which], found.end[which] = upto[order][lasts], ends[order][lasts]
    found.size = np.bincount(message, size, total).astype("int64")
    another = (np.diff(by, prepend=-1) != 0) | (np.diff(ordered, prepend=-1) != 0)
    found.count = np.bincount(ordered[another], minlength=total).astype("int64")
    found.merged[message[merged]] = True
    return found


def _kept(payloads: Payloads, handed: Units, rows: _Rows, first_row: Ints, size: Ints, unknown: Ints) -> Kept:
    """What was kept of each message: of a unit the bytes of its pieces, of others those of their writes."""
    direct = np.flatnonzero(rows.unit < 0)
    direct = direct[np.argsort(rows.message[direct], kind="stable")]
    message, unit = np.arange(len(first_row)), rows.unit[first_row]
    whose = rows.message[direct]
    low = np.where(unit >= 0, pick(handed.bounds, unit), np.searchsorted(whose, message) + len(handed.accepts))
    high = np.where(
        unit >= 0, pick(handed.bounds[1:], unit), np.searchsorted(whose, message, "right") + len(handed.accepts)
    )
    own = len(handed.accepts) + len(direct) + np.arange(len(unknown))
    found = Kept.between(
        np.concatenate([handed.accepts, rows.write[direct], unknown]), np.append(low, own), np.append(high, own + 1)
    )
    # of a unit that went several ways each way has a part of the bytes
    kept = np.append(0, np.cumsum(payloads.sizes(handed.accepts)))
    skip = np.where(unit >= 0, rows.start[first_row] - pick(handed.start, unit), 0)
    length = pick(kept[handed.bounds[1:]], unit, 0) - pick(kept[handed.bounds], unit, 0)
    for odd in np.flatnonzero((unit >= 0) & ((skip > 0) | (size < length))).tolist():
        data = b"".join(payloads[event] for event in handed.pieces(unit[odd]).tolist())
        found.parts[odd] = data[skip[odd] : skip[odd] + size[odd]]
    return found
