"""The last exchanges as a sequence diagram in characters, for a terminal.

A column is a thread, a row is a message or a wait that never ended, in order of time; the arrow says what went over and
what became of it. (The form is that of ITU-T Z.120's message sequence charts.) Only ASCII, so that any log keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from ..analysis.naming import waits_on
from ..analysis.results import Analysis
from .ink import Ink, columns, cut, cut_within, escape
from .markup import count, moment, payload_text, span
from .run import OUTWARD, Run, members, rows

ALIKE = 8  # how many times more messages are looked at than rows are shown: equal ones share a row
LANES = 4  # threads that have a column of their own
TIME = 11  # columns of the time, before the first thread's
LATE = 1_000_000  # ns in a channel or buffer that are worth a word
LEAST = 16  # columns from one thread's column to the next
LAST = 24  # columns for what is said beside the last thread's


@dataclass(frozen=True, slots=True)
class Exchange:
    """A row of the diagram: what passed from `source` to `target` (None: it stayed where it was), in words.

    `detail` is said where there is room; `style` is ink.paint's, for what never went on.
    """

    time: int
    source: str
    target: str | None
    words: str
    detail: str = ""
    style: str = ""


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
            waits_on(waiter.reason, None if waiter.channel is None else run.channel_name(waiter.channel)),
            style="danger",
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
    width = ink.width - TIME
    lanes = min(LANES, 1 + max(1, (width - LAST // 2) // LEAST))
    chosen = list(dict.fromkeys([*waiting, *(name for name, _ in used.most_common())]))[:lanes]
    order = [*(name for name in dict.fromkeys(everybody) if name in chosen),
             *(name for name in chosen if name not in everybody)]  # fmt: skip
    gap = max(LEAST, (width - LAST) // max(1, len(order) - 1))
    place = {name: gap * index for index, name in enumerate(order)}
    yield ink.paint(" " * TIME + _heading(place, gap, width, ink), "dim")
    for one in told:
        yield ink.paint(moment(one.time).rjust(TIME - 1) + " ", "dim") + _row(one, place, width, ink)


def _heading(place: dict[str, int], gap: int, width: int, ink: Ink) -> str:
    line = ""
    for name, at in place.items():
        room = min(gap - 1, width - at)
        short = name if columns(name) <= room else name.rpartition("/")[2]
        line += cut_within(ink.plain(escape(short)), room, ink.ellipsis).ljust(gap)
    return line.rstrip()


def _row(one: Exchange, place: dict[str, int], width: int, ink: Ink) -> str:
    """A row: an arrow from one thread's column to another's, or words beside one."""
    line = [" "] * width
    for at in place.values():
        line[at] = "|"
    here, there = place.get(one.source), place.get(one.target or "")
    if here is not None and there is not None and here != there:
        left, right = sorted((here, there))
        bar = _labelled(one, right - left - 1, ink)
        line[left + 1 : right] = f"{bar[:-1]}>" if there > here else f"<{bar[1:]}"
        return "".join(line).rstrip()
    at = here if here is not None else there if there is not None else 0
    named = (
        "" if here is not None and one.target in (None, one.source) else f"{one.source} -> {one.target or 'nobody'}: "
    )
    words = ink.plain(escape(f"{named}{one.words}{': ' * bool(one.detail)}{one.detail}"))
    line[at] = "*" if one.style else "|"
    room = width - at - 2
    if columns(words) > room and at > room:  # more room to the left of it
        text = cut(words, at - 1, ink.ellipsis)
        before = "".join(line[: at - 1 - columns(text)])
        return f"{before}{ink.paint(text, one.style)} {''.join(line[at:])}".rstrip()
    text = cut(words, room, ink.ellipsis)
    return f"{''.join(line[: at + 1])} {ink.paint(text, one.style)} {''.join(line[at + 3 + columns(text) :])}".rstrip()


def _labelled(one: Exchange, room: int, ink: Ink) -> str:
    """An arrow's shaft with as many of its words on it as there is room for."""
    whole = f"{one.words}{': ' * bool(one.detail)}{one.detail}"
    text = ink.plain(escape(whole if columns(whole) <= room - 4 or room >= LEAST * 2 else one.words))
    text = cut(text, room - 4, ink.ellipsis)
    bar = f"- {text} -"
    spare = max(0, room - columns(bar))
    return "-" * (spare // 2) + bar + "-" * (spare - spare // 2)
