"""Recording a program by the command line, as a person does: for tests of the whole path."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import ipctrace
from tests.target import clean_environment, on_terminal
from tests.warm import warm

CHAPTER = Path(ipctrace.__file__).parent / "chapter"
SHORT = {"CHAPTER_SLEEP": "0.1"}
COMMAND = [sys.executable, "-m", "ipctrace"]
LIMIT = 120  # seconds


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
    stdout: Path | None = None, fresh: bool = False, **environment: str,
) -> Recorded:  # fmt: skip
    """Record a program with the command line in `folder`; its output goes to a pipe, a file or a terminal. `fresh`: by
    an interpreter that inherits from this process, and not by one that has loaded ipctrace already."""
    trace = folder / "recorded.ipctrace"
    command = [*COMMAND, "record", "--out", str(trace), "--no-report", *options, "--", str(program), *arguments]
    return Recorded(*run(command, folder, terminal, stdout, fresh, **environment), trace)


def run(
    command: Sequence[str], folder: Path, terminal: bool = False, stdout: Path | None = None, fresh: bool = False,
    **environment: str,
) -> tuple[int, bytes, bytes]:  # fmt: skip
    """Run a command: (exit status, what stdout or the terminal got, what stderr got unless that is the terminal)."""
    given = clean_environment(**{**SHORT, **environment})
    if terminal:
        return (*on_terminal(command, given, folder=folder), b"")
    loaded = list(command[:4]) == [*COMMAND, "record"] and not fresh
    status, out, errors = (_warm if loaded else _fresh)(command, given, folder, stdout)
    return status, stdout.read_bytes() if stdout else out, errors


def _fresh(
    command: Sequence[str], environment: dict[str, str], folder: Path, stdout: Path | None
) -> tuple[int, bytes, bytes]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(stdout.open("wb")) if stdout else subprocess.PIPE
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, env=environment, cwd=folder,
            timeout=LIMIT,
        )  # fmt: skip
    return done.returncode, done.stdout or b"", done.stderr


def _warm(
    command: Sequence[str], environment: dict[str, str], folder: Path, stdout: Path | None
) -> tuple[int, bytes, bytes]:
    """The same in a process that has loaded ipctrace already."""
    with ThreadPoolExecutor(2) as threads, contextlib.ExitStack() as stack:
        nothing = stack.enter_context(Path(os.devnull).open("rb"))
        (out, into_out), (errors, into_errors) = (
            [stack.enter_context(os.fdopen(end, mode)) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True)]
            for _ in range(2)
        )
        read = [threads.submit(end.read) for end in (out, errors)]
        file = stack.enter_context(stdout.open("wb")) if stdout else into_out
        streams = [stream.fileno() for stream in (nothing, file, into_errors)]
        try:
            status = warm().run(command[3:], environment, folder, streams, LIMIT)
        finally:
            into_out.close()
            into_errors.close()
        return (status, *(each.result() for each in read))
