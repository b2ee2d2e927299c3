"""The grid: which setting decides, the words for it, and how it looks."""

from __future__ import annotations

import json
import re
from itertools import product

import pytest
from ipctrace.analysis.comparison.grid import Cell, Combination, Outcome, deciding, sentence
from ipctrace.reports.comparison import heat, matrix

OK = Outcome("completed", None, "It completed.", 1_270_000_000, 0.25, 2, ("IPC403",), 0)
HUNG = Outcome("deadlock", "IPC101", "26 bytes are stuck.", 900_000_000, 0.9, 0, ("IPC101", "IPC403", "IPC404"))
PYTHONS, MODES = ("CPython 3.13", "PyPy 3.9"), ("default", "line", "tty")


def cells(hangs: set[str], *, outcomes: int = 1, **more: str) -> list[Cell]:
    """A program under two interpreters and three modes, of which these hang."""
    return [
        Cell(Combination("talk.py", python, mode, **more), (HUNG if mode in hangs else OK,) * outcomes)
        for python, mode in product(PYTHONS, MODES)
    ]


def test_the_mode_that_decides_is_named() -> None:
    assert deciding(cells({"default"})) == ("buffering", ["default"], ["line", "tty"])
    assert sentence(cells({"default"})) == (
        "talk.py hangs with buffering default, on every interpreter; not with line or tty"
    )


def test_so_is_an_interpreter() -> None:
    grid = [Cell(cell.combination, (HUNG if "PyPy" in cell.combination.python else OK,)) for cell in cells(set())]
    assert sentence(grid) == "talk.py hangs with PyPy 3.9; not with CPython 3.13"


def test_where_no_single_setting_decides_they_are_counted() -> None:
    grid = cells({"default"})
    grid[-1] = Cell(grid[-1].combination, (HUNG,))
    assert deciding(grid) is None
    assert sentence(grid) == "talk.py hangs in 3 of 6 settings"


@pytest.mark.parametrize(
    ("hangs", "said"), [(set(), "hangs in none of 6 settings"), (set(MODES), "hangs in each of 6 settings")]
)
def test_all_and_none(hangs: set[str], said: str) -> None:
    assert sentence(cells(hangs)) == f"talk.py {said}"


def test_what_could_not_be_recorded_decides_nothing() -> None:
    grid = cells({"default"})
    grid[1] = Cell(grid[1].combination, (), "the recorder did not come to an end")
    assert sentence(grid).startswith("talk.py hangs with buffering default")
    assert sentence([Cell(grid[1].combination, (), "broken")]) == "talk.py could not be recorded"


def test_the_table_for_a_terminal() -> None:
    text = "\n".join(matrix.lines(cells({"default"}), steps=[("look", "talk.matrix.html")]))
    assert (
        text
        == """\
talk.py hangs with buffering default, on every interpreter; not with line or tty

                default   line       tty
  CPython 3.13  DEADLOCK  ok 1.27 s  ok 1.27 s
  PyPy 3.9      DEADLOCK  ok 1.27 s  ok 1.27 s

  DEADLOCK  IPC101, 26 bytes are stuck.

  setting                verdict      time  blocked  merged  findings
  CPython 3.13, default  DEADLOCK   900 ms      90%       0  IPC101 IPC403 +1
  CPython 3.13, line     completed  1.27 s      25%       2  IPC403
  CPython 3.13, tty      completed  1.27 s      25%       2  IPC403
  PyPy 3.9, default      DEADLOCK   900 ms      90%       0  IPC101 IPC403 +1
  PyPy 3.9, line         completed  1.27 s      25%       2  IPC403
  PyPy 3.9, tty          completed  1.27 s      25%       2  IPC403

  look      talk.matrix.html"""
    )


def test_repeats_that_disagree_are_counted_and_failures_named() -> None:
    first = cells(set())[0].combination
    assert matrix.word(Cell(first, (OK, HUNG, HUNG))) == "DEADLOCK 2/3"
    assert matrix.word(Cell(first, (OK, OK))) == "ok 1.27 s"
    assert matrix.word(Cell(first, (), "no disk")) == "failed"
    assert matrix.explained([Cell(first, (), "no disk")]) == [("failed", "no disk")]
    assert matrix.word(None) == "-"


def test_further_axes_make_further_rows() -> None:
    grid = [*cells({"default"}, start_method="fork"), *cells(set(), start_method="spawn")]
    assert list(matrix.rows(grid)) == [f"{python} {method}" for method in ("fork", "spawn") for python in PYTHONS]


def test_as_plain_data_it_has_every_run() -> None:
    data = json.loads(json.dumps(matrix.to_json(cells({"default"}, outcomes=2))))
    assert data["programs"]["talk.py"].startswith("talk.py hangs with buffering default")
    assert [len(cell["runs"]) for cell in data["cells"]] == [2] * 6
    assert data["cells"][0]["runs"][0] | {"headline": ""} == {
        "verdict": "deadlock", "rule": "IPC101", "headline": "", "seconds": 0.9, "blocked": 0.9, "merged": 0,
        "findings": ["IPC101", "IPC403", "IPC404"], "status": None,
    }  # fmt: skip


def test_the_page_links_each_cell_to_its_report_and_escapes_what_programs_are_called() -> None:
    hostile = [Cell(Combination("<img onerror=x>.py", "CPython 3.13", mode), (OK,)) for mode in MODES]
    page = heat.render(hostile, {cell.combination: "a/b c.html" for cell in hostile}, None, "<img>")
    assert page.count('href="a/b c.html"') == 3
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert len(re.findall(r'class="heat ok"', page)) == 3
