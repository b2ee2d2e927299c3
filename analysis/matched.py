"""What a way of matching comes to: messages column by column, before they are put in order and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import pandas as pd

from .events import NEVER, NONE, Flags, Ints, pick
from .payloads import Kept

OTHER = ("payload", "got", "unread")  # of a `Matched`: not an array with a place a message
NOTHING = (*(np.zeros(0, dtype="int64") for _ in range(4)), np.zeros(0, dtype=bool))


@dataclass(slots=True)
class Matched:
    """Messages, a place a message in every column; events are ids, `NONE` where there is none.

    `origin` is what handed it over, `accept` the same where a buffer took it before it was written; `receive` the call
    that gave its last byte to the program. `got` is the other side: read, message (its place), write, size, merged;
    `unread` has the same columns for what writes carried and no read got (read `NONE`). Of a message, in order.
    """

    channel: Ints
    stream: Ints
    origin: Ints
    accept: Ints
    write: Ints
    read: Ints  # the first that got bytes of it
    receive: Ints
    written: Ints  # ns; NEVER
    read_at: Ints  # ns when all of it was read; NEVER
    size: Ints
    lost: Ints  # bytes that nobody will ever get: the rest of a datagram that was cut, or all of one
    first: Ints  # position on the channel
    reads: Ints
    merged: Flags
    ambiguous: Flags
    payload: Kept
    got: pd.DataFrame
    unread: pd.DataFrame = field(default_factory=lambda: got_table(*NOTHING))

    @classmethod
    def joined(cls, parts: Sequence[Matched]) -> Matched:
        """The messages of several ways, one behind the other."""
        base = np.cumsum([0, *(len(part.channel) for part in parts)])
        whole = {
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(cls)
            if each.name not in OTHER
        }
        payload = Kept.joined([part.payload for part in parts])

        def behind(tables: list[pd.DataFrame]) -> pd.DataFrame:
            moved = [table.assign(message=table["message"] + start) for table, start in zip(tables, base, strict=False)]
            return pd.concat([each for each in moved if len(each)] or moved[:1], ignore_index=True)

        return cls(
            **whole, payload=payload, got=behind([part.got for part in parts]),
            unread=behind([part.unread for part in parts]),
        )  # fmt: skip

    def taken(self, order: Ints) -> Matched:
        """The same messages in another order, in which `got` and `unread` have their new places."""
        place = np.empty(len(order), dtype="int64")
        place[order] = np.arange(len(order))
        arrays = (each.name for each in fields(self) if each.name not in OTHER)
        columns = {name: getattr(self, name)[order] for name in arrays}
        got, unread = (
            table.assign(message=place[table["message"].to_numpy(dtype="int64")]) for table in (self.got, self.unread)
        )
        return Matched(**columns, payload=self.payload.taken(order), got=got, unread=unread)


def got_table(read: Ints, message: Ints, write: Ints, size: Ints, merged: Flags) -> pd.DataFrame:
    """What each read got."""
    return pd.DataFrame({"read": read, "size": size, "message": message, "write": write, "merged": merged}, copy=False)


def pairs(
    sent: Ints, taken: Ints, channel: Ints, size: Ints, lost: Ints, exits: Ints, receive: Ints, ambiguous: Flags,
    payload: Kept,
) -> Matched:  # fmt: skip
    """Messages that are one to one: `sent` and `taken` are the events of each, either may be `NONE`."""
    count = len(sent)
    none = np.full(count, NONE)
    return Matched(
        channel=channel, stream=none, origin=sent, accept=none, write=sent, read=taken, receive=receive,
        # what was taken had left, even where the sender's call had not returned yet
        written=np.where(sent >= 0, np.minimum(pick(exits, sent, NEVER), pick(exits, taken, NEVER)), NEVER),
        read_at=pick(exits, taken, NEVER), size=size, lost=lost, first=none,
        reads=(taken >= 0).astype("int64"), merged=np.zeros(count, dtype=bool), ambiguous=ambiguous, payload=payload,
        got=got_table(*NOTHING),
    )  # fmt: skip


def paired(one: Ints, two: Ints) -> Ints:
    """For the k-th item of a group in `one` the place of the k-th of the same group in `two`; -1: it has fewer."""
    groups, codes = np.unique(np.concatenate([one, two]), return_inverse=True)
    del groups
    keys = []
    for codes_of in (codes[: len(one)], codes[len(one) :]):
        order = np.argsort(codes_of, kind="stable")
        rank = np.empty(len(order), dtype="int64")
        ordered = codes_of[order]
        begin = np.flatnonzero(np.diff(ordered, prepend=-1))
        rank[order] = np.arange(len(order)) - np.repeat(begin, np.diff(np.append(begin, len(order))))
        keys.append(codes_of * (len(one) + len(two) + 1) + rank)
    sorter = np.argsort(keys[1], kind="stable")
    place = np.searchsorted(keys[1], keys[0], sorter=sorter)
    found = np.append(sorter, -1)[np.minimum(place, len(sorter))]
    return np.where(np.append(keys[1], -1)[found] == keys[0], found, -1)
