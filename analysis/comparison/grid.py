"""A program under many settings: what became of each run, and which setting decides whether it hangs.

A `Combination` is one value of each axis; a `Cell` is what its runs came to. The axis that decides is looked for as one
would with pencil and paper: each of its values hangs always or never, whatever the other axes say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np

from ..results import Analysis, VerdictName

OWN = "default"  # the value of an axis on which nothing was asked for
HANGS = ("deadlock", "stalled")


class Combination(NamedTuple):
    """One value of each axis, as words."""

    program: str
    python: str = ""  # "" for a program that no interpreter of ours runs
    buffering: str = OWN
    start_method: str = OWN
    pipe_size: str = OWN

    def label(self, without: Sequence[str] = ()) -> str:
        """`deadlock.py, CPython 3.13, tty`: what was asked for, but for the axes that are left out."""
        told = [
            value if axis != "pipe_size" else f"pipes of {value}"
            for axis, value in zip(self._fields, self, strict=True)
            if axis not in without and value and (value != OWN or axis == "buffering")
        ]
        return ", ".join(told)


# Axis → how its values are told of: "hangs with {…}".
AXES: dict[str, str] = {
    "buffering": "buffering {}", "python": "{}", "start_method": "start method {}", "pipe_size": "pipes of {}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run came to.

    `duration` is ns; `blocked` the share of its threads' lifetimes in which they waited for others, sleeps left out
    (0 to 1); `merged` counts messages that were read together with others; `findings` are rules, most important first.
    """

    verdict: VerdictName
    rule: str | None
    headline: str
    duration: int
    blocked: float
    merged: int
    findings: tuple[str, ...]
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A combination with the outcomes of its repeats; `problem`: why there are none, or fewer than asked for."""

    combination: Combination
    outcomes: tuple[Outcome, ...] = ()
    problem: str = ""

    @property
    def verdict(self) -> VerdictName | None:
        """What most of its runs came to; None where there was none."""
        return Counter(one.verdict for one in self.outcomes).most_common(1)[0][0] if self.outcomes else None

    @property
    def agreed(self) -> int:
        """How many of its runs came to that."""
        return sum(one.verdict == self.verdict for one in self.outcomes)

    @property
    def hangs(self) -> bool:
        """Whether any of its runs hung."""
        return any(one.verdict in HANGS for one in self.outcomes)

    def typical(self, measure: str) -> float:
        """The median of a measure over its runs."""
        return float(median(getattr(one, measure) for one in self.outcomes))


def outcome(analysis: Analysis) -> Outcome:
    """What one run came to, of its analysis."""
    facts, waits = analysis.trace.facts, analysis.blocking
    blocked = float((waits.end - waits.begin)[waits.reason != "sleep"].sum()) if len(waits) else 0.0
    lifetime = float(analysis.busy.lifetime.sum()) if len(analysis.busy) else 0.0
    merged = int(np.count_nonzero(analysis.messages.merged)) if len(analysis.messages) else 0
    return Outcome(
        analysis.verdict.name, analysis.verdict.rule, analysis.verdict.headline, int(facts.get("duration") or 0),
        blocked / lifetime if lifetime else 0.0, merged, tuple(dict.fromkeys(one.rule for one in analysis.findings)),
        facts.get("status"),
    )  # fmt: skip


def programs(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells of each program, in their order."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.combination.program, []).append(cell)
    return found


def values(cells: Sequence[Cell], axis: str) -> list[str]:
    """The values that an axis has among cells, in their order."""
    return list(dict.fromkeys(getattr(cell.combination, axis) for cell in cells))


def deciding(cells: Sequence[Cell]) -> tuple[str, list[str], list[str]] | None:
    """The axis that decides whether one program hangs, with the values under which it does and doesn't; None if there
    is none, or nothing to decide."""
    ran = [cell for cell in cells if cell.outcomes]
    for axis in AXES:
        hanging, fine = [], []
        for value in values(ran, axis):
            hung = {cell.hangs for cell in ran if getattr(cell.combination, axis) == value}
            if hung == {True}:
                hanging.append(value)
            elif hung == {False}:
                fine.append(value)
        if hanging and fine and len(hanging) + len(fine) == len(values(ran, axis)):
            return axis, hanging, fine
    return None


def sentence(cells: Sequence[Cell]) -> str:
    """Where one program hangs, in a sentence."""
    program = cells[0].combination.program
    ran = [cell for cell in cells if cell.outcomes]
    hung = [cell for cell in ran if cell.hangs]
    many = f"{len(ran)} settings" if len(ran) != 1 else "one setting"
    if not ran:
        return f"{program} could not be recorded"
    if not hung:
        return f"{program} hangs in none of {many}" if len(ran) != 1 else f"{program} does not hang in {many}"
    if len(hung) == len(ran):
        return f"{program} hangs in each of {many}" if len(ran) != 1 else f"{program} hangs in {many}"
    decided = deciding(cells)
    if decided is None:
        return f"{program} hangs in {len(hung)} of {many}"
    axis, hanging, fine = decided
    words = AXES[axis]
    everywhere = ", on every interpreter" if axis != "python" and len(values(ran, "python")) > 1 else ""
    return f"{program} hangs with {words.format(_listed(hanging, 'and'))}{everywhere}; not with {_listed(fine, 'or')}"


def _listed(names: Sequence[str], last: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
