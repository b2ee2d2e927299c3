"""The command line: reads, calls, prints. What is printed is made by `reports`; errors are printed in `run`, once.

Everything that `record` says goes to standard error: standard output belongs to the recorded program.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sys
import webbrowser
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
import typer.core

from . import __version__, chapter
from .reports.ink import Ink
from .tracer.errors import IpctraceError

if TYPE_CHECKING:
    from .run import Run

SHOWN = 20  # of the last exchanges
DEADLOCK, MISTAKE, INTERRUPTED = 86, 2, 130  # exit statuses of our own

# Click's class of errors in how a command is called; typer brings its own copy of Click, or uses the one installed.
_UsageError: Any = typer.BadParameter.__base__


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


class OnDeadlock(StrEnum):
    """What to do once nothing can ever go on."""

    stop = "stop"
    wait = "wait"


class _Record(typer.core.TyperCommand):
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


app = typer.Typer(
    help="Record programs that talk to each other; see who waits for whom, on which bytes, and what to change.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
chapter_app = typer.Typer(rich_markup_mode=None, help="List the bundled programs, or copy them into a folder.")
app.add_typer(chapter_app, name="chapter", invoke_without_command=True)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; every error that we raise on purpose is printed here."""
    try:
        status = app(args=list(arguments) or ["--help"], prog_name="ipctrace", standalone_mode=False)
        sys.stdout.flush()
        return status or 0
    except IpctraceError as error:
        return _mistake(error)
    except _UsageError as error:
        return _mistake(_usage(error))
    except typer.Exit as end:
        return end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # our reader has gone (`| head`): not our mistake, and nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _mistake(error: IpctraceError) -> int:
    more = [line for text in (error.why, error.hint) for line in text.splitlines()]
    _print([f"ipctrace: {error.what}", *(f"  {line}" for line in more)], sys.stderr)
    return MISTAKE


def _usage(error: Any) -> IpctraceError:
    """Click's error as one of ours, with the command that helps."""
    command = error.ctx.command_path if error.ctx else "ipctrace"
    what, _, why = error.format_message().partition(". ")
    return IpctraceError(what[:1].lower() + what[1:].rstrip("."), why[:1].lower() + why[1:], f"{command} --help")


# ---- the commands


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ipctrace {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Nothing to do before a command."""


@app.command(
    cls=_Record, options_metavar="[OPTIONS] [--]", context_settings={"allow_interspersed_args": False}
)
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
    buffering: Annotated[Buffering, typer.Option(help="How standard streams are buffered.")] = Buffering.default,
    python: Annotated[str | None, typer.Option(metavar="EXE", help="The interpreter for a Python file.")] = None,
    on_deadlock: Annotated[OnDeadlock, typer.Option(help="What to do with what can never go on.")] = OnDeadlock.stop,
    max_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Keep the newest so much (500MB, 2GB) of what is recorded. [default: 250MB]"),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Where the report goes. [default: beside the trace]")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Record a run of PROGRAM and say what happened.

    Ends with the program's own status (128 + n for a signal), 86 on a deadlock, 2 on a mistake in how it is called.
    """
    from . import recording
    from .live import Live
    from .tracer import store

    found = recording.find(program or [], module, python)
    folder = recording.trace_path(found, out)
    ink = _ink(sys.stderr)
    live = None
    if not quiet:
        if found.bundled:
            _print([f"ipctrace: {program and program[0]} is no file here; recording the bundled chapter's"], sys.stderr)
        if sys.stderr.isatty() and not sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            live = Live(sys.stderr, ink.width)
    try:
        made = recording.record(
            program or [],
            module=module,
            out=folder,
            duration=duration,
            payload=payload.value,
            payload_bytes=payload_bytes,
            buffering=buffering.value,
            python=python,
            on_deadlock=on_deadlock.value,
            max_size=None if max_size is None else recording.size(max_size),
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
        from .reports import terminal

        rule = made.verdict.rule
        steps = [("explain", f"ipctrace rules {rule}")] if rule else []
        steps += [("look", str(page))] if page else [("report", f"ipctrace report {folder}")]
        _print(terminal.verdict(made.analysis, ink, steps, f"ipctrace analyze {folder}"), sys.stderr)
        _print((f"ipctrace: {note}" for note in [*store.dropped(made.facts), *store.lost(made.facts)]), sys.stderr)
    if problem:
        raise problem
    if page and open_:
        _open(page)
    return _status(made)


@app.command()
def analyze(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A folder that `record` made.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print the findings as SARIF, for code hosts.")] = False,
) -> None:
    """Say what happened: the verdict and every finding."""
    if as_json and as_sarif:
        raise IpctraceError("--json and --sarif can't both be printed", "each is a document", "call it twice")
    run = _load(trace)
    if as_json or as_sarif:
        print(json.dumps(run.to_json() if as_json else run.to_sarif(), indent=2))
        return
    from .reports import terminal

    rule = run.verdict.rule
    _print(terminal.verdict(run.analysis, _ink(sys.stdout), [("explain", f"ipctrace rules {rule}")] if rule else []))


@app.command()
def show(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A folder that `record` made.")],
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Which table; none: the verdict.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every row, however many.")] = False,
) -> None:
    """Show the verdict and the last exchanges of a recorded run, or one of its tables.

    The tables are processes, channels, messages, blocking, waits, path, races, streams, events, environment, samples
    and findings.
    """
    from .reports import tables

    if table is not None and table not in tables.VIEWS:
        near = difflib.get_close_matches(table, tables.VIEWS, 1)
        raise IpctraceError(
            f"there is no table {table}",
            f"did you mean {near[0]}?" if near else f"there are {', '.join(tables.VIEWS)}",
            f"ipctrace show {trace} {near[0] if near else 'processes'}",
        )
    analysis = _load(trace).analysis
    if table is None:
        from .reports import terminal

        _print(terminal.verdict(analysis, _ink(sys.stdout), more=f"ipctrace analyze {trace}", most=SHOWN))
        print()
        sizes = {name: tables.size(analysis, name) for name in tables.VIEWS}
        _print(f"{size:>10,}  ipctrace show {trace} {name}" for name, size in sizes.items())
        return
    rows = None if everything else tables.ROWS
    _print(tables.table(analysis, table, _ink(sys.stdout), rows, fitted=sys.stdout.isatty()))
    if rows is not None and (size := tables.size(analysis, table)) > rows:
        _print([f"{rows:,} of {size:,}; all of them: ipctrace show {trace} {table} --all"], sys.stderr)


@app.command()
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
    page = _load(trace).report(out or trace.with_suffix(".redacted.html" if redact else ".html"), redact)
    print(page)
    if open_:
        _open(page)


@app.command()
def rules(code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="`IPC101`, or a name.")] = None) -> None:
    """List what ipctrace can find, or explain one of it."""
    from .analysis.catalogue import CATALOGUE
    from .reports import rulebook

    ink = _ink(sys.stdout)
    if code is None:
        _print(rulebook.listing(ink))
        return
    known = {key: rule for rule in CATALOGUE.values() for key in (rule.code.lower(), rule.name)}
    if code.lower() not in known:
        near = [known[key].code for key in difflib.get_close_matches(code.lower(), known, 1)]
        raise IpctraceError(
            f"there is no rule {code}",
            f"did you mean {near[0]}?" if near else "a rule is called like IPC101 or unflushed-buffer",
            f"ipctrace rules {near[0]}" if near else "ipctrace rules",
        )
    _print(rulebook.explanation(known[code.lower()], ink))


