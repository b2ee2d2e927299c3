"""A replay of one process as lines of a terminal: a line a message as it goes, and at the end what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..analysis.replayed import Divergence, Passed, Replayed, Side, headline, shown
from .ink import Ink, cut, escape, wrap

_LABEL = 10  # columns of "recorded: "


def message(passed: Passed, ink: Ink) -> str:
    """A line of what came in or went out."""
    arrow = "<-" if passed.way == "in" else "->"
    size = f"{len(passed.data):,} bytes" if passed.data else "end of file" if passed.way == "in" else "nothing"
    text = f"{arrow} {passed.where}: {size}" + (f" {shown(passed.data, None)}" if passed.data else "")
    return cut(f"  {ink.plain(escape(text))}", ink.width, ink.ellipsis)


def ending(replayed: Replayed, ink: Ink, steps: Sequence[tuple[str, str]] = (), note: str = "") -> Iterator[str]:
    """What became of a replay: one sentence; where it departs both sides with their lines, and what to call next."""
    style = "danger" if replayed.diverged is not None else "good"
    yield ink.paint(ink.plain(escape(headline(replayed))), style)
    if replayed.diverged is None:
        return
    yield ""
    yield from _sides(replayed.diverged, ink)
    if replayed.raised:
        yield from wrap(ink.plain(escape(f"it raised {replayed.raised}")), ink.width, "  ")
    if note:
        yield ""
        yield from wrap(ink.plain(escape(note)), ink.width, "  ")
    if steps:
        yield ""
        for word, step in steps:
            yield f"  {word:9} {escape(step)}"


def _sides(divergence: Divergence, ink: Ink) -> Iterator[str]:
    for word, side in (("recorded", divergence.recorded), ("now", divergence.now)):
        yield from _side(word, side, divergence.at, ink)
    if divergence.at is not None:
        yield f"  the first byte that differs is number {divergence.at}"


def _side(word: str, side: Side, at: int | None, ink: Ink) -> Iterator[str]:
    what = ink.plain(escape(side.deed))
    room = ink.width - 2 - _LABEL - len(what) - len(side.place)
    gap = " " * max(2, room)
    yield f"  {word + ':':{_LABEL}}{what}" + (f"{gap}{ink.paint(escape(side.place), 'dim')}" if side.place else "")
    if side.text.strip():
        number = ink.paint(f"{side.line:>5}", "dim")
        yield f"{number} | {cut(ink.plain(escape(side.text.strip())), ink.width - 8, ink.ellipsis)}"
    if side.data:
        text = ink.plain(escape(shown(side.data, at)))
        yield f"      | {ink.paint(text, 'held')}"
