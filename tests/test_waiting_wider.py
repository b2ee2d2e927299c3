"""Waits for sockets, for one of several, for locks, conditions and queues: who could end them, and when nobody can."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.run import Run
from ipctrace.analysis.waiting import is_deadlock

from tests.builders import MS, TraceBuilder


def dead(build: TraceBuilder) -> bool:
    build.after(1000 * MS)
    build.look(times=2)
    return is_deadlock(build.trace(ended="duration"))


def two_ends(build: TraceBuilder) -> tuple[int, int, int, int]:
    """Parent and child, each with its own end of a socket pair: parent, child, the parent's end, the child's."""
    parent = build.process("a.py")
    ends = build.pair(parent)
    child = build.fork(parent)
    build.close(parent, ends.writer)
    build.close(child, ends.reader)
    return parent, child, ends.reader, ends.writer


def test_both_ends_of_a_connection_that_receive_are_a_deadlock() -> None:
    build = TraceBuilder()
    parent, child, ours, theirs = two_ends(build)
    build.begin(parent, "socket.recv", fd=ours, size=10)
    build.begin(child, "socket.recv", fd=theirs, size=10)
    assert dead(build)


@pytest.mark.parametrize("way_out", ["it runs", "bytes", "a time-out", "an end passed on"])
def test_a_connection_with_a_way_out_is_none(way_out: str) -> None:
    build = TraceBuilder()
    parent, child, ours, theirs = two_ends(build)
    if way_out == "bytes":
        build.write(child, theirs, b"here")
    if way_out == "an end passed on":
        build.call(child, "descriptor passed", fd=theirs, channel=build.rows["channels"][-1]["channel"])
    build.begin(parent, "socket.recv", fd=ours, size=10)
    if way_out != "it runs":
        build.begin(child, "socket.recv", fd=theirs, size=10, timed=way_out == "a time-out")
    assert not dead(build)


def test_what_is_written_at_one_end_is_read_at_the_other() -> None:
    build = TraceBuilder()
    parent, child, ours, theirs = two_ends(build)
    build.write(parent, ours, b"question")
    build.read(child, theirs, b"question")
    build.write(child, theirs, b"answer")
    build.read(parent, ours, b"answer")
    messages = Run(build.trace()).messages
    assert messages[["writer", "reader", "size", "payload"]].values.tolist() == [
        [parent, child, 8, b"question"], [child, parent, 6, b"answer"],
    ]  # fmt: skip


def test_a_select_waits_for_any_of_its_members() -> None:
    for live in (False, True):
        build = TraceBuilder()
        parent = build.process("a.py")
        down, one, two = build.pipe(parent), build.pipe(parent), build.pipe(parent)
        children = build.fork(parent), build.fork(parent)
        build.close(parent, down.reader, one.writer, two.writer)
        for child, other in zip(children, (two, one), strict=True):
            build.close(child, down.writer, one.reader, two.reader, other.writer)
        build.select(parent, f"r{one.reader} r{two.reader}")
        build.begin(children[0], "os.read", fd=down.reader, size=10)
        if not live:
            build.begin(children[1], "os.read", fd=down.reader, size=10)
        assert dead(build) != live


def test_locks_taken_in_opposite_orders_are_a_deadlock() -> None:
    for others in (False, True):
        build = TraceBuilder()
        main = build.process("a.py")
        one, two = build.thread(0, "one"), build.thread(0, "two")
        left, right = build.object(0, "lock"), build.object(0, "lock")
        build.call(one, "Lock.acquire", channel=left)
        build.call(two, "Lock.acquire", channel=right)
        build.begin(one, "Lock.acquire", channel=right, owner=build.rows["threads"][two]["tid"])
        build.begin(two, "Lock.acquire", channel=left, owner=build.rows["threads"][one]["tid"])
        if not others:
            build.begin(main, "Thread.join", size=build.rows["threads"][one]["tid"])
        assert dead(build) != others, "another thread of the process might release either lock"


@pytest.mark.parametrize("kind", ["Condition.wait", "Event.wait", "Queue.get", "Barrier.wait", "Future.result"])
def test_a_wait_for_word_from_threads_that_all_wait_is_a_deadlock(kind: str) -> None:
    build = TraceBuilder()
    main = build.process("a.py")
    build.begin(main, kind, channel=build.object(0, "event"))
    assert dead(build)


def test_a_semaphore_of_the_system_may_be_released_by_another_process() -> None:
    for live in (True, False):
        build = TraceBuilder()
        parent = build.process("a.py")
        lock = build.object(None, "lock")
        child = build.fork(parent)
        build.begin(parent, "multiprocessing.Lock.acquire", channel=lock)
        if not live:
            build.begin(child, "multiprocessing.Lock.acquire", channel=lock)
        assert dead(build) != live


@pytest.mark.parametrize("call", ["signal.pause", "socket.accept", "fcntl.flock"])
def test_what_the_outside_can_end_is_never_a_proof(call: str) -> None:
    build = TraceBuilder()
    main = build.process("a.py")
    build.begin(main, call, channel=build.channel("file") if call == "fcntl.flock" else None)
    assert not dead(build)


def test_whoever_released_the_lock_ended_the_wait() -> None:
    build = TraceBuilder()
    main = build.process("a.py")
    other = build.thread(0, "other")
    lock = build.object(0, "lock")
    build.call(other, "Lock.acquire", channel=lock)
    waiting = build.begin(main, "Lock.acquire", channel=lock, owner=build.rows["threads"][other]["tid"])
    build.after(5 * MS)
    release = build.call(other, "Lock.release", channel=lock)
    build.end(waiting)
    build.end_thread(other)
    (row,) = analyze(build.trace()).blocking.query("reason == 'lock'").itertuples()
    assert (row.thread, row.by, row.by_event, row.channel) == (main, other, release, lock)
