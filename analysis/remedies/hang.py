"""What a remedy is made from: a hang as it was analysed, and the sources of the program as they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any, NamedTuple

from ..events import number
from ..results import Analysis, Finding, Waiter
from .source import Source


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to try: `what` in words; the whole new text of each file (`texts`, by path), or how the program is
    started: words behind the interpreter, variables of the environment, options of the recording."""

    what: str
    texts: Mapping[str, str] = field(default_factory=dict)
    interpreter: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Place(NamedTuple):
    """A place in a file of the program's own: its source, what stands there, and the statement around that."""

    file: str
    line: int
    source: Source
    node: ast.AST
    statement: ast.stmt

    @property
    def call(self) -> ast.Call | None:
        """The call that stands there: of a statement the only one in it."""
        if isinstance(self.node, ast.Call):
            return self.node
        calls = list(self.source.calls(self.node))
        return calls[-1] if len(calls) == 1 else None

    def at(self) -> str:
        """`pipes.py:12`."""
        return f"{PurePath(self.file).name}:{self.line}"

    def change(self, what: str, text: str | None) -> Iterator[Change]:
        """The change that gives the file this text; none without one."""
        if text is not None and text != self.source.text:
            yield Change(what, {self.file: text})


class End(NamedTuple):
    """What names an end of a channel in the program's source: the expression, where it was made, how it is closed."""

    place: Place
    name: str
    close: str
    kind: str  # descriptor, stream, socket


@dataclass
class Hang:
    """An analysed hang, with the texts of the program's own files (by path as the trace has it)."""

    analysis: Analysis
    texts: Mapping[str, str]

    @cached_property
    def findings(self) -> list[Finding]:
        """What keeps the program from going on, most important first."""
        return [each for each in self.analysis.findings if each.rule < "IPC2" and each.certainty != "latent"]

    @cached_property
    def rules(self) -> set[str]:
        """The codes of these."""
        return {finding.rule for finding in self.findings}

    @cached_property
    def waiters(self) -> list[Waiter]:
        """Who can't go on, the core first."""
        waiters = self.analysis.graph.waiters if self.analysis.graph else ()
        return sorted((each for each in waiters if each.role != "bystander"), key=lambda each: each.role != "core")

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The texts that are Python, by path."""
        found = {}
        for file, text in self.texts.items():
            try:
                found[file] = Source(text)
            except (SyntaxError, ValueError):  # not Python, or of another version
                continue
        return found

    def of(self, *rules: str) -> Iterator[Finding]:
        """The findings of these rules."""
        return (finding for finding in self.findings if finding.rule in rules)

    def place(self, site: int | None) -> Place | None:
        """A site of the trace in the program's own source; None: it isn't there, or can't be told."""
        if site is None:
            return None
        row = self.analysis.trace.sites.iloc[site]
        source, line = self.sources.get(str(row["file"])), int(row["line"])
        if source is None:
            return None
        node = source.node(line, number(row["column"]), number(row["end_line"]), number(row["end_column"]))
        return None if node is None else Place(str(row["file"]), line, source, node, source.statement(node))

    def places(self, sites: Any) -> Iterator[Place]:
        """Those of several sites that are in the program's own source."""
        return (place for place in map(self.place, sites) if place is not None)

    def wait(self, process: int, reason: str | None = None) -> Place | None:
        """Where a process waits."""
        for waiter in self.waiters:
            if waiter.process == process and reason in (None, waiter.reason) and (place := self.place(waiter.site)):
                return place
        return None

    def event_place(self, event: int) -> Place | None:
        """Where an event was."""
        return self.place(number(self.analysis.trace.events["site"].iloc[event]))

    # ---- ends of channels

    def holders(self, channel: int, access: str) -> Iterator[Any]:
        """The rows of `descriptors` that still hold an end."""
        ends = self.analysis.descriptors
        held = ends[(ends["channel"] == channel) & ends["access"].str.contains(access) & ends["closed"].isna()]
        return held.itertuples()

    def end(self, process: int, channel: int, access: str) -> Iterator[End]:
        """What names an end that a process holds open."""
        for row in self.holders(channel, access):
            if row.process == process and (found := self._named(row)):
                yield found

    def _named(self, row: Any) -> End | None:
        origin = self._origin(row)
        place = self.place(number(origin.site)) if origin is not None else None
        call = place.call if place else None
        if place is None or call is None:
            return None
        source, names = place.source, place.source.targets(call)
        made = called(call)
        if not names:
            return None
        if made in ("pipe", "pipe2"):
            which = 0 if row.access == "r" else 1
            name = names[which] if len(names) == 2 else f"{names[0]}[{which}]"
            return self._stream_over(place, name, row) or End(place, name, f"os.close({name})", "descriptor")
        if made in ("Popen", "popen", "create_subprocess_exec", "create_subprocess_shell") and len(names) == 1:
            name = names[0] if made == "popen" else f"{names[0]}.{self._standard(row)}"
            return End(place, name, f"{name}.close()", "stream")
        if made in ("socketpair", "Pipe"):
            ends = self.analysis.descriptors
            same = ends[(ends["site"] == origin.site) & (ends["process"] == origin.process) & (ends["how"] == "made")]
            which = sorted(same["fd"]).index(origin.fd)
            name = names[which % 2] if len(names) == 2 else f"{names[0]}[{which % 2}]"
            return End(place, name, f"{name}.close()", "socket")
        if made in _OPENS and (len(names) == 1 or made == "accept"):
            kind = "descriptor" if source.segment(call.func) == "os.open" else _OPENS[made]
            close = f"os.close({names[0]})" if kind == "descriptor" else f"{names[0]}.close()"
            return End(place, names[0], close, kind)
        return None

    def _origin(self, row: Any) -> Any:
        """Where an end that was inherited was made: the row of the first of its process's forebears to hold it."""
        ends, parents = self.analysis.descriptors, self.analysis.trace.processes["parent"]
        while row is not None and row.how == "inherited":
            above = number(parents.iloc[row.process])
            same = ends[(ends["process"] == above) & (ends["channel"] == row.channel) & (ends["fd"] == row.fd)]
            row = next(same.itertuples(), None) if above is not None else None
        return row

    def _stream_over(self, place: Place, descriptor: str, row: Any) -> End | None:
        """The stream that the program put over a descriptor: closing that closes both."""
        streams = self.analysis.streams
        if not ((streams["process"] == row.process) & (streams["fd"] == row.fd)).any():
            return None
        source = place.source
        for call in source.calls(source.tree):
            over = called(call) in ("fdopen", "open") and call.args and source.segment(call.args[0]) == descriptor
            if over and len(names := source.targets(call)) == 1:
                return End(place._replace(node=call), names[0], f"{names[0]}.close()", "stream")
        return None

    def _standard(self, row: Any) -> str:
        """Which of a child's standard streams is at the other end of its pipe: `stdin`, `stdout`, `stderr`."""
        if row.access == "w":
            return "stdin"
        ends = self.analysis.descriptors
        other = ends[(ends["channel"] == row.channel) & (ends["process"] != row.process) & ends["fd"].isin([1, 2])]
        return "stderr" if len(other) and set(other["fd"]) == {2} else "stdout"


# What opens one end, and what kind of thing it gives.
_OPENS = {
    "open": "stream", "fdopen": "stream", "socket": "socket", "create_connection": "socket", "accept": "socket",
}  # fmt: skip


def called(call: ast.Call) -> str:
    """The last word of what is called: `Popen` of subprocess.Popen(…)."""
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
