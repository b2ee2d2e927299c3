"""`ipctrace chapter`: the bundled programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import chapter
from ..console import ink, say
from ..tracer.errors import IpctraceError


def list_chapter(context: typer.Context) -> None:
    """List the bundled programs, or copy them into a folder."""
    if context.invoked_subcommand is None:
        from ..reports.ink import wrap

        pen = ink(sys.stdout)
        for name, what in chapter.programs().items():
            say(wrap(what, min(pen.width, 80), f"{name:<22}"))
        say(["", "ipctrace record pipes.py     records one of them", "ipctrace chapter copy DIR    writes them out"])


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
    say([f"{len(chapter.programs())} programs in {folder}", f"cd {folder} && ipctrace record pipes.py"])
