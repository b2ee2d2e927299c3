"""Changes of a source: what is put where, byte for byte the same everywhere else, and Python afterwards."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipctrace.analysis.remedies.source import Source, importing


def call(source: Source, text: str) -> ast.Call:
    """The call whose text that is."""
    return next(each for each in source.calls(source.tree) if source.segment(each) == text)


def statement(source: Source, text: str) -> ast.stmt:
    """The innermost statement with a call of that text."""
    return source.statement(call(source, text))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("read()\n", "close()\nread()\n"),
        ("if x:\n    read()  # ä\n", "if x:\n    close()\n    read()  # ä\n"),
        ("a(); read()\n", "a(); close(); read()\n"),
        ("if x: read()\n", "if x: close(); read()\n"),
        ("while b := read():\n    pass\n", "close()\nwhile b := read():\n    pass\n"),
        ("if x:\r\n\tread()\r\n", "if x:\r\n\tclose()\r\n\tread()\r\n"),
        ("if x:\n    pass\nelif read():\n    pass\n", "close()\nif x:\n    pass\nelif read():\n    pass\n"),
    ],
)
def test_a_line_is_put_before_a_statement(text: str, after: str) -> None:
    source = Source(text)
    assert source.before(statement(source, "read()"), "close()") == after
    ast.parse(after)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("write()\nx()\n", "write()\nflush()\nx()\n"),
        ("if x:\n    write()  # said\n    y()\n", "if x:\n    write()  # said\n    flush()\n    y()\n"),
        ("write(); x()\n", "write(); flush(); x()\n"),
        ("if x: write()\n", "if x: write(); flush()\n"),
        ("write()", "write()\nflush()\n"),
        ("write(\n)\nx()\n", "write(\n)\nflush()\nx()\n"),
    ],
)
def test_a_line_is_put_behind_a_statement(text: str, after: str) -> None:
    source = Source(text)
    found = next(each for each in source.calls(source.tree) if source.segment(each.func) == "write")
    assert source.after(source.statement(found), "flush()") == after
    ast.parse(after)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("f()", "f(n=1)"),
        ("f(a, )", "f(a, n=1, )"),
        ("f((a))", "f((a), n=1)"),
        ("f(\n    a,  # one\n    b  # two\n)", "f(\n    a,  # one\n    b, n=1  # two\n)"),
        ("f(a)", "f(a, n=1)"),
        ("f(\n    a,\n    b\n)", "f(\n    a,\n    b, n=1\n)"),
        ("f(a, n=x)", "f(a, n=1)"),
        ("f(a, b, c)", "f(a, b, 1)"),
    ],
)
def test_an_argument_is_set_by_name_or_where_it_stands(text: str, after: str) -> None:
    source = Source(text)
    assert source.argument(call(source, text), "n", "1", 2) == after


@pytest.mark.parametrize("text", ["f(**options)", "f(*arguments)"])
def test_an_argument_that_may_be_hidden_is_not_set(text: str) -> None:
    source = Source(text)
    assert source.argument(call(source, text), "n", "1", 2) is None


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("import os, sys\n", "import os, sys\n"),
        ('"""Doc."""\nfrom __future__ import annotations\nx = 1\n',
         '"""Doc."""\nfrom __future__ import annotations\nimport sys\nx = 1\n'),
        ("import os\n", "import sys\nimport os\n"),
        ("import sys as s\n", "import sys\nimport sys as s\n"),
    ],
)  # fmt: skip
def test_a_module_is_imported_once_and_where_it_may_be(text: str, after: str) -> None:
    assert importing(text, "sys") == after


def test_two_statements_change_places_whatever_lies_between() -> None:
    source = Source("if x:\n    p.join()  # first\n    # then\n    q.get()\n")
    changed = source.swapped(statement(source, "p.join()"), statement(source, "q.get()"))
    assert changed == "if x:\n    q.get()  # first\n    # then\n    p.join()\n"


@pytest.mark.parametrize(
    ("text", "at", "value"),
    [
        ("p = f()\np = g()\nuse(p)\np = h()\n", "use(p)", "g()"),
        ("p = f()\ndef work():\n    use(p)\n", "use(p)", "f()"),
        ("p = f()\ndef work():\n    p = g()\n    use(p)\n", "use(p)", "g()"),
        ("a, p = e(), f()\nuse(p)\n", "use(p)", "f()"),
        ("with f() as p:\n    use(p)\n", "use(p)", "f()"),
        ("async def work():\n    p = await f()\n    use(p)\n", "use(p)", "f()"),
        ("if x:\n    p = f()\np = g()\nif y:\n    use(p)\n", "use(p)", "g()"),
    ],
)
def test_what_a_name_stands_for_is_what_was_last_bound_to_it(text: str, at: str, value: str) -> None:
    source = Source(text)
    found = source.assigned("p", call(source, at))
    assert found is not None and source.segment(found) == value


def test_a_name_that_a_function_binds_itself_is_another() -> None:
    source = Source("w = make()\ndef work(w):\n    read()\ndef other():\n    read(1)\n")
    made = call(source, "make()")
    assert not source.visible("w", made, call(source, "read()"))
    assert source.visible("w", made, call(source, "read(1)"))


def test_before_python_3_11_a_line_stands_for_its_only_statement() -> None:
    source = Source("a()\nb(); c()\nwhile d():\n    pass\n")
    only = source.node(1, None, None, None)
    assert isinstance(only, ast.Expr) and source.segment(only) == "a()"
    assert source.node(2, None, None, None) is None
    assert isinstance(source.node(3, None, None, None), ast.While)


LINES = st.lists(
    st.sampled_from(
        ["a()", "b(); c()", "if x: d()", "if x:\n    e()\n    f()", "s = 'ä€𝄞'; g()", "for i in x:\n\n    h()"]
    ),
    min_size=1,
    max_size=5,
)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.data())
def test_a_change_is_python_and_takes_nothing_away(lines: list[str], newline: str, data: st.DataObject) -> None:
    text = newline.join("\n".join(lines).split("\n")) + newline
    source = Source(text)
    chosen = data.draw(st.sampled_from(list(source.calls(source.tree))))
    put: list[Callable[..., str]] = [source.before, source.after]
    for change in put:
        changed = change(source.statement(chosen), "new()")
        assert ast.unparse(ast.parse(changed)).count("new()") == 1
        for added in (f"new(){newline}", "new(); ", "; new()"):
            if changed.count(added) and "".join(changed.split()).replace("new()", "").replace(";", "") == "".join(
                text.split()
            ).replace(";", ""):
                break
        else:
            raise AssertionError(changed)
