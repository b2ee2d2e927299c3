"""The chapter's programs do, untraced, what the chapter says of them, under every interpreter that is here."""

from __future__ import annotations

import array
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ipctrace import chapter
from tests.interpreters import EACH, FOUND

each_interpreter = pytest.mark.parametrize("python", EACH)
each_writer = pytest.mark.parametrize("program", ["pipe_1.py", "pipe_2.py", "pipe_thread.py"])

DIALOGUE = (
    r'Child (?P<child>\d+) of (?P<parent>\d+) got arg: "spam"\n'
    r'Parent got: "Child (?P=child) got: \[Hello 1 from parent (?P=parent)\]"\n'
    r'Parent got: "Child (?P=child) got: \[Hello 2 from parent (?P=parent)\]"\n'
)


def environment(**more: str) -> dict[str, str]:
    """As by hand, without what hides buffering bugs, and with sleeps that are a fiftieth."""
    hidden = ("PYTHONUNBUFFERED", "CHAPTER_SLEEP")
    return {name: value for name, value in os.environ.items() if name not in hidden} | {"CHAPTER_SLEEP": "0.02"} | more


@contextmanager
def started(
    python: str, program: str, stdout: int, stderr: int = subprocess.PIPE, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a session of its own, all of which is gone at the end."""
    process = subprocess.Popen(
        [python, str(chapter.FOLDER / program)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=environment(**more),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def group(leader: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getpgid(int(entry.name)) == leader:
                found.append(int(entry.name))
        except ProcessLookupError:
            continue
    return sorted(found)


def waits_for_input(pid: int) -> bool:
    """Whether a process sits in a read of its standard input, a pipe in which nothing is."""
    call = Path(f"/proc/{pid}/syscall").read_text().split()
    read = {"x86_64": "0", "aarch64": "63"}[os.uname().machine]
    if call[:2] != [read, "0x0"]:
        return False
    waiting = array.array("i", [0])
    with Path(f"/proc/{pid}/fd/0").open("rb", buffering=0) as pipe:
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    return waiting[0] == 0


def hang(process: subprocess.Popen[bytes]) -> bool:
    """Return True once both processes of a group wait for input that only they could give: that can never end.

    False where the program ends in place of that.
    """
    while process.poll() is None:
        members = group(process.pid)
        with suppress(ProcessLookupError, FileNotFoundError):
            if len(members) == 2 and all(waits_for_input(pid) for pid in members):
                return True
    return False


def test_every_program_says_in_a_line_what_it_shows() -> None:
    programs = chapter.programs()
    assert {"pipe_1.py", "pipe_2.py", "pipe_thread.py", "pipes.py", "pipes_test_child.py"} < set(programs)
    assert {"deadlock.py", "deadlock_child.py"} < set(programs)
    assert all(line.endswith(".") and len(line) <= 58 for line in programs.values())


@each_interpreter
def test_pipes_talks_twice(python: str) -> None:
    with started(python, "pipes.py", subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    assert re.fullmatch(DIALOGUE, err.decode())


@each_interpreter
def test_without_flushes_both_wait_for_ever_where_output_is_not_a_terminal(python: str, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out, started(python, "deadlock.py", out.fileno()) as process:
        assert hang(process)


@each_interpreter
def test_without_buffers_the_same_program_completes(python: str) -> None:
    with started(python, "deadlock.py", subprocess.PIPE, PYTHONUNBUFFERED="1") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.fullmatch(DIALOGUE, err.decode())


@each_interpreter
def test_in_a_terminal_the_same_program_completes(python: str) -> None:
    """Python chose line buffering while descriptor 1 was the terminal, and keeps it when a pipe has taken its place."""
    master, terminal = pty.openpty()
    shown = b""
    with started(python, "deadlock.py", terminal, terminal) as process:
        os.close(terminal)
        while select.select([master], [], [], 60)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:  # EIO: the last process that had the terminal has ended
                break
        assert process.wait(timeout=60) == 0
    os.close(master)
    assert re.fullmatch(DIALOGUE, shown.decode().replace("\r\n", "\n"))


@each_writer
@each_interpreter
def test_the_messages_come_in_order_and_never_end(python: str, program: str) -> None:
    """Without a separator a slow machine's reader may get several at once: that is why pipe_2.py has one."""
    message = r"(Spam \d)" if program == "pipe_2.py" else r"b'((?:Spam \d)+)'"
    with started(python, program, subprocess.PIPE, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        lines = [process.stdout.readline().decode() for _ in range(7)]
        assert process.poll() is None
    matches = [re.fullmatch(rf"Parent {process.pid} got \[{message}\] at [\d.]+\n", line) for line in lines]
    texts = "".join(match[1] if match else "?" for match in matches)
    assert texts == "".join(f"Spam {k % 5}" for k in range(len(texts) // len("Spam 0")))


def test_programs_run_from_any_folder(tmp_path: Path) -> None:
    """They find their children beside themselves."""
    for name in chapter.programs():
        (tmp_path / name).write_bytes((chapter.FOLDER / name).read_bytes())
    done = subprocess.run(
        [FOUND["CPython 3.8"] or sys.executable, str(tmp_path / "pipes.py")],
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert re.fullmatch(DIALOGUE, done.stderr.decode())
