"""The whole terminal as a page that is drawn anew and asks for keys, and is given back as it was.

Only what a page of lines needs, of what every terminal since the VT100 has: termios(3), ECMA-48's sequences, xterm's
alternate screen. A library for this (textual, prompt_toolkit) takes a third of the second within which the playing is
to begin, and rich, which is there, reads no keys. Everything is written by `os.write` in one piece, since a signal may
come in between: what a handler writes must not meet half a buffer.

The terminal is given back at every end: the end of the block, an error, Ctrl-C, SIGTERM and SIGHUP (as an exit with
128 + n), and before SIGTSTP stops us. Where it could not be done, `reset` helps.
"""

from __future__ import annotations

import os
import re
import select
import signal
import termios
import tty
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any

_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"  # alternate screen, no cursor, no wrapping at the edge, empty
_LEAVE = b"\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _END = b"\x1b[?2026h", b"\x1b[?2026l"  # what lies between is shown at once, where the terminal knows of that
_PATIENCE = 0.05  # seconds in which the rest of a key's sequence comes
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.)")
_NAMES = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1b[C": "right", b"\x1b[D": "left", b"\x1b[H": "home", b"\x1b[F": "end",
    b"\x1bOA": "up", b"\x1bOB": "down", b"\x1bOC": "right", b"\x1bOD": "left", b"\x1bOH": "home", b"\x1bOF": "end",
    b"\x1b[1~": "home", b"\x1b[4~": "end", b"\x1b[7~": "home", b"\x1b[8~": "end",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
}  # fmt: skip
_PLAIN = {"\r": "enter", "\n": "enter", " ": "space", "\x7f": "backspace", "\x08": "backspace", "\x1b": "escape",
          "\x04": "eof", "\x0c": "resize"}  # fmt: skip


class FullScreen:
    """`with FullScreen(keys, screen, encoding) as page`, of two descriptors of a terminal: `page.draw`, `page.key`."""

    def __init__(self, keys: int, screen: int, encoding: str) -> None:
        self._keys, self._screen, self._encoding = keys, screen, encoding
        self._shown: list[str] = []
        self._read = b""
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}
        self._wake = (-1, -1)
        self._woken_before = -1

    def __enter__(self) -> FullScreen:
        self._before = termios.tcgetattr(self._keys)
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        # a signal wakes the select in `key`, which would else go on to wait
        self._woken_before = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGWINCH: self._anew, signal.SIGTERM: _end, signal.SIGHUP: _end, signal.SIGTSTP: self._stop,
        }  # fmt: skip
        for number, handler in handlers.items():
            self._handlers[number] = signal.signal(number, handler)
        self._take()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._woken_before)
        try:
            self._give_back()
        finally:
            for end in self._wake:
                os.close(end)

    def _take(self) -> None:
        tty.setcbreak(self._keys, termios.TCSADRAIN)  # Ctrl-C and Ctrl-Z stay signals
        self._shown = []
        self._write(_ENTER)

    def _give_back(self) -> None:
        try:
            self._write(_LEAVE)
            termios.tcsetattr(self._keys, termios.TCSAFLUSH, self._before)
        except (OSError, termios.error):  # it has gone: nothing to give back to
            pass

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: the terminal is the shell's until we go on."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)  # we have been continued
        self._take()

    def _anew(self, number: int, frame: FrameType | None) -> None:
        self._shown = []

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        columns, rows = os.get_terminal_size(self._screen)
        return columns or 80, rows or 24

    @property
    def empty(self) -> bool:
        """Whether nothing is shown: at first, and after the terminal was another's or changed its size."""
        return not self._shown

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines; only what differs is written."""
        changed = [
            f"\x1b[{row + 1};1H\x1b[K{line}"  # behind a line as wide as the terminal its last column would be erased
            for row, line in enumerate(lines)
            if row >= len(self._shown) or self._shown[row] != line
        ]
        if not changed:
            return
        clear = "" if self._shown else "\x1b[2J"
        self._shown = list(lines)
        self._write(_BEGIN + (clear + "".join(changed)).encode(self._encoding, "backslashreplace") + _END)

    def key(self, seconds: float | None) -> str | None:
        """The next key, by name: a character, or `left`, `enter`, …; "resize" where everything is to be drawn again,
        "eof" where no more keys can come; None: none came in so many seconds (None: however long that takes)."""
        while (key := self._parsed()) is None:
            ready = select.select([self._keys, self._wake[0]], [], [], _PATIENCE if self._read else seconds)[0]
            if self._wake[0] in ready:
                os.read(self._wake[0], 1024)
                return "resize"
            if not ready:
                if not self._read:
                    return None
                self._read, key = b"", "escape"  # the key itself: no sequence followed
                return key
            try:
                more = os.read(self._keys, 1024)
            except OSError:
                more = b""
            if not more:
                return "eof"
            self._read += more
        return key

    def _parsed(self) -> str | None:
        """A key out of what has been read; None: there is none, or only the beginning of one."""
        while self._read:
            if sequence := _SEQUENCE.match(self._read):
                self._read = self._read[sequence.end() :]
                if name := _NAMES.get(sequence[0]):
                    return name
                continue  # a key that we have no use for
            if self._read[0] == 0x1B and (len(self._read) == 1 or self._read[1:2] in (b"[", b"O")):
                return None
            length = next((size for size, least in ((4, 0xF0), (3, 0xE0), (2, 0xC0)) if self._read[0] >= least), 1)
            if len(self._read) < length:
                return None
            character, self._read = self._read[:length].decode(errors="replace"), self._read[length:]
            name = _PLAIN.get(character, character)
            if name.isprintable():
                return name
        return None

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._screen, data) :]
            except BlockingIOError:  # somebody made the terminal non-blocking
                select.select([], [self._screen], [])


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
