"""The rows that only the page's tables list: processes with their lineage, descriptors, and what the figures draw."""

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.columns import unpack
from ipctrace.reports.model.blame import blame
from ipctrace.reports.model.processes import lineage, processes, quoted, signal_name
from ipctrace.reports.run import Run

from .builders import TraceBuilder, deadlock_trace


@pytest.fixture(scope="module")
def deadlock():
    return Run(analyze(deadlock_trace()))


def test_each_process_stands_behind_its_parent_and_before_its_parents_next_child():
    build = TraceBuilder()
    first = build.process("first.py")
    left = build.fork(first)
    right = build.fork(first)
    below = build.fork(left)
    assert lineage(Run(analyze(build.trace()))) == [build.process_of(thread) for thread in (first, left, below, right)]


@pytest.mark.parametrize(
    ("status", "words"), [(0, "exit 0"), (4, "exit 4"), (-15, "ended by SIGTERM"), (-99, "ended by signal 99")]
)
def test_an_exit_status_is_told_in_words(status, words):
    build = TraceBuilder()
    first = build.process("first.py")
    child = build.fork(first)
    build.exit(child, status=status)
    assert processes(Run(analyze(build.trace()))).facts["processes"][1]["end"] == words


def test_a_signal_without_a_name_is_its_number():
    assert signal_name(9) == "SIGKILL"
    assert signal_name(99) == "signal 99"


@pytest.mark.parametrize(
    ("word", "typed"),
    [("-c", "-c"), ("a b", "'a b'"), ("print('x')", "\"print('x')\""), ("it's $1", "'it'\"'\"'s $1'"), ("", "''")],
)
def test_a_command_line_is_quoted_as_a_person_would(word, typed):
    assert quoted(word) == typed


def test_every_descriptor_of_the_analysis_is_in_the_page(deadlock):
    columns = processes(deadlock).columns
    held = deadlock.analysis.descriptors.sort_values(["process", "opened", "fd"], kind="stable")
    assert unpack(columns["descriptors.fd"]).tolist() == held["fd"].tolist()
    assert unpack(columns["descriptors.opened"]).tolist() == held["opened"].tolist()


def test_the_critical_path_is_whole(deadlock):
    columns = blame(deadlock).columns
    begin, length = (unpack(columns[f"path.{name}"]) for name in ("begin", "length"))
    assert (begin[1:] == (begin + length)[:-1]).all()
    assert length.sum() == deadlock.analysis.path["end"].max()


def test_who_waited_for_whom_adds_up(deadlock):
    columns = blame(deadlock).columns
    assert unpack(columns["matrix.time"]).sum() == deadlock.pairs["time"].sum()
    assert unpack(columns["matrix.count"]).sum() == deadlock.pairs["count"].sum()
