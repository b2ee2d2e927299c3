"""IPC4xx: time is wasted, by many calls where few would do."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAGAIN

import numpy as np
import pandas as pd

from ..events import NEVER, NONE, Events, Flags, Ints, groups, number, rows_of, whole
from ..findings import Check, Context, finding, ids
from ..naming import sentence, span
from ..results import Finding

# A system call costs about a microsecond: a thousand of them make a millisecond, less isn't worth a line.
MANY = 1_000
FEW_BYTES = 64  # mean size: a line of a log is longer, what this is about is numbers, words and single characters
AT_ONCE = 1_000_000  # ns: who waits longer between two writes has nothing yet that could go with the first
TOGETHER = 0.9  # of a site's writes: the rest may be ends of batches
ROUNDS = 200  # as many questions and answers: fewer are a conversation
SMALL = 1_024  # bytes of a message: with larger ones the time is that of the data
SHARE = 0.25  # of the run that waiting for answers takes: less isn't noticed
LEAST = 100_000_000  # ns
POLLS = 100  # calls that returned nothing, by one site
SHORT = 100_000_000  # ns: who waits longer for nothing looks after something now and then, which isn't polling
LASTS = 0.1  # of the run, from the first poll to the last
POLLED = ("select", "read", "receive", "acquire", "await", "connect", "wait")


def tiny_writes(context: Context) -> Iterator[Finding]:
    """IPC401: a site that wrote a few bytes by a system call each, one right after the other."""
    run, events = context.run, context.run.events
    writes = np.flatnonzero(events.is_kind("write") & (events.result > 0) & (events.site != NONE))
    calls, size = (np.bincount(events.site[writes], weights) for weights in (None, events.result[writes]))
    writes = writes[((calls >= MANY) & (size < FEW_BYTES * calls))[events.site[writes]]]
    if not len(writes):
        return
    own = np.flatnonzero(events.is_kind("write", "read", "receive", "select") & (events.exit != NEVER))
    order = own[np.argsort(events.thread[own], kind="stable")]  # events come in order of time
    before = np.full(len(events), NONE)
    before[order[1:]] = np.where(events.thread[order[1:]] == events.thread[order[:-1]], order[:-1], NONE)
    last = before[writes]
    known = last != NONE
    follows = known.copy()
    gap = events.enter[writes[known]] - events.exit[last[known]]
    follows[known] = (
        (gap < AT_ONCE)
        & (events.channel[last[known]] == events.channel[writes[known]])
        & (events.site[last[known]] == events.site[writes[known]])
    )
    table = pd.DataFrame({
        "thread": events.thread[writes], "channel": events.channel[writes], "site": events.site[writes],
        "size": events.result[writes], "took": events.exit[writes] - events.enter[writes], "follows": follows,
        "write": writes,
    })  # fmt: skip
    sums = table.groupby(["thread", "channel", "site"]).agg(
        calls=("size", "size"), bytes=("size", "sum"), took=("took", "sum"), follows=("follows", "mean"),
        first=("write", "first"),
    )  # fmt: skip
    found = sums[(sums["calls"] >= MANY) & (sums["bytes"] < FEW_BYTES * sums["calls"]) & (sums["follows"] > TOGETHER)]
    for row in rows_of(found.reset_index()):
        flushed = events.stream[row.first] != NONE
        yield finding(
            "IPC401",
            f"{sentence(run.the_thread(row.thread))} made {row.calls:,} system calls{run.at(row.site)} to write "
            f"{row.bytes:,} bytes to {run.channel_name(number(row.channel))}, {row.bytes / row.calls:.0f} at a time: "
            f"{span(row.took)} in all.",
            f"Flush once, after the loop{run.at(row.site)}, not with every write; or buffer by the block."
            if flushed
            else f"Collect the bytes{run.at(row.site)} and write them together, or write to a buffered stream.",
            threads=ids(row.thread),
            channels=ids(number(row.channel)),
            sites=ids(row.site),
            events=ids(row.first),
        )


def ping_pong(context: Context) -> Iterator[Finding]:
    """IPC405: two threads that sent each other small messages by turns, one at a time, and mostly waited."""
    run = context.run
    pairs = _pairs(run.messages)
    if not len(pairs):
        return
    waits = run.blocking[(run.blocking["reason"] == "nodata") & ~run.blocking["open"] & run.blocking["by"].notna()]
    between = waits.groupby(["thread", "by"]).indices
    for (one, other), rows in groups(pairs, ["low", "high"]):
        turns = rows["towards"].to_numpy()
        by_turns = turns[1:] != turns[:-1]
        after = rows["written"].to_numpy()[1:] >= rows["read"].to_numpy()[:-1]
        if (by_turns & after).mean() < TOGETHER:
            continue
        theirs = [between[way] for way in ((one, other), (other, one)) if way in between]
        if not theirs:
            continue
        own = waits.iloc[np.sort(np.concatenate(theirs))]
        waited = (own["end"] - own["begin"]).groupby(own["thread"]).sum()
        asks = one if waited.get(one, 0) >= waited.get(other, 0) else other
        total, rounds = int(waited.get(asks, 0)), int(by_turns.sum() + 1) // 2
        mine = own[own["thread"] == asks]
        # slow answers are work, not switching; the middle one tells, since a busy machine makes a few very slow
        usual = (mine["end"] - mine["begin"]).median()
        if total < max(SHARE * run.cut, LEAST) or usual > AT_ONCE:
            continue
        answers = other if asks == one else one
        yield finding(
            "IPC405",
            f"{sentence(run.the_thread(asks))} and {run.the_thread(answers)} exchanged {rounds:,} questions and "
            f"answers of {rows['size'].mean():.0f} bytes by turns, each waiting for the one before: "
            f"{span(total)} of waits{run.at(number(mine['site'].iloc[0]))}, {span(total // rounds)} a round.",
            "Send several before waiting for the first answer, or several in one message"
            f"{run.at(number(mine['site'].iloc[0]))}.",
            threads=ids(asks, answers),
            channels=ids(*(number(channel) for channel in mine["channel"].unique())),
            sites=ids(number(mine["site"].iloc[0])),
            events=ids(int(mine["event"].iloc[0])),
        )


def _pairs(messages: pd.DataFrame) -> pd.DataFrame:
    """The messages of pairs of threads that sent each other many small ones, about as many one way as the other, in
    order of the pairs (low, high) and of time; `towards` the higher one."""
    writer, reader, written, read = (whole(messages[name]) for name in ("writer", "reader", "written", "read"))
    known = np.flatnonzero((np.minimum(written, read) != NONE) & (np.minimum(writer, reader) != NONE))
    known = known[writer[known] != reader[known]]
    writer, reader, size = writer[known], reader[known], whole(messages["size"])[known]
    low, high = np.minimum(writer, reader), np.maximum(writer, reader)
    _, pair = np.unique(low * (high.max(initial=0) + 1) + high, return_inverse=True)
    count, upward, total = np.bincount(pair), np.bincount(pair, writer < reader), np.bincount(pair, size)
    mutual = np.minimum(upward, count - upward) >= TOGETHER * (count - 1) / 2 - 1
    chosen = np.flatnonzero((mutual & (count >= 2 * ROUNDS) & (total <= SMALL * count))[pair])
    chosen = chosen[np.lexsort((written[known[chosen]], pair[chosen]))]
    return pd.DataFrame({
        "low": low[chosen], "high": high[chosen], "towards": (writer < reader)[chosen], "size": size[chosen],
        "written": written[known[chosen]], "read": read[known[chosen]],
    })  # fmt: skip


def polling(context: Context) -> Iterator[Finding]:
    """IPC406: a site that asked again and again, without waiting or for a short time, and got nothing."""
    run, events = context.run, context.run.events
    asked = np.flatnonzero(_asks_shortly(events) & (events.site != NONE))
    # the outermost call is the program's own; and an event loop's select is where it sleeps
    loops = set(run.trace.threads["loop"].dropna().astype("int64").tolist())
    asked = asked[(events.outermost[asked] == asked) & ~np.isin(events.thread[asked], list(loops))]
    empty = asked[_got_nothing(events, asked)]
    if len(empty) < POLLS:
        return
    table = pd.DataFrame({
        "thread": events.thread[empty], "site": events.site[empty], "event": empty, "enter": events.enter[empty],
        "exit": events.exit[empty],
    })  # fmt: skip
    sums = table.groupby(["thread", "site"]).agg(
        calls=("event", "size"), first=("event", "first"), begin=("enter", "min"), end=("exit", "max")
    )
    lasts = sums["end"] - sums["begin"]
    found = sums[(sums["calls"] >= POLLS) & (lasts >= max(LASTS * run.cut, LEAST)) & (lasts / sums["calls"] < SHORT)]
    for row in rows_of(found.reset_index()):
        call, channel = events.op(row.first) + run.at(row.site), number(events.channel[row.first])
        what = f" on {run.channel_name(channel)}" if channel is not None else ""
        yield finding(
            "IPC406",
            f"{sentence(run.the_thread(row.thread))} asked {row.calls:,} times in {span(row.end - row.begin)}, by "
            f"{call}{what}, and got nothing.",
            f"Let {call} wait as long as it takes, or wait for several at once with select: it returns as soon as "
            "there is something.",
            threads=ids(row.thread),
            channels=ids(channel),
            sites=ids(row.site),
            events=ids(row.first),
        )


def _asks_shortly(events: Events) -> Flags:
    """Which calls could have waited, and did so not at all or for a short time only."""
    brief = events.timed & (events.size >= 0) & (events.size <= SHORT)
    at_once = events.is_kind("read", "receive", "connect") & (events.error == EAGAIN)
    asks: Flags = events.is_kind(*POLLED) & (events.exit != NEVER) & (brief | at_once)
    return asks


def _got_nothing(events: Events, asked: Ints) -> Flags:
    """Which of these calls came back empty-handed: nothing is ready, not got in time, would have to wait."""
    failed = events.error[asked] != NONE
    nothing = events.is_kind("select", "acquire", "await")[asked] & (events.result[asked] == 0)
    refused = (events.error[asked] == EAGAIN) | (events.is_kind("receive")[asked] & (events.error[asked] == -1))
    empty: Flags = np.where(failed, refused, nothing)
    return empty


CHECKS: tuple[Check, ...] = (tiny_writes, ping_pong, polling)
