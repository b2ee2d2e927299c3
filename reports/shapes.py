"""The pieces that the knot is drawn with, as SVG text.

Text is measured by a rule of thumb, since Python has no fonts: a mono character is 0.6 of its size wide, a sans one a
little less than that in the widest of the usual fonts (DejaVu Sans).
"""

from __future__ import annotations

from .markup import escape, shorten

BOLD, SMALL = 8.6, 6.2  # width of a character


def words(text: str, x: float, y: float, style: str = "", anchor: str = "start", room: float = 0) -> str:
    """A line of text; `room` is the width that it may take before it is shortened."""
    if room:
        kinds = style.split()
        size = 7.25 if "m" in kinds else BOLD if "b" in kinds else SMALL if "t2" in kinds else 7.2
        text = shorten(text, int(room / size))
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def box(x: float, y: float, width: float, height: float, style: str, radius: float = 8) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{style}"/>'


def head(x: float, y: float, ux: float, uy: float, style: str) -> str:
    """An arrow head with its tip at (x, y), pointing along (ux, uy)."""
    ax, ay, bx, by = -11 * ux - 5 * uy, -11 * uy + 5 * ux, 10 * uy, -10 * ux
    return f'<path class="{style}" d="M{x:g} {y:g}l{ax:g} {ay:g}l{bx:g} {by:g}z"/>'


def tube(x1: float, y1: float, x2: float, y2: float, level: float = 0) -> str:
    """A channel between two sides, filled to `level` (0 to 1); the wait runs in it from the waiter to the holder."""
    across = y1 == y2
    x, y = min(x1, x2) - (0 if across else 8), min(y1, y2) - (8 if across else 0)
    width, height = (abs(x2 - x1), 16) if across else (16, abs(y2 - y1))
    ux, uy = (1 if x2 > x1 else -1, 0) if across else (0, 1 if y2 > y1 else -1)
    full = box(x, y, width, height, "full", 0) if level > 0.95 else ""
    return (
        f'{box(x, y, width, height, "proc", 0)}{full}<path class="wait pulse" d="M{x1:g} {y1:g}L{x2 - 9 * ux:g} '
        f'{y2 - 9 * uy:g}"/>{head(x2, y2, ux, uy, "head")}'
    )


def tank(x: float, y: float, width: float, height: float, level: float) -> str:
    """A stream's own buffer, wet up to `level` pixels."""
    top, wave = y + height - level, (width - 4) / 4
    return box(x, y, width, height, "glass", 6) + (
        f'<path class="wet-fill" d="M{x + 2:g} {top:g}q{wave / 2:g} -6 {wave:g} 0t{wave:g} 0t{wave:g} 0t{wave:g} 0'
        f'V{y + height - 6:g}q0 4 -4 4H{x + 6:g}q-4 0 -4 -4z"/>'
    )


def valve(x: float, y: float, way: int) -> str:
    """What keeps a tank's bytes from its channel."""
    return f'<path class="valve" d="M{x:g} {y - 12:g}V{y + 12:g}M{x - 6 * way:g} {y:g}H{x:g}"/>'


def wrap(text: str, length: int) -> list[str]:
    """The words in lines of at most `length` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def svg(width: float, height: float, parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true">{"".join(parts)}</svg>'
