"""A program under many settings: the grid of verdicts and the table of figures for a terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ipctrace.analysis.comparison.grid import OWN, Cell, programs, sentence, values

from ..ink import Ink, columns, escape, wrap
from ..markup import span

VERSION = 1  # of `to_json`'s form
STYLES = {"deadlock": "danger", "crashed": "danger", "stalled": "held", "completed": "good", "interrupted": "dim"}
_WIDTH = 80
_GAP = "  "


def word(cell: Cell | None) -> str:
    """A cell in a word or two: DEADLOCK, ok 1.27 s, exit 1, - (not run), failed."""
    if cell is None:
        return "-"
    if not cell.outcomes:
        return "failed" if cell.problem else "-"
    if len({one.verdict for one in cell.outcomes}) > 1:
        hung = sum(one.verdict == "deadlock" for one in cell.outcomes)
        return f"DEADLOCK {hung}/{len(cell.outcomes)}" if hung else f"{cell.verdict} {cell.agreed}/{len(cell.outcomes)}"
    time = span(cell.typical("duration"))
    return {
        "deadlock": "DEADLOCK", "completed": f"ok {time}", "interrupted": f"ran {time}", "stalled": "stalled",
        "crashed": "crashed",
    }[str(cell.verdict)]  # fmt: skip


def style(cell: Cell | None) -> str:
    if cell is None or not cell.outcomes:
        return "dim"
    return "danger" if cell.hangs and cell.verdict != "stalled" else STYLES[str(cell.verdict)]


def row_name(cell: Cell, cells: Sequence[Cell]) -> str:
    """What a row of the grid is: the interpreter, and those other axes but buffering on which there are several."""
    parts = [cell.combination.python or cell.combination.program]
    if len(values(cells, "start_method")) > 1:
        parts.append(cell.combination.start_method)
    if len(values(cells, "pipe_size")) > 1:
        parts.append("own pipes" if cell.combination.pipe_size == OWN else f"pipes {cell.combination.pipe_size}")
    return " ".join(parts)


def rows(cells: Sequence[Cell]) -> dict[str, dict[str, Cell]]:
    """The grid of one program: row name → buffering → cell."""
    found: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        found.setdefault(row_name(cell, cells), {})[cell.combination.buffering] = cell
    return found


def explained(cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """What stands in the grid, each once: (word, what it means). Numbers of processes are the first run's."""
    found: dict[tuple[str, str], str] = {}
    for cell in cells:
        for one in cell.outcomes:
            if one.verdict != "completed":
                word = "DEADLOCK" if one.verdict == "deadlock" else one.verdict
                rule = one.rule or ""
                found.setdefault((word, rule), f"{rule}, {one.headline}" if rule else one.headline)
        if cell.problem:
            found.setdefault(("failed", cell.problem), cell.problem)
    return [(word, text) for (word, _), text in found.items()]


def lines(cells: Sequence[Cell], ink: Ink | None = None, steps: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """The whole, line by line; `steps` (word, command or path) come last."""
    ink = ink or Ink()
    for own in programs(cells).values():
        yield from wrap(ink.plain(escape(sentence(own))), _WIDTH)
        yield ""
        yield from _grid(own, ink)
        yield ""
        told = explained(own)
        for name, text in told:
            first = f"  {ink.paint(name, 'danger') if name == 'DEADLOCK' else name}{' ' * max(1, 10 - len(name))}"
            yield from wrap(ink.plain(escape(text)), _WIDTH, first, " " * max(12, len(name) + 3))
        if told:
            yield ""
    yield from _figures(cells, ink)
    if steps:
        yield ""
    for name, what in steps:
        yield f"  {name:<9} {ink.plain(escape(what))}"


def _grid(cells: Sequence[Cell], ink: Ink) -> Iterator[str]:
    heads, found = values(cells, "buffering"), rows(cells)
    left = max(columns(name) for name in found)
    texts = {name: {head: word(own.get(head)) for head in heads} for name, own in found.items()}
    widths = {head: max(len(head), *(len(own[head]) for own in texts.values())) for head in heads}
    yield (_GAP + " " * left + _GAP + _GAP.join(head.ljust(widths[head]) for head in heads)).rstrip()
    for name, own in found.items():
        parts = []
        for head in heads:
            text = texts[name][head]
            parts.append(ink.paint(text, style(own.get(head))) + " " * (widths[head] - len(text)))
        yield (_GAP + ink.plain(name).ljust(left) + _GAP + _GAP.join(parts)).rstrip()


HEADS = ("setting", "verdict", "time", "blocked", "merged", "findings")
NUMBERS = (2, 3, 4)  # of these columns


def _figures(cells: Sequence[Cell], ink: Ink) -> Iterator[str]:
    """A line a setting, those of one program beneath its name."""
    rows = [figures(cell, with_program=False) for cell in cells]
    widths = [max(columns(row[place]) for row in (HEADS, *rows)) for place in range(len(HEADS))]
    yield from _row(HEADS, widths, ink)
    several, last = len(programs(cells)) > 1, ""
    for cell, row in zip(cells, rows, strict=True):
        if several and cell.combination.program != last:
            last = cell.combination.program
            yield _GAP + ink.plain(escape(last))
        yield from _row(row, widths, ink, style(cell))


def _row(row: Sequence[str], widths: Sequence[int], ink: Ink, verdict: str = "") -> Iterator[str]:
    parts = []
    for place, text in enumerate(row):
        gap, shown = " " * (widths[place] - columns(text)), ink.plain(escape(text))
        shown = ink.paint(shown, verdict) if place == 1 and verdict else shown
        parts.append(gap + shown if place in NUMBERS else shown + gap)
    yield (_GAP + _GAP.join(parts)).rstrip()


def figures(cell: Cell, with_program: bool = True) -> tuple[str, ...]:
    """Setting, verdict, time, share of blocked time, merged messages, findings."""
    name = cell.combination.label(() if with_program else ("program",))
    if not cell.outcomes:
        return (name, word(cell), "-", "-", "-", "-")
    if cell.verdict == "deadlock" or len({one.verdict for one in cell.outcomes}) > 1:
        verdict = word(cell)
    else:
        verdict = str(cell.verdict)
    rules = dict.fromkeys(rule for one in cell.outcomes for rule in one.findings)
    many = f" +{len(rules) - 2}" if len(rules) > 2 else ""
    return (
        name, verdict, span(cell.typical("duration")), f"{cell.typical('blocked'):.0%}",
        f"{cell.typical('merged'):.0f}", " ".join([*rules][:2]) + many or "none",
    )  # fmt: skip


def to_json(cells: Sequence[Cell]) -> dict[str, Any]:
    """The grid as plain data: `version`, `programs` (name → sentence), `cells` (a combination's axes, its `runs` with
    verdict, rule, headline, seconds, blocked (0 to 1), merged, findings, status; and its problem, if any)."""
    return {
        "version": VERSION,
        "programs": {name: sentence(own) for name, own in programs(cells).items()},
        "cells": [
            cell.combination._asdict() | {
                "verdict": cell.verdict, "problem": cell.problem or None,
                "runs": [
                    {"verdict": one.verdict, "rule": one.rule, "headline": one.headline, "seconds": one.duration / 1e9,
                     "blocked": one.blocked, "merged": one.merged, "findings": list(one.findings), "status": one.status}
                    for one in cell.outcomes
                ],
            }
            for cell in cells
        ],
    }  # fmt: skip
