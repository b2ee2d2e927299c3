"""`ipctrace analyze`, `show` and `report`: what a recorded run was."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..console import browse, ink, load, say
from ..tracer.errors import IpctraceError

SHOWN = 20  # of the last exchanges


def analyze(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A folder that `record` made.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print the findings as SARIF, for code hosts.")] = False,
) -> None:
    """Say what happened: the verdict and every finding."""
    if as_json and as_sarif:
        raise IpctraceError("--json and --sarif can't both be printed", "each is a document", "call it twice")
    run = load(trace)
    if as_json or as_sarif:
        print(json.dumps(run.to_json() if as_json else run.to_sarif(), indent=2))
        return
    from ..reports import terminal

    rule = run.verdict.rule
    say(terminal.verdict(run.analysis, ink(sys.stdout), [("explain", f"ipctrace rules {rule}")] if rule else []))


def show(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A folder that `record` made.")],
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Which table; none: the verdict.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every row, however many.")] = False,
) -> None:
    """Show the verdict and the last exchanges of a recorded run, or one of its tables.

    The tables are processes, channels, messages, blocking, waits, path, races, streams, events, environment, samples
    and findings.
    """
    from ..reports import tables

    if table is not None and table not in tables.VIEWS:
        near = difflib.get_close_matches(table, tables.VIEWS, 1)
        raise IpctraceError(
            f"there is no table {table}",
            f"did you mean {near[0]}?" if near else f"there are {', '.join(tables.VIEWS)}",
            f"ipctrace show {trace} {near[0] if near else 'processes'}",
        )
    analysis = load(trace).analysis
    if table is None:
        from ..reports import terminal

        say(terminal.verdict(analysis, ink(sys.stdout), more=f"ipctrace analyze {trace}", most=SHOWN))
        print()
        sizes = {name: tables.size(analysis, name) for name in tables.VIEWS}
        say(f"{size:>10,}  ipctrace show {trace} {name}" for name, size in sizes.items())
        return
    rows = None if everything else tables.ROWS
    say(tables.table(analysis, table, ink(sys.stdout), rows, fitted=sys.stdout.isatty()))
    if rows is not None and (size := tables.size(analysis, table)) > rows:
        say([f"{rows:,} of {size:,}; all of them: ipctrace show {trace} {table} --all"], sys.stderr)


def report(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A folder that `record` made.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where it goes. [default: beside the trace]")] = None,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact", help="Leave out payloads, argv, environment, and paths outside the working directory."
        ),
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Write the report: one HTML file that needs no network."""
    page = load(trace).report(out or trace.with_suffix(".redacted.html" if redact else ".html"), redact)
    print(page)
    if open_:
        browse(page)
