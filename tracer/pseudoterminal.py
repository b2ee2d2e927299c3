"""Pseudo-terminals for the recorded program's standard streams: what `--buffering tty` gives it.

A stream that is a terminal already stays one. Of the others, standard input and output share one, as in a window,
and so does standard error if it goes to the same place; else it has one of its own. What the program writes comes out
of the leader as a terminal gets it (echo, `\\r\\n`) and is passed on byte for byte to where the stream would have led;
what comes in is typed. A thread of the supervisor does all of this: nothing in the program knows.

Whom Ctrl-C reaches is decided by the controlling terminal (setsid(2), tcsetpgrp(3)). Where we have one, the program
keeps it, as ever. Where we lead a session without one, the pseudo-terminal becomes it until the run is over, with the
program's process group in the foreground. It is never the program that leads the session: at its end the kernel would
hang up on whom it leaves behind, which doesn't happen to a program that a shell started in a terminal.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from .errors import IpctraceError

try:
    import fcntl
    import termios
except ImportError:  # a system without terminals of this kind: `_Line` is never made there
    pass

_PIECE = 4096  # bytes; where poll says that a pipe has room, it is for as many at least: PIPE_BUF
_TICK = 20  # ms between looks at what nobody tells of: an end of file that was read, a window whose size has changed
_SIZE = (24, 80)  # rows, columns
TERM = "xterm"  # the kind of terminal, where our environment names none


class Terminals:
    """The pseudo-terminals of one run, in the place of `ours`, three descriptors. Raises IpctraceError where the system
    has none.

    `streams` are the ends that the program gets, by its descriptor; `ends` are their device and inode.
    """

    def __init__(self, ours: tuple[int, int, int] = (0, 1, 2)) -> None:
        source, output, errors = self._ours = ours
        missing = [number for number in (0, 1, 2) if not os.isatty(ours[number]) and _is_open(ours[number])]
        shared = _is_open(output) and _is_open(errors) and os.path.sameopenfile(output, errors)
        window = [number for number in missing if number < 2 or shared]
        try:
            sink = output if _is_open(output) else errors
            self._lines = [_Line(source if 0 in window else None, sink)] if window else []
            self.streams = dict.fromkeys(window, self._lines[0].follower)
            if 2 in missing and not shared:
                self._lines.append(_Line(None, errors))
                self.streams[2] = self._lines[-1].follower
        except (OSError, AttributeError) as error:
            why = getattr(error, "strerror", None) or "this system has none"
            raise IpctraceError("there is no pseudo-terminal", why, "record without --buffering tty") from error
        self.ends = {(status.st_dev, status.st_ino) for status in map(os.fstat, self.streams.values())}
        self.controlling = bool(window) and _take_control(self._lines[0].follower)
        self._size = (0, 0)
        self._resize()
        self._over = False
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def begin(self, pid: int) -> None:
        """The program has been started, in a process group of its own if the terminal is `controlling`."""
        if self.controlling:
            with suppress(OSError):  # it is over
                os.tcsetpgrp(self._lines[0].follower, pid)
                os.killpg(pid, signal.SIGCONT)  # it may have read before it was in the foreground
        self._thread.start()

    def end(self, impatient: Callable[[], bool]) -> None:
        """Nothing of the program lives: pass on what is still on its way, however long that takes, and close."""
        if self.controlling:
            with suppress(OSError):  # it was hung up
                fcntl.ioctl(self._lines[0].follower, termios.TIOCNOTTY)
        self._over = True
        while self._thread.is_alive() and not impatient():
            self._thread.join(0.1)
        for line in self._lines if not self._thread.is_alive() else ():
            line.close()

    def _resize(self) -> None:
        """Windows are as large as our own terminal, if we have one."""
        size = next((termios.tcgetwinsize(number) for number in self._ours if os.isatty(number)), _SIZE)
        if size != self._size:
            self._size = size
            for line in self._lines:
                if line.leader >= 0:
                    termios.tcsetwinsize(line.leader, size if all(size) else _SIZE)

    def _relay(self) -> None:
        lines = self._lines
        while lines:
            poll = select.poll()
            wanted: dict[int, int] = {}
            for line in lines:
                line.end_input()
                for number, events in line.wants().items():
                    wanted[number] = wanted.get(number, 0) | events
            for number, events in wanted.items():
                poll.register(number, events)
            over = self._over  # asked first: what was written before is seen then
            ready = {number for number, _ in poll.poll(_TICK)}
            lines = [line for line in lines if line.step(ready, over)]
            self._resize()


class _Line:
    """One pseudo-terminal: `source` is typed into it (None: nobody types), what comes out goes to `sink`."""

    def __init__(self, source: int | None, sink: int) -> None:
        self.source, self.sink = source, sink
        self.leader, self.follower = os.openpty()
        os.set_blocking(self.leader, False)
        self.typed = self.shown = b""  # what is on its way in and out
        self.exhausted = source is None

    def wants(self) -> dict[int, int]:
        """What to wait for: descriptor → poll's events."""
        wanted = {self.sink: select.POLLOUT} if self.shown else {self.leader: select.POLLIN}
        if self.typed:
            wanted[self.leader] = wanted.get(self.leader, 0) | select.POLLOUT
        elif not self.exhausted and self.source is not None:
            wanted[self.source] = select.POLLIN
        return wanted

    def step(self, ready: set[int], over: bool) -> bool:
        """Pass on what can be; False if there is no more to come, or nobody left who wants it."""
        try:
            if self.shown and self.sink in ready:
                with suppress(BlockingIOError):
                    self.shown = self.shown[os.write(self.sink, self.shown[:_PIECE]) :]
            if not self.shown and (over or self.leader in ready):
                with suppress(BlockingIOError):
                    self.shown = os.read(self.leader, _PIECE)
            if over:
                return bool(self.shown)
            if not self.typed and self.source in ready:
                self._take()
            if self.typed:
                with suppress(BlockingIOError):
                    self.typed = self.typed[os.write(self.leader, self.typed) :]
            return True
        except OSError:  # who read our output has gone: as when a window is closed
            self.close()
            return False

    def _take(self) -> None:
        assert self.source is not None
        try:
            self.typed = os.read(self.source, _PIECE)
        except BlockingIOError:  # somebody else has read it
            return
        except OSError:
            self.typed = b""
        self.exhausted = not self.typed

    def end_input(self) -> None:
        """Behind the end of the source an end of file is typed whenever none lies there: who reads a file once more
        finds its end again."""
        if self.source is None or not self.exhausted or self.typed:
            return
        poll = select.poll()
        poll.register(self.follower, select.POLLIN)
        if not poll.poll(0):
            self.typed = bytes(termios.tcgetattr(self.follower)[6][termios.VEOF])

    def close(self) -> None:
        """Hang up."""
        for number in (self.leader, self.follower):
            with suppress(OSError):
                os.close(number)
        self.leader = self.follower = -1


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _take_control(follower: int) -> bool:
    """Make a terminal our controlling one, if we lead a session that has none; True if it is."""
    if os.getsid(0) != os.getpid() or threading.current_thread() is not threading.main_thread():
        return False  # in another thread nobody takes the signals of a hang-up
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        return False
    except OSError:
        with suppress(OSError):
            fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
            return True
    return False
