"""What the commands share: reading a trace, writing lines, exit statuses of our own.

What is printed is made by `reports`; everything that is said while a program runs goes to standard error, since
standard output belongs to the program.
"""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .reports.ink import Ink
from .tracer.errors import IpctraceError

if TYPE_CHECKING:
    from .run import Run

DEADLOCK, MISTAKE, INTERRUPTED = 86, 2, 130  # exit statuses of our own


def load(path: Path) -> Run:
    """The run recorded into a folder; where there is none, perhaps another one was meant."""
    from . import load

    if not path.exists():
        here = [str(each) for each in sorted(path.parent.glob("*.ipctrace"))] if path.parent.is_dir() else []
        near = difflib.get_close_matches(str(path), here, 1, 0.5) or here[:1]
        raise IpctraceError(
            f"there is no trace {path}",
            f"did you mean {near[0]}?" if near else "a trace is a folder that `ipctrace record` makes",
            f"ipctrace analyze {near[0]}" if near else "ipctrace record pipes.py",
        )
    return load(path)


def ink(stream: TextIO) -> Ink:
    """What the terminal behind a stream can do."""
    colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    unicode = (stream.encoding or "ascii").lower().replace("-", "") == "utf8"
    return Ink(colour, unicode, shutil.get_terminal_size().columns)


def say(lines: Iterable[str], stream: TextIO | None = None) -> None:
    for line in lines:
        print(line, file=stream or sys.stdout)


def browse(page: Path) -> None:
    import webbrowser  # which imports much that nobody else needs

    webbrowser.open(page.resolve().as_uri())
