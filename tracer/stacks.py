"""Python stacks of a program that hangs, read from outside by py-spy: threads that are blocked in C included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from .assemble import Frame

_OURS = f"{os.sep}inject{os.sep}_ipctrace{os.sep}"  # the runtime's own frames, which belong to no program
_PATIENCE = 3.0  # seconds for all of them together


def find_py_spy() -> str | None:
    """py-spy beside this interpreter, or on PATH."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def read_stacks(pids: Iterable[int], py_spy: str | None) -> tuple[list[Frame], list[str]]:
    """The stacks of all threads of these processes, and a sentence for each that could not be read.

    The processes aren't paused for it: they are blocked anyhow, and a pause would be seen by their parents.
    """
    if py_spy is None:
        return [], ["py-spy is not installed: no Python stacks"]
    deadline = time.monotonic() + _PATIENCE
    frames: list[Frame] = []
    notes: list[str] = []
    running = []
    for pid in pids:
        try:
            running.append((pid, _start(py_spy, pid)))
        except OSError as error:
            return [], [f"py-spy can't be started ({error.strerror}): no Python stacks"]
    for pid, dump in running:
        try:
            out, complaint = dump.communicate(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            dump.kill()
            out, complaint = dump.communicate()[0], "it took too long"
        if dump.returncode == 0:
            frames += parse(pid, out)
        else:
            reason = complaint.strip().splitlines()[0] if complaint.strip() else "it gave no reason"
            notes.append(f"no Python stacks of process {pid}: py-spy: {reason}")
    return frames, notes


def _start(py_spy: str, pid: int) -> subprocess.Popen[str]:
    command = [py_spy, "dump", "--nonblocking", "--json", "--pid", str(pid)]
    quiet, pipe = subprocess.DEVNULL, subprocess.PIPE
    return subprocess.Popen(command, stdin=quiet, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace")


def parse(pid: int, dump: str) -> list[Frame]:
    """The frames in `py-spy dump --json`'s answer, innermost first, without those of our runtime."""
    try:
        threads = json.loads(dump)
    except ValueError:
        return []
    frames = []
    for thread in threads:
        program = [frame for frame in thread["frames"] if _OURS not in frame["filename"]]
        frames += [
            Frame(pid, thread.get("os_thread_id") or pid, depth, frame["name"], frame["filename"], frame["line"])
            for depth, frame in enumerate(program)
        ]
    return frames
