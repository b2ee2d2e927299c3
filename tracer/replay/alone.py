"""Running one process of a trace again by itself: its folder, its stand-in descriptors, and what the player tells.

replay = Replay(trace, parts, command, cwd)
for told in replay: ...          # as it goes
replay.status, replay.departed
"""

from __future__ import annotations

import contextlib
import marshal
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time as clock
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import launch
from ..schema import Trace
from . import stage
from .lineage import Part
from .script import Script, pack

_APART = 0.01  # seconds between two looks at what was told
Told = tuple[Any, ...]


class Replay:
    """A replay of one process. Iterating starts it and yields what the player tells; then `status` is how it ended."""

    def __init__(
        self, trace: Trace, parts: Sequence[Part], command: Sequence[str], cwd: Path, *,
        breaks: Sequence[int] = (), break_text: bytes = b"", timing: bool = False, pdb: bool = False,
        time: bool = False, timeout: float | None = None,
    ) -> None:  # fmt: skip
        self.trace, self.command, self.cwd = trace, list(command), cwd
        self.script = Script(trace, parts)
        self.options = {
            "breaks": list(breaks), "break_text": break_text, "timing": timing, "pdb": pdb, "time": time,
            "tool": os.getpid(),
        }  # fmt: skip
        self.timeout = timeout
        self.status: int | None = None

    def __iter__(self) -> Iterator[Told]:
        folder = Path(tempfile.mkdtemp(prefix="ipctrace-replay-"))
        held: list[int] = []
        process: subprocess.Popen[bytes] | None = None
        try:
            plan, passed = self._prepare(folder, held)
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(stage.__file__)), str(plan)], pass_fds=passed,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            yield from self._follow(process, folder / "live" / "told")
            self.status = process.returncode
        finally:
            if process is not None and process.poll() is None:
                _end(process.pid)
                process.wait()
            for fd in held:
                with contextlib.suppress(OSError):
                    os.close(fd)
            shutil.rmtree(folder, ignore_errors=True)

    def _prepare(self, folder: Path, held: list[int]) -> tuple[Path, list[int]]:
        live = launch.prepare_live(folder)
        (live / "tmp").mkdir()
        (live / "script").write_bytes(pack(self.trace, self.script, **self.options))
        options = self.trace.facts.get("options") or {}
        environment = launch.environment(
            live, "full", options.get("buffering") or "default", self.script.variables(),
            start_method=options.get("start_method"), time=self.options["time"],
        )  # fmt: skip
        ends = self._stand_ins(live, held)
        plan = folder / "plan"
        path, *arguments = self.command
        plan.write_bytes(marshal.dumps({
            "cwd": str(self.cwd), "path": path, "argv": [path, *arguments], "environment": environment,
            "descriptors": ends,
        }, 2))  # fmt: skip
        return plan, sorted({source for source, _ in ends})

    def _stand_ins(self, live: Path, held: list[int]) -> list[tuple[int, int]]:
        """(descriptor here, descriptor there) of what the process was started with: real, of the same kind, and leading
        nowhere. Ends of one channel are ends of one stand-in."""
        channels: dict[int, tuple[int, int]] = {}
        kinds, paths = self.script.kinds, self.trace.channels["path"].tolist()
        found = []
        for fd, channel, access in self.script.given:
            if channel not in channels:
                channels[channel] = _stand_in(kinds[channel], paths[channel], live, held)
                held.extend(set(channels[channel]))
            reading, writing = channels[channel]
            found.append((reading if "w" not in access else writing, fd))
        return found

    def _follow(self, process: subprocess.Popen[bytes], told: Path) -> Iterator[Told]:
        begin, place = clock.monotonic(), 0
        while True:
            ended = process.poll() is not None
            messages, place = _messages(told, place)
            yield from messages
            if ended and not messages:
                return
            if self.timeout is not None and clock.monotonic() - begin > self.timeout:
                yield ("late",)
                _end(process.pid)
                process.wait()
                return
            if not messages:
                clock.sleep(_APART)


def _messages(path: Path, place: int) -> tuple[list[Told], int]:
    """What was told since `place`, and the place behind it."""
    try:
        with path.open("rb") as file:
            file.seek(place)
            data = file.read()
    except OSError:
        return [], place
    found, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        if at + 8 + size > len(data):
            break
        found.append(marshal.loads(data[at + 8 : at + 8 + size]))
        at += 8 + size
    return found, place + at


def _stand_in(kind: str, path: object, live: Path, held: list[int]) -> tuple[int, int]:
    """(reading end, writing end); what must stay open beside them is added to `held`."""
    if kind in ("pipe", "fifo"):
        return os.pipe()
    if kind == "tty":
        leader, follower = pty.openpty()
        held.append(leader)
        return follower, follower
    if kind == "socket":
        one, other = socket.socketpair()
        held.append(other.detach())
        end = one.detach()
        return end, end
    if kind == "device" and isinstance(path, str) and path in ("/dev/null", "/dev/zero"):
        end = os.open(path, os.O_RDWR)
        return end, end
    handle, name = tempfile.mkstemp(dir=live)
    os.unlink(name)  # noqa: PTH108
    return handle, handle


def _end(pid: int) -> None:
    """Kill a replay: it is a chain, as only the fork that leads to the replayed process is made."""
    chain = [pid]
    for each in chain:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{each}/task/{each}/children").read_text("ascii")
            chain += [int(word) for word in text.split()]
    for each in reversed(chain):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
