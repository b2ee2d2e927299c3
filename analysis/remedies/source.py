"""A source file that can be changed in places: by its syntax tree, byte for byte the same everywhere else.

Places are those of the trace's table `sites` (lines from 1, columns in UTF-8 bytes from 0), which are those of `ast`.
Every change gives the whole new text; whether it cures anything is for a trial to say, which runs it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None  # None: the module
_SEVERAL = (ast.Tuple, ast.List)
Splice = tuple[int, int, str]  # bytes [begin, end) become this text


class Source:
    """One file's text and its tree. Raises SyntaxError (ValueError with a NUL) where it is no Python."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.data = text.encode("utf-8", "surrogateescape")
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.tree = ast.parse(self.data)
        self.starts = [0]
        for line in self.data.splitlines(keepends=True) if b"\r" in self.data else self.data.split(b"\n"):
            self.starts.append(self.starts[-1] + len(line) + (b"\r" not in self.data))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Each node's parent."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    # ---- finding

    def span(self, node: ast.AST) -> tuple[int, int]:
        """A node's bytes."""
        begin = self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        return begin, self.starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def segment(self, node: ast.AST) -> str:
        """A node's text."""
        begin, end = self.span(node)
        return self.data[begin:end].decode("utf-8", "surrogateescape")

    def node(self, line: int, column: int | None, end_line: int | None, end_column: int | None) -> ast.AST | None:
        """What stands at a place: the call there, or the statement. Before Python 3.11 a place is a line: then it is
        the only statement on it."""
        if column is None or end_line is None or end_column is None:
            found = [node for node in ast.walk(self.tree) if isinstance(node, ast.stmt) and node.lineno == line]
            inner = [node for node in found if not any(other in found for other in self.children(node))]
            return inner[0] if len(inner) == 1 else None
        place = (line, column, end_line, end_column)
        same = [node for node in ast.walk(self.tree) if isinstance(node, ast.expr) and _place(node) == place]
        if same:
            return next((node for node in same if isinstance(node, ast.Call)), same[0])
        around = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.stmt) and _place(node)[:2] <= place[:2] and place[2:] <= _place(node)[2:]
        ]
        return around[-1] if around else None

    def children(self, node: ast.AST) -> Iterator[ast.stmt]:
        """The statements inside of a statement."""
        return (each for each in ast.walk(node) if isinstance(each, ast.stmt) and each is not node)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """A node, its parent, and so on up to the module."""
        at: ast.AST | None = node
        while at is not None:
            yield at
            at = self.parents.get(at)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement around a node before which a line can stand: an `elif` has none before it."""
        for each in self.above(node):
            if isinstance(each, ast.stmt) and not self.data[self.span(each)[0] :].startswith(b"elif"):
                return each
        raise ValueError("a module is no statement")

    def scope(self, node: ast.AST) -> Scope:
        """The function around a node."""
        return next((each for each in self.above(self.parents.get(node, node)) if isinstance(each, Function)), None)

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements that a statement stands among."""
        parent = self.parents[statement]
        lists = [value for _, value in ast.iter_fields(parent) if isinstance(value, list)]
        return next((each for each in lists if statement in each), [statement])

    def later(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements behind one, among its own."""
        block = self.block(statement)
        return block[block.index(statement) + 1 :]

    def calls(self, node: ast.AST) -> Iterator[ast.Call]:
        """The calls in a node, in the order of their source."""
        found = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        return iter(sorted(found, key=lambda each: self.span(each)[1]))

    def assigned(self, name: str, at: ast.AST) -> ast.expr | None:
        """What was last assigned to a plain name before a node, in its function or else in the module."""
        scope = self.scope(at)
        limit = self.span(self.statement(at))[0]
        for within in dict.fromkeys((scope, None)):
            found = [
                value
                for node in ast.walk(within or self.tree)
                if self.scope(node) is within
                for target, value in _bindings(node)
                if isinstance(target, ast.Name) and target.id == name
                if scope is not within or self.span(value)[0] < limit
            ]
            if found:
                return max(found, key=self.span)
        return None

    def targets(self, call: ast.expr) -> list[str]:
        """The names that get what a call returns; several where it is taken apart."""
        for node in self.above(call):
            for target, value in _bindings(node):
                if value is call:
                    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
                    return [self.segment(part) for part in parts]
            if isinstance(node, ast.stmt):
                break
        return []

    def visible(self, name: str, made: ast.AST, at: ast.AST) -> bool:
        """Whether `name`, bound at `made`, means the same at `at`."""
        base, home, here = name.split(".")[0].split("[")[0], self.scope(made), self.scope(at)
        if home is here:
            return True
        if home is not None:
            return any(each is home for each in self.above(at))
        inside = list(ast.walk(here)) if here else []
        bound = {node.arg for node in inside if isinstance(node, ast.arg)}
        stored = {node.id for node in inside if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
        return base not in bound | stored

    # ---- changing

    def spliced(self, *changes: Splice) -> str:
        """The text with some of its bytes replaced."""
        data = self.data
        for begin, end, new in sorted(changes, reverse=True):
            data = data[:begin] + new.encode("utf-8", "surrogateescape") + data[end:]
        return data.decode("utf-8", "surrogateescape")

    def replaced(self, node: ast.AST, new: str) -> str:
        """The text with a node replaced."""
        return self.spliced((*self.span(node), new))

    def before(self, statement: ast.stmt, *lines: str) -> str:
        """The text with statements put before another: lines of their own, where it begins its line."""
        begin, start = self.span(statement)[0], self.starts[statement.lineno - 1]
        indent = self.data[start:begin].decode()
        if indent.strip():
            return self.spliced((begin, begin, "".join(f"{line}; " for line in lines)))
        return self.spliced((start, start, "".join(f"{indent}{line}{self.newline}" for line in lines)))

    def after(self, statement: ast.stmt, *lines: str) -> str:
        """The text with statements put behind another."""
        begin, end = self.span(statement)
        start = self.starts[statement.lineno - 1]
        stop = self.starts[statement.end_lineno or statement.lineno]
        rest, indent = self.data[end:stop].strip(), self.data[start:begin].decode()
        if indent.strip() or (rest and not rest.startswith(b"#")):
            return self.spliced((end, end, "".join(f"; {line}" for line in lines)))
        last = "" if self.data[:stop].endswith(b"\n") else self.newline
        stop = min(stop, len(self.data))
        return self.spliced((stop, stop, last + "".join(f"{indent}{line}{self.newline}" for line in lines)))

    def swapped(self, one: ast.AST, other: ast.AST) -> str:
        """The text with two pieces in each other's place."""
        return self.spliced((*self.span(one), self.segment(other)), (*self.span(other), self.segment(one)))

    def argument(self, call: ast.Call, name: str, value: str, position: int | None = None) -> str | None:
        """The text with an argument of a call set; None: it is hidden in **options."""
        given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
        if given is None and position is not None and len(call.args) > position:
            given = call.args[position]
        if given is not None:
            return self.replaced(given, value)
        if any(keyword.arg is None for keyword in call.keywords) or any(
            isinstance(each, ast.Starred) for each in call.args
        ):
            return None
        last = max([*call.args, *(keyword.value for keyword in call.keywords)], key=self.span, default=None)
        end = self.span(call)[1] - 1  # the bracket: what stands before it may be a comma, a comment, another bracket
        if last is None:
            return self.spliced((end, end, f"{name}={value}"))
        places = ((self.span(last)[1], f", {name}={value}"), (end, f", {name}={value}"), (end, f"{name}={value}"))
        changed = (self.spliced((at, at, new)) for at, new in places)
        return next((text for text in changed if _given(text, call, name)), None)

    def first(self, at: ast.AST) -> ast.stmt:
        """The first statement of the body that a node stands in: of its function, of `if __name__ == "__main__"`, or of
        the module; behind its docstring, imports and definitions."""
        body: list[ast.stmt] = self.tree.body
        for each in self.above(at):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                body = each.body
                break
            if isinstance(each, ast.If) and self.parents[each] is self.tree and "__name__" in self.segment(each.test):
                body = each.body
                break
        skipped = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        rest = [each for each in body if not isinstance(each, skipped) and not _docstring(each)]
        return rest[0] if rest else body[0]


def importing(text: str, module: str) -> str:
    """The text, with `import module` if it isn't there."""
    source = Source(text)
    for node in source.tree.body:
        if isinstance(node, ast.Import) and any(each.name == module and each.asname is None for each in node.names):
            return text
    for node in source.tree.body:
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not future and not _docstring(node):
            return source.before(node, f"import {module}")
    return text


def _given(text: str, call: ast.Call, name: str) -> bool:
    """Whether a text is Python in which the call that begins where that one does has an argument of that name."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    return any(
        isinstance(node, ast.Call)
        and (node.lineno, node.col_offset, len(node.args)) == (call.lineno, call.col_offset, len(call.args))
        and any(keyword.arg == name for keyword in node.keywords)
        for node in ast.walk(tree)
    )


def _place(node: ast.AST) -> tuple[int, int, int, int]:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _bindings(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What a node binds, as (target, value); a tuple of values to a tuple of targets one by one. Of what is awaited the
    value is what is awaited."""
    for target, value in _pairs(node):
        yield target, value.value if isinstance(value, ast.Await) else value


def _pairs(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if (
                isinstance(target, _SEVERAL)
                and isinstance(node.value, _SEVERAL)
                and len(target.elts) == len(node.value.elts)
            ):
                yield from zip(target.elts, node.value.elts, strict=True)
            else:
                yield target, node.value
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value:
        yield node.target, node.value
    elif isinstance(node, ast.withitem) and node.optional_vars:
        yield node.optional_vars, node.context_expr
