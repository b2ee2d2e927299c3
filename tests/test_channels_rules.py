"""Who holds what, who waits for what: the rules on channels and buffers, each with a knot that has it and near misses.

A near miss is a program that can go on: it is never called deadlocked, and no rule accuses it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.habits import habit
from ipctrace.analysis.results import Analysis, Finding
from ipctrace.analysis.run import Run
from ipctrace.analysis.situation import Situation
from ipctrace.analysis.waits.names import _MADE_UP

import ipctrace

from .builders import MS, Pipe, TraceBuilder
from .target import clean_environment

PRIVATE = "/tmp/tmpab12cd34"


def hung(build: TraceBuilder, quiet: int = 4000) -> Analysis:
    build.after(quiet * MS)
    build.look(times=2)
    return analyze(build.trace(ended="duration"))


def rules(analysis: Analysis) -> list[str]:
    return [finding.rule for finding in analysis.findings if finding.rule < "IPC2"]


def first(analysis: Analysis) -> Finding:
    return analysis.findings[0]


def filter_of(build: TraceBuilder, program: str) -> tuple[int, Pipe, Pipe]:
    """The parent's thread, and the pipes to and from a program that isn't traced and waits for input."""
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    ends = build._images[0].ends
    keep = {0: ends[down.reader], 1: ends[up.writer]}
    build.process(program, 0, "spawn", False, keep, syscall="read", fd=0)
    build.close(parent, down.reader, up.writer)
    return parent, down, up


# IPC102, and IPC105 of a program that needs all of its input


@pytest.mark.parametrize("program", ["awk", "grep", "mystery"])
def test_a_program_that_has_its_input_and_says_nothing_buffers(program: str) -> None:
    build = TraceBuilder()
    parent, down, up = filter_of(build, program)
    build.write(parent, down.writer, b"21\n", site=build.site("a.py", 7, "p.stdin.flush()"))
    build.begin(parent, "os.read", fd=up.reader, size=10)
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC102"])
    assert f"{program} was given 3 bytes, written at a.py:7" in first(analysis).message.replace("Awk", "awk")


def test_one_that_was_given_nothing_keeps_nothing_back() -> None:
    build = TraceBuilder()
    parent, _, up = filter_of(build, "grep")
    build.begin(parent, "os.read", fd=up.reader, size=10)
    assert rules(hung(build)) == ["IPC107"]


def test_one_that_has_answered_since_keeps_nothing_back() -> None:
    build = TraceBuilder()
    parent, down, up = filter_of(build, "grep")
    build.write(parent, down.writer, b"a\n")
    build.read(parent, up.reader, b"a\n")
    build.begin(parent, "os.read", fd=up.reader, size=10)
    assert "IPC102" not in rules(hung(build))


def test_a_program_that_can_only_answer_at_the_end_of_its_input_waits_for_that() -> None:
    build = TraceBuilder()
    parent, down, up = filter_of(build, "sort")
    build.write(parent, down.writer, b"b\na\n")
    build.begin(parent, "os.read", fd=up.reader, size=10)
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC105"])
    assert f"a still holds a write end, fd {down.writer}" in first(analysis).message


def test_while_somebody_may_still_write_to_it_a_filter_is_only_slow() -> None:
    build = TraceBuilder()
    parent, down, up = filter_of(build, "awk")
    feeder = build.thread(0, "feeder")
    build.write(feeder, down.writer, b"21\n")
    build.begin(feeder, "time.sleep", size=100)
    build.begin(parent, "os.read", fd=up.reader, size=10)
    assert rules(hung(build)) == []


def test_what_programs_do_is_known_by_name_and_without_their_version() -> None:
    assert [habit(program) for program in ("/usr/bin/sort", "python3.11", "cat", "sleep", "mystery")] == [
        "whole", "buffers", "passes", "silent", None,
    ]  # fmt: skip


# IPC103


def read_one_line_of_two(build: TraceBuilder, took: int = 4) -> tuple[int, int]:
    """The parent's stream took both lines that the child wrote, and gave one; the child waits for an answer."""
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    build.close(parent, down.reader, up.writer)
    build.close(child, down.writer, up.reader)
    build.write(child, up.writer, b"one\ntwo\n")
    source = build.stream(0, "out", up.reader, "r")
    opened = build.begin_readline(parent, source)
    build.end(opened[1], b"one\ntwo\n")
    build.end(opened[0], result=took)
    build.begin(child, "os.read", fd=down.reader, size=10)
    return parent, up.reader


