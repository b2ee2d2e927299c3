"""What must be so before a program of a trace is run again: the trace is one's own, the program is still there.

A trace is data, and most commands only read it. Those that run what it names (`replay --process`, `replay --enforce`)
come through here: a trace that somebody else made could name any command.

    run = own(path)                         # the trace, if it is ours
    program = checked(run, process)         # what it ran, if that is still there
    announce(program)                       # said before it is run
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .analysis.naming import process_names
from .console import load, say
from .reports.ink import escape
from .tracer.errors import IpctraceError
from .tracer.lives import program_file

if TYPE_CHECKING:
    from .run import Run


class Program(NamedTuple):
    """What is run: the command line, beginning with a path to what is executed, and the folder that it is run in."""

    command: list[str]
    cwd: Path


def own(path: str | Path) -> Run:
    """The run recorded into a folder, if the folder and all that lies in it belong to the user who asks.

    Raises IpctraceError where it is somebody else's, or no trace. Where the system knows no users, nobody is refused.
    """
    folder = Path(path)
    if hasattr(os, "geteuid") and folder.is_dir():
        for each in (folder, *(file for file in folder.rglob("*") if file.exists())):
            if (owner := each.stat().st_uid) != os.geteuid():
                raise IpctraceError(
                    f"{folder} is not yours",
                    f"{'it' if each is folder else each.name} belongs to user {owner}, "
                    "and running a program because somebody else's trace names it is not safe",
                    f"ipctrace replay {folder} plays it and runs nothing; or record the program yourself",
                )
    return load(folder)


def checked(run: Run, process: int | None = None, python: str | None = None) -> Program:
    """What a process of a run last ran, or, of None, how the recorded program was started, if all of it is still there.

    `python`: another interpreter to run it with. Raises IpctraceError where the interpreter or command, the program's
    file, or the working directory isn't there any more.
    """
    facts, row = run.facts, run.processes.iloc[process or 0]
    recorded = list((process is None and facts["command"]) or row["argv"])
    cwd = Path((process is None and facts["cwd"]) or _text(row["cwd"]) or facts["cwd"] or ".")
    who = process_names(run.trace)[process or 0]
    if not recorded:
        raise IpctraceError(f"what {who} ran isn't known", "the trace has no command line of it")
    if not cwd.is_dir():
        raise _gone(f"the folder {cwd}", f"{who} ran in it")
    command = [_executable(recorded[0], cwd, _text(row["executable"]), f"{who} ran it"), *recorded[1:]]
    file = program_file(recorded)
    if file is not None and not (cwd / file).exists():
        raise _gone(f"the program {cwd / file}", f"{who} ran it")
    if python is not None:
        command[0] = _executable(python, Path.cwd(), None, "--python names it")
    return Program(command, cwd)


def announce(program: Program) -> None:
    """Say on standard error what is about to be run, and where, so that it could be typed."""
    say([escape(f"ipctrace: running {shown(program.command)} in {program.cwd}")], sys.stderr)


def shown(command: Sequence[str]) -> str:
    """A command line as a shell would take it."""
    return shlex.join(command)


def _executable(name: str, cwd: Path, executable: str | None, why: str) -> str:
    """A path to what is to be executed: `name` is what it was called by, `executable` what that was."""
    there = cwd / name if os.sep in name else name  # as it was called: a virtual environment's Python is a link
    found = shutil.which(there) or (executable and shutil.which(executable))
    if not found:
        raise _gone(f"the command {name}", why)
    return str(found)


def _text(value: Any) -> str | None:
    """A text of a table, which may be empty."""
    return value if isinstance(value, str) and value else None


def _gone(what: str, why: str) -> IpctraceError:
    return IpctraceError(f"{what} is not there", why, "put it back, or record the program again")
