"""`ipctrace rules`: what can be found, explained."""

from __future__ import annotations

import difflib
import sys
from typing import Annotated

import typer

from ..console import ink, say
from ..tracer.errors import IpctraceError


def rules(code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="`IPC101`, or a name.")] = None) -> None:
    """List what ipctrace can find, or explain one of it."""
    from ..analysis.catalogue import CATALOGUE
    from ..reports import rulebook

    pen = ink(sys.stdout)
    if code is None:
        say(rulebook.listing(pen))
        return
    known = {key: rule for rule in CATALOGUE.values() for key in (rule.code.lower(), rule.name)}
    if code.lower() not in known:
        near = [known[key].code for key in difflib.get_close_matches(code.lower(), known, 1)]
        raise IpctraceError(
            f"there is no rule {code}",
            f"did you mean {near[0]}?" if near else "a rule is called like IPC101 or unflushed-buffer",
            f"ipctrace rules {near[0]}" if near else "ipctrace rules",
        )
    say(rulebook.explanation(known[code.lower()], pen))
