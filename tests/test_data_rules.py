"""IPC201–209 and IPC301: for every rule a run that has what it looks for, and near misses that haven't."""

from __future__ import annotations

from pathlib import Path

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Finding

from .builders import MS, TraceBuilder
from .recorded import record

EPIPE, EAGAIN = 32, 11


def found(build: TraceBuilder, rule: str, ended: str = "exit") -> list[Finding]:
    return [finding for finding in analyze(build.trace(ended=ended)).findings if finding.rule == rule]


# IPC201: bytes of several writes in one read


def read_at_once(*messages: bytes, size: int = 4096, ends: bool = False) -> list[Finding]:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    for message in messages:
        build.write(parent, pipe.writer, message)
    build.read(parent, pipe.reader, b"".join(messages), size)
    if ends:
        build.read(parent, pipe.reader, b"", size)
    return found(build, "IPC201")


def test_messages_that_nothing_parts_are_merged() -> None:
    [finding] = read_at_once(b"msg1", b"msg2")
    assert "got the bytes of 2 writes" in finding.message


@pytest.mark.parametrize(
    "messages",
    [
        (b"one\n", b"two\n"),
        (b"one\0", b"two\0"),
        (b"\0\0\0\3one", b"\0\0\0\5three"),  # a length before each
        (b"\0\0\0\7one", b"\0\0\0\x09three"),  # that counts itself
        (b"\0\0\0\1\0\0\0\2", b"\0\0\0\3\0\0\0\4"),  # records of one size
        (b"+", b"+"),  # tokens
    ],
)
def test_messages_that_say_where_they_end_are_not(messages: tuple[bytes, ...]) -> None:
    assert read_at_once(*messages) == []


def test_a_reader_that_knows_the_length_or_collects_to_the_end_merges_nothing() -> None:
    assert read_at_once(b"head", b"body", size=8) == []
    assert read_at_once(b"head", b"body", ends=True) == []
    assert read_at_once(b"head", b"body", size=32, ends=True) != []


# IPC202: messages with others' bytes in them


def two_threads(build: TraceBuilder) -> tuple[int, int, int, int]:
    parent = build.process("send.py")
    pipe = build.pipe(parent)
    return parent, build.thread(0, "a"), build.thread(0, "b"), pipe.writer


@pytest.mark.parametrize("locked", [False, True])
def test_a_write_between_a_length_and_its_message_tears_it(locked: bool) -> None:
    build = TraceBuilder()
    _, one, two, out = two_threads(build)
    build.write(one, out, b"\0\0\0\5")
    if locked:
        build.write(one, out, b"hello")
        build.write(two, out, b"other")
    else:
        build.write(two, out, b"other")
        build.write(one, out, b"hello")
    messages = [finding.message for finding in found(build, "IPC202")]
    assert [" wrote between two parts of a message that " in message for message in messages] == [True] * (not locked)


@pytest.mark.parametrize("at_once", [True, False])
def test_two_sends_on_one_connection_at_once_tear_each_other(at_once: bool) -> None:
    build = TraceBuilder()
    parent, one, two, out = two_threads(build)
    sending = build.begin(one, "Connection.send", fd=out, size=200_000)
    build.write(one, out, b"\0\3\r@")
    body = build.begin(one, "os.write", fd=out, size=200_000)
    if not at_once:
        build.read(parent, 3, b"x" * 100_000, 200_000)
        build.read(parent, 3, b"x" * 100_004, 200_000)
        build.end(body, result=200_000)
        build.end(sending)
    with build.inside(two, "Connection.send", fd=out, size=200_000):
        build.write(two, out, b"\0\3\r@")
        build.begin(two, "os.write", fd=out, size=200_000)
    assert bool(found(build, "IPC202", ended="duration")) is at_once


@pytest.mark.parametrize("room", [False, True])
def test_a_large_write_is_torn_when_another_is_done_before_there_was_room_for_both(room: bool) -> None:
    build = TraceBuilder()
    parent, one, two, out = two_threads(build)
    large = build.begin(one, "os.write", fd=out, size=20_000 if room else 100_000)
    build.read(parent, 3, b"x" * 4096, 4096)
    build.write(two, out, b"y" * 100)
    build.end(large, result=20_000 if room else 100_000)
    findings = found(build, "IPC202")
    assert ["was still writing 100,000 bytes" in finding.message for finding in findings] == [True] * (not room)


