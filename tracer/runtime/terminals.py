"""Lines typed into pseudo-terminals: in canonical mode a terminal keeps one of so many bytes, and drops what is more.

Only now can it be told: the mode is the terminal's, which a program that isn't traced may change as well, and of a
write's bytes no more than a prefix is kept.
"""

from __future__ import annotations

import sys

from . import table

LIMIT = 4095  # bytes of a line before its end: N_TTY_BUF_SIZE - 1, termios(3)
_ENDS = b"\n\r\x04"  # newline, carriage return (which becomes one), and the sign of an end of file
_SAME = bytes(ord("\n") if byte in _ENDS else byte for byte in range(256))


class Lines:
    """How long the line is that is being written to each pseudo-terminal's leader, by its channel."""

    def __init__(self):
        self.lengths = {}

    def begin(self, channel):
        """A pseudo-terminal was made."""
        self.lengths[channel] = 0

    def wrote(self, channel, fd, data, written):
        """`extra` of a write to a leader: the bytes of its longest line, where the terminal keeps fewer; else NONE."""
        try:
            first, *others = bytes(memoryview(data).cast("B")[:written]).translate(_SAME).split(b"\n")
            lengths = [self.lengths[channel] + len(first), *map(len, others)]
            self.lengths[channel] = lengths[-1]
            longest = max(lengths)
            return longest if longest > LIMIT and _canonical(fd) else table.NONE
        except Exception:  # an object without a plain buffer; a leader that was closed meanwhile
            return table.NONE


def _canonical(fd):
    """Whether a terminal collects lines. Its module is asked for only here: start-up doesn't import it."""
    termios = sys.modules.get("termios") or __import__("termios")
    return bool(termios.tcgetattr(fd)[3] & termios.ICANON)
