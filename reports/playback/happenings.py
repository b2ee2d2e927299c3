"""What has happened until an instant, a row a happening: messages put into a buffer, sent, got; waits; forks and ends.

The rows are numbers until they are asked for: of a million happenings only the dozen on the screen are put into words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ipctrace.analysis.events import NEVER, Ints
from ipctrace.analysis.naming import signal_name
from ipctrace.tracer.schema import REASONS

from ..markup import count, payload_text, span
from ..run import OUTWARD
from ..sequence import Exchange
from .instants import Instants

LATE = 1_000_000  # ns that are worth a row of their own
SAID = 80  # bytes of a payload in a row
PUT, SENT, GOT, WAIT, MARK = range(5)  # of happenings at one time, in this order


class Table(NamedTuple):
    """The happenings in order of time. `kind` is one of the five, `row` the message, wait or mark; `lane` and `other`
    who takes part (-1: nobody)."""

    time: Ints
    kind: Ints
    row: Ints
    lane: Ints
    other: Ints


def happenings(instants: Instants) -> Table:
    """All that gets a row. A message that went through at once has one, one that lay somewhere a row for each step."""
    begin, written, read = instants.begin, instants.written, instants.read
    sent = np.flatnonzero(written != NEVER)
    put = np.flatnonzero((written == NEVER) | (written - begin >= LATE))
    got = np.flatnonzero((read != NEVER) & (written != NEVER) & (read - written >= LATE))
    lasting = (instants.waits["end"] - instants.waits["begin"]).to_numpy(dtype="int64")
    waits = np.flatnonzero((lasting >= LATE) | instants.waits["open"].to_numpy(dtype=bool))
    marks = np.flatnonzero(instants.marks["kind"] != "out")  # what goes out of the run is a message, too
    parts = (
        (PUT, put, begin, instants.writer, None),
        (SENT, sent, written, instants.writer, instants.reader),
        (GOT, got, read, instants.reader, None),
        (WAIT, waits, instants.waits["begin"].to_numpy(dtype="int64"), _lanes(instants.waits["lane"]), None),
        (MARK, marks, instants.marks["time"].to_numpy(dtype="int64"), _lanes(instants.marks["lane"]),
         _lanes(instants.marks["other"])),
    )  # fmt: skip
    time = np.concatenate([times[rows] for _, rows, times, _, _ in parts])
    kind = np.concatenate([np.full(len(rows), which, dtype="int8") for which, rows, *_ in parts])
    row = np.concatenate([rows for _, rows, *_ in parts])
    lane = np.concatenate([lanes[rows] for _, rows, _, lanes, _ in parts])
    other = np.concatenate([np.full(len(rows), -1) if more is None else more[rows] for _, rows, _, _, more in parts])
    order = np.lexsort((kind, time))
    return Table(time[order], kind[order], row[order], np.maximum(lane, -1)[order], np.maximum(other, -1)[order])


def _lanes(values: object) -> Ints:
    found: Ints = np.nan_to_num(np.asarray(values, dtype="float64"), nan=-1).astype("int64")
    return found


class Told:
    """Happenings in words."""

    def __init__(self, instants: Instants, names: list[str]) -> None:
        self.instants, self.run, self.names = instants, instants.run, names
        self._kinds = {row["channel"]: row["kind"] for row in self.run.channels}
        self._payloads = instants.messages["payload"]
        self._numbers = instants.messages["message"].to_numpy(dtype="int64") + 1

    def exchange(self, table: Table, place: int, t: int) -> Exchange:
        """One happening, as it is known at `t`."""
        kind, row = int(table.kind[place]), int(table.row[place])
        lane, other = (self._name(int(side[place])) for side in (table.lane, table.other))
        time = int(table.time[place])
        if kind == WAIT:
            return self._wait(time, lane, row, t)
        if kind == MARK:
            return self._mark(time, lane, other, row)
        return self._message(kind, time, lane, other, row, t)

    def message(self, row: int) -> str:
        """`#3 26 B`."""
        size = int(self.instants.size[row])
        return f"#{self._numbers[row]} {f'{size:,} B' if size else 'an item'}"

    def number(self, row: int) -> int:
        """The number by which sentences call a message."""
        return int(self._numbers[row])

    def payload(self, row: int) -> str:
        """The beginning of a message's payload, on one line."""
        data = self._payloads.iloc[row]
        text = payload_text(data[:SAID]) if isinstance(data, bytes) else ""
        return text.rstrip("\n").replace("\n", "⏎")

    def _name(self, lane: int) -> str:
        return self.names[lane] if lane >= 0 else "outside"

    def _message(self, kind: int, time: int, lane: str, other: str, row: int, t: int) -> Exchange:
        instants, what = self.instants, self.message(row)
        written, read = int(instants.written[row]), int(instants.read[row])
        channel = int(instants.channel[row])
        if kind == PUT:
            leaving = written == NEVER and bool(instants.leaving[row])
            words = (
                f"{what} {f'to {self.run.channel_name(channel)}, the write goes on' if leaving else 'into its buffer'}"
            )
            return Exchange(time, lane, None, words, self.payload(row), "held" if t < written else "")
        if kind == GOT:
            return Exchange(time, lane, None, f"gets {what}", f"{span(read - written)} later")
        if read == NEVER and (self._kinds[channel] in OUTWARD or other == "outside"):
            where = "to" if self._kinds[channel] in OUTWARD else "stays in"
            style = "" if self._kinds[channel] in OUTWARD else "held"
            return Exchange(
                time, lane, None, f"{what} {where} {self.run.channel_name(channel)}", self.payload(row), style
            )
        return Exchange(time, lane, other, what, self.payload(row), arrived=t >= read)

    def _wait(self, time: int, lane: str, row: int, t: int) -> Exchange:
        one, instants = self.instants.wait(row), self.instants
        words = waited_for(one.reason, None if one.channel is None else self.run.channel_name(one.channel))
        until = int(instants.wait_end[row])
        ended = not one.open and until <= t
        dead = one.open and one.lane in instants.core and instants.formed is not None and t >= instants.formed
        return Exchange(time, lane, None, words, span(until - time) if ended else "",
                        "danger" if dead else "" if ended else "strong")  # fmt: skip

    def _mark(self, time: int, lane: str, other: str, row: int) -> Exchange:
        one = self.instants.marks.iloc[row]
        kind, number = str(one["kind"]), None if one["number"] != one["number"] else int(one["number"])
        words = {
            "fork": "forks", "exec": "runs another program", "start": "starts", "task": "starts a task",
            "exit": "ends" + (f", status {number}" if number else ""), "uncaught": "uncaught exception",
            "kill": f"sends {signal_name(number or 0)}", "handled": f"gets {signal_name(number or 0)}",
            "awaited": f"gets {signal_name(number or 0)}", "ended": f"is ended by {signal_name(number or 0)}",
        }[kind]  # fmt: skip
        text = one["text"] if isinstance(one["text"], str) else ""
        return Exchange(time, lane, other if other != "outside" else None, words, text.replace("\n", "⏎"),
                        "danger" if kind in ("uncaught", "ended") else "")  # fmt: skip


def waited_for(reason: str, channel: str | None) -> str:
    """`waits for data on pipe A`."""
    words = REASONS.get(reason, "waits")
    return words if channel is None or reason in ("child", "sleep") else f"{words} on {channel}"


def amount(number: int, unit: str) -> str:
    """`26 B`, `3 items`."""
    return count(number, "item") if unit == "items" else f"{number:,} B"
