"""Writes logs as the runtime in a traced process does, from the table alone: what the readers are tested with."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ipctrace.tracer.runtime import table


class LogWriter:
    """A log under test. Times are monotonic ns; each call takes the next slot unless `slot` says otherwise."""

    def __init__(
        self, folder: Path, pid: int = 100, parent: int = 1, started: int = 1000, payload: int = table.PREFIX
    ) -> None:
        self.path = folder / f"{pid}-{started}.log"
        self.record_size = table.record_size(payload)
        self.area = self.record_size - table.PAYLOAD_AT
        self.pid, self.slots = pid, 0
        head = struct.pack(table.HEADER, table.MAGIC, table.VERSION, self.record_size, pid, parent, started, 0, 0)
        self.path.write_bytes(head.ljust(table.HEADER_SIZE, b"\0"))

    def claim(self) -> int:
        """Take a slot, as yet unwritten."""
        self.slots += 1
        return self.slots - 1

    def _put(self, slot: int, offset: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(0, 2)
            missing = table.HEADER_SIZE + (slot + 1) * self.record_size - file.tell()
            file.write(bytes(max(0, missing)))
            file.seek(table.HEADER_SIZE + slot * self.record_size + offset)
            file.write(data)

    def enter(
        self, op: int | str, time: int, *, thread: int | None = None, fd: int = -1, site: int = 0, channel: int = 0,
        stream: int = 0, offset: int = 0, size: int = table.NONE, payload: bytes = b"", slot: int | None = None,
        state: int = table.OPEN,
    ) -> int:  # fmt: skip
        """Write a record as its call is entered; returns its slot."""
        code = table.CODE[op] if isinstance(op, str) else op
        slot = self.claim() if slot is None else slot
        head, rest = payload[: self.area], payload[self.area :]
        more = [(self.claim(), rest[at : at + self.area]) for at in range(0, len(rest), self.area)]
        fixed = struct.pack(
            table.ENTER, code, 0, len(head), self.pid if thread is None else thread, time, fd, site, channel, stream,
            offset, size,
        )  # fmt: skip
        self._put(slot, 0, fixed)
        self._put(slot, table.PAYLOAD_AT, head)
        self._put(slot, table.STATE_AT, bytes([state]))
        for index, (own, piece) in enumerate(more):
            self.enter(table.MORE, 0, offset=slot, size=index, payload=piece, slot=own, state=table.DONE)
        return slot

    def leave(
        self, slot: int, time: int, result: int = table.NONE, extra: int = table.NONE, pending: int = table.NONE,
        got: bytes = b"",
    ) -> None:  # fmt: skip
        """Complete a record: its call has returned, a read with the bytes that it got."""
        if got:
            self._put(slot, table.PAYLOAD_AT, got)
        self._put(slot, table.EXIT_AT, struct.pack(table.EXIT, time, result, extra, pending, 0, len(got), table.DONE))

    def fail(self, slot: int, time: int, error: int) -> None:
        """Complete a record: its call has raised."""
        nothing = table.NONE
        self._put(slot, table.EXIT_AT, struct.pack(table.EXIT, time, nothing, nothing, nothing, error, 0, table.FAILED))

    def call(self, op: str, enter: int, exit: int, **fields: Any) -> int:
        """Write a whole call: `result`, `extra`, `pending` and `got` at its exit, everything else at its enter."""
        at_exit = {name: fields.pop(name) for name in ("result", "extra", "pending", "got") if name in fields}
        slot = self.enter(op, enter, **fields)
        self.leave(slot, exit, **at_exit)
        return slot

    def define(self, code: int, *fields: object, time: int = 1000, **numbers: Any) -> int:
        """Write a definition."""
        text = table.SEPARATOR.join(map(str, fields)).encode()
        return self.enter(code, time, payload=text, state=table.DONE, **numbers)

    def begin(self, how: str = "start", argv: tuple[str, ...] = ("pipes.py",), time: int = 1000) -> None:
        """The definitions that every log begins with."""
        joined = table.LIST_SEPARATOR.join(argv)
        self.define(table.PROCESS, how, "/usr/bin/python3", "CPython 3.11.7", joined, "/tmp", 0, "", time=time)
        self.define(table.THREAD, "MainThread", 1, time=time)
