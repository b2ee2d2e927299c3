"""What had to come before what, around the end of a run: the data of the space-time diagram (Lamport 1978).

A node is the begin or the end of a call that gave something to another thread or got something from one. A node's rank
is greater than that of all that had to come before it, so nodes of one rank are concurrent, whatever the clock said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from ipctrace.analysis.events import NEVER, NONE, Flags, Ints, pick, whole
from ipctrace.analysis.ranks import in_order, ranks
from ipctrace.analysis.timeline import Nodes

from ..run import Run, members

NODES = 60
LANES = 12
_AT_ONCE = 1_000_000  # nodes that ranks are made of, with those that are not drawn


@dataclass(frozen=True, slots=True)
class Interleaving:
    """`nodes`: in order: thread, event, end (bool: the node is the event's end, not its begin), time (ns), rank (from
    0, without gaps), held (bool: bytes that were put into a buffer here and never left it), unread (bool: bytes that
    were written here and that nobody read), from_elsewhere (bool: it had to come after something that isn't drawn).
    `arrows`: before, after (rows of `nodes`), kind, channel?; without those that the others imply, messages aside.
    `lanes`: threads. `total`: how many nodes the run has; `core`: whether only the knot's part was chosen."""

    nodes: pd.DataFrame
    arrows: pd.DataFrame
    lanes: tuple[int, ...]
    total: int
    core: bool


def interleaving(run: Run, most: int = NODES, lanes: int = LANES, around: int | None = None) -> Interleaving:
    """The last `most` nodes of at most `lanes` threads; where threads are in a knot, of what they had to do with.

    `around`: a time, ns; then those before it, and a few after it."""
    enter, exit = whole(run.trace.events["enter"]), whole(run.trace.events["exit"], NEVER)
    owner = whole(run.trace.events["thread"])
    core = {waiter.thread for waiter in members(run, "core") if waiter.thread is not None}
    event, end, other = candidates(run, owner)
    time = np.where(end, exit[event], enter[event])
    known = time != NEVER
    total = int(np.bincount(event[known] * 2 + end[known], minlength=1).astype(bool).sum())
    if around is not None:
        times = np.unique(time[known])
        known &= time <= times[min(len(times) - 1, int(np.searchsorted(times, around)) + most // 4)]
    event, end, other, time = event[known], end[known], other[known], time[known]
    knot = list(core)
    wanted = np.isin(owner[event], knot) | np.isin(other, knot) | (not core)

    def latest(which: Flags) -> Nodes:
        some = np.flatnonzero(which)
        some = some[np.argsort(time[some], kind="stable")[-50 * most :]]
        return last(ordered(event[some], end[some], enter, exit), most)

    recent = owner[latest(wanted).event][::-1].tolist()
    with_them = other[wanted][np.argsort(time[wanted], kind="stable")][-50 * most :][::-1]  # a join names one side only
    recent += with_them[with_them != NONE].tolist()
    threads = list(dict.fromkeys([*(thread for thread in run.analysis.lanes if thread in core), *recent]))[:lanes]
    shown = latest(wanted & np.isin(owner[event], threads) & np.isin(other, [*threads, NONE]))

    # ranks are made of all nodes in between: what is not drawn orders what is
    moment = np.where(shown.end, exit[shown.event], enter[shown.event])
    inside = (time >= moment.min(initial=NEVER)) & (time <= moment.max(initial=NONE))
    everything = last(ordered(event[inside], end[inside], enter, exit), _AT_ONCE)
    before, after, table = edges_among(run, everything)
    rank = ranks(owner[everything.event], before, after)
    place = find(everything, shown)
    shown, place = Nodes(shown.event[place >= 0], shown.end[place >= 0]), place[place >= 0]

    nodes = described(run, shown, owner, np.where(shown.end, exit[shown.event], enter[shown.event]))
    nodes["rank"] = np.unique(rank[place], return_inverse=True)[1]
    drawn = np.full(len(everything.event) + 1, -1)
    drawn[place] = np.arange(len(place))
    arrows = table.assign(before=drawn[before], after=drawn[after])
    arrows = arrows[(arrows["before"] >= 0) & (arrows["after"] >= 0)]
    edges = run.analysis.edges
    caused = find(shown, Nodes(whole(edges["after_event"]), edges["after_end"].to_numpy()))
    nodes["from_elsewhere"] |= nodes.index.isin(caused) & ~nodes.index.isin(arrows["after"])
    arrows = without_implied(nodes["thread"].tolist(), arrows)
    present = {*nodes["thread"].tolist(), *core.intersection(threads)}
    return Interleaving(nodes, arrows, tuple(one for one in run.analysis.lanes if one in present), total, bool(core))


def candidates(run: Run, owner: Ints) -> tuple[Ints, Flags, Ints]:
    """All nodes, some of them several times: event, end, and the thread that it gave to or got from (NONE: nobody)."""
    edges, messages = run.analysis.edges, run.analysis.messages
    before, after = whole(edges["before_event"]), whole(edges["after_event"])
    accept, write, read = (whole(messages[name]) for name in ("accept_event", "write_event", "read_event"))
    writer = np.where(accept != NONE, accept, write)
    no = np.zeros(len(messages), dtype=bool)
    parts = [
        (before, edges["before_end"].to_numpy(dtype=bool), after),
        (after, edges["after_end"].to_numpy(dtype=bool), before),
        (accept, no, read), (write, no, read), (read, ~no, writer),
    ]  # fmt: skip
    event, end, other = (np.concatenate([part[k] for part in parts]) for k in range(3))
    known = event != NONE
    return event[known], end[known], pick(owner, other[known])


def last(nodes: Nodes, most: int) -> Nodes:
    """The last of some nodes."""
    return Nodes(nodes.event[-most:], nodes.end[-most:])


def ordered(event: Ints, end: Flags, enter: Ints, exit: Ints) -> Nodes:
    """The nodes, each once, in an order in which no edge runs backwards."""
    key = np.flatnonzero(np.bincount(event * 2 + end, minlength=1))
    nodes = Nodes(key // 2, key % 2 == 1)
    order = in_order(nodes, enter[nodes.event], exit[nodes.event])
    return Nodes(nodes.event[order], nodes.end[order])


def find(nodes: Nodes, wanted: Nodes) -> Ints:
    """The place in `nodes` of each that is wanted; -1: it isn't there."""
    key, sought = nodes.event * 2 + nodes.end, wanted.event * 2 + wanted.end
    place = np.full(max(int(key.max(initial=0)), int(sought.max(initial=0))) + 1, -1)
    place[key] = np.arange(len(key))
    return place[sought]


def edges_among(run: Run, nodes: Nodes) -> tuple[Ints, Ints, pd.DataFrame]:
    """The edges between some nodes: the places of both sides, and kind and channel."""
    table = run.analysis.edges
    before = find(nodes, Nodes(whole(table["before_event"]), table["before_end"].to_numpy()))
    after = find(nodes, Nodes(whole(table["after_event"]), table["after_end"].to_numpy()))
    kept = (before >= 0) & (after >= 0) & (before < after)
    return before[kept], after[kept], table.loc[kept, ["kind", "channel"]]


def described(run: Run, nodes: Nodes, owner: Ints, time: Ints) -> pd.DataFrame:
    """What is known of each node by itself."""
    messages = run.analysis.messages
    gone = messages["lost"].to_numpy(dtype=bool)
    written, read = messages["written"].notna().to_numpy(), messages["read"].notna().to_numpy()

    def any_of(name: str, which: Flags) -> Flags:
        found: Flags = np.isin(nodes.event, whole(messages.loc[which, name])) & (nodes.end == (name == "read_event"))
        return found

    return pd.DataFrame({
        "thread": owner[nodes.event], "event": nodes.event, "end": nodes.end, "time": time,
        "held": any_of("accept_event", ~written & ~read & ~gone),
        "unread": any_of("write_event", written & ~read & ~gone),
        "from_elsewhere": any_of("read_event", messages["writer"].isna().to_numpy()),
    })  # fmt: skip


def without_implied(threads: list[int], arrows: pd.DataFrame) -> pd.DataFrame:
    """Arrows in order of what they come to, without those that say nothing new; messages all stay, each pair once."""
    arrows = arrows.assign(told=arrows["kind"] == "message")
    arrows = arrows.sort_values(["after", "told"], ascending=[True, False], kind="stable")
    arrows = arrows.drop_duplicates(["before", "after"])
    into: dict[int, list[tuple[int, bool]]] = {}
    for source, target, told in zip(*(arrows[name].tolist() for name in ("before", "after", "told")), strict=True):
        into.setdefault(target, []).append((source, told))
    past: list[set[int]] = []
    last: dict[int, int] = {}
    kept = set()
    for node, thread in enumerate(threads):
        own = {last[thread]} | past[last[thread]] if thread in last else set()
        sources = into.get(node, [])
        everything = own.union(*({source} | past[source] for source, _ in sources))
        for source, told in sources:
            around = own.union(*(past[other] for other, _ in sources if other != source))
            if told or source not in around:
                kept.add((source, node))
        past.append(everything)
        last[thread] = node
    pairs = list(zip(arrows["before"].tolist(), arrows["after"].tolist(), strict=True))
    stays = np.array([pair in kept for pair in pairs], dtype=bool)
    return arrows.loc[stays, ["before", "after", "kind", "channel"]].reset_index(drop=True)
