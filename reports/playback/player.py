"""Who plays: where the cursor stands, and what each key does to it. No terminal is touched here: keys come in by name,
lines go out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import astuple
from typing import TYPE_CHECKING, NamedTuple

from ..ink import Ink
from ..markup import moment
from .scene import Stage, View
from .screen import room, screen

if TYPE_CHECKING:
    from .stage import Analysed

SPEEDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, float("inf"))
PAGE = 20  # moments
_UNITS = {"": 1e9, "s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1.0}


class Place(NamedTuple):
    """A place in a run as a person names it: a time in ns, or a message or a finding by its number."""

    what: str
    number: int


def where(text: str) -> Place | None:
    """`1.5`, `200ms`, `message 3`, `finding 1`; None: it is none of these."""
    words = text.strip().lower()
    if named := re.fullmatch(r"(message|finding)\s*#?(\d{1,15})", words):
        return Place(named[1], int(named[2]))
    if time := re.fullmatch(r"(\d{1,12}(?:\.\d*)?|\.\d+)\s*(s|ms|us|µs|ns|)", words):
        return Place("time", round(float(time[1]) * _UNITS[time[2]]))
    return None


class Player:
    """The cursor `now` in a run, and what the person who watches has chosen (`view`)."""

    def __init__(self, stage: Stage, speed: float = 1.0) -> None:
        self.stage, self.now, self.view = stage, 0, View(playing=True, speed=speed)
        self.analysed: Analysed | None = None
        self.sought = ""
        self._finding = -1

    def use(self, analysed: Analysed) -> None:
        """From now on the analysis is there."""
        self.stage = self.analysed = analysed
        self.now = min(self.now, analysed.end)

    def lines(self, ink: Ink, height: int) -> list[str]:
        """The screen as it is now."""
        space = room(ink.width, height, self.stage.channels, self.view.shift)
        return screen(self.stage.scene(self.now, space, self.view.message), self.view, ink, height)

    def state(self) -> tuple[object, ...]:
        """What the lines depend on: where it is the same, so are they."""
        return (self.now, self.stage, *astuple(self.view))

    def tick(self, seconds: float) -> None:
        """So much time has gone by."""
        if not self.view.playing:
            return
        if self.view.speed == float("inf"):
            self.now = self.stage.leap(self.now, self.stage.pace())
        else:
            self.now += round(seconds * 1e9 * self.view.speed)
        if self.now >= self.stage.end:
            self.now, self.view.playing = self.stage.end, False

    # ---- keys

    def press(self, key: str) -> bool:
        """Do what a key is for; False: it ends the playing."""
        view = self.view
        view.note = ""
        if view.prompt is not None:
            self._type(key)
        elif view.help:
            view.help = False
        elif key in ("q", "eof"):
            return False
        elif act := _ACTIONS.get(key):
            act(self)
        elif move := _MOVES.get(key):
            move[0](self, move[1])
        return True

    def _type(self, key: str) -> None:
        view = self.view
        if key == "escape":
            view.prompt = None
        elif key == "backspace":
            view.typed = view.typed[:-1]
        elif key == "enter":
            asked, view.prompt = view.prompt, None
            if asked == _GO:
                self._go(view.typed)
            else:
                self.sought = view.typed
                self.seek(1)
        elif len(key) == 1:
            view.typed += key
        elif key == "space":
            view.typed += " "

    def go(self, t: int) -> None:
        """Stand still at `t`."""
        self.now, self.view.playing = min(max(0, t), self.stage.end), False

    def go_to(self, place: Place) -> str:
        """Stand still at a place; what is wrong with it in words, or ""."""
        if place.what == "time":
            self.go(place.number)
            return ""
        analysed = self._ready()
        if analysed is None:
            return self.view.note
        if place.what == "message":
            message = analysed.message_of(place.number)
            if message is None:
                return f"there is no message {place.number}; there are {len(analysed.instants.begin):,}"
            self._open(analysed, message)
            return ""
        if not 1 <= place.number <= len(analysed.findings):
            return f"there is no finding {place.number}; there are {len(analysed.findings):,}"
        self._show(analysed, place.number - 1)
        return ""

    def _go(self, typed: str) -> None:
        place = where(typed)
        wrong = self.go_to(place) if place else f"{typed} is no place: 1.5, 200ms, message 3, finding 1"
        self.view.note = wrong or self.view.note

    def _ready(self) -> Analysed | None:
        if self.analysed is None:
            self.view.note = "not yet: the trace is still being analysed"
        return self.analysed

    def _open(self, analysed: Analysed, message: int) -> None:
        self.view.message = message
        self.go(analysed.message_time(message))

    def _show(self, analysed: Analysed, place: int) -> None:
        self._finding = place
        finding = analysed.findings[place]
        self.go(analysed.finding_time(finding))
        self.view.note = f"finding {place + 1}: {finding.rule} {finding.message}"

    # ---- what the keys do

    def play(self) -> None:
        """Play, pause; from the end, from the beginning."""
        if not self.view.playing and self.now >= self.stage.end:
            self.now = 0
        self.view.playing = not self.view.playing

    def step(self, way: int) -> None:
        """To the next or previous moment."""
        self.go(self.stage.neighbour(self.now, way))

    def page(self, way: int) -> None:
        """A page of moments on or back."""
        self.go(self.stage.leap(self.now, way * PAGE))

    def edge(self, way: int) -> None:
        """To the beginning or the end."""
        self.go(self.stage.end if way > 0 else 0)

    def message(self, way: int) -> None:
        """To the next or previous message, which is opened."""
        if (analysed := self._ready()) and (
            found := analysed.message_beside(self.now, self.view.message, way)
        ) is not None:
            self._open(analysed, found)

    def along(self, way: int) -> None:
        """Along the open message."""
        if analysed := self._ready():
            if self.view.message is None:
                self.view.note = "no message is open: m opens the next one"
            else:
                self.go(analysed.along(self.view.message, self.now, way))

    def wait(self, way: int) -> None:
        """To the next or previous wait."""
        if (analysed := self._ready()) and (found := analysed.wait_beside(self.now, way)) is not None:
            self.go(found)

    def finding(self, way: int) -> None:
        """To the next or previous finding."""
        if analysed := self._ready():
            if analysed.findings:
                self._show(analysed, (self._finding + way) % len(analysed.findings))
            else:
                self.view.note = "nothing was found"

    def knot(self) -> None:
        """To where the knot closes."""
        if analysed := self._ready():
            if analysed.instants.formed is None:
                self.view.note = "no knot closes in this run"
            else:
                self.go(analysed.instants.formed)

    def seek(self, way: int) -> None:
        """To the next or previous place that was searched for."""
        if not self.sought:
            self.view.note = "nothing was searched for: /"
        elif analysed := self._ready():
            found = analysed.search(self.sought, self.now, way)
            if found is None:
                self.view.note = f"{self.sought} is nowhere"
                return
            self.go(found[0])
            self.view.message = found[1] if found[1] is not None else self.view.message
            self.view.note = f"{self.sought}: at {moment(found[0], 6)}"

    def faster(self, way: int) -> None:
        """Another speed."""
        beyond = [speed for speed in SPEEDS if (speed > self.view.speed if way > 0 else speed < self.view.speed)]
        if beyond:
            self.view.speed = beyond[0] if way > 0 else beyond[-1]

    def shift(self, way: int) -> None:
        """Columns of other threads."""
        self.view.shift = max(0, (self.view.shift or 0) + way)

    def as_they_talk(self) -> None:
        """Columns of the threads that talk."""
        self.view.shift = None

    def close(self) -> None:
        """No message is open any more."""
        self.view.message = None

    def ask(self, prompt: str) -> None:
        """Ask for a line of text."""
        self.view.prompt, self.view.typed = prompt, ""

    def show_help(self) -> None:
        """The sheet of keys."""
        self.view.help = True


_GO, _SEARCH = "go to:", "search for:"
_ACTIONS: dict[str, Callable[[Player], None]] = {
    "space": Player.play, "d": Player.knot, "a": Player.as_they_talk, "escape": Player.close, "?": Player.show_help,
    "g": lambda player: player.ask(_GO), "/": lambda player: player.ask(_SEARCH),
}  # fmt: skip
_MOVES: dict[str, tuple[Callable[[Player, int], None], int]] = {
    key: (act, way)
    for keys, act in (
        (("left", "right"), Player.step), (("h", "l"), Player.step), (("M", "m"), Player.message),
        (("[", "]"), Player.along), (("W", "w"), Player.wait), (("F", "f"), Player.finding), (("N", "n"), Player.seek),
        (("home", "end"), Player.edge), (("page up", "page down"), Player.page), (("up", "down"), Player.step),
        (("-", "+"), Player.faster), (("_", "="), Player.faster), (("<", ">"), Player.shift),
    )
    for key, way in zip(keys, (-1, 1), strict=True)
}  # fmt: skip
