"""`record --buffering tty`: what a program gets and gives on a pseudo-terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer import proc

import ipctrace
from tests import recorded
from tests.interpreters import NEWEST
from tests.target import clean_environment

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")

SHOWS = """
import os, sys
print([(os.isatty(n), os.ttyname(n)) for n in (0, 1)], os.isatty(2), os.ttyname(2) == os.ttyname(1))
print(tuple(os.get_terminal_size(1)), tuple(os.get_terminal_size(2)), os.environ["TERM"])
print(sys.stdout.line_buffering, sys.stdin.isatty())
print("to stderr", file=sys.stderr)
"""


class Session:
    """`ipctrace record --buffering tty` with pipes for its streams, leading a session of its own."""

    def __init__(self, folder: Path, program: str, *options: str, shared: bool = False) -> None:
        (folder / "program.py").write_text(program)
        self.trace = folder / "program.ipctrace"
        command = [sys.executable, "-m", "ipctrace", "record", "-q", "--no-report", "--out", str(self.trace)]
        self.process = subprocess.Popen(
            [*command, "--buffering", "tty", *options, str(folder / "program.py")], start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if shared else subprocess.PIPE,
            env=clean_environment(),
        )  # fmt: skip

    def until(self, text: bytes) -> bytes:
        """What its output is up to a text."""
        assert self.process.stdout is not None
        output = b""
        while text not in output and (piece := os.read(self.process.stdout.fileno(), 4096)):
            output += piece
        return output

    def type(self, text: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, text: bytes = b"") -> tuple[int, bytes, bytes]:
        """Type a last text and nothing more: (status, stdout, stderr)."""
        output, errors = self.process.communicate(text, timeout=100)
        return self.process.returncode, output, errors or b""


def test_each_stream_is_a_terminal_and_ours_get_what_it_shows(tmp_path: Path) -> None:
    status, output, errors = Session(tmp_path, SHOWS).end()
    assert (status, errors) == (0, b"to stderr\r\n")
    lines = output.decode().split("\r\n")
    assert lines[0].count("True") == 3 and lines[0].endswith("True False"), "stdin and stdout share one"
    assert lines[1:] == [f"(80, 24) (80, 24) {os.environ.get('TERM') or 'xterm'}", "True True", ""]


def test_output_and_errors_to_one_place_keep_their_order_on_one_terminal(tmp_path: Path) -> None:
    status, output, _ = Session(tmp_path, SHOWS, shared=True).end()
    assert (status, output.split(b"\r\n")[-2:]) == (0, [b"to stderr", b""])
    assert output.split(b"\r\n")[0].endswith(b"True True")


def test_what_is_typed_is_echoed_and_read_and_the_end_is_found_each_time(tmp_path: Path) -> None:
    program = (
        "import sys\nprint(repr(input()), repr(sys.stdin.read()), repr(sys.stdin.read()), repr(sys.stdin.readline()))\n"
    )
    status, output, _ = Session(tmp_path, program).end(b"one\ntwo")
    assert (status, output) == (0, b"one\r\ntwo'one' 'two' '' ''\r\n")


def test_nothing_typed_is_an_end_at_once(tmp_path: Path) -> None:
    status, output, errors = Session(tmp_path, "try:\n    input()\nexcept EOFError:\n    print('end')\n").end()
    assert (status, output, errors) == (0, b"end\r\n", b"")


def test_a_megabyte_comes_through_to_its_last_byte(tmp_path: Path) -> None:
    program = "import os\nfor k in range(1000): os.write(1, b'%03d' % k * 333 + b'\\n')\n"
    status, output, _ = Session(tmp_path, program).end()
    assert status == 0
    assert output == b"".join(b"%03d" % k * 333 + b"\r\n" for k in range(1000))


def test_a_key_interrupts_the_programs_group_and_not_the_recorder(tmp_path: Path) -> None:
    program = (
        "import os, time\n"
        "try:\n"
        "    if child := os.fork():\n"
        "        os.wait()\n"
        "    else:\n"
        "        print('ready')\n"
        "        os.write(1, b'now')\n"  # when the print is over: what interrupts it may have it written twice
        "        time.sleep(100)\n"
        "except KeyboardInterrupt:\n"
        "    if not child:\n"
        "        print('child interrupted')\n"
        "        os._exit(7)\n"
        "    print(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "print(os.open('/dev/tty', os.O_RDWR) > 2, os.tcgetpgrp(0) == os.getpgrp())\n"
    )
    session = Session(tmp_path, program)
    before = session.until(b"now")
    session.type(b"\x03")
    status, after, _ = session.end()
    assert status == 0, (before, after)
    assert before + after == b"ready\r\nnow^Cchild interrupted\r\n7\r\nTrue True\r\n"
    assert ipctrace.load(session.trace).verdict.name == "completed"


def test_ctrl_c_in_our_own_terminal_reaches_a_program_whose_output_is_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, sys, time\ntry:\n    os.write(2, b'ready')\n    time.sleep(100)\nexcept KeyboardInterrupt:\n    print(os.isatty(1)); sys.exit(5)\n"
    )
    command = [sys.executable, "-m", "ipctrace", "record", "-q", "--no-report", "--buffering", "tty", "program.py"]
    leader, follower = os.openpty()
    script = f"import os, pty\nos.login_tty({follower})\nos.dup2(os.open('out', os.O_CREAT | os.O_WRONLY), 1)\nos.execv({command[0]!r}, {command!r})\n"
    shell = subprocess.Popen([sys.executable, "-c", script], pass_fds=[follower], cwd=tmp_path, env=clean_environment())
    os.close(follower)
    shown = b""
    while b"ready" not in shown:
        shown += os.read(leader, 99)
    os.write(leader, b"\x03")
    assert shell.wait(100) == 5
    os.close(leader)
    assert (tmp_path / "out").read_bytes() == b"True\r\n"


def test_who_reads_our_output_and_goes_hangs_the_terminal_up(tmp_path: Path) -> None:
    session = Session(tmp_path, "import time\nwhile True:\n    print('y' * 99)\n    time.sleep(0.01)\n", shared=True)
    session.until(b"y")
    assert session.process.stdout is not None and session.process.stdin is not None
    session.process.stdout.close()
    assert session.process.wait(100) != 0
    session.process.stdin.close()
    assert not [pid for pid in ipctrace.load(session.trace).processes.pid if proc.read_stat(int(pid))]


def test_who_waits_for_the_terminal_waits_for_a_person(tmp_path: Path) -> None:
    session = Session(tmp_path, "input()\n", "--duration", "2")
    assert session.process.wait(100) == 0
    session.end()
    run = ipctrace.load(session.trace)
    assert run.verdict.name != "deadlock"
    channel = run.trace.events[run.trace.events.op == "input"].channel.iloc[0]
    assert run.trace.channels.outside[channel]


def test_a_deadlock_is_one_on_a_terminal_too(tmp_path: Path) -> None:
    program = "import os\na, b = os.pipe(), os.pipe()\nif os.fork():\n    os.read(a[0], 1)\n    os.write(b[1], b'x')\nelse:\n    os.read(b[0], 1)\n    os.write(a[1], b'x')\n"
    status, *_ = Session(tmp_path, program).end()
    assert (status, ipctrace.load(tmp_path / "program.ipctrace").verdict.name) == (86, "deadlock")


def test_a_signal_to_the_recorder_is_the_programs(tmp_path: Path) -> None:
    session = Session(tmp_path, "import time\nprint('ready')\ntime.sleep(100)\n")
    session.until(b"ready")
    session.process.send_signal(signal.SIGINT)
    assert session.end()[0] == 128 + signal.SIGINT


@pytest.mark.chapter
@pytest.mark.parametrize("python", NEWEST)
def test_the_chapters_deadlock_completes_in_a_terminal_and_nowhere_else(python: str, tmp_path: Path) -> None:
    for mode, expected in {
        "tty": (0, "completed"),
        "line": (0, "completed"),
        "none": (0, "completed"),
        "block": (86, "deadlock"),
    }.items():
        (tmp_path / mode).mkdir()
        options = ["--buffering", mode, "--python", python]
        made = recorded.record(tmp_path / mode, "deadlock.py", options=options)
        assert (made.status, made.run.verdict.name) == expected, (mode, made.errors.decode())
