"""Which write's bytes each read got.

On a byte stream a write covers bytes [a, b) of the channel and a read [c, d): matching is the overlap of ranges
(`events.overlay`). The same arithmetic, on the line of a stream's bytes, says which raw write carried what a program
had handed to its stream. A message is what the program wrote at once: a print, a write to a stream, an os.write.

What isn't traced reads and writes too: bytes that nobody wrote came from outside (no writer), and where traced and
untraced threads share an end, whose bytes are whose is ambiguous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from ipctrace.tracer.schema import Trace

from .events import NEVER, NONE, Events, Flags, Ints, optional, overlay, pick, running_sum, whole
from .order import Payloads, Transfers, arrange, by_end

CARRIERS = ("pipe", "fifo", "socket")  # byte streams; of a socket, the one towards it (see Events.lanes)
_PACKETS = ("udp", "unix-datagram", "unix-seqpacket")


@dataclass(slots=True)
class Units:
    """What programs handed to streams at once, ordered by stream and offset: [start, end) of the stream's bytes."""

    stream: Ints
    start: Ints
    end: Ints
    event: Ints
    pieces: npt.NDArray[np.object_]  # events whose payloads make up the unit


@dataclass(slots=True)
class Pieces:
    """Ranges of units (index, -1: none known) and the raw writes (event id, NONE: never written) that carried them."""

    unit: Ints
    event: Ints
    start: Ints  # in the stream, or in the write
    size: Ints
    within: Ints  # offset in the raw write


def payload_of(trace: Trace, events: int) -> Payloads:
    """For every event the bytes that were kept of it; empty where none were."""
    found = np.full(events, b"", dtype=object)
    found[whole(trace.payloads["event"])] = trace.payloads["data"].to_numpy(dtype=object)
    return found


def units(events: Events, payloads: Payloads) -> Units:
    """What each accept, or the accepts of one print, put into a stream."""
    chosen = np.flatnonzero(events.is_kind("accept") & (events.stream != NONE) & (events.size > 0))
    chosen = chosen[events.enclosing("accept")[chosen] == NONE]  # writelines writes
    chosen = chosen[np.lexsort((chosen, events.offset[chosen], events.stream[chosen]))]
    stream, start = events.stream[chosen], events.offset[chosen]
    end = start + events.size[chosen]
    if len(chosen) > 1:  # what a failed write left over was accepted again
        same = stream[1:] == stream[:-1]
        end[:-1] = np.where(same, np.minimum(end[:-1], start[1:]), end[:-1])
    begins = _begins(events, chosen, payloads)
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(chosen)) - 1 if len(first) else first
    pieces = np.empty(len(first), dtype=object)
    for row, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        pieces[row] = chosen[low : high + 1]
    return Units(stream[first], start[first], end[last], chosen[first], pieces)


def _begins(events: Events, chosen: Ints, payloads: Payloads) -> Flags:
    """Which accepts begin a unit: all but those that go on with the print before them, which its newline ends."""
    if not len(chosen):
        return np.zeros(0, dtype=bool)
    printed = events.is_op("print")[chosen]
    ends_line = (
        np.array([events.size[event] == 1 and payloads[event] in (b"\n", b"") for event in chosen.tolist()]) & printed
    )
    goes_on = printed[1:] & printed[:-1] & ~ends_line[:-1]
    for column in (events.stream, events.thread, events.site):
        goes_on &= column[chosen][1:] == column[chosen][:-1]
    return np.append(True, ~goes_on)


def carried(events: Events, handed: Units) -> Pieces:
    """Lay what the streams accepted over what they wrote."""
    chosen = np.flatnonzero(events.is_kind("write") & (events.stream != NONE) & (events.offset != NONE))
    chosen = chosen[(events.result[chosen] > 0) | (events.exit[chosen] == NEVER)]
    chosen = chosen[np.lexsort((chosen, events.offset[chosen], events.stream[chosen]))]
    size = np.where(events.exit[chosen] == NEVER, events.size[chosen], events.result[chosen])
    start, end = events.offset[chosen], events.offset[chosen] + size
    extent = (
        pd.Series(np.concatenate([end, handed.end]))
        .groupby(np.concatenate([events.stream[chosen], handed.stream]))
        .max()
    )
    base = pd.Series(running_sum(extent.to_numpy() + 1, np.zeros(len(extent), dtype="int64")), index=extent.index)
    write_base = base.reindex(events.stream[chosen]).to_numpy(dtype="int64")
    unit_base = base.reindex(handed.stream).to_numpy(dtype="int64")
    laid = overlay(unit_base + handed.start, unit_base + handed.end, write_base + start, write_base + end)
    within = np.where(laid.right >= 0, laid.start - pick(write_base + start, laid.right, 0), 0)
    origin = pick(unit_base, laid.left, 0)
    return Pieces(laid.left, pick(chosen, laid.right), laid.start - origin, laid.end - laid.start, within)


