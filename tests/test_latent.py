"""Deadlocks that did not happen: runs that completed, and would not with other messages, pipes or buffers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Finding

from . import recorded
from .builders import TraceBuilder


def latent(build: TraceBuilder, ended: str = "exit") -> list[Finding]:
    return [each for each in analyze(build.trace(ended=ended)).findings if each.certainty == "latent"]


def waits_then_reads(build: TraceBuilder, size: int, reads_first: bool = False, ends: str = "exit") -> None:
    """A child writes and ends; the parent waits for it, and reads before or after."""
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.write(child, pipe.writer, b"x" * size, site=build.site("a.py", 5, "os.write(w, data)"))
    if reads_first:
        build.read(parent, pipe.reader, b"x" * size)
    waiting = build.begin(parent, "os.waitpid", size=47111, site=build.site("a.py", 8, "os.wait()"))
    build.exit(child)
    build.end(waiting, result=47111)
    if not reads_first:
        build.read(parent, pipe.reader, b"x" * size, site=build.site("a.py", 9, "os.read(r, 99999)"))
    build.exit(parent)


def test_bytes_that_a_pipe_held_until_their_writer_had_ended() -> None:
    build = TraceBuilder()
    waits_then_reads(build, 10_000)
    [found] = latent(build)
    assert (found.rule, found.severity) == ("IPC104", "warning")
    assert "the child leaves 10,000 bytes in it at a.py:5 before they are read at a.py:9 by the parent" in found.message
    assert "Hangs once that is more than 65,536 bytes" in found.message


@pytest.mark.parametrize("near_miss", ["read meanwhile", "few bytes", "stopped by hand"])
def test_what_would_not_hang_is_none(near_miss: str) -> None:
    build = TraceBuilder()
    waits_then_reads(build, 100 if near_miss == "few bytes" else 10_000, reads_first=near_miss == "read meanwhile")
    assert not latent(build, "interrupted" if near_miss == "stopped by hand" else "exit")


def test_a_slow_reader_is_none() -> None:
    """The bytes lay in the pipe, but nothing keeps the reader from reading them while more is written."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    for _ in range(6):
        build.write(child, pipe.writer, b"x" * 10_000)
    build.exit(child)
    for _ in range(6):
        build.read(parent, pipe.reader, b"x" * 10_000, size=10_000)
    assert not latent(build)


def test_what_one_thread_writes_and_reads_itself_is_none() -> None:
    """It does the same every time, and can count what it writes."""
    build = TraceBuilder()
    thread = build.process("a.py")
    pipe = build.pipe(thread)
    build.write(thread, pipe.writer, b"x" * 5000)
    build.read(thread, pipe.reader, b"x" * 5000, size=9999)
    assert not latent(build)


@pytest.mark.parametrize(("looks", "rules"), [(False, ["IPC101"]), (True, [])])
def test_an_answer_to_what_a_terminal_let_through_and_one_that_was_due_anyway(looks: bool, rules: list[str]) -> None:
    """Who asks what is ready before it writes, as communicate() and event loops do, did not wait for the question."""
    build = TraceBuilder()
    parent = build.process("a.py")
    up, down = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    out = build.stream(1, "sys.stdout", up.writer, buffering="line", why="a terminal when Python started")
    build.accept(child, out, b"a question\n")
    build.read(parent, up.reader, b"a question\n")
    if looks:
        build.end(build.select(parent, f"r{up.reader} w{down.writer}"), result=1)
    asking = build.begin(child, "os.read", fd=down.reader, size=99)
    build.write(parent, down.writer, b"an answer\n")
    build.end(asking, b"an answer\n")
    assert [each.rule for each in latent(build)] == rules


CHILD = "import sys\nfor line in sys.stdin:\n    if line == 'end\\\\n': print('got it', flush=True)"
QUESTION = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "{child}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
child.stdin.write("end\\n" + "x" * {size} + "\\n")
{then}
child.stdout.readline()
child.stdin.close()
child.wait()
"""


@pytest.mark.parametrize(("then", "rules"), [("", ["IPC101"]), ("child.stdin.flush()", []), ("child.stdin.close()", [])])
@pytest.mark.sample(1)
def test_a_question_that_only_left_because_the_buffer_was_full(tmp_path: Path, then: str, rules: list[str]) -> None:
    program = tmp_path / "question.py"
    program.write_text(QUESTION.format(child=CHILD.replace("\n", "\\n"), size=9000, then=then))
    analysis = recorded.record(tmp_path, program).run.analysis
    assert analysis.verdict.name == "completed"
    assert [each.rule for each in analysis.findings if each.certainty == "latent"] == rules
