"""IPC4xx: time is wasted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ..events import NONE, groups, number, rows_of, whole
from ..findings import Context, finding, ids
from ..naming import sentence, span
from ..results import Finding

SHARE = 0.1  # of the run: less isn't noticed
LEAST = 50_000_000  # ns


def _noticeable(context: Context) -> float:
    return max(SHARE * context.run.cut, LEAST)


def late_sender(context: Context) -> Iterator[Finding]:
    """IPC403: the longest wait for a message on each channel."""
    run, events = context.run, context.run.events
    waits = run.blocking[
        (run.blocking["reason"] == "nodata") & run.blocking["by_event"].notna() & ~run.blocking["open"]
    ]
    waits = waits[events.is_kind("write")[waits["by_event"].astype("int64")]] if len(waits) else waits
    waits = waits.assign(length=waits["end"] - waits["begin"])
    for row in _worst(waits, _noticeable(context)):
        by = int(row.by)
        site, meanwhile = _meanwhile(context, by, row.begin, row.end)
        yield finding(
            "IPC403",
            f"{sentence(run.the_thread(row.thread))} waited {span(row.length)}{run.at(number(row.site))} for "
            f"{run.the_thread(by)} to write on {run.channel_name(int(row.channel))}, which {meanwhile}.",
            f"Send earlier, or do something else in the meantime{run.at(number(row.site))}.",
            threads=ids(row.thread, by),
            channels=ids(int(row.channel)),
            sites=ids(number(row.site), site),
            events=ids(row.event, int(row.by_event)),
        )


def late_receiver(context: Context) -> Iterator[Finding]:
    """IPC404: the message of each channel that lay in it for longest."""
    run = context.run
    written, read, readers = (whole(run.messages[name]) for name in ("written", "read", "reader"))
    known = (written != NONE) & (read != NONE) & (readers != NONE)
    long = np.flatnonzero(known & (read - written >= _noticeable(context)))  # few, of rows that are long themselves
    lay = run.messages.iloc[long].assign(length=(read - written)[long])
    for row in _worst(lay, _noticeable(context)):
        reader = int(row.reader)
        site, meanwhile = _meanwhile(context, reader, int(row.written), int(row.read))
        yield finding(
            "IPC404",
            f"Message {row.message + 1} lay {span(row.length)} in {run.channel_name(row.channel)} while "
            f"{run.the_thread(reader)} {meanwhile.removeprefix('meanwhile ')}.",
            f"Read sooner{run.at(number(row.read_site))}, or send later: what lies in a channel isn't being worked on.",
            threads=ids(reader, number(row.writer)),
            channels=ids(row.channel),
            sites=ids(site, number(row.read_site)),
            events=ids(number(row.read_event)),
        )


def back_pressure(context: Context) -> Iterator[Finding]:
    """IPC402: a writer that waited for room for a noticeable part of the run."""
    run = context.run
    waits = run.blocking[(run.blocking["reason"] == "noroom") & run.blocking["by"].notna() & ~run.blocking["open"]]
    waits = waits.assign(length=waits["end"] - waits["begin"])
    for (thread, channel), rows in groups(waits, ["thread", "channel"]):
        total = int(rows["length"].sum())
        if total < _noticeable(context):
            continue
        by = int(rows["by"].iloc[-1])
        yield finding(
            "IPC402",
            f"{sentence(run.the_thread(thread))} waited {span(total)} in all for room in "
            f"{run.channel_name(int(channel))}, which {run.the_thread(by)} empties.",
            f"Make {run.the_thread(by)} read in larger pieces or more often, or write less.",
            threads=ids(thread, by),
            channels=ids(int(channel)),
            sites=ids(*(number(site) for site in rows["site"].unique())),
            events=ids(*rows["event"].tolist()[:1]),
        )


def _worst(rows: pd.DataFrame, least: float) -> Iterator[Any]:
    """The longest of each channel, in order of channel, if it is long enough."""
    long = (
        rows[rows["length"] >= least].sort_values("length", ascending=False, kind="stable").drop_duplicates("channel")
    )
    yield from rows_of(long.sort_values("channel"))


def _meanwhile(context: Context, thread: int, begin: int, end: int) -> tuple[int | None, str]:
    """What a thread did for most of a time: the site, and words."""
    run = context.run
    own = run.blocking[
        (run.blocking["thread"] == thread) & (run.blocking["begin"] < end) & (run.blocking["end"] > begin)
    ]
    own = own.assign(overlap=own["end"].clip(upper=end) - own["begin"].clip(lower=begin))
    for reason, rows in sorted(groups(own, "reason"), key=lambda item: -item[1]["overlap"].sum()):
        if rows["overlap"].sum() > (end - begin) / 2:
            row = rows.iloc[int(rows["overlap"].to_numpy().argmax())]
            site = number(row["site"])
            return site, run.waited_for(reason, number(row["channel"])) + run.at(site)
    return None, "meanwhile ran"


CHECKS = (late_sender, late_receiver, back_pressure)
