"""What is on the screen at an instant, as plain data: made from an analysis by `stage`, or from the bare events by
`preview`, and made into lines by `screen`. Texts are as the program wrote them; who draws them escapes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..sequence import Exchange


@dataclass(frozen=True, slots=True)
class Lane:
    """A thread at the instant: what it does (`waits for data`), on what (`pipe B`), for how long (ns), whom it waits
    for, where in the source. `style` is ink.paint's."""

    name: str
    state: str
    on: str = ""
    lasting: int | None = None
    whom: str = ""
    place: str = ""
    style: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel at the instant: bytes (`unit`) in its writers' buffers, in itself, of `capacity` where it is known, and
    in its readers' buffers; who is at either end; what lies in it first; who waits on it."""

    name: str
    writers: str
    readers: str
    held: int
    kernel: int
    unread: int
    capacity: int | None = None
    unit: str = "B"
    first: str = ""
    awaited: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything at `time` (ns) of a run that lasts until `end`.

    `columns` are the names of the lanes that have a column in the diagram, `rows` what has happened until now, the last
    one last. `knot`: when it closed. `unready`: what can't be shown yet, in words.
    """

    time: int
    end: int
    title: str
    verdict: str = ""
    style: str = ""
    knot: int | None = None
    place: str = ""
    lanes: tuple[Lane, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[Exchange, ...] = ()
    channels: tuple[Channel, ...] = ()
    resting: int = 0
    opened: tuple[str, ...] = ()
    unready: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """How much there is room for: columns of the diagram, its rows, channels. `shift`: the lane with which the columns
    begin; None: those that talk most around the instant."""

    columns: int
    rows: int
    channels: int
    shift: int | None = None


@dataclass(slots=True)
class View:
    """What the person who watches has chosen. `message` is the open message, a row of `Instants.messages`; `prompt`
    what is asked for, and `typed` the answer so far; `note` a word on the last line."""

    playing: bool = False
    speed: float = 1.0
    message: int | None = None
    shift: int | None = None
    help: bool = False
    prompt: str | None = None
    typed: str = ""
    note: str = ""


class Stage(Protocol):
    """What is played: answers the scene of an instant, and where the next ones are."""

    @property
    def end(self) -> int:
        """The run's last moment, ns."""

    @property
    def channels(self) -> int:
        """How many channels there are to show."""

    def scene(self, t: int, room: Room, message: int | None) -> Scene:
        """Everything at `t`."""

    def neighbour(self, t: int, way: int) -> int:
        """The next (1) or previous (-1) moment."""

    def leap(self, t: int, moments: int) -> int:
        """The moment so many moments on."""

    def pace(self) -> int:
        """How many moments to go by in one picture, so that the whole run takes about as many seconds as one waits."""
