"""Recordings side by side, each by a recorder of its own: started, watched for its time, ended with all that it began.

Each recorder leads a session of its own, without a terminal: a Ctrl-C in ours doesn't reach it, and it ends its program
when we say so. We adopt what a recorder that has to be killed leaves behind, and end that too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from . import proc

_POLL = 0.05  # seconds between looks at whether everything is to stop
_INTERRUPT = 0.3  # seconds between Ctrl-Cs: two within a second end a program at once, and leave a whole trace
_GRACE = 20.0  # seconds that a recorder gets to write its trace then


def command(arguments: Sequence[str]) -> list[str]:
    """The command line of this very ipctrace; -P: what lies in the working directory isn't imported in its place."""
    return [sys.executable, "-P", "-m", "ipctrace", *arguments]


def run(arguments: Sequence[str], said: Path, limit: float, stop: threading.Event) -> int | None:
    """Run one recorder; returns its status, None if it was ended by us: `limit` seconds were over, or `stop` was set.

    What the program prints goes into the files `said` with the endings .out and .err.
    """
    names = [said.with_name(said.name + ending) for ending in (".out", ".err")]
    with names[0].open("wb") as output, names[1].open("wb") as errors:
        process = subprocess.Popen(
            command(arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
    deadline = time.monotonic() + limit
    try:
        while process.poll() is None and not stop.is_set() and time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL)
        return process.returncode
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _GRACE
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_INTERRUPT)
    if process.poll() is None:
        below = _descendants(process.pid)
        for pid in [process.pid, *below]:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _descendants(pid: int) -> list[int]:
    found = proc.children(pid)
    for child in found:  # grows while it is gone through
        found += proc.children(child)
    return found


class Interrupt:
    """While it is entered, SIGTERM and SIGHUP interrupt us as Ctrl-C does, so that nothing is left running."""

    def __enter__(self) -> None:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)])):
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._before[number] = signal.signal(number, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
