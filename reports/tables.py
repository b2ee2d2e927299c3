"""The tables of `ipctrace show`: which columns each has, and how they are fitted to a terminal.

A view is a list of columns; a column is a heading, a side, and a function from a row to a cell. Cells are words as the
report uses them: `never`, `still there`, `·` for none; never an empty cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

import pandas as pd

from ..analysis.results import Analysis
from ..tracer.schema import REASONS
from .ink import Ink, columns, cut, escape
from .markup import moment, payload_text, span

Row = dict[str, Any]
NONE = "·"
NARROWEST = 8  # columns to which a text may be cut
ROWS = 200  # shown unless all are asked for


class Column(NamedTuple):
    """A column of a view: its heading, a cell's text, and whether it is a number (then it stands right)."""

    heading: str
    cell: Callable[[Analysis, Row], str]
    number: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What `ipctrace show TRACE NAME` shows: what a row is, where the rows come from, the columns in order."""

    row: str
    rows: Callable[[Analysis], pd.DataFrame]
    columns: tuple[Column, ...]


def _text(name: str, otherwise: str = NONE) -> Callable[[Analysis, Row], str]:
    return lambda _, row: otherwise if pd.isna(row[name]) or row[name] == "" else str(row[name])


def _integer(name: str) -> Callable[[Analysis, Row], str]:
    return lambda _, row: NONE if pd.isna(row[name]) else f"{int(row[name]):,}"


def _identity(name: str) -> Callable[[Analysis, Row], str]:
    return lambda _, row: NONE if pd.isna(row[name]) else str(int(row[name]))


def _moment(name: str, otherwise: str = NONE) -> Callable[[Analysis, Row], str]:
    return lambda _, row: otherwise if pd.isna(row[name]) else moment(int(row[name]))


def _span(begin: str, end: str, otherwise: str = NONE) -> Callable[[Analysis, Row], str]:
    return lambda _, row: otherwise if pd.isna(row[begin]) or pd.isna(row[end]) else span(int(row[end] - row[begin]))


def _latency(analysis: Analysis, row: Row) -> str:
    """From the write to the read; a read may be over before the write that woke it has returned."""
    if pd.isna(row["written"]) or pd.isna(row["read"]):
        return NONE
    return span(max(0, int(row["read"] - row["written"])))


def _stage(begin: str, end: str) -> Callable[[Analysis, Row], str]:
    """How long a message was in a buffer, if it was in one."""

    def stage(_: Analysis, row: Row) -> str:
        if pd.isna(row[begin]) or pd.isna(row[end]):
            return NONE
        return span(max(0, int(row[end] - row[begin])))

    return stage


def _name(of: str, column: str, otherwise: str = NONE) -> Callable[[Analysis, Row], str]:
    """The name that the analysis' mapping `of` gives to the id in `column`."""
    return lambda analysis, row: otherwise if pd.isna(row[column]) else getattr(analysis, of)[int(row[column])]


def _place(column: str) -> Callable[[Analysis, Row], str]:
    def place(analysis: Analysis, row: Row) -> str:
        if pd.isna(row[column]):
            return NONE
        site = analysis.trace.sites.iloc[int(row[column])]
        return f"{PurePath(site['file']).name}:{site['line']}"

    return place


def unseen(analysis: Analysis, channel: object) -> bool:
    """Whether somebody who is not traced has an end of a channel: what it reads and writes there is not known."""
    return not pd.isna(channel) and bool(analysis.channels["left"].isna().iloc[int(channel)])  # type: ignore[call-overload]


def _reader(analysis: Analysis, row: Row) -> str:
    if pd.isna(row["reader"]):
        return "not traced" if pd.isna(row["read"]) and unseen(analysis, row["channel"]) else "nobody"
    return analysis.names[int(row["reader"])]


def _writer(analysis: Analysis, row: Row) -> str:
    return "not traced" if pd.isna(row["writer"]) else analysis.names[int(row["writer"])]


def _written(analysis: Analysis, row: Row) -> str:
    """When bytes left their writer; of bytes that came from somebody who is not traced, nobody knows."""
    if pd.isna(row["written"]):
        return "not known" if pd.isna(row["writer"]) else "never"
    return moment(int(row["written"]))


