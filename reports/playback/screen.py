"""A scene as the lines of a terminal: exactly as many as it has rows, none wider than it is.

From the top: what is played and when, the run as a bar, the diagram of what has happened until now, what each of its
threads does at this instant, what lies in which channel, the open message, and the keys. Where each part stands depends
on the size of the terminal and on what the run has, never on the instant, so that nothing jumps while it plays.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..ink import Ink, columns, cut, escape, wrap
from ..markup import moment, span
from ..sequence import TIME, heading, most_lanes, padded, places, row
from .scene import Channel, Lane, Room, Scene, View

LEAST_ROWS, LEAST_COLUMNS = 14, 40
KEYS = (  # as shown, what it does
    ("space", "play, pause"), ("← →", "the event before, the next"), ("m M", "the next message, the one before"),
    ("[ ]", "back, on along the open message"), ("w W", "the next wait, the one before"),
    ("f F", "the next finding, the one before"), ("d", "where the knot closes"), ("Home End", "the beginning, the end"),
    ("PgUp PgDn", "twenty events back, on"), ("+ -", "faster, slower"), ("g", "go to 1.5, 200ms, message 3, finding 1"),
    ("/", "search payloads, threads, channels"), ("n N", "the next place found, the one before"),
    ("< >", "other threads' columns; a: as they talk"), ("Esc", "close the message"), ("q", "quit"),
)  # fmt: skip
SHORT = "space play/pause  ← → event  m message  g go to  / search  ? all keys  q quit"
LEGEND = (
    "* waits, or bytes are held back. An arrow without its tip is on its way. ! is where the knot closes. Nothing that "
    "the trace names is run."
)
FILL = 10  # columns of the bar that shows how full a channel is


def room(width: int, height: int, channels: int, shift: int | None) -> Room:
    """How much of everything a terminal has room for, in a run with so many channels."""
    shown = min(channels, max(1, (height - 16) // 3 + 2))
    fixed = 2 + 1 + 3 + (1 + shown if channels else 0) + 1 + 2 + 1
    return Room(most_lanes(width), max(2, height - fixed), shown if channels else 0, shift)


def screen(scene: Scene, view: View, ink: Ink, height: int) -> list[str]:
    """The lines of an instant."""
    if ink.width < LEAST_COLUMNS or height < LEAST_ROWS:
        small = _clean(f"{moment(scene.time)}: at least {LEAST_COLUMNS} columns and {LEAST_ROWS} rows", ink, ink.width)
        return [small, *[""] * (height - 1)][:height]
    last = _last_line(view, ink)
    if view.help:
        return [*_cut_or_filled(list(_help(ink)), height - 1), last]
    below = [*_now(scene, ink), *_channels(scene, ink), _waiting(scene, ink), *_opened(scene, ink)]
    above = [_title(scene, view, ink), _bar(scene, ink), ink.paint(" " * TIME + heading(scene.columns, ink), "dim")]
    rows = list(_rows(scene, ink))[-(height - len(above) - len(below) - 1) :]
    empty = height - len(above) - len(rows) - len(below) - 1
    return [*above, *[_lines_of(scene, ink)] * empty, *rows, *below, last]


def _cut_or_filled(lines: list[str], height: int) -> list[str]:
    return (lines + [""] * height)[:height]


def _clean(text: str, ink: Ink, width: int) -> str:
    return cut(ink.plain(escape(text)), width, ink.ellipsis)


def _title(scene: Scene, view: View, ink: Ink) -> str:
    """`deadlock.py  1.013123 s of 2.0131 s  playing, 1 ×  deadlock[IPC101]  event 12 of 31`."""
    pace = "as fast as it goes" if view.speed == float("inf") else f"{view.speed:g} ×"
    doing = "playing" if view.playing else "at the end" if scene.time >= scene.end else "paused"
    parts = [
        (_clean(scene.title, ink, ink.width // 4), "strong"), (f"{moment(scene.time, 6)} of {moment(scene.end)}", ""),
        (f"{doing}, {pace}", ""), (scene.unready, "held"), (scene.verdict, scene.style), (scene.place, "dim"),
    ]  # fmt: skip
    line, used = "", 0
    for text, style in parts:
        text = _clean(text, ink, ink.width - used - 2) if ink.width - used > 4 else ""
        if text:
            line += ("  " if used else "") + ink.paint(text, style)
            used += columns(text) + 2
    return line


def _bar(scene: Scene, ink: Ink) -> str:
    """The whole run, what has passed of it, and where the knot closed."""
    width = ink.width - 2
    at = min(width - 1, scene.time * width // max(1, scene.end))
    bar = "=" * at + ">" + "-" * (width - at - 1)
    if scene.knot is None:
        return f"[{bar}]"
    knot = min(width - 1, scene.knot * width // max(1, scene.end))
    return f"[{bar[:knot]}{ink.paint('!', 'danger')}{bar[knot + 1 :]}]"


# ---- the diagram, and its threads at this instant


def _rows(scene: Scene, ink: Ink) -> Iterator[str]:
    for one in scene.rows:
        time = moment(one.time, 6 if one.time < 1e12 else 3)[:-2].rjust(TIME - 1)
        yield ink.paint(f"{time} ", "dim") + row(one, scene.columns, ink)


def _lines_of(scene: Scene, ink: Ink) -> str:
    """The lanes where nothing happens."""
    line = [" "] * ink.width
    for at in places(scene.columns, ink.width)[0].values():
        line[TIME + at] = "|"
    return "".join(line).rstrip()


def _now(scene: Scene, ink: Ink) -> Iterator[str]:
    """Three lines under the columns: what each thread does, on what and for how long, and where."""
    place, gap = places(scene.columns, ink.width)
    lanes = {lane.name: lane for lane in scene.lanes}
    shown = [(at, lanes[name]) for name, at in place.items()]
    for label, says in (("now", _state), ("", _lasting), ("", _where)):
        line, end = padded(label.rjust(TIME - 1), TIME), TIME
        for at, lane in shown:
            fitted = _fitted if says is _where else _clean
            text = fitted(says(lane), ink, min(gap - 1, ink.width - TIME - at))
            line += " " * (TIME + at - end) + ink.paint(text, lane.style)
            end = TIME + at + columns(text)
        yield line


def _state(lane: Lane) -> str:
    return lane.state


def _lasting(lane: Lane) -> str:
    return ", ".join(filter(None, (lane.on, "" if lane.lasting is None else span(lane.lasting))))


def _where(lane: Lane) -> str:
    return lane.place


def _fitted(text: str, ink: Ink, width: int) -> str:
    """A place keeps its line number: what has no room is its beginning."""
    text, rest = ink.plain(escape(text)), ink.ellipsis
    if columns(text) <= width:
        return text
    while text and columns(text) > width - len(rest):
        text = text[1:]
    return rest[: max(0, width)] + text


def _waiting(scene: Scene, ink: Ink) -> str:
    """Who waits for whom, in words."""
    waiting = [lane for lane in scene.lanes if lane.waits]
    if not waiting:
        return ""
    told = [f"{lane.name} waits for {lane.whom}" if lane.whom else f"{_who(lane)}" for lane in waiting]
    line, kept = "", 0
    for text in told:
        more = len(told) - kept
        longer = f"{line}{'; ' * bool(line)}{text}"
        if columns(escape(longer)) > ink.width - (12 if more > 1 else 0) and kept:
            break
        line, kept = longer, kept + 1
    rest = f"; {len(told) - kept} more" if kept < len(told) else ""
    return ink.paint(_clean(line, ink, ink.width - len(rest)) + rest, "strong" if scene.knot is None else "")


def _who(lane: Lane) -> str:
    return f"{lane.name} {lane.state}{f' on {lane.on}' if lane.on else ''}"


# ---- what lies where


def _channels(scene: Scene, ink: Ink) -> Iterator[str]:
    """A line a channel: what its writers, itself and its readers hold."""
    if not scene.channels:
        return
    name, side = _widths(ink.width)
    middle = ink.width - name - 2 * side - 3
    head = f"{'channel':<{name}} {'writer holds':<{side}} {'in it':<{middle}} {'reader holds'}"
    yield ink.paint(_clean(head, ink, ink.width), "dim")
    for one in scene.channels:
        before, behind = (
            _held(amount, who, one.unit, side, ink)
            for amount, who in ((one.held, one.writers), (one.unread, one.readers))
        )
        cells = (
            (one.name, name, one.style), (before, side, "held" if one.held else ""),
            (_kernel(one, middle, ink), middle, ""), (behind, side, "held" if one.unread else ""),
        )  # fmt: skip
        line = []
        for text, width, style in cells:
            text = _clean(text, ink, width)
            line.append(ink.paint(text, style) + " " * (width - columns(text)))
        yield " ".join(line).rstrip()


def _widths(width: int) -> tuple[int, int]:
    """Columns for a channel's name, and for each of its sides."""
    return max(8, min(24, width // 7)), max(10, min(30, width // 5))


def _held(amount: int, who: str, unit: str, width: int, ink: Ink) -> str:
    said = f"{amount:,} {unit} "
    return f"{said if amount else ''}{_clean(who, ink, max(1, width - (len(said) if amount else 0)))}"


def _kernel(one: Channel, width: int, ink: Ink) -> str:
    """`[####......] 26 of 65,536 B  #3 26 B: Hello 1`."""
    words = f"{one.kernel:,} {one.unit}"
    bar = ""
    if one.capacity and one.capacity > 0:
        full = min(FILL, -(-one.kernel * FILL // one.capacity))
        bar = f"[{'#' * full}{'.' * (FILL - full)}] "
        words = f"{one.kernel:,} of {one.capacity:,} {one.unit}"
    said = f"{bar}{words}"
    return f"{said}  {one.first}" if one.first and columns(said) + 8 < width else said


def _opened(scene: Scene, ink: Ink) -> Iterator[str]:
    lines = [*scene.opened, "", ""][:2]
    yield from (_clean(line, ink, ink.width) for line in lines)


# ---- the last line, and the help


def _last_line(view: View, ink: Ink) -> str:
    if view.prompt is not None:
        return _clean(f"{view.prompt} {view.typed}", ink, ink.width - 2) + "_"
    if view.help:
        return ink.paint(_clean("any key goes back", ink, ink.width), "dim")
    return _clean(view.note, ink, ink.width) if view.note else ink.paint(_clean(SHORT, ink, ink.width), "dim")


def _help(ink: Ink) -> Iterator[str]:
    """The keys: one column where the terminal is narrow, two where it is wide."""
    yield ink.paint("Keys", "strong")
    yield ""
    lines = [f"  {padded(ink.plain(keys), 10)} {ink.plain(words)}" for keys, words in KEYS]
    yield from (cut(line, ink.width, ink.ellipsis) for line in lines)
    yield ""
    yield from wrap(LEGEND, ink.width, "  ")
