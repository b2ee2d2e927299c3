"""Runs side by side: aligned by role and message, and what differs between them.

    comparison = compare([one, other], ["default", "-u"])

A role is who started whom, with which program, and which child in order; a channel is known by the line that made it, a
message by its place and content on its channel. Clocks and process ids play no part.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..results import Analysis
from .results import Claim, Comparison, Difference, Pair, Setting, Side, Spread

__all__ = ["Claim", "Comparison", "Difference", "Pair", "Setting", "Side", "Spread", "compare"]

LEVEL = 0.01


def compare(runs: Sequence[Analysis], labels: Sequence[str], level: float = LEVEL) -> Comparison:
    """Compare runs, each under its label; runs of one label are repeats of one setting. The first label is what the
    others are compared with. `level`: how probable any false claim about time may be, in the whole comparison.

    Raises ValueError where there are fewer than two runs, or not a label for each.
    """
    if len(runs) < 2 or len(labels) != len(runs):
        raise ValueError("two runs or more are compared, each with a label")
    settings = _settings(runs, labels)
    empty = pd.DataFrame()
    return Comparison(
        tuple(runs), settings, (), "", "", empty, empty, empty, empty, level=level,
        columns=tuple(one.label for one in settings),
    )  # fmt: skip


def _settings(runs: Sequence[Analysis], labels: Sequence[str]) -> tuple[Setting, ...]:
    """The labels in order of their first run. What most of a setting's runs came to stands for it; the first such run
    is shown."""
    made = []
    for label in dict.fromkeys(labels):
        own = [place for place, one in enumerate(labels) if one == label]
        outcomes = [(runs[place].verdict.name, runs[place].verdict.rule) for place in own]
        most = max(outcomes, key=outcomes.count)
        names = [name for name, _ in outcomes]
        counts = {name: names.count(name) for name in dict.fromkeys(names)}
        made.append(Setting(label, tuple(own), own[outcomes.index(most)], *most, counts))
    return tuple(made)
