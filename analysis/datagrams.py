"""Datagrams, one to one: udp, Unix datagram and seqpacket sockets.

Where a datagram goes is the peer of a connected pair or the socket that was bound to the address it was sent to; who
sent it, recvfrom says. On a *lane*, from those senders that can't be told apart to one socket, they come in order.
A Unix socket loses none: the k-th that was sent is the k-th that is got. UDP may lose some: then what was got is some
of what was sent, in order, and agrees in size and bytes. Such a match is certain where it is the only one, that is
where the earliest that fits from the front is the latest that fits from the back; else it is ambiguous.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from ipctrace.tracer.schema import Trace

from .events import NEVER, NONE, Events, Flags, Ints, by_number, pick, rows_of, whole
from .matched import Matched, paired, pairs
from .payloads import Kept, Payloads
from .receipts import outermost_of

LOSSY = ("udp",)
PACKETS = (*LOSSY, "unix-datagram", "unix-seqpacket")
ANYWHERE = ("0.0.0.0", "[::]", "::")


def match(trace: Trace, events: Events, payloads: Payloads, mixed: set[int]) -> Matched:
    """The datagrams, as messages; those of which nothing is known but that they left for somewhere else aren't told."""
    ends = trace.channels[trace.channels["form"].isin(PACKETS)]
    sends, receives = _calls(events, ends)
    target, source = _targets(trace, events, ends, sends), _sources(trace, events, ends, receives)
    own = whole(events.table["channel"])
    lossy = ends.loc[ends["form"].isin(LOSSY), "channel"].to_numpy(dtype="int64")
    put, got, channel = _lanes(target, own[sends], own[receives], source)
    lane, sent, taken, doubtful = _paired(events, payloads, sends, receives, put, got, np.isin(channel, lossy)).T
    return _matched(events, payloads, np.stack([channel[lane], sent, taken, doubtful], axis=1), mixed)


def _calls(events: Events, ends: pd.DataFrame) -> tuple[Ints, Ints]:
    """What was sent and what was got on these ends; a datagram may be empty. In order of the calls' ends."""
    here = np.isin(whole(events.table["channel"]), ends["channel"].to_numpy()) & (events.error == NONE)
    sends = np.flatnonzero(here & events.is_kind("write") & (events.exit != NEVER) & (events.result >= 0))
    empty = events.is_op("socket.recvfrom", "socket.recvfrom_into") & events.table["address"].notna().to_numpy()
    got = (events.result > 0) | ((events.result == 0) & empty)
    receives = np.flatnonzero(here & events.is_kind("read") & (events.exit != NEVER) & got)
    return tuple(each[np.lexsort((each, events.exit[each]))] for each in (sends, receives))  # type: ignore[return-value]


def _addressed(ends: pd.DataFrame) -> dict[str, list[int]]:
    """Address → the sockets bound to it, in order of making; one that is bound to all addresses has its port's."""
    found: dict[str, list[int]] = {}
    for row in rows_of(ends[ends["local"].notna()]):
        host, _, port = str(row.local).rpartition(":")
        found.setdefault(f":{port}" if host in ANYWHERE else str(row.local), []).append(row.channel)
    return found


def _at(known: dict[str, list[int]], address: Any) -> list[int]:
    if not isinstance(address, str):
        return []
    return known.get(address) or known.get(f":{address.rpartition(':')[2]}", [])


