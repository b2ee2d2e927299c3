"""Whether a difference in time stands out from the noise: rank tests, exact for few runs, with no claim too many.

Two settings' measures are compared by the rank sum of Mann and Whitney (1947), two-sided, its distribution counted out
(ties share their ranks, so that it is exact for these values), which asks nothing of how the noise is distributed but
that the runs could have come in any order. Of all tests of a comparison together the probability of one false claim is
below its level (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, erfc, sqrt

EXACT = 60  # runs in all, up to which the distribution is counted out
MATTERS = 0.02  # a smaller part of the median is no difference worth a sentence, however sure


def rank_test(first: Sequence[float], second: Sequence[float], greater: bool = False) -> float:
    """The probability that two samples of one distribution have rank sums as unequal as these (with `greater`: that
    the second's is as much above the first's). 1 where one is empty."""
    if not first or not second:
        return 1.0
    ranks = _doubled_ranks([*first, *second])
    own, total = sum(ranks[len(first) :]), len(ranks)
    middle = len(second) * (total + 1)  # of the doubled rank sum
    if total <= EXACT:
        ways = _ways(ranks, len(second))
        extreme = sum(
            many for rank_sum, many in ways.items()
            if (rank_sum >= own if greater else abs(rank_sum - middle) >= abs(own - middle))
        )  # fmt: skip
        return extreme / comb(total, len(second))
    ties = sum(ranks.count(rank) ** 3 - ranks.count(rank) for rank in set(ranks))
    variance = len(first) * len(second) / 12 * (total + 1 - ties / (total * (total - 1)))
    off = (own - middle) / 2
    if variance <= 0:
        return 1.0
    z = ((off if greater else abs(off)) - 0.5) / sqrt(variance)
    return min(1.0, erfc(z / sqrt(2)) / (2 if greater else 1))


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value, so that the mean of ties is a whole number."""
    ordered = sorted(values)
    return [2 * ordered.index(value) + 1 + ordered.count(value) for value in values]


def _ways(ranks: Sequence[int], chosen: int) -> dict[int, int]:
    """In how many ways so many of the ranks have each sum."""
    counts: list[dict[int, int]] = [{0: 1}] + [{} for _ in range(chosen)]
    for rank in ranks:
        for size in range(chosen, 0, -1):
            into = counts[size]
            for rank_sum, many in counts[size - 1].items():
                into[rank_sum + rank] = into.get(rank_sum + rank, 0) + many
    return counts[chosen]


def corrected(chances: Sequence[float]) -> list[float]:
    """The probabilities of several tests, each made so much larger that a claim where it is below a level is false with
    that probability for all of them together (Holm 1979)."""
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    found, so_far = [1.0] * len(order), 0.0
    for rank, place in enumerate(order):
        so_far = max(so_far, min(1.0, (len(order) - rank) * chances[place]))
        found[place] = so_far
    return found


def repeats_needed(tests: int, level: float, one_sided: bool = False) -> int:
    """How many runs a side it takes that the greatest difference there can be is a claim at this level."""
    count = 2
    while (1 if one_sided else 2) / comb(2 * count, count) > level / max(1, tests):
        count += 1
    return count
