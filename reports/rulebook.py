"""The catalogue of rules for a terminal: the list, and one rule explained."""

from __future__ import annotations

from collections.abc import Iterator

from ..analysis.catalogue import CATALOGUE, Rule
from .ink import Ink, wrap

_HUNDREDS = {
    "1": "The program can't go on",
    "2": "Data is at risk",
    "3": "Something is left behind",
    "4": "Time is wasted",
}
_STYLES = {"error": "danger", "warning": "held", "info": "dim"}
WIDTH = 80


def listing(ink: Ink) -> Iterator[str]:
    """Every rule in a line or two, by hundreds."""
    width = min(ink.width, WIDTH)
    for digit, heading in _HUNDREDS.items():
        yield ink.paint(f"IPC{digit}xx  {heading}", "strong")
        for rule in CATALOGUE.values():
            if rule.code[3] == digit:
                yield from wrap(ink.plain(rule.summary), width, f"  {rule.code} {rule.name:<21} ", " " * 31)
        yield ""
    yield "ipctrace rules CODE explains one."


def explanation(rule: Rule, ink: Ink) -> Iterator[str]:
    """One rule: what is so, a program that shows it, what shows it, what to change, which rules are near."""
    width = min(ink.width, WIDTH)
    title = f"{rule.code} {rule.name}"
    yield title + " " * (width - len(title) - len(rule.severity)) + ink.paint(rule.severity, _STYLES[rule.severity])
    yield ""
    yield from wrap(ink.plain(f"{rule.summary} {rule.explanation}"), width)
    yield ""
    if rule.example:
        yield from (f"    {ink.plain(line)}".rstrip() for line in rule.example.splitlines())
        yield ""
    near = ", ".join(f"{code} {CATALOGUE[code].name}" for code in rule.see_also)
    for word, text in (("Shown by", rule.shown_by), ("Remedy", rule.remedy), ("See also", near)):
        if text:
            yield from wrap(ink.plain(text), width, f"{word:<12}")