def _targets(trace: Trace, events: Events, ends: pd.DataFrame, sends: Ints) -> Ints:
    """Where each datagram went: the socket that was bound to its address by then, else the sender's peer."""
    own = whole(events.table["channel"])[sends]
    peers, remotes = whole(trace.channels["peer"]), trace.channels["remote"]
    known, first = _addressed(ends), _first_used(trace, events)
    remote = remotes.to_numpy(dtype=object)
    codes, addresses = pd.factorize(events.table["address"].iloc[sends])
    found = np.where(codes < 0, peers[own], NONE)
    width = len(remote) + 1
    kinds, which = np.unique((codes + 1) * width + own, return_inverse=True)
    of_pair = by_number(which, len(kinds))
    for pair, (code, channel) in enumerate(zip(*(each.tolist() for each in divmod(kinds, width)), strict=True)):
        there = _at(known, addresses[code - 1] if code else remote[channel])
        if there:
            found[mine := of_pair(pair)] = NONE
        for one in there:  # an address that was bound again leads to who has it now
            found[mine[first[one] <= events.exit[sends[mine]]]] = one
    return found


def _sources(trace: Trace, events: Events, ends: pd.DataFrame, receives: Ints) -> Ints:
    """Whom each datagram came from: a socket, NONE where it isn't known, -1 where it is one that isn't traced."""
    peers = whole(trace.channels["peer"])[whole(events.table["channel"])[receives]]
    known = _addressed(ends)
    codes, addresses = pd.factorize(events.table["address"].iloc[receives])
    by_code = np.array([next(iter(_at(known, address)[-1:]), -1) for address in addresses], dtype="int64")
    return np.where(codes >= 0, np.append(by_code, NONE)[codes], peers)


def _first_used(trace: Trace, events: Events) -> Ints:
    """When each channel had its address, at the latest: as it was bound, or first used."""
    first = np.full(len(trace.channels), NEVER)
    own = whole(events.table["channel"])
    seen = np.flatnonzero((own != NONE) & events.is_kind("bind", "read", "write", "pair", "select", "connect"))
    np.minimum.at(first, own[seen], events.enter[seen])
    return first


def _lanes(target: Ints, sender: Ints, receiver: Ints, source: Ints) -> tuple[Ints, Ints, Ints]:
    """The lane of each datagram that was sent (-1: none) and of each that was got, and the channel of each lane: one a
    pair of sockets, or one a socket where it isn't known whence something came that it got."""
    width = int(max(target.max(initial=0), sender.max(initial=0), receiver.max(initial=0))) + 3
    loose = np.zeros(width, dtype=bool)
    loose[receiver[source == NONE]] = True
    led = np.flatnonzero(target != NONE)
    left = target[led] * width + np.where(loose[target[led]], 0, sender[led] + 2)
    came = receiver * width + np.where(loose[receiver], 0, source + 2)
    lanes, number = np.unique(np.append(left, came), return_inverse=True)
    put = np.full(len(target), -1)
    put[led] = number[: len(led)]
    return put, number[len(led) :], lanes // width


def _paired(
    events: Events, payloads: Payloads, sends: Ints, receives: Ints, put: Ints, got: Ints, lossy: Flags
) -> Ints:
    """(lane, send or NONE, receive or NONE, whether that is ambiguous) of every datagram, in order of the lanes.

    Where each that was got is like the one sent in its place, and nothing else can have been, nobody has to search.
    """
    there = np.flatnonzero(put >= 0)
    there = there[np.argsort(put[there], kind="stable")]
    lane, sent = put[there], sends[there]
    overlapping = _at_once(events, sent, lane)
    partner = paired(got, lane)
    alike = partner >= 0
    one, two = sent[partner[alike]], receives[alike]
    alike[alike] = (
        (events.result[one] == events.result[two])
        & (events.enter[one] <= events.exit[two])
        & np.asarray(pc.equal(payloads.of(one), payloads.of(two)), dtype=bool)
    )
    plain = np.bincount(lane, minlength=len(lossy)) == np.bincount(got, minlength=len(lossy))
    plain |= ~lossy
    plain[got[~alike]] = False
    plain[lane[overlapping & ~lossy[lane]]] = False

    easy = np.flatnonzero(plain[got])
    taken = np.full(len(sent), NONE)
    taken[partner[easy]] = receives[easy]
    order = np.argsort(taken == NONE, kind="stable")  # in each lane first what was got
    order = order[np.argsort(lane[order], kind="stable")]
    order = order[plain[lane[order]]]
    doubtful = overlapping[order] & (taken[order] != NONE)
    rows = [np.stack([lane[order], sent[order], taken[order], doubtful], axis=1)]
    sent_on, got_on = by_number(lane, len(lossy)), by_number(got, len(lossy))
    for number in np.flatnonzero(~plain).tolist():
        own = sent_on(number)
        others = receives[got_on(number)]
        found = _match_lane(events, payloads, sent[own], others, overlapping[own], bool(lossy[number]))
        rows.append(np.array([(number, *row) for row in found], dtype="int64").reshape(-1, 4))
    every = np.concatenate(rows)
    return every[np.argsort(every[:, 0], kind="stable")]