def test_a_select_does_not_see_what_a_stream_has_read_ahead() -> None:
    build = TraceBuilder()
    parent, fd = read_one_line_of_two(build)
    build.select(parent, f"r{fd}")
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC103"])
    assert "4 bytes of pipe A already lie in the read buffer of the parent's out" in first(analysis).message


def test_a_stream_that_has_given_all_that_it_read_holds_nothing_back() -> None:
    build = TraceBuilder()
    parent, fd = read_one_line_of_two(build, took=8)
    build.select(parent, f"r{fd}")
    assert "IPC103" not in rules(hung(build))


# IPC104, IPC106


def test_a_reader_to_the_end_of_one_pipe_while_another_is_full_is_a_full_pipe() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    out, err = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    build.close(parent, out.writer, err.writer)
    build.close(child, out.reader, err.reader)
    build.begin(child, "os.write", fd=err.writer, size=200_000)
    source = build.stream(0, "out", out.reader, "r")
    build.begin(parent, "stream.read", stream=source)
    build.begin(parent, "raw.read", stream=source, size=8192)
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC104"])


@pytest.mark.parametrize("parent_read", [False, True])
def test_a_writer_whose_reader_has_gone_is_not_told_while_a_read_end_is_open(parent_read: bool) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    reader = build.fork(parent)
    build.close(reader, pipe.writer)
    writer = build.fork(parent)
    build.close(writer, pipe.reader)
    build.close(parent, pipe.writer)
    build.write(writer, pipe.writer, b"x" * 10)
    build.read(reader, pipe.reader, b"x" * 5)
    build.exit(reader)
    if parent_read:
        build.read(parent, pipe.reader, b"x" * 5)
    build.begin(writer, "os.write", fd=pipe.writer, size=100_000)
    build.begin(parent, "os.waitpid", size=47112)
    assert rules(hung(build))[0] == ("IPC104" if parent_read else "IPC106")


# IPC105


def reads_to_end(build: TraceBuilder, thread: int, pipe: Pipe) -> None:
    source = build.stream(build.process_of(thread), "in", pipe.reader, "r")
    build.begin(thread, "stream.read", stream=source)
    build.begin(thread, "raw.read", stream=source, size=8192)


def test_who_reads_to_the_end_needs_every_holder_to_close() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.close(child, pipe.reader)
    reads_to_end(build, parent, pipe)
    build.begin(child, "time.sleep", size=100)  # it may write and close: its parent holds the other copy itself
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC105"])
    assert "the parent itself still holds a write end" in first(analysis).message


def test_the_end_is_to_be_closed_before_the_wait_of_whoever_holds_it() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.close(child, pipe.writer)
    build.close(parent, pipe.reader)
    reads_to_end(build, child, pipe)
    build.begin(parent, "os.waitpid", size=47111, site=build.site("a.py", 15, "os.wait()"))
    analysis = hung(build)
    assert rules(analysis)[0] == "IPC105"
    assert first(analysis).remedy.endswith("before the wait at a.py:15.")


