"""A comparison as a notebook shows it: the sentence, the settings, and what each differs in from the first."""

from __future__ import annotations

from collections.abc import Sequence

from ipctrace.analysis.comparison import Comparison

from ..markup import escape
from .words import interpreter, letter, outcome, since

_LEFT = 'style="text-align:left;vertical-align:top"'
MOST = 10  # differences of a pair


def html(comparison: Comparison) -> str:
    """The comparison in HTML without script."""
    settings = _table(("", "Setting", "Interpreter", "Verdict", "Time"), [
        (letter(place), one.label, interpreter(comparison, place), outcome(comparison, place), since(comparison, place))
        for place, one in enumerate(comparison.settings)
    ])  # fmt: skip
    pairs = "".join(
        f"<p><b>{letter(pair.first)} and {letter(pair.second)}:</b> {escape(pair.headline)}</p>"
        + _table(("Who", "Where", letter(pair.first), letter(pair.second)), [
            (one.who, one.first.place or one.second.place, one.first.words, one.second.words)
            for one in pair.differences if not one.chance
        ][:MOST])
        for pair in comparison.pairs if pair.first == 0
    )  # fmt: skip
    return f"<div><p><b>{escape(comparison.headline)}</b></p><p>{escape(comparison.because)}</p>{settings}{pairs}</div>"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th {_LEFT}>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td {_LEFT}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
