"""Remedies for bytes that lie in a buffer, and for messages that never become whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..habits import switches
from ..results import Stuck
from .hang import Change, Hang, Place, called
from .source import Source, importing


def flush(hang: Hang) -> Iterator[Change]:
    """Flush after the write whose bytes are stuck: the finding's own edit, or a line behind the statement."""
    for finding in hang.of("IPC101"):
        edit = finding.edit
        place = next(hang.places(finding.sites[:1]), None)
        if edit and edit.file in hang.texts:
            lines = hang.texts[edit.file].split("\n")
            ending = "\r" if lines[edit.line - 1].endswith("\r") else ""
            if lines[edit.line - 1] == edit.before + ending:
                lines[edit.line - 1] = edit.after.replace("\n", ending + "\n") + ending
                where = place.at() if place else f"line {edit.line}"
                yield Change(f"flush after the write at {where}", {edit.file: "\n".join(lines)})
        elif place and (stream := _written(place)) is not None:
            text = place.source.after(place.statement, f"{place.source.segment(stream)}.flush()")
            yield from place.change(f"flush after the write at {place.at()}", text)


def line_buffering(hang: Hang) -> Iterator[Change]:
    """A standard stream told to send each line at once."""
    for held, place in _stuck(hang):
        name = str(hang.analysis.trace.streams["name"].iloc[held.stream])
        if name.startswith("sys.") and place:
            first = place.source.first(place.node)
            text = importing(place.source.before(first, f"{name}.reconfigure(line_buffering=True)"), "sys")
            yield from place.change(
                f"{name} line-buffered from line {first.lineno} of {place.at().split(':')[0]} on", text
            )


def open_mode(hang: Hang) -> Iterator[Change]:
    """The stream that keeps the bytes, opened line-buffered, or a binary one without a buffer."""
    for _, place in _stuck(hang):
        stream = _written(place) if place else None
        if place is None or stream is None:
            continue
        source, made = place.source, maker(place.source, stream, place.node)
        option = _OPENS.get(called(made)) if made else None
        if made is None or option is None:
            continue
        name, position, mode_at = option
        binary = _binary(source, made, mode_at)
        if called(made) == "makefile" and not binary:
            line = f"{source.segment(stream)}.reconfigure(line_buffering=True)"
            yield from place.change(f"{line} behind line {made.lineno}", source.after(source.statement(made), line))
            continue
        text = source.argument(made, name, "0" if binary else "1", position)
        how = "without a buffer" if binary else "line-buffered"
        yield from place.change(
            f"{source.segment(stream)} {how}: {name}={0 if binary else 1} at line {made.lineno}", text
        )


# What makes a buffered stream: its argument for that, by name and position, and where its mode is. To a socket's
# makefile buffering=1 is a buffer of one byte under a text layer that keeps its lines all the same.
_OPENS = {
    "open": ("buffering", 2, 1), "fdopen": ("buffering", 2, 1), "Popen": ("bufsize", 1, None),
    "makefile": ("buffering", 1, 0),
}  # fmt: skip


def _binary(source: Source, made: ast.Call, mode_at: int | None) -> bool:
    keywords = {keyword.arg: keyword.value for keyword in made.keywords}
    if mode_at is None:
        return not {"text", "universal_newlines", "encoding", "errors"} & set(keywords)
    mode = keywords.get("mode", made.args[mode_at] if len(made.args) > mode_at else None)
    return isinstance(mode, ast.Constant) and "b" in str(mode.value)


def unbuffered(hang: Hang) -> Iterator[Change]:
    """Python told not to buffer: -u reaches the program, PYTHONUNBUFFERED its Python children too."""
    held = [each for each, _ in _stuck(hang) if _standard(hang, each)]
    if any(each.process == 0 for each in held):
        yield Change("the program started with python -u", interpreter=("-u",))
    if held:
        yield Change("PYTHONUNBUFFERED=1 in the environment", environment={"PYTHONUNBUFFERED": "1"})


def terminal(hang: Hang) -> Iterator[Change]:
    """A pseudo-terminal: Python line-buffers what goes to a terminal."""
    if any(_standard(hang, each) for each, _ in _stuck(hang)):
        yield Change("the program given a pseudo-terminal for its output", options={"buffering": "tty"})


def _stuck(hang: Hang) -> Iterator[tuple[Stuck, Place | None]]:
    """The buffers that the findings speak of, each with the place of the last write into it."""
    graph = hang.analysis.graph
    about = {(site, finding.channels[0]) for finding in hang.of("IPC101") for site in finding.sites if finding.channels}
    for held in graph.stuck if graph else ():
        sites = [site for site, _ in held.pieces if site is not None]
        if any((site, held.channel) in about for site in sites):
            yield held, hang.place(sites[-1])


def _standard(hang: Hang, held: Stuck) -> bool:
    return str(hang.analysis.trace.streams["name"].iloc[held.stream]).startswith("sys.std")


def _written(place: Place | None) -> ast.expr | None:
    """The stream that a write is made on."""
    call = place.call if place else None
    if call is None:
        return None
    if called(call) == "print":
        return next((keyword.value for keyword in call.keywords if keyword.arg == "file"), None)
    writes = isinstance(call.func, ast.Attribute) and call.func.attr in ("write", "writelines")
    return call.func.value if writes else None  # type: ignore[attr-defined]