@pytest.mark.parametrize(("asked", "verdict"), [("down.writer", "deadlock"), ("down.reader", "interrupted")])
def test_whether_a_write_end_can_be_read_tells_only_that_its_readers_have_gone(asked: str, verdict: str) -> None:
    """asyncio asks that of every pipe it writes to: bytes in the pipe are no news of that."""
    build = TraceBuilder()
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    for thread, ends in ((parent, [up.writer]), (child, [down.writer, up.reader])):
        for end in ends:
            build.close(thread, end)
    build.write(parent, down.writer, b"work\n")
    build.begin(child, "os.write", fd=up.writer, size=99)
    build.select(parent, f"rw{down.writer}" if asked == "down.writer" else f"r{down.reader} rw{down.writer}")
    assert hung(build).verdict.name == verdict


def test_who_wants_any_bytes_can_get_them_of_any_holder() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.close(child, pipe.reader)
    source = build.stream(0, "in", pipe.reader, "r")
    build.begin(parent, "stream.read1", stream=source)
    build.begin(parent, "raw.read", stream=source, size=8192)
    build.begin(child, "time.sleep", size=100)
    analysis = hung(build)
    assert analysis.verdict.name == "interrupted" and rules(analysis) == []


def handed_out(build: TraceBuilder, parent_writes: bool) -> None:
    """One child reads, one sleeps and has never used the end that it inherited; whoever wrote has let go."""
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    reader = build.fork(parent)
    build.close(reader, pipe.writer)
    if not parent_writes:
        writer = build.fork(parent)
        build.write(writer, pipe.writer, b"x")
        build.exit(writer)
    sleeper = build.fork(parent)
    if parent_writes:
        build.write(parent, pipe.writer, b"x")
    build.close(parent, pipe.writer, pipe.reader)
    build.read(reader, pipe.reader, b"x")
    build.begin(reader, "os.read", fd=pipe.reader, size=10)
    build.begin(sleeper, "time.sleep", size=60_000 * MS)
    build.begin(parent, "os.waitpid", size=47111)


def test_a_bystander_that_inherited_its_parents_own_end_keeps_the_reader_waiting() -> None:
    build = TraceBuilder()
    handed_out(build, parent_writes=True)
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("stalled", ["IPC105"])
    assert "and never uses it" in first(analysis).message


def test_a_child_that_was_handed_an_end_may_use_it_later() -> None:
    build = TraceBuilder()
    handed_out(build, parent_writes=False)
    assert rules(hung(build)) == []


def test_a_bystander_is_given_time() -> None:
    build = TraceBuilder()
    handed_out(build, parent_writes=True)
    assert rules(hung(build, quiet=1500)) == []


@pytest.mark.parametrize(("program", "fd"), [("sleep", 7), ("mystery", 7), ("sh", 7), ("sleep", 1)])
def test_a_program_that_nothing_told_of_a_descriptor_will_not_use_it(program: str, fd: int) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    reader = build.fork(parent)
    build.close(reader, pipe.writer)
    build.process(program, 0, "spawn", False, {fd: build._images[0].ends[pipe.writer]})
    build.close(parent, pipe.writer, pipe.reader)
    build.begin(reader, "os.read", fd=pipe.reader, size=10)
    build.begin(parent, "os.waitpid", size=47111)
    assert rules(hung(build)) == (["IPC105"] if (program, fd) == ("sleep", 7) else [])


def in_flight(build: TraceBuilder, received: bool = False) -> tuple[int, Pipe, Pipe]:
    parent = build.process("a.py")
    sockets, pipe = build.pair(parent), build.pipe(parent)
    sending = build.begin(parent, "socket.sendmsg", fd=sockets.reader, size=1)
    build.call(parent, "descriptor passed", fd=pipe.writer, channel=pipe.channel)
    build.end(sending, result=1)
    return parent, sockets, pipe


def test_an_end_under_way_that_nobody_receives_keeps_its_pipe_open() -> None:
    build = TraceBuilder()
    parent, _, pipe = in_flight(build)
    build.close(parent, pipe.writer)
    build.begin(parent, "os.read", fd=pipe.reader, size=10)
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC105"])
    assert "sent along with a message" in first(analysis).message


