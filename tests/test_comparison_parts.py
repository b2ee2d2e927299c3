"""The parts of a comparison that know of no runs: aligning sequences, masking payloads, rank tests."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipctrace.analysis.comparison import noise
from ipctrace.analysis.comparison.masks import is_text, masked
from ipctrace.analysis.comparison.noise import corrected, rank_test, repeats_needed
from ipctrace.analysis.comparison.sequences import SAME, align

words = st.lists(st.sampled_from("abcd"), max_size=12)
times = st.lists(st.integers(1, 20).map(float), min_size=1, max_size=6)


def longest_common(first: list[str], second: list[str]) -> int:
    """The length of the longest common subsequence, by the textbook."""
    best = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for a, one in enumerate(first):
        for b, other in enumerate(second):
            best[a + 1][b + 1] = best[a][b] + 1 if one == other else max(best[a][b + 1], best[a + 1][b])
    return best[-1][-1]


@given(words, words)
def test_every_item_is_told_once_and_in_order(first: list[str], second: list[str]) -> None:
    pairs = align(first, second)
    assert [a for a, _ in pairs if a is not None] == list(range(len(first)))
    assert [b for _, b in pairs if b is not None] == list(range(len(second)))
    assert all(pair != (None, None) for pair in pairs)


@given(words, words)
def test_as_many_equal_items_are_paired_as_can_be(first: list[str], second: list[str]) -> None:
    paired = [(first[a], second[b]) for a, b in align(first, second) if a is not None and b is not None]
    assert all(one == other for one, other in paired)
    assert len(paired) == longest_common(first, second)


@given(words, words)
def test_which_is_first_makes_no_difference_to_how_much_is_alike(first: list[str], second: list[str]) -> None:
    one, other = align(first, second), align(second, first)
    assert sum(None not in pair for pair in one) == sum(None not in pair for pair in other)


@given(words)
def test_a_sequence_is_like_itself(items: list[str]) -> None:
    assert align(items, items) == [(k, k) for k in range(len(items))]


def test_similar_items_are_paired_where_nothing_equal_is_lost_by_it() -> None:
    like = lambda one, other: 3 if one[0] == other[0] else 0  # noqa: E731
    assert align(["a1", "b"], ["a2", "b"], like) == [(0, 0), (1, 1)]
    assert align(["a1", "a2"], ["a2"], like) == [(0, None), (1, 0)]


def test_what_weighs_less_is_what_moved() -> None:
    worth = lambda item: 7 if item == "flush" else SAME  # noqa: E731
    pairs = align(["flush", "print"], ["print", "flush"], None, worth)
    assert pairs == [(0, None), (1, 0), (None, 1)]


def test_long_sequences_are_aligned_by_place() -> None:
    first = ["x", *[str(k) for k in range(3000)], "end"]
    second = ["y", *[str(k) for k in range(3000)], "end"]
    pairs = align(first, second)
    assert pairs[-1] == (3001, 3001)
    assert sum(None not in pair for pair in pairs) == 3001


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"Child 471 at 17.25", b"Child 99 at 18.5"),
        (b"<object at 0x7f01ab>", b"<object at 0x7fcc00>"),
        (b"/tmp/tmpab_c12de/x", b"/tmp/tmpzz9y8x7w/x"),
        (b"id 4f3a9c2e-1b2c-4d5e-8f90-abcdef012345", b"id 00000000-ffff-4d5e-8f90-abcdefabc999"),
        (b"took 1.5e-05", b"took 2"),
    ],
)
def test_what_varies_is_masked(one: bytes, other: bytes) -> None:
    assert masked(one) == masked(other)


def test_words_are_not_masked() -> None:
    assert masked(b"deadbeef facade bad") == b"deadbeef facade bad"
    assert masked(b"Spam") != masked(b"Eggs")


def test_the_own_pids_are_told_from_other_numbers() -> None:
    assert masked(b"47110 says 47110", [47110]) == b"#pid says #pid" != masked(b"5 says 6", [47110])


@given(st.text())
def test_text_is_text_wherever_its_payload_was_cut(text: str) -> None:
    data = text.replace("\0", "").encode("utf-8", "ignore")
    assert is_text(data)


def test_a_pickle_is_no_text() -> None:
    assert not is_text(b"\x80\x04\x95\x0c\x00\x00\x00\x00")


def by_counting(first: list[float], second: list[float], greater: bool = False) -> float:
    """The rank test by trying every way to divide the values: the definition."""
    values = [*first, *second]
    ordered = sorted(values)
    ranks = [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]
    middle = sum(ranks) * len(second) / len(values)
    own = sum(ranks[len(first) :])
    sums = [sum(ranks[k] for k in chosen) for chosen in combinations(range(len(values)), len(second))]
    return sum(one >= own if greater else abs(one - middle) >= abs(own - middle) for one in sums) / len(sums)


@given(times, times, st.booleans())
def test_the_rank_test_counts_all_orders(first: list[float], second: list[float], greater: bool) -> None:
    assert rank_test(first, second, greater) == pytest.approx(by_counting(first, second, greater))


@pytest.mark.parametrize("shift", [0.5, 3.5])
def test_of_many_runs_the_distribution_is_as_good_as_normal(shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = [float(k) for k in range(30)], [k + shift for k in range(30)]
    exact = rank_test(first, second), rank_test(first, second, True)
    monkeypatch.setattr(noise, "EXACT", 0)
    assert (rank_test(first, second), rank_test(first, second, True)) == pytest.approx(exact, rel=0.05)
    assert rank_test([1.0] * 40, [1.0] * 40) == 1


def test_repeats_of_one_value_tell_nothing() -> None:
    assert rank_test([5, 5, 5], [5, 5, 5]) == 1 == rank_test([], [1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_corrected_probabilities_are_larger_and_in_the_same_order(chances: list[float]) -> None:
    made = corrected(chances)
    assert all(one <= other <= 1 for one, other in zip(chances, made, strict=True))
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    assert [made[place] for place in order] == sorted(made)
    assert min(made) == pytest.approx(min(1, min(chances) * len(chances)))


def test_how_many_repeats_it_takes_is_the_fewest_that_can_tell() -> None:
    for tests, level in ((1, 0.05), (1, 0.01), (5, 0.01), (30, 0.01)):
        needed = repeats_needed(tests, level)
        assert 2 / comb(2 * needed, needed) * tests <= level < 2 / comb(2 * needed - 2, needed - 1) * tests
