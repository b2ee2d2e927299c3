"""When threads waited, and for whom."""

from __future__ import annotations

import pandas as pd
import pytest
from ipctrace.analysis.blocking import check
from ipctrace.analysis.run import Run
from ipctrace.tracer.schema import Trace

from .builders import MS, STEP, TraceBuilder, big_trace, completed_trace, deadlock_trace, lucky_trace
from .test_waiting import crossed


@pytest.mark.parametrize("trace", [deadlock_trace(), completed_trace(), lucky_trace(), big_trace(500)])
def test_blocked_and_running_are_the_lifetime(trace: Trace) -> None:
    run = Run(trace)
    check(run.blocking, run.busy)


def test_the_check_finds_intervals_that_overlap() -> None:
    run = Run(completed_trace())
    wrong = run.blocking.copy()
    wrong["begin"] = 0
    with pytest.raises(AssertionError, match="overlap"):
        check(wrong, run.busy)


def test_a_read_that_found_its_bytes_did_not_wait() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.write(parent, 4, b"there")
    build.after(5 * MS)
    build.read(child, 3, b"there")
    assert len(Run(build.trace()).blocking) == 0


def test_a_read_that_came_first_waited_for_the_writer() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(child, "os.read", fd=3, size=10)
    build.after(5 * MS)
    write = build.write(parent, 4, b"there")
    build.end(waiting, b"there")
    [row] = Run(build.trace()).blocking.itertuples()
    assert (row.thread, row.by, row.by_event, row.reason) == (child, parent, write, "nodata")
    assert row.end - row.begin == 5 * MS + 3 * STEP


def test_end_of_file_was_ended_by_who_closed_last() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(child, "os.read", fd=3, size=10)
    build.close(parent, 4)
    build.end(waiting, b"")
    [row] = Run(build.trace()).blocking.itertuples()
    assert (row.by, row.by_event) == (parent, waiting + 1)


def test_waits_for_a_child_and_for_a_thread_are_ended_by_them() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    worker = build.thread(0, "worker")
    waiting = build.begin(parent, "os.waitpid", size=47111)
    build.exit(child)
    build.end(waiting, result=47111)
    joining = build.begin(parent, "Thread.join", size=48110)
    build.end_thread(worker)
    build.end(joining)
    assert Run(build.trace()).blocking["by"].tolist() == [child, worker]


def test_of_waits_within_waits_the_outer_one_counts() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(parent, "os.read", fd=5, size=10)
    build.sleep(parent, 3 * MS)  # in a signal handler
    build.write(child, 6, b"x")
    build.end(waiting, b"x")
    assert Run(build.trace()).blocking["reason"].tolist() == ["nodata"]


def test_what_never_ended_lasts_until_the_cut() -> None:
    build = TraceBuilder()
    parent, _ = crossed(build)
    build.begin(parent, "os.read", fd=5, size=10)
    build.after(7 * MS)
    [row] = Run(build.trace(ended="duration")).blocking.itertuples()
    assert row.open and row.end == build.now and pd.isna(row.by)