def maker(source: Source, stream: ast.expr, at: ast.AST) -> ast.Call | None:
    """The call that made what an expression stands for: of `p.stdin` what made `p`."""
    for each in (stream, stream.value if isinstance(stream, ast.Attribute) else None):
        found = source.assigned(each.id, at) if isinstance(each, ast.Name) else None
        if found is None and isinstance(each, ast.Attribute):
            calls = (call for call in source.calls(source.tree) if source.segment(each) in source.targets(call))
            found = next(calls, None)
        if isinstance(found, ast.Call):
            return found
    return None


# ---- programs that aren't Python


def at_once(hang: Hang) -> Iterator[Change]:
    """A program that isn't Python, told by its own switch, or by stdbuf(1), to write each line at once."""
    events = hang.analysis.trace.events
    for finding in hang.of("IPC102"):
        for process in {int(each) for each in hang.analysis.trace.threads["process"].iloc[list(finding.threads)]}:
            row = hang.analysis.trace.processes.iloc[process]
            started = events[(events["kind"] == "fork") & (events["result"] == row["pid"])]
            for event in started["event"].tolist():
                place = hang.event_place(event)
                call = place.call if place else None
                if place is None or call is None or not call.args:
                    continue
                words, command = place.source, call.args[0]
                for switch in switches(str(row["program"])):
                    text = _switched(words, command, switch, front=switch[0] == "stdbuf")
                    yield from place.change(f"{row['program']} with {' '.join(switch)} at {place.at()}", text)


def _switched(source: Source, command: ast.expr, switch: tuple[str, ...], front: bool) -> str | None:
    """A command line with words put before it, or behind the program's name."""
    quoted = ", ".join(f'"{word}"' for word in switch)
    if isinstance(command, ast.List) and command.elts:
        begin, end = source.span(command.elts[0])
        return source.spliced((begin, begin, f"{quoted}, ") if front else (end, end, f", {quoted}"))
    if isinstance(command, ast.Constant | ast.JoinedStr):
        return None
    given = source.segment(command)
    return source.replaced(command, f"[{quoted}, *{given}]" if front else f"[*{given}[:1], {quoted}, *{given}[1:]]")


# ---- messages that never become whole


def read_what_is_there(hang: Hang) -> Iterator[Change]:
    """Read what has come, in place of a whole line or a fixed number of bytes."""
    trace = hang.analysis.trace
    for finding in hang.of("IPC108"):
        place = hang.place(finding.sites[0]) if finding.sites else None
        call = place.call if place else None
        if place is None or call is None or called(call) not in ("readline", "read") or not finding.events:
            continue
        stream = trace.events["stream"].iloc[finding.events[0]]
        layer = "" if stream is None or stream != stream else str(trace.streams["layer"].iloc[int(stream)])
        receiver = place.source.segment(call.func.value)  # type: ignore[attr-defined]
        size = place.source.segment(call.args[0]) if call.args else ""
        if layer == "binary":
            yield from place.change(
                f"read1() at {place.at()}", place.source.replaced(call, f"{receiver}.read1({size})")
            )
        elif layer == "text":
            text = place.source.replaced(call, f"os.read({receiver}.fileno(), {size or 65536}).decode()")
            yield from place.change(f"os.read() at {place.at()}", importing(text, "os"))


def newline(hang: Hang) -> Iterator[Change]:
    """The newline that the reader of a line waits for."""
    for finding in hang.of("IPC108"):
        reader = hang.place(finding.sites[0]) if finding.sites else None
        whole = reader is not None and reader.call is not None and called(reader.call) not in ("readline", "input")
        place = None if whole or len(finding.sites) < 2 else hang.place(finding.sites[1])
        call = place.call if place else None
        if place is None or call is None:
            continue
        source = place.source
        if called(call) == "print":
            end = next((keyword.value for keyword in call.keywords if keyword.arg == "end"), None)
            text = source.replaced(end, '"\\n"') if end is not None else None
        else:
            data = call.args[-1] if call.args else None
            prefix = "b" if called(call) in ("sendall", "send") or source.segment(call.func) == "os.write" else ""
            if isinstance(data, ast.Constant):
                prefix = "b" if isinstance(data.value, bytes) else ""
            text = source.replaced(data, f'{source.segment(data)} + {prefix}"\\n"') if data is not None else None
        yield from place.change(f"a newline at the end of what {place.at()} writes", text)


def no_select(hang: Hang) -> Iterator[Change]:
    """A select that asks for one end without a time limit says nothing that the read behind it doesn't: but it looks at
    the descriptor, and not into the stream's buffer."""
    for finding in hang.of("IPC103"):
        place = hang.place(finding.sites[0]) if finding.sites else None
        call = place.call if place else None
        if place is None or call is None or called(call) != "select" or len(call.args) != 3:
            continue
        lists = [each.elts if isinstance(each, ast.List | ast.Tuple) else None for each in call.args]
        if lists[0] is not None and len(lists[0]) == 1 and lists[1:] == [[], []]:
            ready = place.source.segment(call.args[0])
            text = place.source.replaced(call, f"({ready}, [], [])")
            yield from place.change(f"no select before the read at {place.at()}", text)