def test_an_end_under_way_may_be_received_by_whoever_holds_the_socket() -> None:
    build = TraceBuilder()
    parent, sockets, pipe = in_flight(build)
    build.close(parent, pipe.writer)
    child = build.fork(parent, keep=(sockets.writer,))
    build.begin(child, "time.sleep", size=100)
    build.begin(parent, "os.read", fd=pipe.reader, size=10)
    analysis = hung(build)
    assert analysis.verdict.name == "interrupted" and rules(analysis) == []


# IPC107, IPC108, IPC122


def asks_for_the_rest(build: TraceBuilder, second: int) -> None:
    parent = build.process("a.py")
    ends = build.pair(parent)
    child = build.fork(parent)
    build.close(parent, ends.writer)
    build.close(child, ends.reader)
    build.write(child, ends.writer, b"x" * 60)
    build.read(parent, ends.reader, b"x" * 60, size=100)
    build.begin(parent, "socket.recv", fd=ends.reader, size=second)
    build.begin(child, "socket.recv", fd=ends.writer, size=4)


def test_a_loop_that_asks_for_what_is_missing_waits_for_the_rest_of_a_message() -> None:
    build = TraceBuilder()
    asks_for_the_rest(build, second=40)
    analysis = hung(build)
    assert rules(analysis) == ["IPC108"]
    assert "waits for all 100 bytes" in first(analysis).message and "60 bytes have come" in first(analysis).message


def test_one_that_asks_for_as_much_as_before_waits_for_another_message() -> None:
    build = TraceBuilder()
    asks_for_the_rest(build, second=100)
    assert rules(hung(build)) == ["IPC107"]


def server_of_two(build: TraceBuilder, live: bool) -> None:
    parent = build.process("a.py")
    pairs = [build.pair(parent) for _ in range(2)]
    children = [build.fork(parent, keep=(pair.writer,)) for pair in pairs]
    for pair in pairs:
        build.close(parent, pair.writer)
    build.begin(children[0], "socket.recv", fd=pairs[0].writer, size=10)
    if live:
        build.begin(children[1], "time.sleep", size=100)
    else:
        build.begin(children[1], "socket.recv", fd=pairs[1].writer, size=10)
    build.select(parent, " ".join(f"r{pair.reader}" for pair in pairs))


def test_a_server_that_waits_for_any_client_while_all_wait_for_it() -> None:
    build = TraceBuilder()
    server_of_two(build, live=False)
    analysis = hung(build)
    assert analysis.verdict.name == "deadlock"
    assert rules(analysis) == ["IPC122", "IPC107"]


def test_one_client_that_sleeps_is_a_way_out() -> None:
    build = TraceBuilder()
    server_of_two(build, live=True)
    assert rules(hung(build)) == []


# IPC117, and FIFOs


def fifo(build: TraceBuilder, path: str) -> int:
    return build.channel("fifo", path=path)


def opens(build: TraceBuilder, thread: int, channel: int) -> None:
    build.begin(thread, "open", channel=channel, size=0)


def test_fifos_opened_in_opposite_orders_wait_for_each_other() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    one, two = fifo(build, f"{PRIVATE}/1"), fifo(build, f"{PRIVATE}/2")
    child = build.fork(parent)
    opens(build, parent, one)
    opens(build, child, two)
    analysis = hung(build)
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC117"])


