"""The script of a replay: what the player in the target (tracer/runtime/player.py) needs of a trace, as plain data.

Marshalled (version 2, which every interpreter from 3.8 on and PyPy read alike); nothing in it is ever executed.
"""

from __future__ import annotations

import datetime
import marshal
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..runtime.player_table import INSIDE, OPENING, OUT, REAL, ROLES, SIGNAL, TEXT
from ..schema import Trace
from .lineage import Part

_FIELDS = ("fd", "size", "result", "extra", "error", "exit")


class Script:
    """A trace, as far as a list of `Part`s of it goes."""

    def __init__(self, trace: Trace, parts: Sequence[Part]) -> None:
        self.trace, self.parts = trace, parts
        self.kinds = trace.channels["kind"].tolist()
        events = trace.events
        wanted = np.zeros(len(events), dtype=bool)
        for part in parts:
            wanted |= self._mask(part)
        chosen = events[wanted]
        self.rows: list[dict[str, Any]] = [
            {
                str(name): None if value is pd.NA or value is None or value != value else value
                for name, value in row.items()
            }
            for row in chosen.to_dict("records")
        ]
        self.by_event = {row["event"]: row for row in self.rows}
        payloads = trace.payloads[trace.payloads["event"].isin(chosen["event"])]
        self.payloads = dict(zip(payloads["event"].tolist(), payloads["data"].tolist(), strict=True))
        members = trace.members[trace.members["event"].isin(chosen["event"])]
        self.members: dict[int, list[tuple[int, str]]] = {}
        for event, fd, access in members[["event", "fd", "access"]].itertuples(index=False):
            self.members.setdefault(int(event), []).append((int(fd), access))
        first = parts[0]
        held = trace.descriptors
        held = held[(held["process"] == first.process) & (held["time"] >= first.begin)]
        start = _start_of(self.rows, first)
        #: the ends that the image was started with: (descriptor, channel, access)
        self.given: list[tuple[int, int, str]] = [
            (int(fd), int(channel), access)
            for fd, channel, access in held.loc[held["time"] <= start, ["fd", "channel", "access"]].itertuples(
                index=False
            )
        ]
        self.given_channels = {channel for _, channel, _ in self.given}

    def _mask(self, part: Part) -> Any:
        events = self.trace.events
        mask = (events["process"] == part.process) & (events["enter"] >= part.begin)
        if part.fork is not None:
            enter = int(events.loc[events["event"] == part.fork, "enter"].iloc[0])
            mask &= events["enter"] <= enter
        return mask.to_numpy()

    def data(self, event: int) -> bytes:
        """The bytes of an event."""
        return bytes(self.payloads.get(event, b""))

    def played(self, row: dict[str, Any]) -> bool:
        """Whether an event is on a tape: the player answers it, or nothing came after it."""
        role = ROLES.get(row["op"])
        if role is None:
            return row["exit"] is None and row["event"] in self.final
        if row["parent"] in self.answered and role != SIGNAL:
            return False  # it rests on a call that is answered, and so isn't made (PyPy's os.wait on os.waitpid)
        if row["op"] == "input":
            return row["event"] not in self.outer
        if row["fd"] is None or row["channel"] is None:
            return True
        return self.kinds[row["channel"]] not in REAL or row["channel"] in self.given_channels

    def compiled(self) -> list[dict[str, Any]]:
        """The parts, in order: pid, parent's pid, begin, and the tapes."""
        self.mark()
        return [self._image(part) for part in self.parts]

    def mark(self) -> None:
        """Note which calls others are made within, and where each thread is when its recording ends."""
        self.outer = {row["parent"] for row in self.rows if row["kind"] in ("read", "take")}
        self.answered = {row["event"] for row in self.rows if ROLES.get(row["op"], TEXT) not in (TEXT, INSIDE, SIGNAL)}
        self.answered -= self.outer  # an input() that reads through a stream is made; PyPy's writes a prompt first
        last = {row["thread"]: row["event"] for row in self.rows}
        self.final = set(last.values())

    def _image(self, part: Part) -> dict[str, Any]:
        processes, threads = self.trace.processes, self.trace.threads
        row = processes.iloc[part.process]
        mask = set(self.trace.events["event"][self._mask(part)].tolist())
        parent = row["parent"]
        pid_of_parent = 1 if pd.isna(parent) else int(processes["pid"].iloc[int(parent)])
        tapes = []
        for thread, name, main in threads.loc[
            (threads["process"] == part.process) & threads["loop"].isna(), ["thread", "name", "main"]
        ].itertuples(index=False):
            own = [each for each in self.rows if each["thread"] == thread and each["event"] in mask]
            if part.fork is not None:
                own = [
                    each | {"exit": each["enter"]} if each["exit"] is None and each["event"] != part.fork else each
                    for each in own if each["exit"] is not None or each["kind"] == "fork"
                ]  # fmt: skip
            if not own:
                continue
            tapes.append({
                "name": str(name), "main": bool(main),
                "events": self._events(own),
                "said": self._said(own),
                "openings": [self._event(each) for each in own if each["op"] in OPENING],
            })  # fmt: skip
        return {
            "pid": int(row["pid"]), "parent": pid_of_parent, "fork": -1 if part.fork is None else part.fork,
            "begin": part.begin, "threads": tapes,
        }  # fmt: skip

    def _said(self, own: list[dict[str, Any]]) -> dict[str, list[int | bytes]]:
        """What clocks and chance told a thread, by call."""
        said: dict[str, list[int | bytes]] = {}
        for row in own:
            if row["kind"] == "clock" and row["result"] is not None:
                said.setdefault(row["op"], []).append(int(row["result"]))
            elif row["kind"] == "chance":
                said.setdefault(row["op"], []).append(self.data(row["event"]))
        return said

    def _events(self, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events = [self._event(each) for each in own if self.played(each)]
        for place, event in enumerate(events):
            if event["op"] in ("select.select", "poll.poll", "epoll.poll"):
                event["ready"] = self._ready(event, events[place + 1 :])
        return events

    def _ready(self, event: dict[str, Any], later: Iterable[dict[str, Any]]) -> list[tuple[int, str]]:
        """The ends that a wait found ready. The trace has their number and the first; the others are those that the
        thread turned to before it waited again."""
        if not event["result"]:
            return []
        members = dict(self.members.get(event["event"], ()))
        first = event["extra"]
        found: dict[int, str] = {} if first is None else {first: _access(members.get(first, "r"), ())}
        used: list[tuple[int, str]] = []
        for other in later:
            if other["op"] in ("select.select", "poll.poll", "epoll.poll"):
                break
            if other["fd"] in members:
                used.append((other["fd"], "w" if other["call"] == "write" else "r"))
        if first in members:
            found[first] = _access(members[first], [way for fd, way in used if fd == first])
        for fd, way in used:
            if len(found) < event["result"] and fd not in found and way in members[fd]:
                found[fd] = way
        for fd, access in members.items():
            if len(found) < event["result"] and fd not in found and "w" in access:
                found[fd] = "w"
        return list(found.items())

    def _event(self, row: dict[str, Any]) -> dict[str, Any]:
        event = row["event"]
        channel = row["channel"]
        fields: dict[str, Any] = {name: None if row[name] is None else int(row[name]) for name in _FIELDS}
        fields["error"] = fields["error"] or 0
        fields["result"] = fields["result"] if fields["result"] is not None else None
        fields |= {
            "event": event, "op": row["op"], "call": row["kind"], "enter": int(row["enter"]),
            "channel": None if channel is None else int(channel),
            "kind": "" if channel is None else self.kinds[channel], "address": row["address"] or "",
            "data": self.data(event), "flags": bool(row["timed"] or row["wait"] is None), "ready": [],
            "content": self._content(row) if row["op"] in ("open", "os.open") else [],
            "received": self._received(event) if row["op"].startswith("socket.recvmsg") else [],
        }  # fmt: skip
        return fields

    def _received(self, event: int) -> list[tuple[int, str, str]]:
        """The descriptors that came with a message: (descriptor, kind of its channel, access)."""
        found = []
        for row in self.rows:
            if row["op"] == "descriptor received" and row["parent"] == event and row["result"] is not None:
                kind = "other" if row["channel"] is None else self.kinds[row["channel"]]
                held = self.trace.descriptors
                held = held[(held["fd"] == row["result"]) & (held["time"] >= row["enter"])]
                found.append((int(row["result"]), kind, str(held["access"].iloc[0]) if len(held) else "r"))
        return found

    def _content(self, row: dict[str, Any]) -> list[tuple[int, bytes]]:
        """What was read of a plain file, from its opening to its closing: (position, bytes)."""
        if row["channel"] is None or self.kinds[row["channel"]] != "file" or row["result"] is None:
            return []
        found = []
        place = self.rows.index(row)
        for other in self.rows[place + 1 :]:
            if other["process"] != row["process"] or other["fd"] != row["result"]:
                continue
            if other["kind"] == "close" or other["channel"] != row["channel"]:
                break
            if other["kind"] == "read" and other["extra"] is not None and other["result"]:
                found.append((int(other["extra"] - other["result"]), self.data(other["event"])))
            if other["kind"] == "write":
                return []
        return found

    def outputs(self) -> list[int]:
        """The events of the last part in which bytes go out, in order."""
        part = self.parts[-1]
        own = set(self.trace.events["event"][self._mask(part)].tolist())
        self.mark()
        return [
            row["event"] for row in self.rows
            if row["event"] in own and ROLES.get(row["op"]) == OUT and self.played(row) and row["exit"] is not None
        ]  # fmt: skip

    def addresses(self, column: str) -> dict[int, str]:
        """`local` or `remote` addresses of channels."""
        channels = self.trace.channels
        known = channels[channels[column].notna()]
        return {int(channel): str(text) for channel, text in zip(known["channel"], known[column], strict=True)}

    def variables(self) -> dict[str, str]:
        """The environment that the image was given."""
        first, table = self.parts[0], self.trace.environment
        rows = table[(table["process"] == first.process) & (table["time"] == first.begin)]
        return {
            str(name): "" if pd.isna(value) else str(value)
            for name, value in zip(rows["name"], rows["value"], strict=True)
        }


def _access(access: str, used: Sequence[str]) -> str:
    return used[0] if used and used[0] in access else "r" if "r" in access else "w"


def _start_of(rows: Sequence[dict[str, Any]], part: Part) -> int:
    """The first call of an image: descriptors listed before it are those that the image was given."""
    return min((row["enter"] for row in rows if row["process"] == part.process), default=2**62)


def pack(trace: Trace, script: Script, **more: Any) -> bytes:
    """The script as the player reads it; `more`: breaks, break_text, timing, pdb, tool."""
    facts, last = trace.facts, script.parts[-1]
    status = trace.processes.iloc[last.process]["status"]
    status = None if pd.isna(status) else int(status)
    started = datetime.datetime.fromisoformat(facts["started"]).timestamp() if facts.get("started") else 0.0
    return marshal.dumps({
        "images": script.compiled(), "given": [(fd, channel) for fd, channel, _ in script.given],
        "local": script.addresses("local"), "remote": script.addresses("remote"), "status": status,
        "cut": status is None or status < 0 or facts.get("ended") in ("deadlock", "duration", "interrupted"),
        "clock": int(facts["clock"]), "started": int(started * 1e9),
    } | more, 2)  # fmt: skip