def _match_lane(
    events: Events, payloads: Payloads, sends: Ints, receives: Ints, overlapping: Flags, lossy: bool
) -> Iterator[tuple[int, int, bool]]:
    """(send or NONE, receive or NONE, whether that is ambiguous) of every datagram of a lane."""
    if not lossy:
        yield from _in_order(events, payloads, sends, receives, overlapping)
        return
    fits = _Fits(events, payloads, sends, receives)
    early = fits.greedy()
    late = [None if at is None else len(sends) - 1 - at for at in fits.reversed().greedy()[::-1]]
    taken: set[int] = set()
    for number_, (one, two) in enumerate(zip(early, late, strict=True)):
        if one is not None:
            taken.add(one)
        receive = int(receives[number_])
        doubtful = one is not None and (one != two or bool(overlapping[one]))
        yield int(sends[one]) if one is not None else NONE, receive, doubtful
    yield from ((int(send), NONE, False) for at, send in enumerate(sends.tolist()) if at not in taken)


class _Fits:
    """Whether the k-th that was got can be the j-th that was sent."""

    def __init__(self, events: Events, payloads: Payloads, sends: Ints, receives: Ints) -> None:
        self.sent, self.got = events.result[sends].tolist(), events.result[receives].tolist()
        self.asked = events.size[receives].tolist()
        # what was begun after it was got can't be it
        self.begun, self.ended = events.enter[sends].tolist(), events.exit[receives].tolist()
        self.put = payloads.of(sends).to_pylist()
        self.taken = payloads.of(receives).to_pylist()

    def reversed(self) -> _Fits:
        """The same, seen from the end."""
        turned = object.__new__(_Fits)
        turned.__dict__ = {name: values[::-1] for name, values in self.__dict__.items()}
        return turned

    def __call__(self, send: int, receive: int) -> bool:
        sent, got = self.sent[send], self.got[receive]
        cut = got < sent and self.asked[receive] == got  # the rest of a datagram that is longer than asked for is gone
        if (got != sent and not cut) or self.begun[send] > self.ended[receive]:
            return False
        put, taken = self.put[send], self.taken[receive]
        known = min(len(put), len(taken))
        return bool(put[:known] == taken[:known])

    def greedy(self) -> list[int | None]:
        """Each receive's send: the first behind those before it that fits. None: no send does."""
        alike: dict[tuple[int, bytes], list[int]] = {}
        for send, key in enumerate(zip(self.sent, self.put, strict=True)):
            alike.setdefault(key, []).append(send)
        blind = any(size and not kept for size, kept in zip(self.sent + self.got, self.put + self.taken, strict=True))
        found: list[int | None] = []
        at = 0
        for receive, (size, data) in enumerate(zip(self.got, self.taken, strict=True)):
            if blind or self.asked[receive] == size:  # it may have been cut: any longer one may be it
                fitting = (send for send in range(at, len(self.sent)) if self(send, receive))
            else:
                same, ended = alike.get((size, data), []), self.ended[receive]
                later = range(bisect_left(same, at), len(same))
                fitting = (same[k] for k in later if self.begun[same[k]] <= ended)
            here = next(fitting, None)
            found.append(here)
            at = at if here is None else here + 1
        return found


