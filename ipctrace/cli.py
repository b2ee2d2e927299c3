"""The command line: the application, made of the commands, and the one place where errors are printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from . import __version__
from .commands import chapter, look, rules
from .commands.compare import compare
from .commands.explore import explore
from .commands.fix import fix
from .commands.matrix import matrix
from .commands.record import ProgramCommand, record
from .commands.replay import replay
from .console import INTERRUPTED, MISTAKE, say
from .tracer.errors import IpctraceError

# Click's class of errors in how a command is called; typer brings its own copy of Click, or uses the one installed.
_UsageError: Any = typer.BadParameter.__base__

# Of commands that take a program: what stands behind it is the program's own.
_PROGRAM: Any = {
    "cls": ProgramCommand,
    "options_metavar": "[OPTIONS] [--]",
    "context_settings": {"allow_interspersed_args": False},
}

app = typer.Typer(
    help="Record programs that talk to each other; see who waits for whom, on which bytes, and what to change.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
chapter_app = typer.Typer(rich_markup_mode=None, help="List the bundled programs, or copy them into a folder.")


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
    say([f"ipctrace: {error.what}", *(f"  {line}" for line in more)], sys.stderr)
    return MISTAKE


def _usage(error: Any) -> IpctraceError:
    """Click's error as one of ours, with the command that helps."""
    command = error.ctx.command_path if error.ctx else "ipctrace"
    what, _, why = error.format_message().partition(". ")
    return IpctraceError(what[:1].lower() + what[1:].rstrip("."), why[:1].lower() + why[1:], f"{command} --help")


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


app.command(**_PROGRAM)(record)
app.command(**_PROGRAM)(fix)
app.command()(look.analyze)
app.command()(look.show)
app.command()(look.report)
app.command()(compare)
app.command()(replay)
app.command(**_PROGRAM)(explore)
app.command()(matrix)
app.command()(rules.rules)
chapter_app.callback(invoke_without_command=True)(chapter.list_chapter)
chapter_app.command()(chapter.copy)
app.add_typer(chapter_app, name="chapter", invoke_without_command=True)
