"""When threads waited, and for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from ipctrace.analysis import analyze
from ipctrace.analysis.blocking import check, check_bytes
from ipctrace.analysis.paths import shares
from ipctrace.analysis.run import Run
from ipctrace.tracer.schema import Trace

from .builders import MS, STEP, TraceBuilder, big_trace, completed_trace, deadlock_trace, lucky_trace
from .recorded import CHAPTER, record
from .test_causality import stories
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


# What kept it waiting, and what the other did meanwhile


def only(build: TraceBuilder, ended: str = "exit") -> tuple[Any, Run]:
    """The one wait that isn't a sleep."""
    run = Run(build.trace(ended=ended))
    check(run.blocking, run.busy)
    [row] = run.blocking[run.blocking["reason"] != "sleep"].itertuples()
    if not pd.isna(row.worked):
        assert row.worked + row.waited + row.held == row.end - row.begin
    return row, run


def test_a_late_sender_worked_or_slept() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(child, "os.read", fd=3, size=10)
    build.sleep(parent, 5 * MS)
    build.after(2 * MS)
    build.write(parent, 4, b"there")
    build.end(waiting, b"there")
    row, _ = only(build)
    assert (row.kind, row.held) == ("late sender", 0)
    assert row.waited == 5 * MS + STEP and row.worked == row.end - row.begin - row.waited


def test_a_late_flusher_had_the_bytes_in_its_buffer() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    out = build.stream(0, "out", 4)
    waiting = build.begin(child, "os.read", fd=3, size=10)
    build.after(1 * MS)
    build.print(parent, out, "there")
    build.sleep(parent, 5 * MS)
    build.flush(parent, out)
    build.end(waiting, b"there\n")
    row, _ = only(build)
    assert row.kind == "late flusher"
    assert row.held > 5 * MS and row.worked > 1 * MS and row.waited == 0, "it slept on the bytes: they were held"


def test_a_reader_that_never_got_what_lies_in_a_buffer_waits_for_who_has_it() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    out = build.stream(0, "out", 4)
    build.begin(child, "os.read", fd=3, size=10)
    build.print(parent, out, "there")
    build.after(5 * MS)
    row, _ = only(build, ended="duration")
    assert (row.kind, row.by, row.open) == ("late flusher", parent, True)
    assert row.held >= 5 * MS


def test_a_late_closer() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(child, "os.read", fd=3, size=10)
    build.after(5 * MS)
    build.close(parent, 4)
    build.end(waiting, b"")
    assert only(build)[0].kind == "late closer"


def test_a_late_exiter() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(parent, "os.waitpid", size=47111)
    build.sleep(child, 3 * MS)
    build.exit(child)
    build.end(waiting, result=47111)
    row, _ = only(build)
    assert (row.kind, row.by, row.waited) == ("late exiter", child, 3 * MS + STEP)


def test_a_lock_is_waited_for_until_its_owner_lets_go() -> None:
    build = TraceBuilder()
    main = build.process("locks.py")
    worker = build.thread(0, "worker")
    lock = build.object(0, "lock")
    build.call(main, "Lock.acquire", channel=lock)
    waiting = build.begin(worker, "Lock.acquire", channel=lock, owner=47110)
    build.after(5 * MS)
    release = build.call(main, "Lock.release", channel=lock)
    build.end(waiting, result=1)
    row, _ = only(build)
    assert (row.kind, row.by, row.by_event, row.owner) == ("contention", main, release, main)


def test_of_a_lock_that_never_came_free_the_owner_is_to_blame() -> None:
    build = TraceBuilder()
    main = build.process("locks.py")
    worker = build.thread(0, "worker")
    build.begin(worker, "Lock.acquire", channel=build.object(0, "lock"), owner=47110)
    build.after(5 * MS)
    row, _ = only(build, ended="duration")
    assert (row.kind, row.by, row.owner, row.open) == ("contention", main, main, True)


def test_a_queue_without_a_limit_never_makes_anybody_wait_for_room() -> None:
    build = TraceBuilder()
    main = build.process("queues.py")
    worker = build.thread(0, "worker")
    queue = build.object(0, "queue")
    waiting = build.begin(worker, "Queue.get", channel=queue)
    put = build.begin(main, "Queue.put", channel=queue)
    build.end(waiting)
    build.end(put)
    row, _ = only(build)
    assert (row.event, row.by, row.by_event) == (waiting, main, put)


