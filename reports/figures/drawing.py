"""The pieces that the figures are drawn with, as SVG text.

A figure has no width of its own: it lies in a grid whose other column holds the names, lengths along x are given in
percent, and text keeps its size on a phone. What must not be cut or shortened (captions, notes, words) is HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..markup import escape, shown

NAME, ENDING = 28, 8  # characters of a name that a figure shows, and of its end, which is never cut


def across(share: float) -> str:
    """A share of the width, in percent."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def percent(share: float) -> str:
    """`62 %`; of what is there but little `under 1 %`, and of nearly all `over 99 %`."""
    if 0.995 <= share < 1:
        return "over 99 %"
    return "under 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def text(x: str | float, y: float, what: str, style: str = "", anchor: str = "start") -> str:
    place = x if isinstance(x, str) else f"{x:g}"
    return f'<text x="{place}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(what)}</text>'


def bar(begin: float, length: float, y: float, height: float, style: str, title: str, more: str = "") -> str:
    """A bar from the share `begin` of the width on, never thinner than can be seen, with a title. `style`: CSS."""
    place = f"x:{across(begin)};width:max({across(length)} - 1px,1.5px);{style}"
    return f'<rect y="{y:g}" height="{height:g}" style="{place}"{more}><title>{escape(title)}</title></rect>'


def svg(height: float, label: str, parts: Iterable[str], width: float | None = None) -> str:
    """A picture as wide as there is room, or `width` pixels."""
    size = "100%" if width is None else f"{width:g}"
    return f'<svg width="{size}" height="{height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def short(name: str) -> str:
    """A thread's name where there is little room: of `parent/logger` only `logger`."""
    return fitted(name.rpartition("/")[2] or name)


def fitted(name: str) -> str:
    """A name, without its middle where it is too long."""
    told = shown(name)
    return told if len(told) <= NAME else f"{told[: NAME - ENDING - 1]}…{told[-ENDING:]}"


def gutter(names: Sequence[tuple[str, str]], row: float, top: float = 0) -> str:
    """The names of a figure's rows, (short, whole), beside it: `row` pixels each, from `top` pixels on.

    What is too long loses its middle: many workers' names differ in their ends."""
    lines = "".join(
        f'<span title="{escape(whole)}"><i>{escape(brief[:-ENDING])}</i>{escape(brief[-ENDING:])}</span>'
        for brief, whole in names
    )
    return f'<div class="names" aria-hidden="true" style="padding-top:{top:g}px;--row:{row:g}px">{lines}</div>'


def beside(names: str, drawn: str) -> str:
    """Names and the picture that they belong to."""
    return f'<div class="plane">{names}{drawn}</div>'


def figure(title: str, says: str, drawn: str, notes: Iterable[str] = (), style: str = "") -> str:
    """A figure with its caption; `says` and `notes` are HTML, a sentence each."""
    below = "".join(f'<p class="note">{note}</p>' for note in notes if note)
    return f'<figure class="{style}"><figcaption><b>{title}</b> {says}</figcaption>{drawn}{below}</figure>'


def nothing(title: str, says: str, style: str = "") -> str:
    """A figure that has nothing to show, and says so."""
    kind = f"nothing {style}".strip()
    return f'<figure class="{kind}"><figcaption><b>{title}</b></figcaption><p class="none">{says}</p></figure>'


def named(names: Sequence[str], count: int = 4) -> str:
    """A list of names as HTML: the first of them, and how many more; the whole of it is in the title."""
    first = ", ".join(escape(name) for name in names[:count])
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    whole = ", ".join(names[:500]) + (" …" if len(names) > 500 else "")
    return f'<span title="{escape(whole)}">{first}{more}</span>'
