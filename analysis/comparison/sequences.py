"""Two sequences laid beside each other: what in the one is what in the other, in order."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

LIKE, SAME = 3, 10  # what a pair of similar, of equal items is worth
CELLS = 4_000_000  # of the table of two sequences that are aligned as a whole
KINDS = 40_000  # pairs of different items that are asked whether they are alike

Pairs = list[tuple[int | None, int | None]]


def align(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    like: Callable[[Hashable, Hashable], int] | None = None,
    worth: Callable[[Hashable], int] | None = None,
) -> Pairs:
    """Which place of `first` is which of `second`: pairs (place, place) in order, None where the other has nothing.

    The pairs are worth as much as can be, without crossing (Needleman and Wunsch 1970): equal items `worth`, by default
    SAME; unequal ones what `like` says, 0 for never. Of sequences that are too long for that, what is between their
    equal beginnings and ends is paired place by place, as far as it is equal.
    """
    start = _common(first, second)
    end = _common(first[start:][::-1], second[start:][::-1])
    middle = first[start : len(first) - end], second[start : len(second) - end]
    inner = _best(*middle, like, worth) if len(middle[0]) * len(middle[1]) <= CELLS else _by_place(*middle)
    shift: Pairs = [(None if a is None else a + start, None if b is None else b + start) for a, b in inner]
    tail = range(end, 0, -1)
    return [*((k, k) for k in range(start)), *shift, *((len(first) - k, len(second) - k) for k in tail)]


def _common(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """How many items they have in common at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))


def _best(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    like: Callable[[Hashable, Hashable], int] | None,
    worth: Callable[[Hashable], int] | None,
) -> Pairs:
    if not first or not second:
        return [*((k, None) for k in range(len(first))), *((None, k) for k in range(len(second)))]
    value = _values(first, second, like, worth)
    best = np.zeros((len(first) + 1, len(second) + 1), dtype="int32")
    for row in range(len(first)):  # a gap costs nothing: the best up to each column is a running maximum
        above = best[row]
        best[row + 1, 1:] = np.maximum(above[1:], above[:-1] + value[row])
        np.maximum.accumulate(best[row + 1], out=best[row + 1])
    pairs: Pairs = []
    a, b = len(first), len(second)
    while a and b:
        gain = value[a - 1, b - 1]
        if gain and best[a, b] == best[a - 1, b - 1] + gain:
            a, b = a - 1, b - 1
            pairs.append((a, b))
        elif best[a, b] == best[a, b - 1]:
            b -= 1
            pairs.append((None, b))
        else:
            a -= 1
            pairs.append((a, None))
    pairs += [(None, k) for k in range(b - 1, -1, -1)]
    pairs += [(k, None) for k in range(a - 1, -1, -1)]
    return pairs[::-1]


def _values(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    like: Callable[[Hashable, Hashable], int] | None,
    worth: Callable[[Hashable], int] | None,
) -> npt.NDArray[np.int32]:
    """What each pair is worth."""
    ones, others = list(dict.fromkeys(first)), list(dict.fromkeys(second))
    few = like is not None and len(ones) * len(others) <= KINDS
    table = np.zeros((len(ones), len(others)), dtype="int32")
    place = {key: column for column, key in enumerate(others)}
    for row, one in enumerate(ones):
        if few and like is not None:
            table[row] = [like(one, other) for other in others]
        if (column := place.get(one)) is not None:
            table[row, column] = SAME if worth is None else worth(one)
    rows = {key: row for row, key in enumerate(ones)}
    return table[np.ix_([rows[key] for key in first], [place[key] for key in second])]


def _by_place(first: Sequence[Hashable], second: Sequence[Hashable]) -> Pairs:
    pairs: Pairs = []
    for place in range(max(len(first), len(second))):
        a, b = (place if place < len(each) else None for each in (first, second))
        if a is not None and b is not None and first[a] == second[b]:
            pairs.append((a, b))
        else:
            pairs += [(a, None)] if a is not None else []
            pairs += [(None, b)] if b is not None else []
    return pairs


def alike(one: str, other: str, least: float = 0.5) -> bool:
    """Whether two texts are mostly the same."""
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least and matcher.ratio() >= least
