"""`ipctrace matrix`: programs recorded under every combination of settings, and where they hang."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import browse, ink, say
from ..tracer.errors import IpctraceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..grid import Progress


def matrix(
    programs: Annotated[
        list[str],
        typer.Argument(metavar="PROGRAM...", help='Each one word, quoted with its arguments: "server.py --port 0".'),
    ],
    buffering: Annotated[
        str, typer.Option(metavar="MODES", help="How standard streams are buffered.")
    ] = "default,block,line,none,tty",
    python: Annotated[
        str, typer.Option(metavar="EXES", help="Interpreters: paths, names, versions (3.8,pypy3), or all.")
    ] = "all",
    start_method: Annotated[
        str, typer.Option(metavar="METHODS", help="How multiprocessing starts processes. [fork, spawn, forkserver]")
    ] = "default",
    pipe_size: Annotated[str, typer.Option(metavar="SIZES", help="What pipes hold: 4096,64KiB.")] = "default",
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="How often each is run.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="How many run at once.")] = 1,
    duration: Annotated[float, typer.Option(min=0.1, metavar="S", help="The seconds that each run may take.")] = 60.0,
    out: Annotated[Path | None, typer.Option(help="Where it all goes. [default: PROGRAM.matrix]")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, even where runs are there already.")] = False,
    report: Annotated[Path | None, typer.Option(help="Where the report goes. [default: beside the folder]")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Record each PROGRAM under every combination of settings and say where it hangs.

    Lists are separated by commas. What was recorded before is kept: the same command goes on where it was interrupted.
    Ends with 0 whatever the programs came to, 1 where a run could not be recorded.
    """
    from .. import grid
    from ..reports.comparison import matrix as table

    folder = out or Path(grid.default_name(programs))
    with ExitStack() as stack:
        show = _bar(stack)
        try:
            made = grid.matrix(
                programs, buffering=_list(buffering), python=_list(python), start_method=_list(start_method),
                pipe_size=_list(pipe_size), repeat=repeat, jobs=jobs, duration=duration, out=folder, fresh=fresh,
                reports=not no_report, progress=show,
            )  # fmt: skip
        except KeyboardInterrupt:
            stack.close()
            say([f"ipctrace: interrupted; the same command goes on with {folder}"], sys.stderr)
            raise
    page, problem = None, None
    if not no_report:
        try:
            page = made.report(report)
        except IpctraceError as error:
            problem = error
    if as_json:
        print(json.dumps(made.to_json(), indent=2, ensure_ascii=False))
    else:
        say(table.lines(made.cells, ink(sys.stdout), [("look", str(page))] if page else []))
    if problem:
        raise problem
    if page and open_:
        browse(page)
    return int(any(cell.problem for cell in made.cells))


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _bar(stack: ExitStack) -> Callable[[Progress], None] | None:
    """What shows the progress: a bar, on a terminal only."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (MofNCompleteColumn(), BarColumn(30), TimeRemainingColumn(), TextColumn("{task.description}"))
    bars = stack.enter_context(Bars(*columns, console=Console(stderr=True), transient=True))
    task = bars.add_task("", total=None)

    def show(progress: Progress) -> None:
        came = f" {progress.outcome.verdict}" if progress.outcome else " failed" if progress.label else ""
        bars.update(task, completed=progress.done, total=progress.total, description=escape(progress.label) + came)

    return show
