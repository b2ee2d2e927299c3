"""Remedies for channels that are full: both sides drained, more room, another order of sending and receiving."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .hang import Change, Hang, Place, called
from .source import Source, Splice, importing
from .streams import maker

LARGER = 1 << 20  # bytes: as much as /proc/sys/fs/pipe-max-size allows everybody, unless it was changed
_RECEIVES = frozenset(["recv", "recv_bytes", "recv_into", "read", "readline", "readlines", "get", "readexactly"])
_PIPES = frozenset(["pipe", "pipe2", "open", "fdopen", "Popen"])
_PROCESSES = frozenset(["Popen", "create_subprocess_exec", "create_subprocess_shell"])


def communicate(hang: Hang) -> Iterator[Change]:
    """The child's pipes drained together, as communicate() does, in place of the one wait that hangs."""
    for process in dict.fromkeys(waiter.process for waiter in hang.waiters):
        for waiter in hang.waiters:
            place = hang.place(waiter.site) if waiter.process == process else None
            if place and (text := _communicated(place)):
                yield from place.change(f"communicate() at {place.at()}", text)


def _communicated(place: Place) -> str | None:
    """The text in which the wait at a place is a communicate(), and what is read behind it is what that gave.

    A wait() becomes one where it stands, or has one before it where its value is used; so does a read() of one of the
    pipes, and a write() to the child's input, which becomes communicate's argument. None: it is none of these.
    """
    source, call = place.source, place.call
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    does, owner = call.func.attr, call.func.value
    stream = owner.attr if isinstance(owner, ast.Attribute) and owner.attr in ("stdin", "stdout", "stderr") else ""
    popen = owner.value if stream else owner  # type: ignore[attr-defined]
    made = maker(source, popen, call)
    if made is None or called(made) not in _PROCESSES:
        return None
    name, awaits = source.segment(popen), isinstance(source.parents.get(call), ast.Await)
    later = _later_uses(source, name, call)
    output, errors = _free(source, "output"), _free(source, "errors")
    word = "await " if called(made) != "Popen" else ""
    given = source.segment(call.args[0]) if stream == "stdin" and does == "write" and call.args else ""
    all_of_it = f"{output}, {errors} = {word}{name}.communicate({given})"
    changes = [(*source.span(node), {"stdout": output, "stderr": errors}.get(what, "None")) for node, what in later]
    reads = [what for _, what in later if what in ("stdout", "stderr")]
    statement = place.statement
    alone = isinstance(statement, ast.Expr) and statement.value in (call, source.parents.get(call))
    if (does == "wait" and not stream) or given:
        if alone:
            new = all_of_it if reads else f"{word}{name}.communicate({given})"
            return source.spliced((*source.span(statement), new), *changes)
        return None if given else _preceded(source, statement, all_of_it, changes)
    if stream in ("stdout", "stderr") and does == "read" and not call.args:
        if not reads and not awaits:
            part = 0 if stream == "stdout" else 1
            return source.spliced((*source.span(call), f"{name}.communicate()[{part}]"), *changes)
        whole = source.parents[call] if awaits else call
        change = (*source.span(whole), output if stream == "stdout" else errors)
        return _preceded(source, statement, all_of_it, [change, *changes])
    return None


def _preceded(source: Source, statement: ast.stmt, line: str, changes: list[Splice]) -> str:
    begin, start = source.span(statement)[0], source.starts[statement.lineno - 1]
    indent = source.data[start:begin].decode()
    if indent.strip():
        return source.spliced((begin, begin, f"{line}; "), *changes)
    return source.spliced((start, start, f"{indent}{line}{source.newline}"), *changes)


def _later_uses(source: Source, name: str, call: ast.Call) -> list[tuple[ast.AST, str]]:
    """Calls behind this one that read the process's pipes, or close or flush its input: (node, what it was)."""
    found: list[tuple[ast.AST, str]] = []
    scope = source.scope(call)
    for node in source.calls(source.tree):
        func = node.func
        if (
            source.span(node)[0] <= source.span(call)[0]
            or source.scope(node) is not scope
            or not isinstance(func, ast.Attribute)
        ):
            continue
        owner = source.segment(func.value)
        whole = source.parents[node] if isinstance(source.parents.get(node), ast.Await) else node
        if func.attr == "read" and not node.args and owner in (f"{name}.stdout", f"{name}.stderr"):
            found.append((whole, owner.rsplit(".", 1)[1]))
        elif func.attr in ("close", "flush", "drain", "wait_closed") and owner == f"{name}.stdin":
            found.append((whole, "stdin"))
    return found


def _free(source: Source, name: str) -> str:
    used = {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)}
    return name if name not in used else _free(source, f"{name}_")


