"""The last exchanges in a terminal: a column a thread, a row a message, in order of time."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.exchanges import exchanges
from ipctrace.reports.ink import Ink, columns

from .builders import TraceBuilder, completed_trace, deadlock_trace
from .hostile import hostile_trace


def drawn(trace, most=8, **ink):
    return list(exchanges(analyze(trace), Ink(**ink), most))


def talk(threads, messages):
    """One process with so many children, each of which is written a line so many times, in turn."""
    build = TraceBuilder()
    parent = build.process("parent.py")
    pipes = [build.pipe(parent) for _ in range(threads)]
    children = [build.fork(parent, program=f"child-{number}") for number in range(threads)]
    for number in range(messages):
        pipe, child = pipes[number % threads], children[number % threads]
        build.write(parent, pipe.writer, b"line %d\n" % number)
        build.read(child, pipe.reader, b"line %d\n" % number)
    return build.trace(ended="exit", status=0)


def test_messages_go_from_column_to_column_and_what_is_stuck_stays_in_one():
    lines = drawn(deadlock_trace())
    assert lines[0].split() == ["parent", "child"]
    assert all(line.index("|") == 11 or line.index("*") == 11 for line in lines[1:] if "|" in line)
    assert any(">|" in line and "Hello 1" in line for line in lines)
    assert any("|<" in line for line in lines)
    assert any(" * 26 bytes, never flushed" in line for line in lines)
    assert sum("waits for data on pipe" in line for line in lines) == 2


def test_rows_are_the_last_and_in_order_of_time():
    lines = drawn(talk(1, 10), most=3)[1:]
    assert [line.split("line ")[1].split()[0] for line in lines] == ["7", "8", "9"]
    assert [float(line.split()[0]) for line in lines] == sorted(float(line.split()[0]) for line in lines)


def test_equal_messages_share_a_row():
    build = TraceBuilder()
    parent = build.process("full.py")
    pipe = build.pipe(parent)
    for _ in range(5):
        build.write(parent, pipe.writer, b"x" * 100)
    lines = drawn(build.trace(ended="exit", status=0))
    assert len(lines) == 2
    assert "5 times 100 bytes, left in pipe A" in lines[1]


def test_who_has_no_column_is_named():
    lines = drawn(talk(6, 6))
    assert len(lines[0].split()) == 4
    assert any("parent -> child-5: 7 bytes: line 5" in line for line in lines)


@pytest.mark.parametrize("width", [30, 40, 80, 200])
@pytest.mark.parametrize("trace", [deadlock_trace, completed_trace, hostile_trace, lambda: talk(6, 12)])
def test_nothing_is_wider_than_the_terminal(trace, width):
    assert all(columns(line) <= width for line in drawn(trace(), width=width))


def test_what_a_program_wrote_cannot_paint_the_terminal():
    text = "\n".join(drawn(hostile_trace()))
    assert text.isprintable() or set(text) - {"\n"} == {c for c in text if c.isprintable()}


def test_without_messages_nothing_is_drawn():
    build = TraceBuilder()
    build.process("alone.py")
    assert drawn(build.trace(ended="exit", status=0)) == []


def test_ascii_alone_where_the_terminal_has_no_more():
    assert "".join(drawn(hostile_trace(), unicode=False)).isascii()