def _read(analysis: Analysis, row: Row) -> str:
    if pd.isna(row["read"]):
        return "not known" if unseen(analysis, row["channel"]) and not pd.isna(row["written"]) else "never"
    return moment(int(row["read"]))


def _ending(analysis: Analysis, row: Row) -> str:
    """How a process ended."""
    if pd.isna(row["ended"]):
        return "still there"
    if pd.isna(row["status"]):
        return "unknown"
    return f"exit {row['status']}" if row["status"] >= 0 else f"signal {-row['status']}"


def _waited(analysis: Analysis, row: Row) -> str:
    return "never ended" if row["open"] else span(int(row["end"] - row["begin"]))


def _payload(analysis: Analysis, row: Row) -> str:
    payload = row["payload"]
    return payload_text(payload) if isinstance(payload, bytes) and payload else NONE


def _nanoseconds(name: str) -> Callable[[Analysis, Row], str]:
    return lambda _, row: NONE if pd.isna(row[name]) else span(int(row[name]))


def _path_part(_: Analysis, row: Row) -> str:
    return str(REASONS.get(str(row["what"]), row["what"]))


def _finding_rows(analysis: Analysis) -> pd.DataFrame:
    names = ["rule", "severity", "certainty", "name", "message", "remedy"]
    return pd.DataFrame([{name: getattr(found, name) for name in names} for found in analysis.findings], columns=names)


VIEWS: dict[str, View] = {
    "processes": View("a process", lambda analysis: analysis.trace.processes, (
        Column("name", _name("process_names", "process")),
        Column("pid", _identity("pid"), True),
        Column("parent", _name("process_names", "parent")),
        Column("program", _text("program")),
        Column("runs on", _text("implementation", "not traced")),
        Column("started", _moment("started"), True),
        Column("lived", _span("started", "ended", "to the end"), True),
        Column("ended", _ending),
    )),
    "channels": View("a pipe, FIFO, socket, terminal, file, lock or queue", lambda analysis: analysis.channels, (
        Column("name", _text("name")),
        Column("kind", _text("kind")),
        Column("made at", _place("site")),
        Column("other end", _name("channel_names", "peer")),
        Column("writers", _text("writers")),
        Column("readers", _text("readers")),
        Column("written B", _integer("written"), True),
        Column("read B", _integer("read"), True),
        Column("left B", _integer("left"), True),
        Column("messages", _integer("messages"), True),
    )),
    "messages": View("a message", lambda analysis: analysis.messages, (
        Column("#", _identity("message"), True),
        Column("from", _writer),
        Column("to", _reader),
        Column("channel", _name("channel_names", "channel")),
        Column("bytes", _integer("size"), True),
        Column("written", _written, True),
        Column("read", _read, True),
        Column("by", _text("op", "not traced")),
        Column("buffered", _stage("accepted", "written"), True),
        Column("carried", _latency, True),
        Column("unread", _stage("read", "received"), True),
        Column("written at", _place("accept_site")),
        Column("read at", _place("read_site")),
        Column("payload", _payload),
    )),
    "blocking": View("an interval in which a thread waited", lambda analysis: analysis.blocking, (
        Column("thread", _name("names", "thread")),
        Column("why", lambda _, row: REASONS.get(str(row["reason"]), "waits")),
        Column("kind", _text("kind")),
        Column("on", _name("channel_names", "channel")),
        Column("from", _moment("begin"), True),
        Column("for", _waited, True),
        Column("at", _place("site")),
        Column("ended by", _name("names", "by")),
        Column("which worked", _nanoseconds("worked"), True),
        Column("waited", _nanoseconds("waited"), True),
        Column("held the bytes", _nanoseconds("held"), True),
    )),
    "waits": View("who waited for whom in all", lambda analysis: analysis.matrix, (
        Column("thread", _name("names", "thread")),
        Column("waited for", _name("names", "by", "nobody known")),
        Column("in all", _nanoseconds("time"), True),
        Column("times", _integer("count"), True),
    )),
    "path": View("a piece of the critical path", lambda analysis: analysis.path, (
        Column("thread", _name("names", "thread")),
        Column("what", _path_part),
        Column("from", _moment("begin"), True),
        Column("for", _span("begin", "end"), True),
        Column("at", _place("site")),
    )),
    "races": View("two messages that could have come in the other order", lambda analysis: analysis.races, (
        Column("on", _name("channel_names", "channel")),
        Column("what", _text("kind")),
        Column("first", _name("names", "first_thread")),
        Column("at", _place("first_site")),
        Column("second", _name("names", "second_thread")),
        Column("at", _place("second_site")),
        Column("on it in all", _integer("count"), True),
    )),
    "streams": View("a buffered stream", lambda analysis: analysis.streams, (
        Column("process", _text("process_name")),
        Column("stream", _text("name")),
        Column("mode", _text("mode")),
        Column("leads to", _text("to")),
        Column("buffering", _text("buffering")),
        Column("held B", _integer("held"), True),
        Column("peak B", _integer("peak"), True),
        Column("flushes", _integer("flushes"), True),
        Column("implicit", _integer("implicit"), True),
        Column("why", _text("why")),
    )),
    "events": View("a recorded call", lambda analysis: analysis.trace.events, (
        Column("#", _identity("event"), True),
        Column("at", _moment("enter"), True),
        Column("thread", _name("names", "thread")),
        Column("call", _text("op")),
        Column("fd", _identity("fd"), True),
        Column("channel", _name("channel_names", "channel")),
        Column("asked", _integer("size"), True),
        Column("result", _integer("result"), True),
        Column("stuck B", _integer("pending"), True),
        Column("took", _span("enter", "exit", "never ended"), True),
        Column("place", _place("site")),
    )),
    "environment": View("a variable that a program was given", lambda analysis: analysis.trace.environment, (
        Column("process", _name("process_names", "process")),
        Column("at", _moment("time"), True),
        Column("variable", _text("name")),
        Column("value", _text("value")),
    )),
    "samples": View("what a thread that isn't traced was seen doing", lambda analysis: analysis.trace.samples, (
        Column("at", _moment("time"), True),
        Column("process", _name("process_names", "process")),
        Column("tid", _identity("tid"), True),
        Column("state", _text("state")),
        Column("in", _text("syscall")),
        Column("fd", _identity("fd"), True),
    )),
    "findings": View("something that a rule found", _finding_rows, (
        Column("rule", _text("rule")),
        Column("severity", _text("severity")),
        Column("certainty", _text("certainty")),
        Column("name", _text("name")),
        Column("message", _text("message")),
    )),
}  # fmt: skip


