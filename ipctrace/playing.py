"""`ipctrace replay TRACE`: the run played in the terminal, or, in a pipe, a line an event."""

from __future__ import annotations

import re
from pathlib import Path

from .tracer.errors import IpctraceError


def play(path: Path, speed: str | None = None, start: str | None = None) -> int:
    """Play a trace on standard output. Raises IpctraceError where it isn't there, or an option isn't understood."""
    pace(speed)
    raise NotImplementedError


def pace(text: str | None) -> float | None:
    """How many seconds of the run go by in one: inf for `max`, None where nothing was said."""
    if text is None or text == "max":
        return None if text is None else float("inf")
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)x?", text.strip())
    if not found or not float(found[1]):
        raise IpctraceError(
            f"{text} is no speed", "a speed is a number, as 2 or 0.1, or `max`", "ipctrace replay --help"
        )
    return float(found[1])
