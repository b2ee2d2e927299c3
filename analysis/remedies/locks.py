"""Remedies for locks: one order, one that its holder may take again, none held while waiting for a channel."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..events import number
from .hang import Change, Hang, Place, called
from .source import Source, importing


def lock_order(hang: Hang) -> Iterator[Change]:
    """One order for the locks: sorted where the same lines take them both ways round, else two lines exchanged."""
    events = hang.analysis.trace.events
    for finding in hang.of("IPC111"):
        own: dict[
            int, dict[bool, int | None]
        ] = {}  # of each thread: where it waits (True), where it took what it holds
        for event in finding.events:
            row = events.iloc[event]
            own.setdefault(int(row["thread"]), {})[number(row["exit"]) is None] = number(row["site"])
        pairs = {(each.get(False), each.get(True)): None for each in own.values()}
        for held_site, wanted_site in pairs:
            held, wanted = hang.place(held_site), hang.place(wanted_site)
            if held is None or wanted is None or held.file != wanted.file:
                continue
            source, first, second = held.source, _lock(held, 0), _lock(wanted, -1)
            if first is None or second is None or source.scope(first) is not source.scope(second):
                continue
            names = source.segment(first), source.segment(second)
            if len(pairs) > 1:
                what = f"{names[1]} before {names[0]} at {held.at()}"
                yield from held.change(what, source.swapped(first, second))
            elif names[0].isidentifier() and names[1].isidentifier() and names[0] != names[1]:
                file = str(hang.analysis.trace.channels["kind"].iloc[finding.channels[0]]) == "file"
                key = "lambda file: file.name" if file else "id"
                line = f"{', '.join(names)} = sorted(({', '.join(names)}), key={key})"
                yield from held.change(f"the locks sorted before {held.at()}", source.before(held.statement, line))


def _lock(place: Place, which: int) -> ast.expr | None:
    """The lock that is taken at a place: `with lock:`, `lock.acquire()`, `flock(file, …)`."""
    node = place.node
    if isinstance(node, ast.With):
        return node.items[which].context_expr
    parent = place.source.parents.get(node)
    if isinstance(parent, ast.withitem) and isinstance(node, ast.expr):
        return node
    call = place.call
    if call is None:
        return node if isinstance(node, ast.expr) else None
    if called(call) == "acquire" and isinstance(call.func, ast.Attribute):
        return call.func.value
    return call.args[0] if call.args else None


def reentrant(hang: Hang) -> Iterator[Change]:
    """A lock that its own holder may take again."""
    for finding in hang.of("IPC112"):
        for channel in finding.channels[:1]:
            place = hang.place(number(hang.analysis.trace.channels["site"].iloc[channel]))
            call = place.call if place else None
            if place is None or call is None or called(call) != "Lock":
                continue
            source = place.source
            if isinstance(call.func, ast.Attribute):
                text = source.replaced(call.func, f"{source.segment(call.func.value)}.RLock")
            else:
                module = _module_of(source, "Lock")
                text = importing(source.replaced(call.func, f"{module}.RLock"), module)
            yield from place.change(f"an RLock at {place.at()}", text)


def release_first(hang: Hang) -> Iterator[Change]:
    """The wait taken out of the block that holds the lock, where it is the first thing there."""
    for finding in hang.of("IPC113"):
        for place in hang.places(finding.sites[:1]):
            source, statement = place.source, place.statement
            block = source.parents.get(statement)
            if (
                not isinstance(block, ast.With)
                or block.body[0] is not statement
                or statement.lineno != statement.end_lineno
            ):
                continue
            waits = source.segment(statement)
            if len(block.body) == 1:
                yield from place.change(f"the wait at {place.at()} without the lock", source.replaced(block, waits))
            else:
                begin, end = source.span(statement)[0], source.span(block.body[1])[0]
                start, indent = source.starts[block.lineno - 1], block.col_offset * " "
                text = source.spliced((begin, end, ""), (start, start, f"{indent}{waits}{source.newline}"))
                yield from place.change(f"the wait at {place.at()} before the lock is taken", text)


def _module_of(source: Source, name: str) -> str:
    """The module that a name was imported from."""
    for node in source.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and any(each.name == name for each in node.names):
            return node.module
    return "threading"