@pytest.mark.parametrize("apart", [True, False])
def test_a_line_that_a_full_buffer_cuts_is_torn_by_another_process(apart: bool) -> None:
    build = TraceBuilder()
    parent = build.process("print.py")
    pipe = build.pipe(parent)
    out = build.stream(0, "open(fd 4)", pipe.writer)
    child = build.fork(parent)
    first = b"a" * 5 if apart else b"a" * 9 + b"\n"
    build.call(parent, "stream.write", b"a" * 9 + b"\n", stream=out, size=10, offset=0, pending=10)
    for offset, data in ((0, first), (len(first), (b"a" * 9 + b"\n")[len(first) :] + b"b\n")):
        if offset:
            build.write(child, pipe.writer, b"other\n")
            build.call(parent, "stream.write", b"b\n", stream=out, size=2, offset=10, pending=7)
        build.call(parent, "raw.write", data, stream=out, size=len(data), result=len(data), offset=offset)
    assert bool(found(build, "IPC202")) is apart


def test_whole_lines_of_many_processes_are_sound() -> None:
    build = TraceBuilder()
    parent = build.process("log.py")
    pipe = build.pipe(parent)
    children = [build.fork(parent) for _ in range(3)]
    for number in range(9):
        build.write(children[number % 3], pipe.writer, b"line %d\n" % number)
    assert found(build, "IPC202") == []


# IPC204: a copy of a buffer


@pytest.mark.parametrize(
    ("how", "doubled"), [("both flush", True), ("flushed before", False), ("_exit", False), ("other file", False)]
)
def test_what_was_pending_at_a_fork_comes_out_twice(how: str, doubled: bool) -> None:
    build = TraceBuilder(terminal=False)
    parent = build.process("fork.py")
    out = build.stream(0, "sys.stdout", 1)
    build.print(parent, out, "once", build.site("fork.py", 1, 'print("once")'))
    if how == "flushed before":
        build.flush(parent, out)
    child = build.fork(parent, site=build.site("fork.py", 2, "os.fork()"))
    if how == "other file":
        pipe = build.pipe(child)
        build.dup2(child, pipe.writer, 1)
    if how != "_exit":
        build.flush(child, 1)
    build.exit(child, at_once=True)
    build.flush(parent, out)
    findings = found(build, "IPC204")
    assert len(findings) == doubled
    if doubled:
        assert findings[0].severity == "error"
        assert "5 bytes came out twice" in findings[0].message
        assert "at the fork at fork.py:2, written at fork.py:1" in findings[0].message


# IPC205: nobody reads any more


@pytest.mark.parametrize(("then", "severity"), [("ends", "error"), ("closes", None), ("goes on", "info")])
def test_a_broken_pipe_is_told_unless_the_program_deals_with_it(then: str, severity: str | None) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.close(child, pipe.reader)
    build.close(parent, pipe.reader, pipe.writer)
    build.after(5 * MS)
    build.call(
        child, "os.write", b"hello", fd=pipe.writer, size=5, error=EPIPE, site=build.site("a.py", 9, "os.write(w, b)")
    )
    if then == "ends":
        build.call(child, "uncaught", b"BrokenPipeError: [Errno 32] Broken pipe")
    elif then == "closes":
        build.close(child, pipe.writer)
    else:
        build.sleep(child, MS)
    build.exit(child, 1 if then == "ends" else 0)
    findings = found(build, "IPC205")
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    if severity:
        assert "wrote 5 bytes to pipe A at a.py:9" in findings[0].message
        assert "the parent closed its end" in findings[0].message


# IPC206: the rest is never dealt with


@pytest.mark.parametrize("goes_on", [False, True])
def test_the_rest_of_a_short_write_is_lost_unless_it_is_written(goes_on: bool) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.call(parent, "os.write", b"x" * 72, fd=pipe.writer, size=100_000, result=65_536)
    build.read(parent, pipe.reader, b"x" * 65_536, 65_536)
    if goes_on:
        build.call(parent, "os.write", b"x" * 72, fd=pipe.writer, size=34_464, result=34_464)
    build.exit(parent)
    assert ["the other 34,464 were never written" in f.message for f in found(build, "IPC206")] == [True] * (
        not goes_on
    )


