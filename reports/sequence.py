"""A sequence diagram in characters: a column a thread, a row an exchange.

The form is that of ITU-T Z.120's message sequence charts. Only ASCII, so that any log keeps it. The last exchanges
under a verdict are drawn by it, and a run that is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ink import Ink, columns, cut, escape

TIME = 11  # columns of the time, before the first thread's
LEAST = 16  # columns from one thread's column to the next
LAST = 24  # columns for what is said beside the last thread's


@dataclass(frozen=True, slots=True)
class Exchange:
    """A row of the diagram: what passed from `source` to `target` (None: it stayed where it was), in words.

    `detail` is said where there is room; `style` is ink.paint's, for what never went on; what has not `arrived` is an
    arrow without a tip.
    """

    time: int
    source: str
    target: str | None
    words: str
    detail: str = ""
    style: str = ""
    arrived: bool = True


def most_lanes(width: int) -> int:
    """How many threads can have a column of their own, in so many columns of a terminal."""
    return 1 + max(1, (width - TIME - LAST // 2) // LEAST)


def places(order: Sequence[str], width: int) -> tuple[dict[str, int], int]:
    """Where the column of each thread is, from behind the time; and how far they are apart."""
    gap = max(LEAST, (width - TIME - LAST) // max(1, len(order) - 1))
    return {name: gap * index for index, name in enumerate(order)}, gap


def heading(order: Sequence[str], ink: Ink) -> str:
    """The names over the columns."""
    place, gap = places(order, ink.width)
    line = ""
    for name, at in place.items():
        room = min(gap - 1, ink.width - TIME - at)
        short = name if columns(name) <= room else name.rpartition("/")[2]
        line += padded(cut(ink.plain(escape(short)), room, ink.ellipsis), gap)
    return line.rstrip()


def padded(text: str, width: int) -> str:
    """`text` with spaces behind it, so that it takes so many columns."""
    return text + " " * max(0, width - columns(text))


def row(one: Exchange, order: Sequence[str], ink: Ink) -> str:
    """A row, without its time: an arrow from one thread's column to another's, or words beside one."""
    place, width = places(order, ink.width)[0], ink.width - TIME
    line = [" "] * width
    for at in place.values():
        line[at] = "|"
    here, there = place.get(one.source), place.get(one.target or "")
    if here is not None and there is not None and here != there:
        left, right = sorted((here, there))
        bar = _labelled(one, right - left - 1, ink)
        line[left + 1 : right] = [_tipped(bar, there > here, one.arrived)]
        return "".join(line).rstrip()
    at = here if here is not None else there if there is not None else 0
    stays = one.target in (None, one.source)
    named = "" if here is not None and stays else f"{one.source}: " if stays else f"{one.source} -> {one.target}: "
    words = ink.plain(escape(f"{named}{one.words}{': ' * bool(one.detail)}{one.detail}"))
    line[at] = "*" if one.style else "|"
    room = width - at - 2
    if columns(words) > room and at > room:  # more room to the left of it
        text = cut(words, at - 1, ink.ellipsis)
        before = "".join(line[: at - 1 - columns(text)])
        return f"{before}{ink.paint(text, one.style)} {''.join(line[at:])}".rstrip()
    text = cut(words, room, ink.ellipsis)
    return f"{''.join(line[: at + 1])} {ink.paint(text, one.style)} {''.join(line[at + 3 + columns(text) :])}".rstrip()


def _tipped(bar: str, onward: bool, arrived: bool) -> str:
    """A shaft with its tip; of what is on its way, dots for the last part of it."""
    if arrived:
        return f"{bar[:-1]}>" if onward else f"<{bar[1:]}"
    shaft = len(bar) - len(bar.rstrip("-")) if onward else len(bar) - len(bar.lstrip("-"))
    return bar[:-shaft] + "." * shaft if onward else "." * shaft + bar[shaft:]


def _labelled(one: Exchange, room: int, ink: Ink) -> str:
    """An arrow's shaft with as many of its words on it as there is room for."""
    whole = f"{one.words}{': ' * bool(one.detail)}{one.detail}"
    text = ink.plain(escape(whole if columns(whole) <= room - 4 or room >= LEAST * 2 else one.words))
    text = cut(text, room - 4, ink.ellipsis)
    bar = f"- {text} -"
    spare = max(0, room - columns(bar))
    return "-" * (spare // 2) + bar + "-" * (spare - spare // 2)