@pytest.mark.parametrize("way_out", ["a name that others know", "a name that was told", "a thread that runs"])
def test_a_fifo_that_somebody_may_open_yet_is_no_deadlock(way_out: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    folder = "/run/server" if way_out == "a name that others know" else PRIVATE
    one, two = fifo(build, f"{folder}/1"), fifo(build, f"{folder}/2")
    child = build.fork(parent)
    if way_out == "a thread that runs":
        build.thread(0, "other")
    if way_out == "a name that was told":
        build.write(parent, 1, f"write to {PRIVATE}/1".encode())
    opens(build, parent, one)
    opens(build, child, two)
    analysis = hung(build)
    assert analysis.verdict.name != "deadlock" and rules(analysis) == []


@pytest.mark.parametrize(
    ("path", "made_up"),
    [
        ("/tmp/tmpab_d12xy/in", True),
        ("/tmp/tmp.aB3dE6gH1x/in", True),
        ("/tmp/demo-x1_y2abc/in", True),
        ("/run/user/1000/server", False),
        ("/home/someone/pipes/in", False),
        ("/tmp/server01/in", False),
    ],
)  # fmt: skip
def test_names_that_nobody_guesses(path: str, made_up: bool) -> None:
    assert bool(_MADE_UP.search(path)) == made_up


def test_the_holders_of_a_fifo_are_known_once_it_is_open() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    child = build.fork(parent)
    channel = fifo(build, "/srv/in")
    reader = build.hold(parent, channel, "r")
    build.hold(child, channel, "w")
    build.begin(parent, "os.read", fd=reader, size=10)
    build.look(times=2)
    situation = Situation(Run(build.trace(ended="duration")))
    [need] = situation.agents[0].needs or ()
    assert need.able == {0, 1} and need.seen == {1}


# For real


REAL = {
    "IPC105": (
        "import os, socket\n"
        "a, b = socket.socketpair()\n"
        "if os.fork() == 0:\n"
        "    a.close(); f = b.makefile('rwb'); f.write(f.read()); f.flush(); os._exit(0)\n"
        "b.close(); a.sendall(b'hello'); a.recv(100)\n"
    ),
    "IPC106": (
        "import subprocess\n"
        "one = subprocess.Popen(['yes'], stdout=subprocess.PIPE)\n"
        "two = subprocess.Popen(['head', '-1'], stdin=one.stdout, stdout=subprocess.DEVNULL)\n"
        "two.wait(); one.wait()\n"
    ),
    "IPC102": (
        "import subprocess\n"
        "pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p = subprocess.Popen('cat | grep a', shell=True, **pipes)\n"
        "p.stdin.write(b'a line\\n'); p.stdin.flush(); p.stdout.readline()\n"
    ),
    "IPC103": (
        "import os, subprocess, sys\n"
        "r, w = os.pipe(); r2, w2 = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(r); os.close(w2); os.write(w, b'one\\ntwo\\n'); os.read(r2, 1); os._exit(0)\n"
        "os.close(w); os.close(r2)\n"
        "f = os.fdopen(r); f.readline()\n"
        "subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.readline()'], stdin=r)\n"
    ),
    "IPC117": (
        "import os, tempfile\n"
        "d = tempfile.mkdtemp(); os.mkfifo(d + '/ask'); os.mkfifo(d + '/answer')\n"
        "if os.fork() == 0:\n"
        "    os.read(os.open(d + '/ask', os.O_RDWR), 100); open(d + '/answer', 'w'); os._exit(0)\n"
        "open(d + '/answer'); open(d + '/ask', 'w')\n"
    ),
}


@pytest.mark.chapter
@pytest.mark.parametrize("code", REAL)
@pytest.mark.sample(2)
def test_a_real_program_is_proven_stuck_and_its_cause_named_first(code: str, tmp_path: Path) -> None:
    program, trace = tmp_path / "program.py", tmp_path / "run.ipctrace"
    program.write_text(REAL[code])
    command = [sys.executable, "-m", "ipctrace", "record", "--no-report", "--duration", "30", "--out", str(trace)]
    subprocess.run([*command, str(program)], stdin=subprocess.DEVNULL, capture_output=True, env=clean_environment(),
                   timeout=100, check=False)  # fmt: skip
    run = ipctrace.load(trace)
    assert run.verdict.name == "deadlock"
    assert run.findings[0].rule == code
