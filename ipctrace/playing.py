"""`ipctrace replay TRACE`: the run played in the terminal, or, in a pipe, a line an event. Nothing of it is run.

A large trace is played at once, from its bare calls (`reports.playback.preview`), while it is being analysed in a
thread beside; a small one is analysed first, which takes no longer than a person notices. pandas and the analysis are
therefore imported where they are needed, and not before the first picture.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from .console import ink, load
from .reports.ink import Ink
from .reports.playback.player import Place, Player, where
from .reports.playback.preview import Preview
from .reports.playback.scene import Room
from .tracer.errors import IpctraceError
from .tracer.glance import glance

if TYPE_CHECKING:
    from .reports.playback.stage import Analysed

LARGE = 100_000  # events, from which on a trace is played before it is analysed
PICTURE = 0.04  # seconds from one picture to the next
LONGEST = 0.25  # seconds that count between two pictures: who was stopped meanwhile goes on where he was


def play(path: Path, speed: str | None = None, start: str | None = None) -> int:
    """Play a trace on standard output. Raises IpctraceError where it isn't there, or an option isn't understood."""
    pace, place = _pace(speed), _place(start)
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        keys = _keys()
        if keys is not None:
            _watch(path, 1.0 if pace is None else pace, place, keys)
            return 0
    _print(path, pace, place)
    return 0


def _pace(text: str | None) -> float | None:
    """How many seconds of the run go by in one: inf for `max`, None where nothing was said."""
    if text is None or text == "max":
        return None if text is None else float("inf")
    found = re.fullmatch(r"(\d{1,9}(?:\.\d*)?|\.\d+)x?", text.strip())
    if not found or not float(found[1]):
        why = "a speed is a number, as 2 or 0.1, or `max`"
        raise IpctraceError(f"{text} is no speed", why, "ipctrace replay --help")
    return float(found[1])


def _place(text: str | None) -> Place | None:
    found = where(text) if text is not None else None
    if text is not None and found is None:
        why = "a place is a time, as 1.5 or 200ms, or `message 3`, or `finding 1`"
        raise IpctraceError(f"{text} is no place in a run", why, "ipctrace replay TRACE --from 'message 3'")
    return found


def _keys() -> int | None:
    """The descriptor that keys come from; None: there is no keyboard."""
    if os.isatty(0):
        return 0
    try:
        return os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return None


class _Loading(Thread):
    """Loads and analyses a trace while it is being played."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._made: Analysed | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            made = _analysed(self._path)
            made.scene(0, Room(columns=4, rows=4, channels=0))  # makes the indices, so that no picture waits for them
            self._made = made
        except BaseException as error:  # it is raised where the trace is played
            self._error = error

    def made(self) -> Analysed | None:
        """The stage, once it is there. Raises what the loading raised."""
        if self._error is not None:
            raise self._error
        return self._made


def _analysed(path: Path) -> Analysed:
    from .reports.playback.stage import Analysed

    return Analysed(load(path).analysis)


def _watch(path: Path, speed: float, place: Place | None, keys: int) -> None:
    from .fullscreen import FullScreen

    seen = glance(path, LARGE)
    if seen is None:
        player = Player(first := _analysed(path), speed)
        player.use(first)
        _go(player, place)
        loading = None
    else:
        player, loading = Player(Preview(seen), speed), _Loading(path)
        if place and place.what == "time":
            _go(player, place)
            place = None
    player.view.playing = True
    pen = ink(sys.stdout)
    with FullScreen(keys, sys.stdout.fileno(), sys.stdout.encoding or "ascii") as page:
        last, drawn = time.monotonic(), None
        while True:
            width, height = page.size()
            if (now_shown := (player.state(), width, height)) != drawn or page.empty:
                page.draw(player.lines(Ink(pen.colour, pen.unicode, width), height))
                drawn = now_shown
            if loading and not loading.ident:
                loading.start()  # behind the first picture
            key = page.key(PICTURE if player.view.playing or loading else None)
            now = time.monotonic()
            player.tick(min(LONGEST, now - last))
            last = now
            if key is not None and not player.press(key):
                return
            if loading and (made := loading.made()):
                player.use(made)
                _go(player, place)
                loading = None


def _go(player: Player, place: Place | None) -> None:
    """Begin at a place. Raises IpctraceError where the run has no such place."""
    if place is not None:
        playing = player.view.playing
        if wrong := player.go_to(place):
            raise IpctraceError(wrong, "", "ipctrace show TRACE messages, or findings, lists them")
        player.view.playing = playing


def _print(path: Path, pace: float | None, place: Place | None) -> None:
    """A line an event, at the speed that was asked for."""
    from .reports.playback.log import lines

    run = load(path)
    begin = 0
    if place is not None:
        if place.what == "time":
            begin = place.number
        else:
            from .reports.playback.stage import Analysed

            player = Player(stage := Analysed(run.analysis))
            player.use(stage)
            _go(player, place)
            begin = player.now
    started = time.monotonic()
    for when, line in lines(run.trace, begin, ink(sys.stdout)):
        if pace is not None and pace != float("inf"):
            ahead = (when - begin) / 1e9 / pace - (time.monotonic() - started)
            if ahead > 0:
                sys.stdout.flush()
                time.sleep(ahead)
        print(line)
