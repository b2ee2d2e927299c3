"""The last exchanges as a sequence diagram in characters, for a terminal.

A column is a thread, a row is a message or a wait that never ended, in order of time; the arrow says what went over and
what became of it. (The form is that of ITU-T Z.120's message sequence charts.) Only ASCII, so that any log keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from ..analysis.results import Analysis
from ..tracer.schema import REASONS
from .ink import Ink
from .markup import count, moment, payload_text, span
from .run import OUTWARD, Run, members, rows
from .sequence import TIME, Exchange, heading, most_lanes, row

ALIKE = 8  # how many times more messages are looked at than rows are shown: equal ones share a row
LANES = 4  # threads that have a column of their own
LATE = 1_000_000  # ns in a channel or buffer that are worth a word


def exchanges(analysis: Analysis, ink: Ink, most: int) -> Iterator[str]:
    """The lines of the last `most` messages and of the knot's waits; nothing where no message passed."""
    run = Run(analysis)
    passed = messages(run, most)
    if passed:
        everybody = [run.thread_name(lane.thread, lane.process) for lane in run.lanes]
        yield from drawn(sorted([*passed, *waits(run)], key=lambda one: one.time), everybody, ink)


def messages(run: Run, most: int) -> list[Exchange]:
    """The last messages that somebody in the run could get, by when they were last heard of."""
    inward = [row["channel"] for row in run.channels if row["kind"] not in OUTWARD]
    table = run.analysis.messages[run.analysis.messages["channel"].isin(inward)]
    heard = table[["accepted", "written", "read"]].astype("Int64").max(axis=1)
    last = table.loc[heard.sort_values(kind="stable").index[-most * ALIKE :]]
    return [_together(list(alike)) for _, alike in groupby(map(partial(_message, run), rows(last)), _kind)][-most:]


def _kind(one: Exchange) -> tuple[str, str | None, str, str]:
    return one.source, one.target, one.words, one.detail


def _together(alike: list[Exchange]) -> Exchange:
    """Equal messages that came one after the other, as one row."""
    first = alike[0]
    return first if len(alike) == 1 else replace(first, words=f"{len(alike)} times {first.words}")


def waits(run: Run) -> list[Exchange]:
    """What the knot's members wait for."""
    return [
        Exchange(
            waiter.since, run.thread_name(waiter.thread, waiter.process), None,
            REASONS.get(waiter.reason, "waits")
            + ("" if waiter.channel is None else f" on {run.channel_name(waiter.channel)}"), style="danger",
        )
        for waiter in members(run, "core")[:LANES]
    ]  # fmt: skip


def _message(run: Run, row: dict[str, Any]) -> Exchange:
    """One message, at the time that it left its writer; if it never did, that it was put into the buffer."""
    channel, names = row["channel"], run.analysis.names
    accepted, written, read = row["accepted"], row["written"], row["read"]
    writer = names[row["writer"]] if row["writer"] is not None else run.unseen(channel, "w")[0] or "outside"
    reader = names[row["reader"]] if row["reader"] is not None else run.unseen(channel, "r")[0]
    what = count(row["size"], "byte") if row["size"] else "an item"
    payload = payload_text(row["payload"] or b"").rstrip("⏎\n ")
    said = payload if payload.isprintable() else ""
    if written is None and read is None:
        began = (row[name] for name in ("accept_event", "write_event") if row[name] is not None)
        time = int(run.trace.events["enter"].iloc[next(began)]) if accepted is None else accepted
        return Exchange(
            time,
            writer,
            None,
            f"{what}, {'never flushed' if row['write_event'] is None else 'the write never returned'}",
            said,
            "held",
        )
    begin = read if written is None else written
    if read is None and reader is None:
        return Exchange(begin, writer, None, f"{what}, left in {run.channel_name(channel)}", said, "held")
    late = f"read {span(read - begin)} later" if read is not None and read - begin >= LATE else ""
    return Exchange(begin, writer, reader or "nobody", what, ", ".join(filter(None, (late, said))))


def drawn(told: Sequence[Exchange], everybody: Sequence[str], ink: Ink) -> Iterator[str]:
    """The diagram, `ink.width` wide. The columns are, in the order of `everybody`, those who wait and those who talk
    most; who has none is named in the row's words."""
    used = Counter(name for one in told for name in (one.source, one.target) if name is not None)
    waiting = [one.source for one in told if one.style == "danger"]
    lanes = min(LANES, most_lanes(ink.width))
    chosen = list(dict.fromkeys([*waiting, *(name for name, _ in used.most_common())]))[:lanes]
    order = [*(name for name in dict.fromkeys(everybody) if name in chosen),
             *(name for name in chosen if name not in everybody)]  # fmt: skip
    yield ink.paint(" " * TIME + heading(order, ink), "dim")
    for one in told:
        yield ink.paint(moment(one.time).rjust(TIME - 1) + " ", "dim") + row(one, order, ink)