def _at_once(events: Events, sends: Ints, lane: Ints) -> Flags:
    """Which sends, ordered by lane, overlap another thread's: their order isn't known."""
    found = np.zeros(len(sends), dtype=bool)
    one, two = sends[:-1], sends[1:]
    meets = (events.enter[two] < events.exit[one]) & (events.thread[two] != events.thread[one])
    meets &= lane[1:] == lane[:-1]
    found[1:] |= meets
    found[:-1] |= meets
    return found


def _in_order(
    events: Events, payloads: Payloads, sends: Ints, receives: Ints, overlapping: Flags
) -> Iterator[tuple[int, int, bool]]:
    """The k-th is the k-th; of sends that overlap, the one that fits, if it is the only one."""
    fits = _Fits(events, payloads, sends, receives)
    left = list(range(len(sends)))[::-1]  # as a stack, the next one last
    threads, enters, exits = (column[sends].tolist() for column in (events.thread, events.enter, events.exit))
    for receive in range(len(receives)):
        heads: list[int] = []
        ended = NEVER
        for send in reversed(left):
            if enters[send] > ended or (heads and not overlapping[send]):
                break
            ended = min(ended, exits[send])
            if threads[send] not in {threads[head] for head in heads}:
                heads.append(send)
        possible = [head for head in heads if fits(head, receive)]
        if not possible:
            yield NONE, int(receives[receive]), bool(heads)
            continue
        at = len(left) - 1
        while left[at] != possible[0]:  # it is near the end
            at -= 1
        del left[at]
        yield int(sends[possible[0]]), int(receives[receive]), len(possible) > 1
    yield from ((int(sends[send]), NONE, False) for send in reversed(left))


def _matched(events: Events, payloads: Payloads, rows: Ints, mixed: set[int]) -> Matched:
    channel, sent, taken, doubtful = rows.T
    size = np.where(sent != NONE, pick(events.result, sent, 0), pick(events.result, taken, 0))
    both = np.flatnonzero((sent != NONE) & (taken != NONE))
    lost = np.zeros(len(rows), dtype="int64")
    lost[both] = size[both] - events.result[taken[both]]
    lost[_overtaken(events, channel, sent, taken)] = -1
    lost = np.where(lost < 0, size, lost)
    receive = taken.copy()
    there = taken >= 0
    around = outermost_of(events, taken[there], events.is_kind("receive"))
    receive[there] = np.where(around != NONE, around, taken[there])
    found = pairs(
        sent, taken, channel, size, lost, events.exit, receive, (doubtful == 1) | np.isin(channel, list(mixed)),
        Kept.of(np.where(sent != NONE, sent, taken)),
    )  # fmt: skip
    place = np.flatnonzero(there)
    place = place[np.lexsort((events.exit[taken[place]], channel[place]))]  # whoever sent them: as they were got
    found.got = pd.DataFrame({
        "read": taken[place], "size": events.result[taken[place]], "message": place, "write": sent[place],
        "merged": np.zeros(len(place), dtype=bool),
    })  # fmt: skip
    return found


def _overtaken(events: Events, channel: Ints, sent: Ints, taken: Ints) -> Ints:
    """Datagrams that nobody got, though one that the same socket sent later was got there: they were lost."""
    own = pick(whole(events.table["channel"]), sent)
    latest: dict[tuple[int, int], int] = {}
    both = np.flatnonzero((taken != NONE) & (sent != NONE))
    for to, by, send in zip(channel[both].tolist(), own[both].tolist(), sent[both].tolist(), strict=True):
        latest[to, by] = max(latest.get((to, by), -1), int(events.enter[send]))
    return np.array([
        at for at in np.flatnonzero((taken == NONE) & (sent != NONE)).tolist()
        if events.exit[sent[at]] < latest.get((int(channel[at]), int(own[at])), -1)
    ], dtype="int64")  # fmt: skip
