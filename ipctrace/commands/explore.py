"""`ipctrace explore`: runs a program under many schedules until it fails."""

from __future__ import annotations

import json as plain
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import say
from ..reports.ink import escape

if TYPE_CHECKING:
    from ..exploring import Exploration

FOUND = 1


class Output(StrEnum):
    """What of its output makes a run a failure."""

    same = "same"
    any = "any"


def explore(
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROGRAM [ARGS]", help="A Python file or any command, and its arguments."),
    ] = None,
    module: Annotated[str | None, typer.Option("-m", metavar="MODULE", help="A module in place of a file.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="How many schedules are tried at most.")] = 100,
    seed: Annotated[int, typer.Option(help="What the schedules are drawn from; the same one draws the same.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="How many runs are made at a time.")] = 1,
    limit: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="How long a run may take. [default: by the first one]"),
    ] = None,
    output: Annotated[
        Output, typer.Option(help="same: another output than the first run's is a failure; any: it isn't.")
    ] = Output.same,
    out: Annotated[
        Path | None, typer.Option(help="Where the failing run's trace goes. [default: PROGRAM-found.ipctrace]")
    ] = None,
    python: Annotated[str | None, typer.Option(metavar="EXE", help="The interpreter for a Python file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say what was found as JSON.")] = False,
) -> int:
    """Run PROGRAM under many schedules, until one makes it hang, crash, end with another status than 0, or print
    something else than it printed in the first run.

    Its output isn't shown and it has nothing to read. Ends with 0 where nothing was found, 1 where something was, 2 on
    a mistake in how it is called.
    """
    from .. import exploring
    from ..recording import find

    found = find(program or [], module, python)
    live = sys.stderr.isatty() and not json
    if not json:
        say([escape(f"ipctrace: running {shlex.join(found.command)}, up to {runs:,} times")], sys.stderr)

    def progress(done: int, planned: int) -> None:
        sys.stderr.write(f"\r\x1b[K  run {done:,} of {planned:,}")
        sys.stderr.flush()

    try:
        made = exploring.explore(
            program or [], module=module, runs=runs, seed=seed, jobs=jobs, limit=limit, out=out, python=python,
            compare=output.value, progress=progress if live else None,
        )  # fmt: skip
    finally:
        if live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
    say([plain.dumps(made.to_json(), indent=2)] if json else [escape(line) for line in words(made)])
    return FOUND if made.found else 0


def words(made: Exploration) -> list[str]:
    """What was found, in lines."""
    if made.found is None:
        return [f"nothing found in {made.runs:,} runs (seed {made.seed})"]
    found = made.found
    lines = [f"run {found.number + 1:,}: {found.failure}"]
    if found.number:
        lines.append(f"  tried: {found.tried} (seed {made.seed})")
    return [
        *lines,
        f"  what happened    ipctrace analyze {made.trace}",
        f"  make it happen   ipctrace replay {made.trace} --enforce",
    ]