def size(analysis: Analysis, name: str) -> int:
    """How many rows the view has."""
    return len(VIEWS[name].rows(analysis))


def table(analysis: Analysis, name: str, ink: Ink, rows: int | None = ROWS, fitted: bool = True) -> Iterator[str]:
    """The lines of a view, its headings first.

    `rows`: how many at most (None: all). `fitted`: cut the longest texts so that a line has at most `ink.width`
    columns; without it nothing is cut, for a file or another program. Raises KeyError for an unknown view.
    """
    view = VIEWS[name]
    frame = view.rows(analysis)
    shown = frame if rows is None else frame.head(rows)
    cells = [[ink.plain(escape(column.cell(analysis, row))) for column in view.columns] for row in _records(shown)]
    headings = [column.heading for column in view.columns]
    widths = [max(map(columns, texts)) for texts in zip(headings, *cells, strict=True)]
    if fitted:
        widths = fit(widths, [column.number for column in view.columns], ink.width)
    yield ink.paint(_line(headings, widths, view.columns, ink), "dim")
    for row in cells:
        yield _line(row, widths, view.columns, ink)


def fit(widths: list[int], fixed: list[bool], width: int) -> list[int]:
    """Widths that fit into `width` with two blanks between: the widest text gives way first, numbers never do."""
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > width:
        widest = max((each for each, stays in zip(widths, fixed, strict=True) if not stays), default=0)
        if widest <= NARROWEST:
            break
        widths[next(i for i, each in enumerate(widths) if each == widest and not fixed[i])] -= 1
    return widths


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _line(texts: list[str], widths: list[int], view: tuple[Column, ...], ink: Ink) -> str:
    parts = []
    for text, width, column in zip(texts, widths, view, strict=True):
        text = cut(text, width, ink.ellipsis)
        blank = " " * (width - columns(text))
        parts.append(blank + text if column.number else text + blank)
    return "  ".join(parts).rstrip()
