"""What a replay of one process was: its inputs and outputs, and where it departs from the recording.

Made of what the player tells (tracer/runtime/player.py) and the trace; no I/O here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd
from ipctrace.tracer.schema import Trace

# What a call does, in words: kind → what is said of it without its bytes
_DEEDS = {
    "accept": "it writes", "write": "it writes", "read": "it reads", "select": "it waits for any of several ends",
    "fork": "it starts a process", "wait": "it waits for a process", "connect": "it connects", "exit": "it ends",
    "kill": "it sends a signal", "exec": "it becomes another program", "acquire": "it takes a lock",
    "await": "it waits to be told", "input": "it reads a line", "send": "it puts into a queue",
    "receive": "it gets from a queue", "bind": "it binds a socket", "listen": "it listens", "sleep": "it sleeps",
    "shutdown": "it shuts a socket down", "signal": "it handles a signal", "notify": "it tells others",
}  # fmt: skip
_BYTES = ("accept", "write", "read")
Way = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes that came in or went out during a replay: the recorded event, its descriptor and what that is called."""

    event: int
    way: Way
    fd: int
    where: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a divergence: what is done in words, the bytes, and where: file ("" unknown), line and its text."""

    deed: str
    data: bytes = b""
    file: str = ""
    line: int = 0
    text: str = ""

    @property
    def place(self) -> str:
        """`pipes.py:31`; "" where it isn't known."""
        return f"{self.file.rpartition('/')[2]}:{self.line}" if self.file and self.line else ""


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a replay first does something else than the recording has. `at`: the first byte that differs, where bytes
    of the same kind are compared; None elsewhere."""

    recorded: Side
    now: Side
    at: int | None = None


@dataclass
class Replayed:
    """A replay of one process, as it goes and at its end.

    `status` and `recorded_status`: exit status, or minus the signal; None where it isn't known, or was stopped. `over`:
    the recording ends before the program does (it was killed, or stopped), and the replay with it.
    """

    trace: Trace
    process: int
    name: str
    status: int | None = None
    recorded_status: int | None = None
    over: bool = False
    quit: bool = False
    raised: str = ""
    passed: list[Passed] = field(default_factory=list)
    diverged: Divergence | None = None
    expected: Sequence[int] = ()
    done: set[int] = field(default_factory=set)

    @property
    def inputs(self) -> list[Passed]:
        """What came in, in order."""
        return [each for each in self.passed if each.way == "in"]

    @property
    def outputs(self) -> list[Passed]:
        """What went out, in order."""
        return [each for each in self.passed if each.way == "out"]

    def output(self, where: int | str = 1) -> bytes:
        """All that went out through a descriptor (its number), or a stream (`sys.stdout`)."""
        return b"".join(each.data for each in self.outputs if where in (each.fd, each.where))

    def check(self) -> None:
        """Raise AssertionError, which says what is different, unless all was as recorded."""
        __tracebackhide__ = True
        if self.diverged is not None:
            raise AssertionError("\n".join([headline(self), *sides(self.diverged)]))

    @cached_property
    def _events(self) -> pd.DataFrame:
        return self.trace.events.set_index("event", drop=False)

    def hear(self, told: tuple[Any, ...]) -> Passed | None:
        """Take in a message of the player's; returns the bytes that it tells of, if it does."""
        what, *fields = told
        if what in ("in", "out"):
            event, fd, data = fields[:3]
            passed = Passed(event, what, fd, self.where(fd), data)
            self.passed.append(passed)
            self.done.update(fields[3] if what == "out" else ())
            return passed
        if what == "over":
            self.over = True
        elif what == "quit":
            self.quit = True
        elif what == "raised":
            self.raised = fields[0].decode("utf-8", "replace")
        elif what == "departed":
            self.diverged = self.departed(*fields)
        return None

    def end(self, status: int | None) -> None:
        """The replay has ended."""
        self.status = status
        if self.diverged is not None or self.over or self.quit:
            return
        left = [event for event in self.expected if event not in self.done]
        ended = f"it ends with status {status}" if status is None or status >= 0 else f"it is ended by signal {-status}"
        if self.raised:
            ended += f": {self.raised}"
        if left:
            self.diverged = Divergence(self.recorded(left[0]), Side(ended))
        elif self.recorded_status is not None and status != self.recorded_status:
            then = self.recorded_status
            how = f"it ended with status {then}" if then >= 0 else f"it was ended by signal {-then}"
            self.diverged = Divergence(Side(how), Side(ended))

    def where(self, fd: int) -> str:
        """What a descriptor is called: the name of the stream over it, or its number."""
        return self._streams.get(fd, f"descriptor {fd}")

    @cached_property
    def _streams(self) -> dict[int, str]:
        streams = self.trace.streams
        own = streams[streams["process"] == self.process]
        return {int(fd): str(name) for fd, name in zip(own["fd"], own["name"], strict=True) if str(name)[:4] == "sys."}

    def recorded(self, event: int, begin: int = 0) -> Side:
        """The recorded side: an event, from its byte `begin` on."""
        row = self._events.loc[event]
        payloads = self.trace.payloads
        data = b"".join(bytes(each) for each in payloads.loc[payloads["event"] == event, "data"])[begin:]
        file, line = "", 0
        if not pd.isna(row["site"]):
            site = self.trace.sites.iloc[int(row["site"])]
            file, line = str(site["file"]), int(site["line"])
        sources = self.trace.sources
        text = sources.loc[(sources["file"] == file) & (sources["line"] == line), "text"]
        fd = -1 if pd.isna(row["fd"]) else int(row["fd"])
        size = -1 if pd.isna(row["size"]) else int(row["size"])
        deed = self.deed(str(row["op"]), str(row["kind"]), fd, data, size)
        return Side(deed, data, file, line, str(text.iloc[0]) if len(text) else "")

    def deed(self, op: str, kind: str, fd: int, data: bytes, size: int) -> str:
        """What a call does, in words."""
        if kind in ("accept", "write"):
            return f"it writes {len(data):,} byte{'s'[: len(data) != 1]} to {self.where(fd)}"
        if kind == "read":
            return f"it reads from {self.where(fd)}"
        if kind == "exit":
            return f"it ends with status {size}" if size >= 0 else "it ends"
        return f"{_DEEDS.get(kind, 'it calls')} ({op})"

    def departed(
        self, event: int, used: int, op: str, fd: int, data: bytes, begin: int, file: str, line: int, function: str,
        size: int,
    ) -> Divergence:  # fmt: skip
        """The divergence that the player tells of: at `event` (-1: after the last), with `used` of its bytes already
        compared; now `op` with `data`, of which `begin` were compared already."""
        kind = _kind(op)
        now = Side(self.deed(op, kind, fd, data[begin:], size), data[begin:], file, line)
        if event < 0:
            how = "it ended" if not self.over else "the recording ends"
            if self.recorded_status is not None and self.recorded_status >= 0:
                how += f" with status {self.recorded_status}"
            return Divergence(Side(how), now)
        recorded = self.recorded(event, used)
        at = None
        if recorded.data and now.data and kind in ("accept", "write") and recorded.deed.split()[1] == "writes":
            pairs = zip(recorded.data, now.data, strict=False)
            at = next((place for place, (one, other) in enumerate(pairs) if one != other), None)
            if at is None:
                at = min(len(recorded.data), len(now.data))
        return Divergence(recorded, now, at)


