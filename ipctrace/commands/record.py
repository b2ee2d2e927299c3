"""`ipctrace record`: records a run of a program and says what happened."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from ..console import DEADLOCK, INTERRUPTED, browse, ink, say
from ..tracer.errors import IpctraceError

if TYPE_CHECKING:
    from ..run import Run


class Payload(StrEnum):
    """How much of each payload is kept."""

    none = "none"
    prefix = "prefix"
    full = "full"


class Buffering(StrEnum):
    """How the program's standard streams are buffered."""

    default = "default"
    block = "block"
    line = "line"
    none = "none"
    tty = "tty"


class StartMethod(StrEnum):
    """How multiprocessing starts processes."""

    fork = "fork"
    spawn = "spawn"
    forkserver = "forkserver"


class OnDeadlock(StrEnum):
    """What to do once nothing can ever go on."""

    stop = "stop"
    wait = "wait"


class ProgramCommand(typer.core.TyperCommand):
    """As for python itself, everything behind `-m MODULE` belongs to the module."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        valued = {name for each in self.params for name in each.opts if not getattr(each, "is_flag", True)}
        position = 0
        while position < len(args) and args[position].startswith("-") and args[position] != "--":
            if args[position] == "-m":
                args.insert(position + 2, "--")
                break
            position += 2 if args[position] in valued else 1
        return super().parse_args(ctx, args)


def record(
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROGRAM [ARGS]", help="A Python file or any command, and its arguments."),
    ] = None,
    module: Annotated[str | None, typer.Option("-m", metavar="MODULE", help="A module in place of a file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the trace goes. [default: PROGRAM.ipctrace]")] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="End the program after so many seconds.")] = None,
    payload: Annotated[Payload, typer.Option(help="How much of what passes is kept.")] = Payload.prefix,
    payload_bytes: Annotated[int, typer.Option(min=0, max=65_000, help="How many bytes a prefix is.")] = 72,
    buffering: Annotated[
        Buffering, typer.Option(help="How Python buffers standard streams; tty: on a terminal.")
    ] = Buffering.default,
    pipe_size: Annotated[
        str | None, typer.Option(metavar="BYTES", help="What each pipe of the program holds (4096, 64KiB).")
    ] = None,
    start_method: Annotated[
        StartMethod | None, typer.Option(help="How multiprocessing starts processes, unless the program says it.")
    ] = None,
    time: Annotated[bool, typer.Option("--time", help="Keep clocks and random numbers too, for `replay`.")] = False,
    python: Annotated[str | None, typer.Option(metavar="EXE", help="The interpreter for a Python file.")] = None,
    on_deadlock: Annotated[OnDeadlock, typer.Option(help="What to do with what can never go on.")] = OnDeadlock.stop,
    max_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Keep the newest so much (500MB, 2GB) of what is recorded. [default: 250MB]"),
    ] = None,
    order: Annotated[
        bool,
        typer.Option(
            "--order", help="Record every lock and file name too, so that `replay --enforce` can force their order."
        ),
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Where the report goes. [default: beside the trace]")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Record a run of PROGRAM and say what happened.

    Ends with the program's own status (128 + n for a signal), 86 on a deadlock, 2 on a mistake in how it is called.
    """
    from .. import recording
    from ..analysis.remedies import fits
    from ..live import Live
    from ..tracer import store

    found = recording.find(program or [], module, python)
    folder = recording.trace_path(found, out)
    pen = ink(sys.stderr)
    live = None
    if not quiet:
        if found.bundled:
            say([f"ipctrace: {program and program[0]} is no file here; recording the bundled chapter's"], sys.stderr)
        if sys.stderr.isatty() and not sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            live = Live(sys.stderr, pen.width)
    try:
        made = recording.record(
            program or [],
            module=module,
            out=folder,
            duration=duration,
            payload=payload.value,
            payload_bytes=payload_bytes,
            buffering=buffering.value,
            time=time,
            python=python,
            on_deadlock=on_deadlock.value,
            pipe_size=None if pipe_size is None else recording.pipe_size(pipe_size),
            start_method=None if start_method is None else start_method.value,
            max_size=None if max_size is None else recording.size(max_size),
            order=order,
            progress=live,
        )
    finally:
        if live:
            live.clear()
    page, problem = None, None
    if not no_report:
        try:
            page = made.report(report or folder.with_suffix(".html"))
        except IpctraceError as error:
            problem = error  # the run is over and its verdict is worth having
    if not quiet:
        from ..reports import terminal

        rule = made.verdict.rule
        steps = [("explain", f"ipctrace rules {rule}")] if rule else []
        if made.verdict.name in ("deadlock", "stalled") and fits(rule):
            steps.append(("try it", fixing(program or [], module, python)))
        steps += [("look", str(page))] if page else [("report", f"ipctrace report {folder}")]
        say(terminal.verdict(made.analysis, pen, steps, f"ipctrace analyze {folder}"), sys.stderr)
        say((f"ipctrace: {note}" for note in [*store.dropped(made.facts), *store.lost(made.facts)]), sys.stderr)
    if problem:
        raise problem
    if page and open_:
        browse(page)
    return _status(made)


def fixing(program: list[str], module: str | None, python: str | None) -> str:
    """The command that tries remedies for what was recorded."""
    words = ["ipctrace", "fix", *(["--python", python] if python else []), *(["-m", module] if module else [])]
    guard = ["--"] if program and program[0].startswith("-") else []
    return shlex.join([*words, *guard, *program])


def _status(run: Run) -> int:
    """What `record` ends with."""
    status, ended = run.facts["status"], run.facts["ended"]
    if run.verdict.name == "deadlock":
        return DEADLOCK
    if ended == "duration":
        return 0
    if status is None:
        return INTERRUPTED
    return int(status) if status >= 0 else 128 - int(status)
