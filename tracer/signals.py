"""What the supervisor does with signals: those of the terminal are the program's, others are passed on to it."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_PASSED_ON = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_PATIENCE = 1.0  # seconds: a second Ctrl-C within them, with the program still there, stops everything
_SET_SUBREAPER, _GET_SUBREAPER = 36, 37  # prctl(2)


class Signals:
    """While it is entered: SIGINT is counted (the terminal sends it to the program too), SIGTERM and SIGHUP collected.

    What was ignored stays ignored, and handlers, unlike ignoring, don't pass to the program by exec. Outside the main
    thread nothing is changed, since Python allows it only there.
    """

    def __init__(self) -> None:
        self.interrupts = 0
        self.impatient = False
        self._last = -_PATIENCE
        self._received: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *_PASSED_ON):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            self._received.append(number)
            return
        now = time.monotonic()
        self.interrupts += 1
        self.impatient = now - self._last < _PATIENCE
        self._last = now

    def take(self) -> list[int]:
        """What is to be passed on, once."""
        received, self._received = self._received, []
        return received


@contextmanager
def subreaper() -> Iterator[None]:
    """Become the parent of orphaned descendants, where the system has that, and be it no more afterwards."""
    before = ctypes.c_int()
    try:
        control = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        yield
        return
    control(_GET_SUBREAPER, ctypes.byref(before))
    control(_SET_SUBREAPER, 1)
    try:
        yield
    finally:
        control(_SET_SUBREAPER, before.value)