def _kind(op: str) -> str:
    from ipctrace.tracer.schema import WRAPPED

    return WRAPPED.get(op, ("select" if op == "select" else "", ""))[0]


def headline(replayed: Replayed) -> str:
    """One sentence: what became of a replay."""
    name, count = replayed.name, len(replayed.outputs)
    if replayed.diverged is None:
        what = f"{count:,} output{'s'[: count != 1]}, all as recorded" if count else "no outputs, as recorded"
        more = ", up to where the recording ends" if replayed.over else ""
        return f"{name} replayed: {what}{more}" if not replayed.quit else f"{name}: stopped in the debugger"
    now, recorded = replayed.diverged.now, replayed.diverged.recorded
    place = now.place or recorded.place
    return f"{name} departs from the recording" + (f" at {place}" if place else "")


def sides(divergence: Divergence) -> Iterable[str]:
    """Both sides of a divergence as plain lines: what, where, the source line, the bytes, the first that differs."""
    for word, side in (("recorded", divergence.recorded), ("now", divergence.now)):
        yield f"{word + ':':9} {side.deed}" + (f"  ({side.place})" if side.place else "")
        if side.text.strip():
            yield f"  {side.line:>4} | {side.text.strip()}"
        if side.data:
            yield f"       | {shown(side.data, divergence.at)}"
    if divergence.at is not None:
        yield f"the first byte that differs: {divergence.at}"


def shown(data: bytes, at: int | None, most: int = 60) -> str:
    """Bytes as text, as Python writes them; around `at` if there are many."""
    begin = max(0, (at or 0) - most // 2) if len(data) > most else 0
    piece = data[begin : begin + most]
    text = repr(piece)[1:]
    return ("…" if begin else "") + text + ("…" if begin + most < len(data) else "")
