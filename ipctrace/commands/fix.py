"""`ipctrace fix`: which change cures a hang, tried by running the program with it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import ink, say
from ..tracer.errors import IpctraceError

if TYPE_CHECKING:
    from ..analysis.remedies import Fixes


def fix(
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROGRAM [ARGS]", help="A Python file or any command, and its arguments."),
    ] = None,
    module: Annotated[str | None, typer.Option("-m", metavar="MODULE", help="A module in place of a file.")] = None,
    python: Annotated[str | None, typer.Option(metavar="EXE", help="The interpreter for a Python file.")] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="TRACE", help="A run that hung, in place of recording one.")
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="How often a cure has to hold.")] = 3,
    duration: Annotated[float, typer.Option(min=0, help="Seconds that the program may take to hang.")] = 30.0,
    limit: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds that a trial may take. [default: 5 times what it took to hang, at least 10]"),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print only the first cure's change, for patch -p1.")] = False,
    remedy: Annotated[str | None, typer.Option(metavar="NAME", help="Print that remedy's change.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write the change there.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Don't say what is being tried.")] = False,
) -> int:
    """Record PROGRAM until it hangs, try what fits, and say which change cures it.

    The program is run many times: once until it hangs, then once and more with each change. No file of yours is edited:
    a changed source runs from a scratch folder. What the program itself does (files it writes, messages it sends,
    processes it ends) it does each time. Its output goes to scratch files, so it is buffered as in a pipe; its input is
    the file that standard input is, or nothing.

    Ends with 0 where a cure was found, 1 where none was, 2 on a mistake in how it is called.
    """
    from .. import fixing
    from ..replaying import own
    from ..reports import fixes as report

    if bool(trace) == bool(program or module):
        raise IpctraceError(
            "there is one program to try" if trace else "there is no program to try",
            "behind `fix` comes a program, or --trace with a run that hung; not both",
            "ipctrace fix deadlock.py",
        )
    terminal = sys.stderr.isatty() and not quiet

    def progress(what: str) -> None:
        print(f"\r  {what:<70}", end="", file=sys.stderr, flush=True)

    try:
        found = fixing.fix(
            program or [], module=module, python=python, trace=own(trace) if trace else None, tries=tries,
            duration=duration, limit=limit, progress=progress if terminal else None,
        )  # fmt: skip
    finally:
        if terminal:
            print(f"\r{'':<72}\r", end="", file=sys.stderr, flush=True)
    change = _change(found, remedy) if diff or out or remedy else ""
    if out:
        from ..run import write

        write(out, change)
    if as_json:
        print(json.dumps(report.to_json(found), indent=2))
    elif (diff or remedy) and not out:
        print(change, end="")
    else:
        what = ["--trace", str(trace)] if trace else [*(["-m", module] if module else []), *(program or [])]
        where = "" if found.root == str(Path.cwd().resolve()) else f" -d {shlex.quote(found.root)}"
        apply = f"ipctrace fix --diff {shlex.join(what)} | patch -p1{where}"
        say(report.lines(found, ink(sys.stdout), [("apply", apply)] if found.diffs and not out else []))
    return 0 if found.cures else 1


def _change(found: Fixes, remedy: str | None) -> str:
    """The diff of a remedy, or of the first cure that has one."""
    if remedy is not None:
        if remedy not in found.diffs:
            tried = ", ".join(found.diffs) or "none did"
            raise IpctraceError(
                f"the remedy {remedy!r} made no cure that is a change of a source", f"those that did: {tried}"
            )
        return found.diffs[remedy]
    for cure in found.cures:
        if cure.remedy in found.diffs:
            return found.diffs[cure.remedy]
    what = found.cures[0].change.what if found.cures and found.cures[0].change else found.unlisted or "nothing cured it"
    print(f"ipctrace: no change of a source cures it: {what}", file=sys.stderr)
    return ""
