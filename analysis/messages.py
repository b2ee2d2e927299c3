"""Which message each read, receive or get was given, and when: the whole of what a run said.

A message is what a program handed over at once: a print, a write to a stream, an os.write, a Connection.send, an item
put on a queue, a datagram. How it went is found out by what carried it: byte streams by ranges (`ranges`), datagrams
and items one to one (`datagrams`, `items`). When the program at the other end got it, `receipts` says.

What isn't traced reads and writes too: bytes that nobody wrote came from outside (no writer), and where traced and
untraced threads share an end, whose bytes are whose is ambiguous.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from ipctrace.tracer.schema import Trace

from . import datagrams, items, ranges
from .events import NEVER, NONE, Events, Ints, optional, pick, running_sum, whole
from .matched import Matched
from .payloads import BYTES, Payloads
from .transports import with_transports
from .units import Units, units

__all__ = ["Units", "balance", "check", "match", "pieces", "stages", "units"]


def match(
    trace: Trace, events: Events, payloads: Payloads, handed: Units, mixed: set[int], leads_to: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`Analysis.messages`; what each read got: columns read (event), message, write (event or NONE), size, merged; and
    what writes carried that no read got: the same columns, read NONE.

    `mixed` are channels of which an untraced process held an end; `leads_to` maps a stream to the channel
    that its descriptor leads to in the end.
    """
    events, handed = with_transports(events, handed)
    # what isn't named here is gone before the table is made: of ten million events it is much
    return _table(trace, events, payloads, Matched.joined([
        ranges.match(trace, events, payloads, handed, mixed, leads_to),
        datagrams.match(trace, events, payloads, mixed),
        items.match(trace, events, payloads),
    ]))  # fmt: skip


def _table(
    trace: Trace, events: Events, payloads: Payloads, found: Matched
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    total = len(found.channel)
    begun = pick(events.enter, found.accept)
    for source in (found.write, found.read):
        begun = np.where(begun == NONE, pick(events.enter, source), begun)
    # of a message that left in part, what is stuck comes behind what left
    order = np.lexsort((found.first == NONE, begun))
    found = found.taken(order)
    complete = found.read_at != NEVER
    received = np.where(complete, pick(events.exit, found.receive), NEVER)
    received = np.where(received == NONE, NEVER, np.maximum(received, np.where(complete, found.read_at, NONE)))
    payload = found.payload.bytes(payloads)
    stream = np.where(found.stream < len(trace.streams), found.stream, NONE)  # beyond them: an asyncio transport
    table = pd.DataFrame({
        "message": np.arange(total),
        "channel": found.channel,
        "stream": optional(stream),
        "writer": optional(pick(events.thread, found.origin)),
        "reader": optional(pick(events.thread, found.read)),
        "accepted": optional(pick(events.enter, found.accept)),
        "written": optional(found.written, NEVER),
        "read": optional(found.read_at, NEVER),
        "received": optional(received, NEVER),
        "size": found.size,
        "first": optional(found.first),
        "write_event": optional(found.write),
        "read_event": optional(found.read),
        "accept_event": optional(found.accept),
        "receive_event": optional(np.where(received == NEVER, NONE, found.receive)),
        "accept_site": optional(pick(events.site, found.accept)),
        "write_site": optional(pick(events.site, found.write)),
        "read_site": optional(pick(events.site, found.read)),
        "payload": pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([payload])), dtype=BYTES),
        "reads": found.reads,
        "merged": found.merged,
        "ambiguous": found.ambiguous,
        "op": events.ops(found.origin),
        "lost": found.lost,
    }, copy=False)  # fmt: skip
    return table, found.got, found.unread


def pieces(messages: pd.DataFrame, got: pd.DataFrame, unread: pd.DataFrame) -> pd.DataFrame:
    """`Analysis.pieces`: the bytes of each message by the writes that carried them and the reads that got them."""
    carried = pd.concat([each for each in (got, unread) if len(each)] or [got], ignore_index=True)
    size, count = messages["size"].to_numpy(dtype="int64"), len(messages)
    told = np.bincount(whole(carried["message"]), whole(carried["size"]), count).astype("int64")
    rest = np.flatnonzero(told < size)  # never written, or what of a datagram nobody got
    numbers = [
        np.append(whole(carried[name]), more)
        for name, more in (
            ("message", rest), ("size", (size - told)[rest]),
            ("write", whole(messages["write_event"])[rest]), ("read", np.full(len(rest), NONE)),
        )
    ]  # fmt: skip
    merged = np.append(carried["merged"].to_numpy(dtype=bool), np.zeros(len(rest), dtype=bool))
    order = np.argsort(numbers[0], kind="stable")  # of a message they are in order
    message, length, write, read = (column[order] for column in numbers)
    begin = running_sum(length, message)
    return pd.DataFrame({
        "message": message, "begin": begin, "end": begin + length, "write_event": optional(write),
        "read_event": optional(read), "merged": merged[order],
    })  # fmt: skip


def stages(messages: pd.DataFrame) -> pd.DataFrame:
    """How long each message was where, in ns, row by row: `buffered` in its writer's buffer (or feeder's), `carried`
    in the channel, `unread` in its reader's buffer. Empty where it isn't known, or where it still is."""
    return pd.DataFrame({
        "buffered": messages["written"] - messages["accepted"],
        "carried": messages["read"] - messages["written"],
        "unread": messages["received"] - messages["read"],
    })  # fmt: skip


def balance(trace: Trace, events: Events, messages: pd.DataFrame, got: pd.DataFrame) -> pd.DataFrame:
    """The bytes of every byte stream, a row a channel: written + outside = read + left (`check`).

    `written` and `read` are what the calls say that they moved (a write that never returned: what it was to move),
    `left` is what by the matching nobody read, `outside` what was read that nobody wrote. `events` are the lanes.
    """
    channels = ranges.talking(trace, events)

    def summed(channel: Ints, size: Ints) -> Ints:
        known = np.isin(channel, channels)
        return np.bincount(channel[known], size[known], len(trace.channels)).astype("int64")[channels]

    done = np.where(events.exit == NEVER, events.size, events.result)
    writes = np.flatnonzero(events.is_kind("write") & (done > 0) & (events.error == NONE))
    reads = np.flatnonzero(events.is_kind("read") & (events.result > 0))
    placed = messages["first"].notna().to_numpy()
    size = got["size"].to_numpy(dtype="int64")
    taken, alien = pick(events.channel, whole(got["read"])), (got["write"] == NONE).to_numpy()
    put = summed(messages["channel"].to_numpy()[placed], messages["size"].to_numpy()[placed])
    return pd.DataFrame({
        "channel": channels,
        "written": summed(events.channel[writes], done[writes]),
        "outside": summed(taken[alien], size[alien]),
        "read": summed(events.channel[reads], events.result[reads]),
        "left": put - summed(taken[~alien], size[~alien]),
    })  # fmt: skip


def check(sums: pd.DataFrame) -> None:
    """Raise AssertionError where bytes come from nowhere or go nowhere."""
    wrong = sums[(sums["written"] + sums["outside"] != sums["read"] + sums["left"]) | (sums["left"] < 0)]
    assert wrong.empty, f"bytes written aren't bytes read and bytes left: {wrong}"