@chapter_app.callback()
def list_chapter(context: typer.Context) -> None:
    """List the bundled programs, or copy them into a folder."""
    if context.invoked_subcommand is None:
        from .reports.ink import wrap

        ink = _ink(sys.stdout)
        for name, what in chapter.programs().items():
            _print(wrap(what, min(ink.width, 80), f"{name:<22}"))
        _print(["", "ipctrace record pipes.py     records one of them", "ipctrace chapter copy DIR    writes them out"])


@chapter_app.command()
def copy(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it isn't there.")]) -> None:
    """Write the programs into a folder, to read them, change them, and record them there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in chapter.programs():
            source, target = chapter.FOLDER / name, folder / name
            if target.exists() and target.read_bytes() != source.read_bytes():
                raise IpctraceError(
                    f"{target} is already there and has been changed",
                    "nothing is written over what may be yours",
                    "ipctrace chapter copy ANOTHER_FOLDER",
                )
            target.write_bytes(source.read_bytes())
    except OSError as problem:
        raise IpctraceError(f"the programs can't be written into {folder}", problem.strerror or str(problem)) from None
    _print([f"{len(chapter.programs())} programs in {folder}", f"cd {folder} && ipctrace record pipes.py"])


# ---- what the commands share


def _load(path: Path) -> Run:
    """The run recorded into a folder; where there is none, perhaps another one was meant."""
    from . import load

    if not path.exists():
        here = [str(each) for each in sorted(path.parent.glob("*.ipctrace"))] if path.parent.is_dir() else []
        near = difflib.get_close_matches(str(path), here, 1, 0.5) or here[:1]
        raise IpctraceError(
            f"there is no trace {path}",
            f"did you mean {near[0]}?" if near else "a trace is a folder that `ipctrace record` makes",
            f"ipctrace analyze {near[0]}" if near else "ipctrace record pipes.py",
        )
    return load(path)


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


def _ink(stream: TextIO) -> Ink:
    """What the terminal behind a stream can do."""
    colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    unicode = (stream.encoding or "ascii").lower().replace("-", "") == "utf8"
    return Ink(colour, unicode, shutil.get_terminal_size().columns)


def _print(lines: Iterable[str], stream: TextIO | None = None) -> None:
    for line in lines:
        print(line, file=stream or sys.stdout)


def _open(page: Path) -> None:
    webbrowser.open(page.resolve().as_uri())
