"""Every rule: a run that has what it looks for, and one like it that hasn't."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Analysis, Finding

from .builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace, lucky_trace
from .test_waiting import crossed, hung, wait_for_each_other


def of(analysis: Analysis, rule: str) -> list[Finding]:
    return [finding for finding in analysis.findings if finding.rule == rule]


def hang_rules(analysis: Analysis) -> list[str]:
    return [finding.rule for finding in analysis.findings if finding.rule < "IPC2"]


# IPC1xx


def test_unflushed_buffer_names_bytes_line_and_the_change_that_mends_it() -> None:
    analysis = analyze(deadlock_trace())
    [finding] = of(analysis, "IPC101")
    assert finding.message.startswith(
        "26 bytes wait in the parent's sys.stdout, put there by the write at deadlock.py:41"
    )
    assert finding.certainty == "proven" and finding.severity == "error"
    assert finding.edit is not None
    assert finding.edit.after == 'print(f"Hello 2 from parent {me}", flush=True)'
    assert hang_rules(analysis) == ["IPC101"]


def test_pipe_full_beside_the_wait_that_closes_the_cycle() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.write(child, 6, b"x" * 65000)
    build.begin(child, "os.write", fd=6, size=5000)
    build.begin(parent, "os.waitpid", size=47111)
    analysis = hung(build)
    assert hang_rules(analysis) == ["IPC104", "IPC109"]
    assert "65,000 bytes wait to be read" in of(analysis, "IPC104")[0].message


def test_missing_eof_names_the_reader_that_holds_the_write_end_itself() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent, site=build.site("pipes.py", 31, "pid = os.fork()", "os.fork()"))
    build.close(parent, pipe.reader)
    build.write(parent, pipe.writer, b"all there is")
    build.close(parent, pipe.writer)
    build.read(child, pipe.reader, b"all there is")
    build.begin(child, "os.read", fd=pipe.reader, size=10)
    build.begin(parent, "os.waitpid", size=47111)
    analysis = hung(build)
    [finding] = of(analysis, "IPC105")
    assert "the child itself still holds a write end, fd 4, since the fork at pipes.py:31" in finding.message


def test_missing_eof_where_a_read_without_limit_waits_for_a_writer_that_waits() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    source = build.stream(1, "sys.stdin", 3, "r")
    build.begin(child, "stream.read", stream=source)
    build.begin(child, "raw.read", stream=source, size=8192)
    build.begin(parent, "os.read", fd=5, size=10)
    assert hang_rules(hung(build)) == ["IPC105"]


def test_mutual_receive_when_every_pipe_and_buffer_is_empty() -> None:
    build = TraceBuilder()
    wait_for_each_other(build, *crossed(build))
    analysis = hung(build)
    assert hang_rules(analysis) == ["IPC107"]
    assert analysis.verdict.headline.startswith("Parent and child each wait for the other to write")


def test_a_knot_that_no_rule_knows_is_unexplained() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    listener = build.hold(child, build.channel("socket"), "rw")
    build.rows["channels"][-1] |= {"form": "unix-stream", "local": "/tmp/tmpab12cd34/server"}
    build.begin(child, "socket.accept", fd=listener, channel=len(build.rows["channels"]) - 1)
    build.begin(parent, "os.read", fd=5, size=10)
    assert hang_rules(hung(build)) == ["IPC199"]


def test_a_healthy_run_has_no_error() -> None:
    assert hang_rules(analyze(completed_trace())) == []


# Latent IPC101


def test_a_run_that_completed_because_of_a_terminal_would_hang_elsewhere() -> None:
    analysis = analyze(lucky_trace())
    [finding] = of(analysis, "IPC101")
    assert (finding.certainty, finding.severity) == ("latent", "warning")
    assert "would hang where the parent's sys.stdout is block-buffered" in finding.message
    assert "deadlock.py:41" in finding.message
    assert analysis.verdict.name == "completed"


@pytest.mark.parametrize("why", ["asked for by open()", "-u", "not a terminal when Python started", "stderr always is"])
def test_a_mode_that_was_asked_for_is_no_luck(why: str) -> None:
    trace = lucky_trace()
    trace.tables["streams"].loc[:, "why"] = why
    assert of(analyze(trace), "IPC101") == []


def test_an_answer_to_nothing_needs_no_flush() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    out = build.stream(0, "sys.stdout", 4, "w", "line", "a terminal when Python started")
    build.print(parent, out, "hello")
    waiting = build.begin(parent, "os.read", fd=5, size=10)
    build.write(child, 6, b"unasked")
    build.end(waiting, b"unasked")
    build.read(child, 3, b"hello\n")
    assert of(analyze(build.trace()), "IPC101") == []


# IPC2xx


def merged(one: bytes, two: bytes, stream: bool = False) -> Analysis:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.write(child, pipe.writer, one)
    build.write(child, pipe.writer, two)
    if stream:
        source = build.stream(0, "open(fd 3)", pipe.reader, "r")
        build.end_line(build.begin_readline(parent, source), one + two)
    else:
        build.read(parent, pipe.reader, one + two)
    return analyze(build.trace())


def test_two_writes_without_a_boundary_in_one_read_are_merged() -> None:
    [finding] = of(merged(b"Spam 0", b"Spam 1"), "IPC201")
    assert "2 writes of the child in one read" in finding.message


def test_lines_are_not_merged_nor_is_what_a_stream_takes_apart() -> None:
    assert of(merged(b"Spam 0\n", b"Spam 1\n"), "IPC201") == []
    assert of(merged(b"Spam 0", b"Spam 1\n", stream=True), "IPC201") == []


@pytest.mark.parametrize(
    ("how", "words"),
    [("_exit", "called os._exit"), ("signal", "was ended by signal 9"), ("exec", "became another program")],
)
def test_bytes_that_die_with_their_program_are_lost(how: str, words: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    out = build.stream(0, "sys.stdout", 1)
    build.print(parent, out, "never seen", build.site("a.py", 3, 'print("never seen")'))
    if how == "exec":
        build.execute(parent, "other.py")
        build.exit(parent)
    else:
        build.exit(parent, -9 if how == "signal" else 0, at_once=how == "_exit")
    [finding] = of(analyze(build.trace()), "IPC203")
    assert finding.severity == "error"
    assert words in finding.message and "11 bytes" in finding.message and "a.py:3" in finding.message


@pytest.mark.parametrize("own", [False, True])
def test_a_forks_copy_of_its_parents_bytes_is_not_lost_what_it_adds_is(own: bool) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    out = build.stream(0, "sys.stdout", 1)
    build.print(parent, out, "parent's")
    child = build.fork(parent)
    if own:
        build.print(child, 1, "own")
    build.exit(child, at_once=True)
    build.flush(parent, out)
    build.exit(parent)
    found = of(analyze(build.trace()), "IPC203")
    assert [finding.message.split(" in ")[0] for finding in found] == (["4 bytes"] if own else [])


# IPC3xx


@pytest.mark.parametrize("close", [False, True])
def test_ends_that_each_side_keeps_and_never_uses_are_leaked(close: bool) -> None:
    build = TraceBuilder()
    parent = build.process("pipe_1.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    if close:
        build.close(parent, pipe.writer)
        build.close(child, pipe.reader)
    build.write(child, pipe.writer, b"Spam 0")
    build.read(parent, pipe.reader, b"Spam 0")
    found = of(analyze(build.trace(ended="duration")), "IPC301")
    ends = sorted(("parent" if "The parent" in f.message else "child", "write end" in f.message) for f in found)
    assert ends == ([] if close else [("child", False), ("parent", True)])


def test_all_ends_of_a_queues_pipe_stay_open_by_design() -> None:
    build = TraceBuilder()
    parent = build.process("work.py")
    pipe, queue = build.pipe(parent), build.object(None, "queue")
    child = build.fork(parent)
    with build.inside(child, "multiprocessing.Queue.feed", channel=queue):
        build.write(child, pipe.writer, b"Spam 0")
    with build.inside(parent, "multiprocessing.Queue.get", channel=queue):
        build.read(parent, pipe.reader, b"Spam 0")
    assert of(analyze(build.trace(ended="duration")), "IPC301") == []


def test_a_program_of_one_process_leaks_nothing_to_itself() -> None:
    build = TraceBuilder()
    parent = build.process("pipe_thread.py")
    pipe = build.pipe(parent)
    worker = build.thread(0, "worker")
    build.write(worker, pipe.writer, b"Spam 0")
    build.read(parent, pipe.reader, b"Spam 0")
    assert of(analyze(build.trace(ended="duration")), "IPC301") == []


# IPC4xx


def test_a_late_sender_and_a_late_receiver_are_named_with_what_they_did() -> None:
    analysis = analyze(completed_trace())
    [late] = of(analysis, "IPC403")
    assert "the child to write on pipe B, which slept at pipes_test_child.py:9" in late.message
    [waited] = of(analysis, "IPC404")
    assert waited.message == "Message 1 lay 300 ms in pipe A while the child slept at pipes_test_child.py:9."


def test_waits_that_nobody_would_notice_are_not_reported() -> None:
    assert [finding.rule for finding in analyze(big_trace(2000)).findings if finding.rule > "IPC4"] == []


@pytest.mark.parametrize("wait", [1, 400])
def test_back_pressure_is_a_writer_that_waits_for_room(wait: int) -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.write(parent, 4, b"x" * 60000)
    writing = build.begin(parent, "os.write", fd=4, size=20000)
    build.after(wait * MS)
    build.read(child, 3, b"x" * 60000, 65536)
    build.end(writing, result=20000)
    build.after(1000 * MS)
    assert bool(of(analyze(build.trace()), "IPC402")) is (wait == 400)


@pytest.mark.parametrize("came", [b"Password: ", b""])
def test_short_frame_is_a_part_of_a_line_and_no_more(came: bytes) -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    source = build.stream(0, "open(fd 5)", 5, "r")
    take = build.begin(parent, "stream.readline", stream=source)
    if came:
        build.write(child, 6, came, build.site("child.py", 2, 'os.write(1, b"Password: ")'))
        build.end(build.begin(parent, "raw.read", stream=source, size=8192), came)
    build.begin(parent, "raw.read", stream=source, size=8192)
    build.begin(child, "os.read", fd=3, size=10)
    assert take >= 0
    analysis = hung(build)
    assert hang_rules(analysis) == (["IPC108"] if came else ["IPC107"])
    if came:
        assert "10 bytes have come, written at child.py:2" in analysis.findings[0].message
