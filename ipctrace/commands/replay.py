"""`ipctrace replay`: a recorded run watched again, one process of it run alone, or its interleaving enforced.

Three parts of one command, each in a module of its own, which is imported when it is asked for: `playing` draws a trace
and runs nothing; `alone` and `enforcing` run programs again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..tracer.errors import IpctraceError

# What an option is of no use without.
_OF_ALONE = ("--time", "--pdb", "--break", "--timing", "--chunks", "--python", "--verbose")
_OF_ENFORCING = ("--strict", "--no-sleep")
_OF_PLAYING = ("--speed", "--from")


def replay(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A folder that `record` made.")],
    speed: Annotated[
        str | None,
        typer.Option(metavar="X", help="How fast: 1 is as recorded, 0.1 a tenth of it, `max` without any waiting."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="WHERE", help="Begin at a time (1.5, 200ms), `message N`, or `finding N`."),
    ] = None,
    process: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Run this process again, alone: what it read and was told comes from TRACE."),
    ] = None,
    time: Annotated[
        bool, typer.Option("--time", help="With --process: clocks and random seeds give what they gave then.")
    ] = False,
    pdb: Annotated[bool, typer.Option("--pdb", help="With --process: under the debugger.")] = False,
    break_: Annotated[
        str | None,
        typer.Option("--break", metavar="MESSAGE", help="With --process: into the debugger at message N, or its text."),
    ] = None,
    timing: Annotated[
        bool | None,
        typer.Option(
            "--timing/--chunks",
            help="With --process: bytes come when they came then; or, as by default, at once, in the same portions.",
        ),
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="EXE", help="With --process: another interpreter than the recorded one.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --process: say what comes in and goes out, a line each.")
    ] = False,
    enforce: Annotated[
        bool, typer.Option("--enforce", help="Run the whole program again, its processes held to the recorded order.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="With --enforce: stop where the program departs from the record.")
    ] = False,
    no_sleep: Annotated[bool, typer.Option("--no-sleep", help="With --enforce: sleeps return at once.")] = False,
) -> int:
    """Play a recorded run again, or run it again.

    Without --process and --enforce nothing is run: the trace is played in the terminal, at the speed of the run; `?`
    lists the keys. Where standard output is no terminal, it is a line an event.

    With --process NAME that program runs again by itself, and with --enforce all of them; the command that is run is
    shown first. Only traces of your own are taken for that.
    """
    given = {
        "--speed": speed is not None, "--from": start is not None, "--process": process is not None, "--time": time,
        "--pdb": pdb, "--break": break_ is not None, "--timing": timing is True, "--chunks": timing is False,
        "--python": python is not None, "--verbose": verbose,
        "--enforce": enforce, "--strict": strict, "--no-sleep": no_sleep,
    }  # fmt: skip
    _refuse_what_makes_no_sense([name for name, there in given.items() if there])
    if process is not None:
        from ..alone import replay as alone

        return alone(
            trace, process, time=time, pdb=pdb, break_at=break_, timing=bool(timing), python=python, verbose=verbose
        )
    if enforce:
        from ..enforcing import replay as enforcing

        return enforcing(trace, strict=strict, sleep=not no_sleep)
    from ..playing import play

    return play(trace, speed, start)


def _refuse_what_makes_no_sense(given: list[str]) -> None:
    """Raises IpctraceError where options contradict each other, or are of no use without another that isn't there."""
    if "--process" in given and "--enforce" in given:
        raise IpctraceError(
            "--process and --enforce don't go together",
            "the one runs a single program, the other all of them",
            "ipctrace replay --help",
        )
    part = next((name for name in ("--process", "--enforce") if name in given), None)
    for name in given:
        if part and name in _OF_PLAYING:
            raise IpctraceError(
                f"{name} doesn't go with {part}",
                f"{name} is for watching the trace; {part} runs a program, as fast as it goes",
                "ipctrace replay --help",
            )
        needed = "--process" if name in _OF_ALONE else "--enforce" if name in _OF_ENFORCING else part
        if needed != part:
            raise IpctraceError(
                f"{name} is of no use without {needed}", f"it says how {needed} runs", "ipctrace replay --help"
            )
