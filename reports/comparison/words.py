"""How settings, verdicts and measures are called, on the page and in the terminal alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ipctrace.analysis.comparison import Comparison, Difference
from ipctrace.analysis.comparison.numbers import MEASURES, spread, told
from ipctrace.analysis.comparison.results import Spread
from ipctrace.analysis.naming import letters

# Measures that tables show whatever they are; the others where they differ between settings or matter (not 0).
ALWAYS = ("messages", "bytes", "calls", "calls_per_message", "bytes_per_call", "flushes", "implicit", "held")
KINDS = {
    "verdict": "ends otherwise", "finding": "finding", "calls": "does otherwise", "flow": "bytes stay or go on",
    "messages": "messages", "boundaries": "merged or split", "order": "order",
}  # fmt: skip


def letter(place: int) -> str:
    """A setting's letter: A, B, …"""
    return letters(place)


def interpreter(comparison: Comparison, place: int) -> str:
    """`CPython 3.11.7`: what the shown run's first traced process ran under; "" where none was traced."""
    table = comparison.runs[comparison.settings[place].shown].trace.processes["implementation"].dropna()
    return str(table.iloc[0]) if len(table) else ""


def spreads(comparison: Comparison, measure: str) -> list[Spread]:
    """A measure in each setting."""
    numbers = comparison.numbers
    return [
        spread(numbers.loc[numbers["setting"] == place, measure].tolist()) for place in range(len(comparison.settings))
    ]


def spread_in_words(one: Spread, measure: str) -> str:
    """`1.27 s`, or of repeats that differ `1.27 s (1.26 s to 1.31 s)`."""
    middle = told(one.median, measure)
    low, high = told(one.lowest, measure), told(one.highest, measure)
    return middle if low == high else f"{middle} ({low} to {high})"


def shown_measures(comparison: Comparison) -> list[str]:
    """The measures that tables show, in their order: some always, the others where they aren't 0 throughout."""
    numbers = comparison.numbers
    return [name for name in MEASURES if name in ALWAYS or (numbers[name].fillna(0) != 0).any()]


def outcome(comparison: Comparison, place: int) -> str:
    """`deadlock`, or of repeats that end otherwise `deadlock 2 of 3`."""
    setting = comparison.settings[place]
    count = len(setting.runs)
    most = setting.verdicts[setting.verdict]
    return setting.verdict if most == count else f"{setting.verdict} {most} of {count}"


def since(comparison: Comparison, place: int) -> str:
    """How long the run took; of one that hangs since when."""
    setting = comparison.settings[place]
    run = comparison.runs[setting.shown]
    if run.graph is not None and setting.verdict in ("deadlock", "stalled"):
        rule = f"{setting.rule}, " if setting.rule else ""
        return f"{rule}since {told(run.graph.formed, 'duration')}"
    return spread_in_words(spreads(comparison, "duration")[place], "duration")


def numbered(one: Difference) -> str:
    """`the parent, 41 times`."""
    return f"{one.who}, {one.count:,} times" if one.count > 1 else one.who


def grouped(comparison: Comparison, row: Mapping[Any, object]) -> list[tuple[str, str]]:
    """A fact's values, each once, with the letters of the settings that have it: (letters, value)."""
    groups: dict[str, list[str]] = {}
    for place, column in enumerate(comparison.columns):
        value = row[column]
        if isinstance(value, str):
            groups.setdefault(value, []).append(letter(place))
    return [(", ".join(names), value) for value, names in groups.items()]


__all__ = [
    "ALWAYS", "KINDS", "MEASURES", "grouped", "interpreter", "letter", "numbered", "outcome", "shown_measures", "since",
    "spread_in_words", "spreads", "told",
]  # fmt: skip
