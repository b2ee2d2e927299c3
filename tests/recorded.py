"""Recording a program by the command line, as a person does: for tests of the whole path."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import ipctrace
from tests.target import clean_environment, on_terminal

CHAPTER = Path(ipctrace.__file__).parent / "chapter"
SHORT = {"CHAPTER_SLEEP": "0.1"}


class Recorded(NamedTuple):
    """What a recording left: exit status, what stdout (or the terminal) and stderr got, and the trace."""

    status: int
    output: bytes
    errors: bytes
    trace: Path

    @property
    def run(self) -> ipctrace.Run:
        return ipctrace.load(self.trace)


def record(
    folder: Path, program: str | Path, *arguments: str, options: Sequence[str] = (), terminal: bool = False,
    stdout: Path | None = None, **environment: str,
) -> Recorded:  # fmt: skip
    """Record a program with the command line in `folder`; its output goes to a pipe, a file or a terminal."""
    trace = folder / "recorded.ipctrace"
    command = [
        sys.executable,
        "-m",
        "ipctrace",
        "record",
        "--out",
        str(trace),
        "--no-report",
        *options,
        "--",
        str(program),
        *arguments,
    ]
    return Recorded(*run(command, folder, terminal, stdout, **environment), trace)


def run(
    command: Sequence[str], folder: Path, terminal: bool = False, stdout: Path | None = None, **environment: str
) -> tuple[int, bytes, bytes]:
    """Run a command: (exit status, what stdout or the terminal got, what stderr got unless that is the terminal)."""
    given = clean_environment(**{**SHORT, **environment})
    if terminal:
        return (*on_terminal(command, given, folder=folder), b"")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(stdout.open("wb")) if stdout else subprocess.PIPE
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, env=given, cwd=folder, timeout=120
        )
    return done.returncode, stdout.read_bytes() if stdout else done.stdout, done.stderr
