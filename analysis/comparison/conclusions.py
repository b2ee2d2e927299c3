"""The comparison in a sentence or two: first how the runs ended, then where they part, then time."""

from __future__ import annotations

from collections.abc import Sequence

from ..naming import listing, plural
from .numbers import time_in_words
from .results import Comparison, Difference, Pair, Setting

ENDS = {
    "completed": ("completes", "complete"),
    "deadlock": ("hangs", "hang"),
    "stalled": ("stands still", "stand still"),
    "crashed": ("crashes", "crash"),
    "interrupted": ("is stopped", "are stopped"),
}


NAMED = 3  # settings that are named in the headline


def of_pair(first: Setting, second: Setting, differences: Sequence[Difference], agreed: int) -> str:
    """`Nothing differs but time.`, `default hangs, -u completes.`, `Both complete, and part at pipes.py:35.`"""
    real = [one for one in differences if not one.chance]
    if first.verdict != second.verdict:
        return f"{first.label} {ENDS[first.verdict][0]}, {second.label} {ENDS[second.verdict][0]}."
    if not real:
        fickle = any(one.kind != "finding" for one in differences)
        chance = ", and what depends on who is faster" if fickle else ""
        return f"Nothing differs but time{chance}."
    place = next((side.place for one in real for side in (one.first, one.second) if side.place), "")
    where = f"at {place}" if place else f"after {plural(agreed, 'step')}"
    return f"Both {ENDS[first.verdict][1]}, and part {where}."


def headline(comparison: Comparison) -> tuple[str, str]:
    """`Comparison.headline` and `because`."""
    if len(comparison.settings) == 2:
        pair = comparison.pairs[0]
        return pair.headline, " ".join(filter(None, [_parting(comparison, pair), time_in_words(pair)]))
    with_first = [one for one in comparison.pairs if one.first == 0]
    alike = [one for one in with_first if not any(not each.chance for each in one.differences)]
    count = len(comparison.settings)
    outcomes: dict[str, list[str]] = {}
    for setting in comparison.settings:
        outcomes.setdefault(setting.verdict, []).append(setting.label)
    if len(outcomes) > 1:
        parts = [
            f"{len(labels)} {ENDS[verdict][len(labels) > 1]}{f' ({listing(labels)})' if len(labels) <= NAMED else ''}"
            for verdict, labels in sorted(outcomes.items(), key=lambda item: item[0] == "completed")
        ]
        said = f"Of {count} settings {listing(parts)}."
    elif len(alike) == len(with_first):
        return f"Nothing differs but time among {count} settings.", _times(with_first)
    else:
        said = (
            f"All {count} settings {ENDS[next(iter(outcomes))][1]}; {len(with_first) - len(alike)} do otherwise than "
        )
        said += f"{comparison.settings[0].label}."
    return said, " ".join(filter(None, [_parting(comparison, comparison.telling), _times(with_first)]))


def _parting(comparison: Comparison, pair: Pair) -> str:
    """Where two settings part, and what decides."""
    first = pair.first_difference
    if first is None:
        return ""
    names = [comparison.settings[place].label for place in (pair.first, pair.second)]
    decisive = next((one for one in pair.differences if one.decides and one is not first), None)
    said = f"The first difference is {told(first, names)}."
    return said + (f" The one that decides is {told(decisive, names)}." if decisive else "")


def told(one: Difference, names: Sequence[str]) -> str:
    """`the parent's at pipes.py:35 (A: calls sys.stdout.flush(); B: goes on here without it)`"""
    whose = f"{one.who}'s" if one.who else "the run's"
    place = one.first.place or one.second.place
    at = f" at {place}" if place else ""
    other = f", {one.second.place}" if one.second.place not in ("", place) else ""
    return f"{whose}{at} ({names[0]}: {one.first.words}; {names[1]}{other}: {one.second.words})"


def _times(pairs: Sequence[Pair]) -> str:
    sure = [time_in_words(one) for one in pairs if any(claim.holds for claim in one.claims)]
    if sure:
        return " ".join(dict.fromkeys(each[:1].upper() + each[1:] + "." for each in sure))
    return next((time_in_words(one) for one in pairs if one.claims), "")
