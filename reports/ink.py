"""Text for a terminal: escaped, measured, wrapped, and painted where the terminal has colours.

The functions are pure: whoever prints says what the terminal can do (`Ink`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# style → SGR parameters (ECMA-48)
_STYLES = {"danger": "1;31", "held": "33", "good": "32", "dim": "2", "strong": "1"}
# Arrows, ellipsis, middle dot, times, micro, and the typographic dashes and quotes, as ASCII has them
_PLAIN = str.maketrans({
    "\u2192": "->", "\u2190": "<-", "\u2026": "...", "\u00b7": "-", "\u00d7": "x", "\u00b5": "u",
    "\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ink:
    """What the terminal can do: colours, characters beyond ASCII, columns."""

    colour: bool = False
    unicode: bool = True
    width: int = 80

    def paint(self, text: str, style: str) -> str:
        """`text` in a style of `_STYLES` ("": in none), or as it is without colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour and text and style else text

    def plain(self, text: str) -> str:
        """`text` for this terminal's character set."""
        return text if self.unicode else text.translate(_PLAIN).encode("ascii", "backslashreplace").decode()

    @property
    def ellipsis(self) -> str:
        """What stands for the rest of something."""
        return self.plain("…")


def escape(text: str) -> str:
    r"""`text` with everything that could move the cursor or paint written out (`\x1b`, `\u202e`).

    Control characters (Unicode's Cc), format characters such as bidirectional overrides (Cf), line and paragraph
    separators (Zl, Zp) and lone surrogates (Cs); tabs become one space.
    """
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\t":
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        return character.encode("unicode_escape", "surrogatepass").decode()
    return character


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes (Unicode Standard Annex 11: wide characters take two)."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` in at most `width` columns, the rest replaced by an ellipsis."""
    if columns(text) <= width:
        return text
    kept = ""
    for character in text:
        if columns(kept + character) > width - len(ellipsis):
            break
        kept += character
    return kept + ellipsis[: max(0, width)]


def wrap(text: str, width: int, first: str = "", rest: str | None = None) -> Iterator[str]:
    """The lines of `text`, broken at spaces to `width` columns; `first` begins the first line, `rest` the others.

    Nothing is ever cut: a word that is longer than a line gets a line of its own.
    """
    rest = " " * columns(first) if rest is None else rest
    line, empty = first, True
    for word in text.split():
        if not empty and columns(line) + 1 + columns(word) > width:
            yield line
            line, empty = rest, True
        line, empty = line + ("" if empty else " ") + word, False
    yield line
