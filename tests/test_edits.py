"""A change that applies as it stands, or none."""

from __future__ import annotations

import ast

import pytest
from ipctrace.analysis.edits import flush_after

from .builders import TraceBuilder


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize(
    ("line", "call", "after"),
    [
        ('print("a")', 'print("a")', 'print("a", flush=True)'),
        ("    print()", "print()", "    print(flush=True)"),
        ('print("ä", x, end="")  # said', 'print("ä", x, end="")', 'print("ä", x, end="", flush=True)  # said'),
        ('if x: print("a",)', 'print("a",)', 'if x: print("a", flush=True)'),
        ('print("a", flush=False)', 'print("a", flush=False)', 'print("a", flush=True)'),
        ('    out.write("a")', 'out.write("a")', '    out.write("a")\n    out.flush()'),
        ('sys.stdout.buffer.write(b"a")', 'sys.stdout.buffer.write(b"a")', 'sys.stdout.buffer.write(b"a")\nsys.stdout.buffer.flush()'),
    ],
)  # fmt: skip
def test_a_write_is_flushed(line: str, call: str, after: str, columns: bool) -> None:
    build = TraceBuilder()
    build.process("a.py")
    site = build.site("a.py", 1, line, call)
    if not columns:  # as before Python 3.11
        build.rows["sites"][site] |= {"column": None, "end_line": None, "end_column": None}
    edit = flush_after(build.trace(), site)
    assert edit is not None
    assert (edit.before, edit.after) == (line, after)
    ast.parse(edit.after.strip().replace("\n    ", "\n"))


@pytest.mark.parametrize(
    "line", ['print("a", **options)', 'x = out.write("a")', 'print("a", flush=now)', "helper(out)"]
)
def test_what_cannot_be_changed_safely_is_not(line: str) -> None:
    build = TraceBuilder()
    build.process("a.py")
    site = build.site("a.py", 1, line)
    assert flush_after(build.trace(), site) is None


def test_a_call_over_several_lines_is_changed_where_it_ends() -> None:
    build = TraceBuilder()
    build.process("a.py")
    site = build.site("a.py", 1, "print(")
    build.site("a.py", 2, '    "a",')
    build.site("a.py", 3, ")")
    build.rows["sites"][site] |= {"end_line": 3, "end_column": 1}
    edit = flush_after(build.trace(), site)
    assert edit is not None
    assert (edit.line, edit.after) == (3, "flush=True)")


def test_without_source_there_is_no_edit() -> None:
    build = TraceBuilder()
    build.process("a.py")
    site = build.site("a.py", 1, "print()")
    build.rows["sources"].clear()
    assert flush_after(build.trace(), site) is None
