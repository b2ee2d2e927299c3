"""The line that is redrawn on the terminal while a program is recorded.

Only where standard output goes elsewhere: a terminal that the program prints on gets exactly what it gets untraced.
The program's standard error may still be this terminal, and nothing of ours may stand in its way or move its cursor. So
the line is drawn on the row *below* the cursor, which then goes back to where it was (IND, DECSC, DECRC, RI: together
they survive scrolling at the bottom), and before it is drawn again, or anything else of ours is printed, all that is
behind the cursor is erased. What the program prints in between goes over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from .reports.ink import cut
from .reports.markup import count

if TYPE_CHECKING:
    from .tracer.supervisor import Progress

_BELOW, _SAVE, _RESTORE, _ABOVE, _ERASE = "\x1bD", "\x1b7", "\x1b8", "\x1bM", "\x1b[J"
PATIENCE = 0.5  # seconds of a run without a line: most runs are over by then


class Live:
    """Shows a run's progress on `terminal`; call it with each `Progress`, and `clear` before printing anything."""

    def __init__(self, terminal: TextIO, width: int) -> None:
        self.terminal, self.width = terminal, width
        self.drawn = False

    def __call__(self, progress: Progress) -> None:
        self.clear()
        if progress.elapsed >= PATIENCE:
            self.terminal.write(f"{_BELOW}{_SAVE}\r{cut(words(progress), self.width - 1, '')}{_RESTORE}{_ABOVE}")
            self.terminal.flush()
            self.drawn = True

    def clear(self) -> None:
        """Erase the line, if one is drawn."""
        if self.drawn:
            self.terminal.write(_ERASE)
            self.terminal.flush()
            self.drawn = False


def words(progress: Progress) -> str:
    """`  1.2 s  61 events  3 processes  2 blocked: parent (pipe B), child (pipe A)`."""
    parts = [f"{progress.elapsed:.1f} s", count(progress.events, "event"), count(progress.processes, "process")]
    if progress.waiting:
        parts.append(f"{len(progress.waiting)} blocked: {', '.join(progress.waiting)}")
    return "  " + "  ".join(parts)
