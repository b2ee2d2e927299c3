"""Remedies for ends that stay open: nobody gets end of file, or is told that its reader has gone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ..events import number
from .hang import Change, End, Hang, Place, called
from .source import Source, importing

_ENDS = {"IPC105": "w", "IPC106": "r"}


def close_end(hang: Hang) -> Iterator[Change]:
    """The end closed by who holds it: first thing in the child after a fork, or before it waits."""
    for finding in hang.of(*_ENDS):
        for channel in finding.channels[:1]:
            for process, end in _held(hang, channel, _ENDS[finding.rule]):
                for place, statement in _where(hang, process, end):
                    text = place.source.before(statement, end.close)
                    yield from place.change(f"{end.close} before line {statement.lineno}", text)


def close_carrier(hang: Hang) -> Iterator[Change]:
    """The sockets closed through which an end was sent that nobody received: what lies in them goes too."""
    for finding in hang.of("IPC105"):
        places = list(hang.places(finding.sites[:2]))
        call = places[1].call if len(places) == 2 else None
        if call is None or called(call) not in ("send_fds", "sendmsg") or places[0].file != places[1].file:
            continue
        wait, sent, source = *places, places[0].source
        through = call.args[0] if called(call) == "send_fds" else _owner(call)
        for made in source.calls(source.tree):
            names = source.targets(made)
            if called(made) == "socketpair" and source.segment(through) in names:
                lines = [f"{name}.close()" for name in names]
                text = source.before(once(wait, sent), *lines)
                yield from wait.change(f"{' and '.join(lines)} before {wait.at()}", text)


def _owner(call: ast.Call) -> ast.expr:
    return call.func.value if isinstance(call.func, ast.Attribute) else call.func


def redirect(hang: Hang) -> Iterator[Change]:
    """What a shell starts in the background, with its output elsewhere: it inherits the pipe that is read."""
    events, processes = hang.analysis.trace.events, hang.analysis.trace.processes
    for finding in hang.of("IPC105"):
        for process in dict.fromkeys(row.process for row in hang.holders(finding.channels[0], "w")):
            above: int | None = process
            started = events[:0]
            while above is not None and started.empty:  # of a shell's child: who started the shell
                row = processes.iloc[above]
                started = events[(events["kind"] == "fork") & (events["result"] == row["pid"])]
                above = number(row["parent"])
            place = hang.event_place(int(started["event"].iloc[0])) if len(started) else None
            call = place.call if place else None
            if place is None or call is None or not call.args:
                continue
            source, command = place.source, call.args[0]
            named = source.assigned(command.id, call) if isinstance(command, ast.Name) else None
            for text in ast.walk(named or command):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    words = _BACKGROUND.sub(r" >/dev/null 2>&1 &", source.segment(text), count=1)
                    yield from place.change(f"{words} at line {text.lineno}", source.replaced(text, words))


_BACKGROUND = re.compile(r"\s*(?<![&>|])&(?![&>\d])")
_CONNECTS = frozenset(["socket", "socketpair", "create_connection", "accept"])


def shutdown(hang: Hang) -> Iterator[Change]:
    """The sending half of a socket shut down: its reader gets end of file, and its answer still comes."""
    table = hang.analysis.trace.channels
    for finding in hang.of("IPC105"):
        for channel in finding.channels[:1]:
            peer = number(table["peer"].iloc[channel])
            if table["kind"].iloc[channel] != "socket":
                continue
            for process in dict.fromkeys(row.process for row in hang.holders(channel if peer is None else peer, "")):
                place = hang.wait(process)
                for name, statement in _sockets(place) if place else ():
                    line = f"{name}.shutdown(socket.SHUT_WR)"
                    text = importing(place.source.before(statement, line), "socket")  # type: ignore[union-attr]
                    yield from place.change(f"{line} before line {statement.lineno}", text)  # type: ignore[union-attr]


def _sockets(place: Place) -> Iterator[tuple[str, ast.stmt]]:
    """Names of sockets that a process could shut down before it waits, the one that it waits at first. Where a socket
    was made isn't recorded: which it is, a trial tells."""
    source, found = place.source, dict[str, ast.stmt]()
    call = place.call
    if call is not None and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("recv"):
        found[source.segment(call.func.value)] = place.statement
    for made in source.calls(source.tree):
        if called(made) in _CONNECTS:
            for name in source.targets(made):
                if source.visible(name, made, place.node):
                    found.setdefault(name, once(place, place._replace(node=made)))
    yield from found.items()


