"""From what a person typed behind `ipctrace record` to a recorded run."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from . import chapter
from .tracer.errors import IpctraceError

if TYPE_CHECKING:
    from .run import Run
    from .tracer.supervisor import Progress

Payload = Literal["none", "prefix", "full"]
Buffering = Literal["default", "block", "line", "none", "tty"]
OnDeadlock = Literal["stop", "wait"]
StartMethod = Literal["fork", "spawn", "forkserver"]

PREFIX = 72  # payload bytes kept of each call, unless said otherwise
SMALLEST = 10**6  # bytes of the processes' logs that a trace may be bounded to
PYTHON = (".py", ".pyw", ".pyz")


class Program(NamedTuple):
    """What to start: its command line, the name for its trace, and whether it came from the bundled chapter."""

    command: list[str]
    name: str
    bundled: bool = False


def find(program: list[str], module: str | None = None, python: str | None = None) -> Program:
    """The program behind the words of a command line.

    A Python file (or a folder with a `__main__.py`) is run by `python`, by default the interpreter that runs ipctrace;
    anything else that is executable runs itself. A name without a folder that is no file here is taken from the bundled
    chapter, then from `PATH`. Raises IpctraceError where there is nothing to run.
    """
    interpreter = _interpreter(python)
    if module:
        return Program([interpreter, "-m", module, *program], module)
    if not program:
        raise IpctraceError(
            "there is no program to record",
            "behind `record` comes a Python file, -m MODULE, or any command",
            "ipctrace record pipes.py",
        )
    name, *arguments = program
    path = Path(name)
    if (path.suffix in PYTHON and path.is_file()) or (path / "__main__.py").is_file():
        return Program([interpreter, name, *arguments], path.resolve().stem)
    if path.is_file():
        if not os.access(path, os.X_OK):
            raise IpctraceError(
                f"{name} can't be run",
                "its name doesn't end in .py, and it is not executable",
                f"chmod +x {name}, or: ipctrace record -- python {name}",
            )
        return Program([str(path.absolute()) if os.sep not in name else name, *arguments], path.stem)
    if name in chapter.programs():
        return Program([interpreter, str(chapter.FOLDER / name), *arguments], path.stem, bundled=True)
    if os.sep not in name and shutil.which(name):
        return Program(program, path.stem)
    raise _not_there(path)


def _interpreter(python: str | None) -> str:
    found = shutil.which(python) if python else sys.executable
    if not found:
        raise IpctraceError(
            f"there is no interpreter {python}",
            "--python takes a path or a name that is in PATH",
            f"ipctrace record --python {Path(sys.executable).name} …",
        )
    return found


def _not_there(path: Path) -> IpctraceError:
    """There is no such program; perhaps another one was meant."""
    if path.is_dir():
        return IpctraceError(f"{path} is a folder without a __main__.py", "a program is a file, or -m MODULE")
    folder = path.parent
    here = [str(folder / each.name) for each in folder.glob("*.py")] if folder.is_dir() else []
    near = difflib.get_close_matches(str(path), [*here, *chapter.programs()], 1)
    if not near:
        return IpctraceError(
            f"there is no program {path} here",
            "it is no file, no program of the bundled chapter, and no command in PATH",
            "ipctrace chapter",
        )
    where = "" if near[0] in here else " (bundled chapter)"
    meant = f"did you mean {near[0]}{where}?"
    return IpctraceError(f"there is no program {path} here", meant, f"ipctrace record {near[0]}")


def record(
    program: list[str],
    *,
    module: str | None = None,
    out: str | Path | None = None,
    duration: float | None = None,
    payload: Payload = "prefix",
    payload_bytes: int = PREFIX,
    buffering: Buffering = "default",
    time: bool = False,
    python: str | None = None,
    on_deadlock: OnDeadlock = "stop",
    max_size: int | None = None,
    pipe_size: int | None = None,
    start_method: StartMethod | None = None,
    order: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Record a program, from its start until it ends, hangs for ever, or `duration` seconds are over.

    Its standard streams, arguments and exit status are its own. The trace goes into the folder `out`, by default the
    program's name with `.ipctrace`, in the working directory; a trace that lies there is replaced. With `time`, clocks
    and random numbers are recorded too, so that a replay can give them again. Of what the
    processes tell, the newest `max_size` bytes are kept, by default 250 MB;
    recording needs up to eight times as much memory. `pipe_size`: the bytes that each pipe holds which the program
    makes, as far as the system allows it; `start_method`: multiprocessing's default, where the program names none.
    With `order` every operation on what is shared is recorded, also of locks that nobody waits for and of names in the
    file system, so that a replay can hold them all to their order.
    Raises IpctraceError where the program can't be started or the trace can't be written.
    """
    from .analysis.waiting import is_deadlock
    from .run import Run
    from .tracer import supervisor
    from .tracer.replay.schedule import Schedule

    found = find(program, module, python)
    options = supervisor.Options(
        command=found.command,
        out=trace_path(found, out),
        duration=duration,
        payload=payload,
        payload_bytes=payload_bytes,
        buffering=buffering,
        time=time,
        on_deadlock=on_deadlock,
        max_size=max_size or supervisor.MAX_SIZE,
        pipe_size=pipe_size,
        start_method=start_method,
        schedule=Schedule() if order else None,
    )
    return Run(supervisor.record(options, is_deadlock, progress))


SMALLEST_PIPE, LARGEST_PIPE = 1, 1 << 30


def pipe_size(text: str) -> int:
    """The capacity of a pipe as a person writes it, in bytes: 4096, 64KiB. Raises IpctraceError for anything else."""
    number = _bytes(text)
    if not SMALLEST_PIPE <= number <= LARGEST_PIPE:
        why = "a pipe holds a number of bytes; the system rounds it up to whole pages"
        raise IpctraceError(f"{text} is no size for a pipe", why, "ipctrace record --pipe-size 4096 …")
    return number


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}


def size(text: str) -> int:
    """A size as a person writes it, in bytes: 500MB, 2GB, 64MiB, 1000000. Raises IpctraceError for anything else."""
    number = _bytes(text)
    if number < SMALLEST:
        why = "a size is a number and MB or GB, and at least 1 MB"
        raise IpctraceError(f"{text} is no size for a trace", why, "ipctrace record --max-size 500MB …")
    return number


def _bytes(text: str) -> int:
    """A number of bytes with its unit; 0 for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]I?|)B?", text.strip(), re.ASCII | re.IGNORECASE)
    return int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0


def trace_path(program: Program, out: str | Path | None) -> Path:
    """Where the trace of `program` goes."""
    return Path(out) if out else Path(f"{program.name}.ipctrace")