def drain_in_thread(hang: Hang) -> Iterator[Change]:
    """What is read later, or never, read by a thread from before the wait on."""
    for finding in hang.of("IPC104"):
        for channel in finding.channels[:1]:
            for row in hang.holders(channel, "r"):
                place, end = hang.wait(row.process), next(hang.end(row.process, channel, "r"), None)
                if place is None or end is None or end.kind != "stream" or place.file != end.place.file:
                    continue
                source = place.source
                if not source.visible(end.name, end.place.node, place.node):
                    continue
                scope, begin = source.scope(place.node), source.span(place.node)[0]
                later = [
                    call
                    for call in source.calls(source.tree)
                    if source.segment(call) == f"{end.name}.read()" and source.scope(call) is scope
                    if source.span(call)[0] > begin
                ]
                if later:
                    name = _free(source, "drained")
                    line = f"{name} = concurrent.futures.ThreadPoolExecutor(1).submit({end.name}.read)"
                    text = _preceded(source, place.statement, line, [(*source.span(later[0]), f"{name}.result()")])
                    text = importing(text, "concurrent.futures")
                else:
                    line = f"threading.Thread(target={end.name}.read, daemon=True).start()"
                    text = importing(source.before(place.statement, line), "threading")
                yield from place.change(f"{end.name} read by a thread from before {place.at()} on", text)


def larger_pipe(hang: Hang) -> Iterator[Change]:
    """More room in the pipe that is full. It moves the limit and doesn't take it away."""
    texts: dict[str, str] = {}
    for finding in hang.of("IPC104"):
        for channel in finding.channels[:1]:
            for row in hang.holders(channel, ""):
                end = next(hang.end(row.process, channel, row.access), None)
                place = end.place if end else None
                call = place.call if place else None
                if end is None or place is None or call is None or called(call) not in _PIPES:
                    continue
                if called(call) == "Popen":
                    text = place.source.argument(call, "pipesize", str(LARGER))
                else:
                    line = f"fcntl.fcntl({end.name}, fcntl.F_SETPIPE_SZ, {LARGER})"
                    text = importing(place.source.after(place.source.statement(call), line), "fcntl")
                if text and texts.get(place.file) != text:
                    texts[place.file] = text
                    yield from place.change(f"room for {LARGER:,} bytes in the pipe made at {place.at()}", text)
    if not texts and hang.rules & {"IPC104"}:
        yield Change(f"room for {LARGER:,} bytes in each pipe (fcntl's F_SETPIPE_SZ)", options={"pipe_size": LARGER})


def sockets(hang: Hang) -> Iterator[Change]:
    """A pair of sockets in place of each pipe that the program makes itself."""
    changes: dict[str, tuple[Place, dict[Splice, None]]] = {}
    ends = hang.analysis.descriptors
    channels = {channel for finding in hang.of("IPC101", "IPC104") for channel in finding.channels[:1]}
    for site in ends["site"][ends["channel"].isin(channels) & (ends["how"] == "made")].dropna().unique():
        place = hang.place(int(site))
        call = place.call if place else None
        if place and call and place.source.segment(call.func) in ("os.pipe", "pipe"):
            new = "tuple(end.detach() for end in socket.socketpair())"
            changes.setdefault(place.file, (place, {}))[1][(*place.source.span(call), new)] = None
    if changes:
        texts = {file: importing(place.source.spliced(*new), "socket") for file, (place, new) in changes.items()}
        yield Change("socket.socketpair() in place of os.pipe()", texts)


def receive_first(hang: Hang) -> Iterator[Change]:
    """One of two that both send first receives first."""
    for waiter in hang.waiters:
        place = hang.place(waiter.site) if waiter.reason == "noroom" else None
        call = place.call if place else None
        if place is None or call is None or not isinstance(call.func, ast.Attribute):
            continue
        owner = place.source.segment(call.func.value)
        for statement in place.source.later(place.statement)[:2]:
            if any(_receives(place.source, each, owner) for each in place.source.calls(statement)):
                text = place.source.swapped(place.statement, statement)
                yield from place.change(f"line {statement.lineno} before the send at {place.at()}", text)
                break


def _receives(source: Source, call: ast.Call, owner: str) -> bool:
    func = call.func
    return isinstance(func, ast.Attribute) and func.attr in _RECEIVES and source.segment(func.value) == owner


def drain_then_join(hang: Hang) -> Iterator[Change]:
    """The queue emptied before its process is joined: the two lines in the other order."""
    for finding in hang.of("IPC110"):
        place = hang.place(finding.sites[0]) if finding.sites else None
        if place is None:
            continue
        source = place.source
        for outer in source.above(place.statement):
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                break
            if not isinstance(outer, ast.stmt):
                continue
            for later in source.later(outer):
                gets = [each for each in source.calls(later) if called(each) in ("get", "get_nowait")]
                if gets:
                    yield from place.change(
                        f"line {later.lineno} before the join at {place.at()}", source.swapped(outer, later)
                    )
                    break


def open_order(hang: Hang) -> Iterator[Change]:
    """The FIFOs opened in the other order by one of the two."""
    for finding in hang.of("IPC117"):
        for place in hang.places(finding.sites):
            for later in place.source.later(place.statement)[:1]:
                opens = [each for each in place.source.calls(later) if called(each) == "open"]
                if opens and not isinstance(later, ast.For | ast.While | ast.With | ast.If):
                    text = place.source.swapped(place.statement, later)
                    yield from place.change(f"line {later.lineno} before the open at {place.at()}", text)