def _held(hang: Hang, channel: int, access: str) -> Iterator[tuple[int, End]]:
    """Who holds the end, and by what name; of a socket its other end, or a copy of that."""
    peer = number(hang.analysis.trace.channels["peer"].iloc[channel])
    wanted, needed = (channel, access) if peer is None else (peer, "")
    for process in dict.fromkeys(row.process for row in hang.holders(wanted, needed)):
        for end in hang.end(process, wanted, needed):
            yield process, end


def _where(hang: Hang, process: int, end: End) -> Iterator[tuple[Place, ast.stmt]]:
    """Before which statements a process could close an end of its."""
    branch = branch_of(hang, process)
    if branch and branch[0].file == end.place.file and branch[0].source.visible(end.name, end.place.node, branch[1]):
        yield branch
    place = hang.wait(process)
    if place and place.file == end.place.file and place.source.visible(end.name, end.place.node, place.node):
        yield place, once(place, end.place)


def once(place: Place, made: Place) -> ast.stmt:
    """The statement at a place, or the outermost loop around it that doesn't make the end anew each time."""
    source, found = place.source, place.statement
    for each in source.above(place.statement):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            break
        if isinstance(each, ast.For | ast.While | ast.AsyncFor) and source.span(made.node)[0] < source.span(each)[0]:
            found = each
    return found


def branch_of(hang: Hang, process: int) -> tuple[Place, ast.stmt] | None:
    """Where the child of a fork begins: the first statement of `if os.fork() == 0:`, or of its else."""
    row = hang.analysis.trace.processes.iloc[process]
    if row["how"] not in ("fork", "exec"):
        return None
    events = hang.analysis.trace.events
    forks = events[(events["kind"] == "fork") & (events["result"] == row["pid"])]
    place = hang.event_place(int(forks["event"].iloc[0])) if len(forks) else None
    if place is None or place.call is None:
        return None
    names = place.source.targets(place.call)
    inside = [place.statement] if isinstance(place.statement, ast.If) else []
    for statement in [*inside, *place.source.later(place.statement)]:
        if isinstance(statement, ast.If) and (body := _child(place.source, statement, names)):
            return place, body[0]
    return None


def _child(source: Source, statement: ast.If, names: list[str]) -> list[ast.stmt] | None:
    """The branch that the child takes of an `if` over what fork returned."""
    test = statement.test
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    value: ast.expr = test.operand if isinstance(test, ast.UnaryOp) else test
    if isinstance(value, ast.Compare):
        zero = isinstance(value.comparators[0], ast.Constant) and value.comparators[0].value == 0
        equal = isinstance(value.ops[0], ast.Eq)
        if not zero or not isinstance(value.ops[0], ast.Eq | ast.NotEq | ast.Gt):
            return None
        negated, value = negated != equal, value.left
    value = value.value if isinstance(value, ast.NamedExpr) else value
    forked = isinstance(value, ast.Call) and called(value) == "fork"
    if not forked and source.segment(value) not in names:
        return None
    return statement.body if negated else statement.orelse


def close_fds(hang: Hang) -> Iterator[Change]:
    """A program that inherited the end, started without it."""
    events = hang.analysis.trace.events
    for finding in hang.of(*_ENDS, "IPC109", "IPC124"):
        for channel in finding.channels[:1]:
            for process in dict.fromkeys(row.process for row in hang.holders(channel, "")):
                row = hang.analysis.trace.processes.iloc[process]
                started = events[(events["kind"] == "fork") & (events["result"] == row["pid"])]
                place = hang.event_place(int(started["event"].iloc[0])) if len(started) else None
                for keyword in place.call.keywords if place and place.call else ():
                    value = {"close_fds": "True", "pass_fds": "()"}.get(keyword.arg or "")
                    if place and value:
                        text = place.source.replaced(keyword.value, value)
                        yield from place.change(f"{keyword.arg}={value} at {place.at()}", text)
    if hang.rules & set(_ENDS):
        yield from _not_inheritable(hang)


def _not_inheritable(hang: Hang) -> Iterator[Change]:
    for file, source in hang.sources.items():
        for call in source.calls(source.tree):
            value = call.args[-1] if called(call) == "set_inheritable" and call.args else None
            if isinstance(value, ast.Constant) and value.value is True:
                text = source.replaced(value, "False")
                yield Change(f"set_inheritable(…, False) at line {call.lineno}", {file: text})
