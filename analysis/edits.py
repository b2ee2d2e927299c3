"""Changes of source lines, made on the syntax tree's evidence: what can't be changed safely isn't."""

from __future__ import annotations

import ast

import pandas as pd
from ipctrace.tracer.schema import Trace

from .events import number
from .results import Edit


def flush_after(trace: Trace, site: int | None) -> Edit | None:
    """The line of a write, changed so that its bytes are flushed: flush=True in a print, a flush line after another.

    None where the source isn't known, or the call can't be told apart in it.
    """
    if site is None:
        return None
    row = trace.sites.iloc[site]
    first, last = int(row["line"]), number(row["end_line"]) or int(row["line"])
    lines = source_lines(trace, str(row["file"]), first, last)
    if lines is None:
        return None
    call = _call(lines, number(row["column"]), number(row["end_column"]))
    if call is None:
        return None
    at, node = call
    name = node.func.id if isinstance(node.func, ast.Name) else None
    changed = _print_flushed(lines, at, node) if name == "print" else _flush_line(lines, node)
    return None if changed is None else Edit(str(row["file"]), first + changed[0], lines[changed[0]], changed[1])


def source_lines(trace: Trace, file: str, first: int, last: int) -> list[str] | None:
    """Lines `first` to `last` of a file as they were recorded, or None where one is missing."""
    sources: pd.DataFrame = trace.sources[(trace.sources["file"] == file) & trace.sources["line"].between(first, last)]
    texts = dict(zip(sources["line"].tolist(), sources["text"].tolist(), strict=True))
    return [texts[line] for line in range(first, last + 1)] if len(texts) == last - first + 1 else None


Place = tuple[int, int]  # line from 0, column in UTF-8 bytes


def _call(lines: list[str], column: int | None, end_column: int | None) -> tuple[Place, ast.Call] | None:
    """The call between the columns, or the only print or write on the lines; with where its source begins."""
    if column is not None and end_column is not None and column >= 0:
        encoded = [line.encode() for line in lines]
        encoded[-1] = encoded[-1][:end_column]
        text = b"\n".join([encoded[0][column:], *encoded[1:]]).decode(errors="replace")
        node = _parsed(f"({text}\n)")
        value = node.body[0].value if node is not None and isinstance(node.body[0], ast.Expr) else None
        # the bracket before it takes one column
        return ((0, column - 1), value) if isinstance(value, ast.Call) else None
    indent = len(lines[0]) - len(lines[0].lstrip())
    node = _parsed("\n".join(line[indent:] if line[:indent].isspace() or not indent else line for line in lines))
    calls = (
        [each for each in ast.walk(node) if isinstance(each, ast.Call) and _writes(each)] if node is not None else []
    )
    return ((0, indent), calls[0]) if len(calls) == 1 and len(lines) == 1 else None


def _writes(call: ast.Call) -> bool:
    name = (
        call.func.id
        if isinstance(call.func, ast.Name)
        else call.func.attr
        if isinstance(call.func, ast.Attribute)
        else ""
    )
    return name in ("print", "write", "writelines")


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _print_flushed(lines: list[str], at: Place, call: ast.Call) -> tuple[int, str] | None:
    """Which line to change, and into what."""
    if any(keyword.arg is None for keyword in call.keywords) or call.end_lineno is None or call.end_col_offset is None:
        return None
    given = next((keyword for keyword in call.keywords if keyword.arg == "flush"), None)
    if given is not None:
        start = _place(at, given.value.lineno, given.value.col_offset)
        end = _place(at, given.value.end_lineno or 0, given.value.end_col_offset or 0)
        if start[0] != end[0] or not isinstance(given.value, ast.Constant):
            return None
        line = lines[start[0]].encode()
        return start[0], (line[: start[1]] + b"True" + line[end[1] :]).decode()
    row, end_column = _place(at, call.end_lineno, call.end_col_offset)
    line = lines[row].encode()
    before, after = line[: end_column - 1].rstrip(), line[end_column - 1 :]
    if not after.startswith(b")"):
        return None
    if row and not before.strip():  # the bracket stands alone: what comes before it is on another line
        previous = lines[row - 1]
        if not previous.rstrip().endswith(",") or "#" in previous:
            return None
        space = line[: len(line) - len(line.lstrip())]
        return row, (space + b"flush=True" + after).decode()
    comma = b" " if before.endswith(b",") else b", " if call.args or call.keywords else b""
    return row, (before + comma + b"flush=True" + after).decode()


def _flush_line(lines: list[str], call: ast.Call) -> tuple[int, str] | None:
    """A line after the write, where the write is a statement of its own on one line."""
    if len(lines) != 1 or not isinstance(call.func, ast.Attribute) or call.func.attr not in ("write", "writelines"):
        return None
    line = lines[0]
    node = _parsed(line.strip())
    if node is None or len(node.body) != 1 or not isinstance(node.body[0], ast.Expr):
        return None
    indent = line[: len(line) - len(line.lstrip())]
    return 0, f"{line}\n{indent}{ast.unparse(call.func.value)}.flush()"


def _place(at: Place, line: int, column: int) -> Place:
    return (at[0] + line - 1, column + (at[1] if line == 1 else 0))
