"""The reduction of wait-for graphs, and their cores, against the definitions, on graphs of all shapes."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from ipctrace.analysis.waiting import Reduction, Row, Waits, _bottom, reduce

agents = st.integers(0, 8)
sets = st.lists(st.frozensets(agents, max_size=5), min_size=1, max_size=5)


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, Waits]:
    """AND-OR graphs whose agents share some of their sets; some wait for agents that aren't among them."""
    known = draw(sets)
    needs = st.none() | st.lists(st.sampled_from(known), max_size=3).map(tuple)
    return draw(st.dictionaries(agents, needs, max_size=8))


def naive(waits: dict[int, Waits]) -> set[int]:
    """Holt's reduction as it is defined: again and again whoever has each need within reach of a live agent is live."""
    dead = {index for index, needs in waits.items() if needs is not None}
    while freed := {index for index in dead if not any(able <= dead for able in waits[index] or ())}:
        dead -= freed
    return dead


@given(graphs())
def test_the_reduction_is_the_fixpoint(waits: dict[int, Waits]) -> None:
    assert reduce(waits) == naive(waits)


@given(graphs())
def test_that_an_agent_counts_itself_changes_nothing(waits: dict[int, Waits]) -> None:
    themselves = {index: needs and tuple(able | {index} if able else able for able in needs)
                  for index, needs in waits.items()}  # fmt: skip
    without = {index: needs and tuple(able - {index} for able in needs) for index, needs in waits.items()}
    if all(able != {index} for index, needs in waits.items() for able in needs or ()):
        assert reduce(themselves) == reduce(without) == naive(waits)


@given(graphs(), st.sets(agents, max_size=3))
@example({0: (frozenset({0}),), 1: (frozenset({0}), frozenset({2}))}, {0})  # 2 isn't among them, so it is live
def test_a_repair_comes_to_what_the_reduction_without_those_waits_does(
    waits: dict[int, Waits], freed: set[int]
) -> None:
    freed &= waits.keys()
    reduction = Reduction(waits)
    assert reduction.untied(freed) & waits.keys() == waits.keys() - naive(waits | dict.fromkeys(freed, None))


@given(st.dictionaries(agents, st.frozensets(agents, max_size=5), min_size=1, max_size=9), st.booleans())
def test_the_core_is_what_one_comes_back_to_from_wherever_it_leads(
    onward: dict[int, frozenset[int]], themselves: bool
) -> None:
    arcs: dict[int, tuple[int, ...]] = {one: tuple(sorted(some & onward.keys())) for one, some in onward.items()}
    reach = {one: {one} for one in arcs}
    for _ in arcs:
        reach = {one: found.union(*(arcs[each] for each in found)) for one, found in reach.items()}
    core = tuple(one for one in arcs if all(one in reach[each] for each in reach[one]))
    rows = {one: Row(row, one) if themselves and one in row and len(row) > 1 else row for one, row in arcs.items()}
    assert _bottom(dict(rows)) == core


@given(st.lists(agents, min_size=2, unique=True).map(sorted), st.data())
def test_a_row_is_a_sequence_without_one(everyone: list[int], data: st.DataObject) -> None:
    without = data.draw(st.sampled_from(everyone))
    row, expected = Row(tuple(everyone), without), [each for each in everyone if each != without]
    assert list(row) == expected and len(row) == len(expected) and [row[k] for k in range(len(row))] == expected
    assert all((each in row) == (each in expected) for each in range(-1, 10))
    assert row[1:4] == tuple(expected[1:4]) and row[-1] == expected[-1]