def talking(trace: Trace, events: Events) -> Ints:
    """Channels whose bytes are messages: pipes, FIFOs, stream sockets that threads of the run use among themselves."""
    carriers = trace.channels[trace.channels["kind"].isin(CARRIERS) & ~trace.channels["form"].isin(_PACKETS)]
    carriers = carriers[(carriers["kind"] != "socket") | carriers["peer"].notna()]
    outside = set(carriers.loc[carriers["outside"], "channel"])
    read = set(events.channel[events.is_kind("read") & (events.channel != NONE)].tolist())
    written = set(events.channel[events.is_kind("write") & (events.channel != NONE)].tolist())
    return np.array([c for c in carriers["channel"] if c not in outside or (c in read and c in written)], dtype="int64")


def match(
    trace: Trace, events: Events, payloads: Payloads, handed: Units, mixed: set[int], leads_to: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`Analysis.messages`, and what each read got: columns read (event), message, write (event or NONE), size, start.

    `mixed` are channels of which an untraced process held an end; `leads_to` maps a stream to the channel
    that its descriptor leads to in the end.
    """
    channels = talking(trace, events)
    on_channel = np.isin(events.channel, channels)
    some = (events.result > 0) | ((events.exit == NEVER) & events.is_kind("write") & (events.error == NONE))
    writes = by_end(events, np.flatnonzero(on_channel & some & events.is_kind("write")))
    reads = by_end(events, np.flatnonzero(on_channel & (events.result > 0) & events.is_kind("read")))
    writes = arrange(events, writes, reads, payloads, events.enter[writes.event])
    reads = arrange(events, reads, writes, payloads, _earliest(events, reads, writes))

    rows = _rows(events, handed, carried(events, handed), writes, leads_to, channels)
    got = _overlap(events, rows, writes, reads)
    return _table(events, payloads, handed, rows, got, reads, writes, mixed)


def _earliest(events: Events, reads: Transfers, writes: Transfers) -> Ints:
    """When each read can have taken its first byte: not before the write that carried it began."""
    laid = overlay(*_line(reads, writes, reads), *_line(reads, writes, writes))
    begun = events.enter[reads.event].copy()
    first = np.flatnonzero((laid.left >= 0) & (laid.right >= 0))
    first = first[np.append(True, laid.left[first][1:] != laid.left[first][:-1])] if len(first) else first
    begun[laid.left[first]] = np.maximum(begun[laid.left[first]], events.enter[writes.event[laid.right[first]]])
    return begun


def _line(
    one: Transfers, two: Transfers, wanted: Transfers, start: Ints | None = None, channel: Ints | None = None
) -> tuple[Ints, Ints]:
    """Ranges of channels' bytes on one line, a channel behind the other."""
    extent: dict[int, int] = {}
    for side in (one, two):
        if len(side.channel):
            last = np.append(np.flatnonzero(np.diff(side.channel)), len(side.channel) - 1)
            for at in last.tolist():
                key = int(side.channel[at])
                extent[key] = max(extent.get(key, 0), int(side.position[at] + side.size[at]))
    base, total = {}, 0
    for key in sorted(extent):
        base[key], total = total, total + extent[key] + 1
    keys, inverse = np.unique(wanted.channel, return_inverse=True)
    shift = (
        np.array([base[int(key)] for key in keys], dtype="int64")[inverse] if len(keys) else np.zeros(0, dtype="int64")
    )
    return shift + wanted.position, shift + wanted.position + wanted.size


@dataclass(slots=True)
class _Rows:
    """Pieces of messages on channels, ordered by channel and position; `message` numbers messages."""

    message: Ints
    unit: Ints
    write: Ints
    channel: Ints
    position: Ints  # NONE: never written
    size: Ints
    start: Ints
    stream: Ints


def _rows(
    events: Events, handed: Units, pieces: Pieces, writes: Transfers, leads_to: pd.Series, channels: Ints
) -> _Rows:
    place = np.full(len(events), NONE)
    place[writes.event] = writes.position
    on_channel = (pieces.event != NONE) & np.isin(pieces.event, writes.event)
    ends_at = whole(leads_to.reindex(handed.stream).astype("Int64"))
    stuck = (pieces.event == NONE) & np.isin(pick(ends_at, pieces.unit), channels)
    direct = writes.event[~np.isin(writes.event, pieces.event)]

    kept = np.flatnonzero(on_channel | stuck)
    unit, event = pieces.unit[kept], pieces.event[kept]
    written = event != NONE
    channel = np.where(written, pick(events.channel, event), pick(ends_at, unit))
    position = np.where(written, pick(place, event, 0) + pieces.within[kept], NONE)
    stream = np.where(unit >= 0, pick(handed.stream, unit), pick(events.stream, event))
    size = np.where(events.exit[direct] == NEVER, events.size[direct], events.result[direct])
    rows = _Rows(
        np.zeros(0, dtype="int64"),
        np.append(unit, np.full(len(direct), -1)),
        np.append(event, direct),
        np.append(channel, events.channel[direct]),
        np.append(position, place[direct]),
        np.append(pieces.size[kept], size),
        np.append(pieces.start[kept], np.zeros(len(direct), dtype="int64")),
        np.append(stream, np.full(len(direct), NONE)),
    )
    # a message: the pieces of one unit on one channel; what is still stuck of it apart; a write without unit by itself
    key = np.where(rows.unit >= 0, rows.unit, len(handed.start) + rows.write)
    fate = np.where(rows.position == NONE, NONE, rows.channel)
    order = np.lexsort((rows.position, rows.channel))
    for name in ("unit", "write", "channel", "position", "size", "start", "stream"):
        setattr(rows, name, getattr(rows, name)[order])
    together = pd.DataFrame({"key": key[order], "fate": fate[order]}).groupby(["key", "fate"], sort=False)
    rows.message = whole(together.ngroup())
    return rows


def _overlap(events: Events, rows: _Rows, writes: Transfers, reads: Transfers) -> pd.DataFrame:
    """What each read got: a row a range of bytes, ordered by channel and position. `row` is -1 for bytes of nobody."""
    placed = np.flatnonzero(rows.position != NONE)
    lying = Transfers(
        rows.write[placed],
        rows.channel[placed],
        rows.size[placed],
        rows.position[placed],
        np.zeros(len(placed), dtype=bool),
    )
    laid = overlay(*_line(lying, reads, lying), *_line(lying, reads, reads))
    taken = laid.right >= 0
    row = pick(placed, laid.left, -1)[taken]
    return pd.DataFrame(
        {
            "row": row,
            "read": reads.event[laid.right[taken]],
            "size": (laid.end - laid.start)[taken],
            "message": pick(rows.message, row, -1),
            "write": pick(rows.write, row),
        }
    )


def _table(
    events: Events,
    payloads: Payloads,
    handed: Units,
    rows: _Rows,
    got: pd.DataFrame,
    reads: Transfers,
    writes: Transfers,
    mixed: set[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    count = int(rows.message.max(initial=-1)) + 1
    lost = got[got["message"] < 0].drop_duplicates("read") if len(got) else got
    unknown = lost["read"].to_numpy()
    # a read's bytes that nobody wrote are a message of their own
    alien = got["message"] < 0
    numbers = pd.Series(np.arange(count, count + len(unknown)), index=unknown)
    got.loc[alien, "message"] = numbers.reindex(got.loc[alien, "read"]).to_numpy()
    total = count + len(unknown)

    first_row = np.zeros(count, dtype="int64")
    first_row[rows.message[::-1]] = np.arange(len(rows.message))[::-1]
    last_row = np.zeros(count, dtype="int64")
    last_row[rows.message] = np.arange(len(rows.message))
    unit, write, last_write = rows.unit[first_row], rows.write[first_row], rows.write[last_row]
    size = np.bincount(rows.message, rows.size, count).astype("int64")
    finished = pick(events.exit, last_write, NEVER)
    accept = pick(handed.event, unit)
    origin = np.where(accept != NONE, accept, write)

    def grown(values: Ints, others: Ints | int) -> Ints:
        return np.append(values, np.broadcast_to(others, len(unknown)))

    distinct = got.groupby("read")["write"].nunique()
    got["merged"] = distinct.reindex(got["read"]).to_numpy() > 1
    got["end"] = events.exit[got["read"].to_numpy()]
    by_message = got.sort_values("end", kind="stable").groupby("message")
    reader = (
        by_message.agg(
            read=("read", "first"),
            last=("end", "last"),
            size=("size", "sum"),
            merged=("merged", "any"),
            reads=("read", "nunique"),
        )
        .astype("Int64")
        .reindex(range(total))
    )
    read = whole(reader["read"])
    whole_size = grown(size, lost["size"].to_numpy() if len(lost) else 0)
    unsized = (
        got.loc[alien].groupby("message")["size"].sum().reindex(range(count, total)).to_numpy(dtype="int64")
        if len(unknown)
        else 0
    )
    whole_size[count:] = unsized
    last = whole(reader["last"], NEVER)
    complete = (whole(reader["size"], 0) >= whole_size) & (whole_size > 0)
    # what was read had left, even where the write had not returned yet
    left = np.minimum(grown(finished, NEVER), np.where(complete, last, NEVER))
    alone = np.arange(total) >= count
    channel = grown(rows.channel[first_row], events.channel[unknown])
    doubted = np.zeros(len(events) + 1, dtype=bool)  # the last is for no event
    doubted[writes.event] = writes.ambiguous
    doubted[reads.event] |= reads.ambiguous
    either = np.isin(channel, list(mixed))
    write_all = grown(write, NONE)
    table = pd.DataFrame(
        {
            "channel": channel,
            "stream": optional(grown(rows.stream[first_row], NONE)),
            "writer": optional(grown(pick(events.thread, origin), NONE)),
            "reader": optional(pick(events.thread, read)),
            "accepted": optional(grown(pick(events.enter, accept), NONE)),
            "written": optional(np.where(alone, NEVER, left), NEVER),
            "read": optional(np.where(complete, last, NEVER), NEVER),
            "size": whole_size,
            "first": optional(grown(rows.position[first_row], NONE)),
            "write_event": optional(write_all),
            "read_event": optional(read),
            "accept_event": optional(grown(accept, NONE)),
            "accept_site": optional(grown(pick(events.site, accept), NONE)),
            "write_site": optional(pick(events.site, write_all)),
            "read_site": optional(pick(events.site, read)),
            "payload": _payloads(payloads, handed, rows, first_row, size, write, unknown),
            "reads": whole(reader["reads"], 0),
            "merged": whole(reader["merged"], 0) == 1,
            "ambiguous": either | doubted[np.maximum(write_all, -1)] | doubted[np.maximum(read, -1)],
        }
    )
    begun = whole(table["accepted"])
    for source in (write_all, read):
        begun = np.where(begun == NONE, pick(events.enter, source), begun)
    order = np.lexsort((np.arange(total), begun))
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "message", np.arange(total))
    renumbered = np.empty(total, dtype="int64")
    renumbered[order] = np.arange(total)
    got["message"] = renumbered[got["message"].to_numpy()] if total else got["message"]
    return table, got.drop(columns=["row", "end"])


def _payloads(
    payloads: Payloads, handed: Units, rows: _Rows, first_row: Ints, size: Ints, write: Ints, unknown: Ints
) -> Payloads:
    made = np.empty(len(first_row) + len(unknown), dtype=object)
    unit = rows.unit[first_row]
    direct = np.flatnonzero(unit < 0)
    made[direct] = payloads[write[direct]]
    for at in np.flatnonzero(unit >= 0).tolist():
        kept = b"".join(payloads[event] for event in handed.pieces[unit[at]].tolist())
        skip = int(rows.start[first_row[at]] - handed.start[unit[at]])
        made[at] = kept[skip : skip + int(size[at])]
    made[len(first_row) :] = payloads[unknown]
    return made
