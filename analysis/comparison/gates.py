"""What a comparison may fail on, for use in a build: each a sentence for every setting that differs from the first."""

from __future__ import annotations

from ..results import VerdictName
from .noise import corrected, rank_test, repeats_needed
from .numbers import HANGS, spread, told
from .results import Comparison


def verdicts(comparison: Comparison) -> list[str]:
    """Settings that end otherwise than the first; where repeats end otherwise, in other shares."""
    first = comparison.settings[0]
    return [
        f"the verdict is {_outcome(other.verdicts)} in {other.label}, {_outcome(first.verdicts)} in {first.label}"
        for other in comparison.settings[1:]
        if set(other.verdicts) != set(first.verdicts)
    ]


def _outcome(counts: dict[VerdictName, int]) -> str:
    return " or ".join(counts)


def findings(comparison: Comparison) -> list[str]:
    """Findings that the first setting has in no run; what comes with timing is left out."""
    first, *others = comparison.columns
    return [
        f"{row['rule']} {row['name']} came in {label}: {row['message']}"
        for row in comparison.findings.to_dict("records")
        for label in others
        if row[label] and not row[first] and not row["chance"]
    ]


def slowdowns(comparison: Comparison, bound: float) -> list[str]:
    """Settings that take longer than `bound` times the first, and that is no noise: the rank test of their durations
    against so many times those of the first, one-sided, at the comparison's level for all settings together."""
    durations = _durations(comparison)
    first = durations.get(0, [])
    others = [place for place in durations if place]
    chances = corrected([rank_test([bound * value for value in first], durations[place], True) for place in others])
    return [
        f"{comparison.settings[place].label} takes {told(spread(durations[place]).median, 'duration')}, over {bound:g} "
        f"times the {told(spread(first).median, 'duration')} of {comparison.settings[0].label}"
        for place, chance in zip(others, chances, strict=True)
        if chance <= comparison.level
    ]


def repeats_missing(comparison: Comparison) -> int:
    """How many runs of each setting it takes to judge a slowdown; 0: there are enough. Settings that hang don't count:
    how long they took says nothing."""
    durations = _durations(comparison)
    if 0 not in durations or len(durations) < 2:
        return 0
    needed = repeats_needed(len(durations) - 1, comparison.level, one_sided=True)
    return needed if min(map(len, durations.values())) < needed else 0


def _durations(comparison: Comparison) -> dict[int, list[float]]:
    numbers = comparison.numbers
    return {
        place: numbers.loc[numbers["setting"] == place, "duration"].tolist()
        for place, setting in enumerate(comparison.settings)
        if setting.verdict not in HANGS
    }
