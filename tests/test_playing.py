"""`ipctrace replay` on a terminal, which a terminal emulator stands for, and in a pipe: the real command."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyte
import pytest
from ipctrace.tracer import store

from tests.bench.analysis import make
from tests.builders import deadlock_trace
from tests.hostile import TEXTS, hostile_trace
from tests.target import clean_environment

PATIENCE = 120  # seconds that a loaded machine may take


class Terminal:
    """A command on a terminal of its own, and what that shows."""

    def __init__(self, folder: Path, *arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.leader, follower = pty.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.resize(columns, rows)
        self.before = termios.tcgetattr(follower)
        self.output = b""

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        given = clean_environment(**{"TERM": "xterm", "NO_COLOR": "", **environment})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ipctrace", "replay", *arguments], stdin=follower, stdout=follower, stderr=follower,
            cwd=folder, env=given, preexec_fn=own_terminal,
        )  # fmt: skip
        self.follower = follower

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take what the command writes; False: nothing came."""
        if not select.select([self.leader], [], [], seconds)[0]:
            return False
        piece = os.read(self.leader, 65536)
        self.output += piece
        self.stream.feed(piece.replace(b"\x1b[?2026h", b"").replace(b"\x1b[?2026l", b""))
        return True

    def until(self, holds: Callable[[list[str]], Any]) -> list[str]:
        """Wait until that holds of the lines on the screen, and return them."""
        deadline = time.monotonic() + PATIENCE
        while not holds(self.lines):
            assert time.monotonic() < deadline, "\n".join(self.lines)
            assert self.read(0.5) or self.process.poll() is None, "\n".join(self.lines)
        return self.lines

    def shows(self, text: str) -> list[str]:
        return self.until(lambda lines: text in "\n".join(lines))

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def status(self) -> int:
        """What the command ends with."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read(0.1)
        while self.read(0):
            pass
        return self.process.returncode

    def given_back(self) -> bool:
        """Whether the terminal is as it was: its settings, the main screen, its cursor."""
        settings = termios.tcgetattr(self.follower)
        end = self.output[-200:]
        return settings == self.before and b"\x1b[?1049l" in end and b"\x1b[?25h" in end

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.leader)
        os.close(self.follower)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store.save(deadlock_trace(), tmp_path / "deadlock.ipctrace")
    hostile = hostile_trace(TEXTS["paints a terminal"] + TEXTS["turns round"])
    hostile.processes["argv"] = [["python"]] * len(hostile.processes)  # half a character can't be written
    store.save(hostile, tmp_path / "hostile.ipctrace")
    return tmp_path


@pytest.fixture
def terminal(folder: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def terminal(*arguments: str, **more: Any) -> Terminal:
        opened.append(Terminal(folder, *arguments, **more))
        return opened[-1]

    yield terminal
    for each in opened:
        each.close()


Open = Callable[..., Terminal]


def test_it_plays_to_the_end_steps_back_and_quits(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace")
    shown.shows("at the end")
    shown.type("d")
    lines = shown.shows("0.900760 s of")
    assert any("parent waits for child; child waits for parent" in line for line in lines)
    shown.type("\x1b[D")
    lines = shown.shows("0.900710 s of")
    assert any("26 B parent" in line for line in lines)
    shown.type("?")
    shown.shows("any key goes back")
    shown.type(" q")
    assert shown.status() == 0
    assert shown.given_back()


def test_it_begins_where_it_is_told_to(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace", "--from", "message 2", "--speed", "0.000001")
    lines = shown.shows("playing, 1e-06")
    assert any("#2 45 B into its buffer" in line for line in lines)


def test_a_search_is_typed_letter_by_letter(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace")
    shown.shows("at the end")
    shown.type("/hellö")
    shown.shows("search for: hellö_")
    shown.type("\x7fo 1\r")
    shown.shows("message 1: 26 B")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["INT", "TERM", "HUP"],
)
def test_a_signal_gives_the_terminal_back(terminal: Open, number: int, status: int) -> None:
    shown = terminal("deadlock.ipctrace")
    shown.shows("? all keys")
    shown.process.send_signal(number)
    assert shown.status() == status
    assert shown.given_back()


def test_ctrl_c_is_typed(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace")
    shown.shows("? all keys")
    shown.type("\x03")
    assert shown.status() == 130
    assert shown.given_back()


def test_stopped_and_continued_it_is_drawn_again(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace")
    shown.shows("at the end")
    shown.process.send_signal(signal.SIGTSTP)  # of a session without a shell it is not stopped, only asked to
    shown.until(lambda _: shown.output.count(b"\x1b[?1049h") == 2 and shown.output.count(b"\x1b[?1049l") == 1)
    shown.shows("at the end")
    shown.type("\x1b[Hq")
    assert shown.status() == 0
    assert shown.given_back()


def test_another_size_is_another_screen(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace")
    shown.shows("at the end")
    shown.resize(140, 40)
    lines = shown.until(lambda lines: len(lines[1]) == 140 and "? all keys" in lines[-1])
    assert any("Hello 2 from parent" in line for line in lines)
    shown.resize(30, 10)
    shown.shows("at least 40 columns")
    shown.resize(60, 16)
    shown.until(lambda lines: len(lines[1]) == 60 and "space" in lines[-1])


def test_hostile_text_neither_paints_nor_moves(terminal: Open) -> None:
    shown = terminal("hostile.ipctrace")
    shown.shows("at the end")
    shown.type("\x1b[Hmm")
    shown.shows("message 2")
    shown.type("q")
    assert shown.status() == 0
    for harmful in (b"\x1b]", b"\x9b", b"\xe2\x80\xae", b"\x1b[31m\x1b"):
        assert harmful not in shown.output


def test_colours_go_with_no_color(terminal: Open) -> None:
    painted, plain = terminal("deadlock.ipctrace"), terminal("deadlock.ipctrace", NO_COLOR="1")
    for each in (painted, plain):
        each.shows("at the end")
        each.type("q")
        assert each.status() == 0
    assert b"\x1b[1;31m" in painted.output
    assert b"\x1b[1;31m" not in plain.output
    assert b"\x1b[2m" not in plain.output


def test_a_terminal_without_unicode_gets_ascii(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    shown.shows("at the end")
    shown.type("q")
    assert shown.status() == 0
    assert shown.output.isascii()


def test_a_dumb_terminal_gets_lines(terminal: Open) -> None:
    shown = terminal("deadlock.ipctrace", TERM="dumb")
    assert shown.status() == 0
    assert len(shown.output.splitlines()) == len(deadlock_trace().events)
    assert b"\x1b" not in shown.output


def test_a_trace_that_is_not_there_takes_no_screen(terminal: Open) -> None:
    shown = terminal("nothing.ipctrace")
    assert shown.status() == 2
    assert b"there is no trace nothing.ipctrace" in shown.output
    assert b"\x1b[?1049h" not in shown.output


def test_a_large_trace_plays_before_it_is_analysed(terminal: Open, folder: Path) -> None:
    store.save(make(120_000), folder / "large.ipctrace")
    shown = terminal("large.ipctrace", "--from", "finding 1")
    shown.shows("being analysed")
    shown.until(lambda lines: "deadlock[" in lines[0])
    shown.shows("waits for")
    shown.type("\x1b[Fq")
    assert shown.status() == 0
    assert shown.given_back()


def test_it_can_be_left_while_it_is_being_analysed(terminal: Open, folder: Path) -> None:
    store.save(make(120_000), folder / "large.ipctrace")
    shown = terminal("large.ipctrace")
    shown.shows("being analysed")
    shown.type("q")
    assert shown.status() == 0
    assert shown.given_back()


# ---- in a pipe


def piped(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ipctrace", "replay", *arguments]
    return subprocess.run(command, cwd=folder, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE, **more)  # fmt: skip


def test_in_a_pipe_it_is_a_line_an_event_and_the_same_every_time(folder: Path) -> None:
    once, twice = (piped(folder, "deadlock.ipctrace") for _ in range(2))
    assert (once.returncode, once.stderr) == (0, b"")
    assert once.stdout == twice.stdout
    assert len(once.stdout.splitlines()) == len(deadlock_trace().events)
    assert b"\x1b" not in once.stdout


def test_in_a_pipe_it_waits_only_if_a_speed_is_asked_for(folder: Path) -> None:
    """The run took 1.04 s; a tenth of the speed takes longer than any start."""
    begun = time.monotonic()
    slow = piped(folder, "deadlock.ipctrace", "--speed", "0.5", "--from", "0.3")
    took = time.monotonic() - begun
    assert took >= (0.9 - 0.3) / 0.5
    assert slow.stdout == piped(folder, "deadlock.ipctrace", "--speed", "max", "--from", "0.3").stdout
    assert slow.stdout


def test_whoever_reads_may_leave(folder: Path) -> None:
    store.save(make(20_000), folder / "long.ipctrace")
    command = f"{sys.executable} -m ipctrace replay long.ipctrace | head -n 3"
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=clean_environment(), capture_output=True, timeout=PATIENCE
    )
    assert (len(done.stdout.splitlines()), done.stderr) == (3, b"")


def test_from_a_message_or_a_finding_on(folder: Path) -> None:
    lines = piped(folder, "deadlock.ipctrace", "--from", "message 3").stdout.decode().splitlines()
    assert lines[0].endswith("print  25 bytes  pipe A  message 3  deadlock.py:41  Hello 2 from parent 47110")
    wrong = piped(folder, "deadlock.ipctrace", "--from", "message 9")
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert b"there is no message 9; there are 3" in wrong.stderr


def test_nothing_that_a_trace_names_is_run(folder: Path, tmp_path: Path) -> None:
    trace = deadlock_trace()
    script = tmp_path / "trap.py"
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    trace.facts |= {"command": [sys.executable, str(script)], "cwd": str(tmp_path)}
    trace.processes["argv"] = [[sys.executable, str(script)]] * len(trace.processes)
    store.save(trace, folder / "trap.ipctrace")
    assert piped(folder, "trap.ipctrace").returncode == 0
    assert not (tmp_path / "ran").exists()