def test_a_select_is_ended_by_the_write_of_what_is_read_next() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.select(child, "r3")
    build.after(5 * MS)
    write = build.write(parent, 4, b"x")
    build.end(waiting, result=1, extra=3)
    build.read(child, 3, b"x")
    row, _ = only(build)
    assert (row.reason, row.by, row.by_event) == ("ready", parent, write)


def test_who_waits_for_a_barrier_waits_for_the_last_to_come() -> None:
    build = TraceBuilder()
    main = build.process("barrier.py")
    worker = build.thread(0, "worker")
    barrier = build.object(0, "barrier", capacity=2)
    waiting = build.begin(worker, "Barrier.wait", channel=barrier)
    build.after(5 * MS)
    last = build.call(main, "Barrier.wait", channel=barrier)
    build.end(waiting)
    row, _ = only(build)
    assert (row.kind, row.by, row.by_event) == ("late notifier", main, last)


def test_the_matrix_says_who_waited_for_whom() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    for _ in range(3):
        waiting = build.begin(child, "os.read", fd=3, size=1)
        build.after(5 * MS)
        build.write(parent, 4, b"x")
        build.end(waiting, b"x")
    build.sleep(parent, MS)
    run = Run(build.trace())
    [row] = run.matrix.itertuples()
    assert (row.thread, row.by, row.count) == (child, parent, 3)
    assert row.time == 3 * (5 * MS + 3 * STEP)


def test_what_is_not_traced_waited_while_it_was_seen_in_one_call_and_never_ran() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe = build.pipe(parent)
    cat = build.fork(parent, "cat", traced=False, syscall="read", fd=pipe.reader)
    for runs in (1, 1, 2, 3, 3):
        build.sample(cat, runs)
        build.after(5 * MS)
    one, two = Run(build.trace(ended="duration")).sampled.itertuples()
    assert (one.process, one.reason, one.channel, one.open) == (1, "nodata", pipe.channel, False)
    assert one.end - one.begin == 5 * MS + STEP
    assert two.open and two.end == build.now


# The critical path


def test_the_path_goes_over_to_who_was_waited_for() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    waiting = build.begin(parent, "os.read", fd=5, size=10)
    build.after(3 * MS)
    slept = build.sleep(child, 5 * MS)
    write = build.write(child, 6, b"x")
    build.end(waiting, b"x")
    build.after(2 * MS)
    build.exit(parent)
    run = Run(build.trace())
    assert run.path["what"].tolist()[-4:] == ["sleep", "runs", "nodata", "runs"]
    assert run.path["event"].dropna().tolist() == [slept, waiting]
    assert run.path["thread"].tolist()[-4:] == [child, child, parent, parent]
    assert write in run.path["via"].dropna().tolist()
    share = shares(run.path).set_index("thread")["share"]
    assert share[child] > 0.5 and abs(share.sum() - 1) < 1e-9


def fills(run: Run) -> bool:
    """Whether the path's segments lie one behind the other, from the begin of the run to its cut."""
    begin, end = run.path["begin"].tolist(), run.path["end"].tolist()
    return run.cut == 0 or (begin[0] == 0 and end[-1] == run.cut and begin[1:] == end[:-1] and begin < end)


@pytest.mark.parametrize("trace", [deadlock_trace(), completed_trace(), lucky_trace(), big_trace(500)])
def test_the_path_fills_the_run(trace: Trace) -> None:
    assert fills(Run(trace))


@settings(max_examples=40)
@given(stories)
def test_the_books_balance_whatever_happens(trace: Trace) -> None:
    run = Run(trace)
    waits = run.blocking
    check(waits, run.busy)
    assert fills(run)
    assert run.matrix["time"].sum() == (waits["end"] - waits["begin"])[waits["kind"] != "sleep"].sum()
    known = waits.dropna(subset=["by"])
    parts = known[["worked", "waited", "held"]]
    assert (parts >= 0).all(axis=None)
    assert (parts.sum(axis=1) == known["end"] - known["begin"]).all()
    check_bytes(analyze(trace).channels)


@pytest.mark.parametrize("program", ["pipes.py", "deadlock.py"])
@pytest.mark.sample(1)
def test_the_books_of_real_recordings_balance(tmp_path: Path, program: str) -> None:
    trace = record(tmp_path, CHAPTER / program, options=["--duration", "20"]).run.trace
    run = Run(trace)
    check(run.blocking, run.busy)
    assert fills(run)
    check_bytes(analyze(trace).channels)
    assert len(run.edges)
