"""What is said of a run, and how things are named in it."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.naming import letters, listing, numbered, plural, span
from ipctrace.tracer.schema import TABLES, Trace, frame

from .builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace, lucky_trace
from .test_waiting import heartbeat


def test_the_chapters_deadlock_is_told_with_cause_and_place() -> None:
    verdict = analyze(deadlock_trace()).verdict
    assert verdict.headline == (
        "Parent and child each wait for the other to write. "
        "The 26 bytes that would free them are stuck in the parent's own output buffer."
    )
    for words in (
        "print at deadlock.py:41", "the parent's sys.stdout", "block-buffered", "not a terminal when Python started",
        "readline() at deadlock.py:42, which flushes nothing, unlike input()", "The child's own buffer is empty.",
        "in a terminal, the same program would complete",
    ):  # fmt: skip
        assert words in verdict.because


@pytest.mark.parametrize(
    "trace", [deadlock_trace(), completed_trace(), lucky_trace(), big_trace(50), heartbeat(TraceBuilder(), 8).trace]
)
def test_a_headline_has_at_most_34_words(trace: Trace) -> None:
    assert len(analyze(trace).verdict.headline.split()) <= 34


def test_a_healthy_run_says_how_much_was_said() -> None:
    verdict = analyze(completed_trace()).verdict
    assert verdict.name == "completed"
    assert "4 messages over 2 pipes, none lost" in verdict.headline


def test_a_status_other_than_0_is_said_and_is_no_crash() -> None:
    build = TraceBuilder()
    build.exit(build.process("a.py"), 3)
    verdict = analyze(build.trace(status=3)).verdict
    assert (verdict.name, verdict.headline.split(" in ")[0]) == ("completed", "Ended with status 3")


@pytest.mark.parametrize(("signal", "name"), [(9, "crashed"), (11, "crashed"), (15, "completed")])
def test_a_child_that_a_signal_ended_crashed_unless_it_was_asked_to_end(signal: int, name: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    child = build.fork(parent)
    build.begin(child, "time.sleep", size=10**9)
    build.exit(child, -signal)
    build.exit(parent)
    verdict = analyze(build.trace()).verdict
    assert verdict.name == name
    if name == "crashed":
        assert "The child was ended by SIG" in verdict.headline and "slept" in verdict.because


def test_a_run_that_was_stopped_at_work_is_interrupted() -> None:
    assert analyze(big_trace(100)).verdict.name == "interrupted"


def test_a_trace_in_which_nothing_happened_has_an_analysis_too() -> None:
    empty = Trace({name: frame(name) for name in TABLES}, {"ended": "exit", "duration": 5 * MS, "stopped": None})
    analysis = analyze(empty)
    assert "no bytes passed" in analysis.verdict.headline
    assert analysis.findings == [] and analysis.lanes == []


def test_processes_are_named_by_role_or_by_program() -> None:
    assert analyze(deadlock_trace()).process_names == {0: "parent", 1: "child"}
    build = TraceBuilder()
    parent = build.process("server.py")
    build.fork(parent, "worker.py")
    build.fork(parent, "worker.py")
    build.thread(0, "logger")
    names = analyze(build.trace()).names
    assert list(names.values()) == ["server", "worker 1", "worker 2", "server/logger"]


def test_pipes_are_lettered_in_order_of_making_those_that_carried_nothing_last() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    unused, used = build.pipe(parent), build.pipe(parent)
    build.write(parent, used.writer, b"x")
    names = analyze(build.trace()).channel_names
    assert (names[used.channel], names[unused.channel], names[0]) == ("pipe A", "pipe B", "terminal")


def test_lanes_begin_with_the_knot() -> None:
    analysis = heartbeat(TraceBuilder(), 8)
    assert [analysis.names[thread] for thread in analysis.lanes] == ["parent", "parent/logger", "child"]


def test_words() -> None:
    assert [letters(k) for k in (0, 25, 26, 701)] == ["A", "Z", "AA", "ZZ"]
    assert numbered(["a", "b", "a"]) == ["a 1", "b", "a 2"]
    assert (listing(["a"]), listing(["a", "b", "c"])) == ("a", "a, b and c")
    assert (plural(1, "byte"), plural(65536, "byte"), plural(2, "process")) == ("1 byte", "65,536 bytes", "2 processes")
    assert [span(n) for n in (45_000, 3_200_000, 324_000_000, 1_270_000_000)] == ["45 µs", "3.2 ms", "324 ms", "1.27 s"]


@pytest.mark.parametrize(("words", "name"), [(b"ValueError: no", "crashed"), (b"KeyboardInterrupt: ", "completed")])
def test_an_exception_that_nothing_handled_is_a_crash(words: bytes, name: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    build.call(parent, "uncaught", words)
    build.exit(parent, 1)
    verdict = analyze(build.trace(status=1)).verdict
    assert verdict.name == name
    assert name == "completed" or "an exception that nothing handled (ValueError: no)" in verdict.headline