@pytest.mark.parametrize(("asked", "goes_on"), [(100_000, False), (100_000, True), (4096, False)])
def test_a_part_of_a_message_taken_for_all_of_it(asked: int, goes_on: bool) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    sender = build.thread(0, "sender")
    writing = build.begin(sender, "os.write", fd=pipe.writer, size=100_000)
    build.read(parent, pipe.reader, b"x" * min(asked, 65_536), asked)
    if goes_on:
        build.read(parent, pipe.reader, b"x" * 34_464, 34_464)
        build.end(writing, result=100_000)
    build.exit(parent)
    assert bool(found(build, "IPC206")) is (asked == 100_000 and not goes_on)


# IPC207: flags and offsets


@pytest.mark.parametrize("by", ["child", "itself", "before the fork"])
def test_a_flag_that_another_process_set_makes_a_call_fail(by: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    if by == "before the fork":
        build.call(parent, "os.set_blocking", fd=pipe.reader, channel=pipe.channel, size=0)
    child = build.fork(parent)
    if by != "before the fork":
        setter = child if by == "child" else parent
        build.call(setter, "os.set_blocking", fd=pipe.reader, channel=pipe.channel, size=0)
    reader = child if by == "before the fork" else parent
    build.call(reader, "os.read", fd=pipe.reader, size=10, error=EAGAIN)
    messages = [finding.message for finding in found(build, "IPC207")]
    assert ["The child made pipe A non-blocking" in message for message in messages] == [True] * (by == "child")


@pytest.mark.parametrize(("moved", "how"), [(True, "goes on"), (True, "at the end"), (False, "opened anew")])
def test_a_file_position_that_a_child_moved(moved: bool, how: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    file = build.channel("file", path="/work/data.txt")
    fd = build.hold(parent, file, "r")

    def read(thread: int, start: int, size: int) -> None:
        build.call(thread, "os.read", b"x" * size, fd=fd, size=100, result=size, extra=start + size)

    read(parent, 0, 7)
    child = build.fork(parent)
    if how == "opened anew":
        build.close(child, fd)
        build.hold(child, file, "r", fd)
        read(child, 0, 14)
        read(parent, 7, 7)
    else:
        read(child, 7, 14)
        read(parent, 21, 7 if how == "goes on" else 0)
    assert bool(found(build, "IPC207")) is moved


# IPC208: input that was somebody else's


@pytest.mark.parametrize("again", [True, False])
def test_a_child_that_is_not_traced_took_what_its_parent_meant_to_read(again: bool) -> None:
    build = TraceBuilder()
    parent = build.process("loop.py")
    pipe = build.pipe(parent)
    build.write(parent, pipe.writer, b"a\nb\nc\n")
    build.close(parent, pipe.writer)
    build.read(parent, pipe.reader, b"a\n", 2)
    child = build.fork(
        parent,
        "cat",
        traced=False,
        op="fork_exec",
        keep=(0, pipe.reader),
        site=build.site("loop.py", 7, 'run(["cat"])'),
    )
    build.after(MS)
    build.exit(child)
    if again:
        build.read(parent, pipe.reader, b"", 2)
    findings = found(build, "IPC208")
    assert ["cat, started at loop.py:7" in f.message and "took 4 bytes" in f.message for f in findings] == [
        True
    ] * again


@pytest.mark.parametrize("again", [True, False])
def test_to_hand_the_rest_of_ones_input_on_is_no_theft(again: bool) -> None:
    build = TraceBuilder()
    parent = build.process("loop.py")
    pipe = build.pipe(parent)
    build.write(parent, pipe.writer, b"head\nbody\n")
    child = build.fork(parent)
    build.read(parent, pipe.reader, b"head\n", 5)
    build.read(child, pipe.reader, b"body\n", 5)
    build.read(child, pipe.reader, b"", 5)
    if again:
        build.read(parent, pipe.reader, b"", 5)
    assert bool(found(build, "IPC208")) is again


def test_workers_that_take_whole_messages_by_turns_steal_nothing() -> None:
    build = TraceBuilder()
    parent = build.process("jobs.py")
    pipe = build.pipe(parent)
    workers = [build.fork(parent) for _ in range(2)]
    for number in range(6):
        build.write(parent, pipe.writer, b"%d" % number)
        build.read(workers[number % 2], pipe.reader, b"%d" % number, 1)
    assert found(build, "IPC208") == []


# IPC209: printed first, out later


@pytest.mark.parametrize(("flush", "writes"), [(False, True), (True, True), (False, False)])
def test_what_a_child_writes_overtakes_its_parents_buffer(flush: bool, writes: bool) -> None:
    build = TraceBuilder(terminal=False)
    parent = build.process("a.py")
    out = build.stream(0, "sys.stdout", 1)
    build.print(parent, out, "before", build.site("a.py", 1, 'print("before")'), flush=flush)
    child = build.fork(parent, "b.py", op="fork_exec", site=build.site("a.py", 2, "run(b)"))
    if writes:
        build.write(child, 1, b"after\n")
    build.exit(child)
    build.flush(parent, out)
    findings = found(build, "IPC209")
    assert len(findings) == (writes and not flush)
    if findings:
        assert "printed first at a.py:1 came out later: 7 bytes lay in sys.stdout" in findings[0].message


def test_what_a_child_writes_before_its_parent_prints_is_in_order() -> None:
    build = TraceBuilder(terminal=False)
    parent = build.process("a.py")
    out = build.stream(0, "sys.stdout", 1)
    child = build.fork(parent, "b.py", op="fork_exec")
    build.print(parent, out, "meanwhile")
    build.write(child, 1, b"after\n")
    build.flush(parent, out)
    assert found(build, "IPC209") == []


# IPC301: ends that nobody needs


@pytest.mark.parametrize("use", ["wakes itself", "closed at the other side", "leaks"])
def test_an_end_is_leaked_where_it_matters(use: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.close(child, pipe.reader) if use == "leaks" else None
    if use == "closed at the other side":  # as multiprocessing's manager leaves its first pipe
        build.close(parent, pipe.writer)
        build.write(child, pipe.writer, b"ready\n")
        build.close(child, pipe.writer)
    else:
        build.write(child if use == "leaks" else parent, pipe.writer, b"ready\n")
    build.read(parent, pipe.reader, b"ready\n")
    findings = found(build, "IPC301", ended="duration")
    assert ["The parent keeps the write end" in finding.message for finding in findings] == [True] * (use == "leaks")


def test_the_same_end_of_many_pipes_is_one_finding() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipes = [build.pipe(parent) for _ in range(20)]
    child = build.fork(parent)
    for pipe in pipes:
        build.close(child, pipe.reader)
        build.write(child, pipe.writer, b"ready\n")
        build.read(parent, pipe.reader, b"ready\n")
    [finding] = found(build, "IPC301", ended="duration")
    assert "pipe A and 19 other pipes" in finding.message


# Whole programs

TORN = """
import multiprocessing, threading, time
r, w = multiprocessing.Pipe(False)
lock = threading.Lock()
def send(byte):
    for _ in range(20):
        with lock if {locked} else threading.Lock():
            w.send_bytes(byte * 200_000)
for byte in (b"a", b"b"):
    threading.Thread(target=send, args=(byte,), daemon=True).start()
time.sleep(0.2)
try:
    for _ in range(40):
        if not r.poll(1):
            break
        r.recv_bytes(1_000_000)
except OSError:
    pass
import os
os._exit(0)
"""

POOLS = """
import concurrent.futures, multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        print(sum(pool.map(abs, range(20))), flush=True)
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        print(sum(pool.map(abs, range(20))), flush=True)
    with context.Manager() as manager:
        print(list(manager.list(range(3))), flush=True)
"""


@pytest.mark.chapter
@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.sample(1)
def test_threads_that_send_on_one_connection(locked: bool, tmp_path: Path) -> None:
    """Without a lock they meet sooner or later: a run in which they don't is as good, and says nothing."""
    program = tmp_path / "torn.py"
    program.write_text(TORN.format(locked=locked))
    runs = (record(tmp_path, program).run for _ in range(2 if locked else 12))
    assert any("IPC202" in {finding.rule for finding in run.findings} for run in runs) is not locked


@pytest.mark.chapter
def test_the_machinery_of_pools_and_managers_is_sound(tmp_path: Path) -> None:
    program = tmp_path / "pools.py"
    program.write_text(POOLS)
    run = record(tmp_path, program).run
    assert [f.message for f in run.findings if f.rule.startswith("IPC2") or f.rule == "IPC301"] == []
