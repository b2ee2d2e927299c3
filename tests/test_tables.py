"""The tables of `ipctrace show`: every column has a heading and every cell a word, fitted to the terminal."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Analysis
from ipctrace.reports.ink import Ink, columns
from ipctrace.reports.tables import VIEWS, fit, size, table
from ipctrace.tracer.schema import frame

from tests import builders


@pytest.fixture(scope="module")
def deadlock() -> Analysis:
    trace = builders.deadlock_trace()
    seen = {"time": [5], "process": [0], "tid": [1], "state": ["S"]}
    given = {"process": [0], "time": [5], "name": ["LANG"], "value": ["C"]}
    trace.tables |= {"samples": frame("samples", seen), "environment": frame("environment", given)}
    analysis = analyze(trace)
    analysis.races = builders.race(analysis)
    return analysis


each_view = pytest.mark.parametrize("name", VIEWS)


@each_view
def test_a_line_for_the_headings_and_one_a_row(name: str, deadlock: Analysis) -> None:
    lines = list(table(deadlock, name, Ink(), rows=None))
    assert len(lines) == size(deadlock, name) + 1
    assert size(deadlock, name) > 0


@each_view
def test_no_cell_is_empty(name: str, deadlock: Analysis) -> None:
    view = VIEWS[name]
    for row in view.rows(deadlock).to_dict("records"):
        for column in view.columns:
            assert column.cell(deadlock, {str(key): value for key, value in row.items()}), column.heading


@each_view
def test_it_fits_the_terminal_and_only_there_is_anything_cut(name: str, deadlock: Analysis) -> None:
    fitted = list(table(deadlock, name, Ink(width=120), rows=None))
    assert max(map(columns, fitted)) <= 120
    whole = "\n".join(table(deadlock, name, Ink(width=20), rows=None, fitted=False))
    assert "…" not in whole


def test_at_most_so_many_rows(deadlock: Analysis) -> None:
    assert len(list(table(deadlock, "events", Ink(), rows=5))) == 6


def test_a_message_that_never_left_says_so(deadlock: Analysis) -> None:
    lines = list(table(deadlock, "messages", Ink(), fitted=False))
    assert "never" in lines[-1]
    assert r"Hello 2 from parent 47110\n" in lines[-1]


def test_a_wait_that_never_ended_says_so(deadlock: Analysis) -> None:
    text = "\n".join(table(deadlock, "blocking", Ink(), fitted=False))
    assert text.count("never ended") == 2
    assert "waits for data" in text


def test_the_widest_text_gives_way_first_and_numbers_never() -> None:
    assert fit([40, 30, 10], [False, False, True], 60) == [23, 23, 10]
    assert fit([40, 30, 10], [True, False, True], 60) == [40, 8, 10]
    assert fit([5, 5], [False, False], 80) == [5, 5]
