"""A trace without what may be secret, so that its report can be sent to somebody.

Left out are payloads, command lines, environments, and where files lie outside of the working directory; hosts of
addresses become numbers. Names of programs, threads and files, lines of source, lengths and times stay: they are what a
report is about. The analysis then runs on what is left, so that nothing left out can come back in a sentence. It says
what it says of a run that was recorded with `--payload none`: whose bytes are whose can't be proven by payload.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from ..tracer.schema import TABLES, Trace, frame, words

EMPTIED = ("payloads", "environment")
PATHS = {
    ("processes", "executable"), ("processes", "cwd"), ("channels", "path"), ("sites", "file"), ("sources", "file"),
    ("stacks", "file"),
}  # fmt: skip
ADDRESSES = {("events", "address"), ("channels", "local"), ("channels", "remote")}
# Texts that come from a fixed list, or that name what the program is made of.
KEPT = {
    ("events", "op"), ("events", "kind"), ("events", "wait"), ("processes", "program"), ("processes", "implementation"),
    ("processes", "how"), ("processes", "name"), ("threads", "name"), ("channels", "kind"), ("channels", "form"),
    ("descriptors", "access"), ("streams", "name"), ("streams", "mode"), ("streams", "layer"), ("streams", "encoding"),
    ("streams", "buffering"), ("streams", "why"), ("sites", "function"), ("sources", "text"), ("looks", "state"),
    ("looks", "syscall"), ("ends", "access"), ("members", "access"), ("samples", "state"), ("samples", "syscall"),
    ("users", "access"), ("stacks", "function"),
}  # fmt: skip
FACTS_KEPT = (
    "schema", "ipctrace", "state", "program", "platform", "page_size", "started", "clock", "duration", "ended",
    "status", "stopped", "events", "lost", "dropped", "dropped_before", "left",
)  # fmt: skip
LOCAL = ("127.", "localhost", "[::1]", "::1", "0.0.0.0", "[::]")


def redact(trace: Trace) -> Trace:
    """A copy of the trace without payloads, command lines, environments, and paths outside the working directory."""
    path, address = _Paths(str(trace.facts.get("cwd") or "")), _Addresses()
    rewritten: dict[tuple[str, str], Callable[[str], str]] = {
        **dict.fromkeys(PATHS, path), **dict.fromkeys(ADDRESSES, lambda text: address(text, path)),
    }  # fmt: skip
    tables = {}
    for name, table in trace.tables.items():
        tables[name] = frame(name) if name in EMPTIED else table.copy(deep=False)
        for column in TABLES[name].columns:
            if (rewrite := rewritten.get((name, column.name))) is not None:
                tables[name][column.name] = _each(table[column.name], rewrite)
    tables["processes"]["argv"] = [[program] for program in tables["processes"]["program"]]
    return Trace(tables, _facts(trace.facts, path))


def _facts(facts: dict[str, Any], path: Callable[[str], str]) -> dict[str, Any]:
    kept = {name: facts.get(name) for name in FACTS_KEPT if name in facts}
    options = {
        name: path(value) if isinstance(value, str) else value for name, value in (facts.get("options") or {}).items()
    }
    platform = dict(facts.get("platform") or {})
    if "interpreters" in platform:
        platform["interpreters"] = [one | {"executable": path(one["executable"])} for one in platform["interpreters"]]
    notes = [
        re.sub(r"/[^\s,;:'\"]+", lambda found: path(found.group()), str(note)) for note in facts.get("notes") or []
    ]
    return kept | {
        "command": [facts.get("program") or "a program"], "cwd": ".", "environment": {}, "notes": notes,
        "platform": platform,
        "options": options | {"payload": "redacted"},
        "order": facts.get("order") and {name: value for name, value in facts["order"].items() if name != "departures"},
    }  # fmt: skip


def _each(texts: pd.Series[Any], rewrite: Callable[[str], str]) -> pd.Series[Any]:
    """The column with each different text rewritten once; empty ones stay empty."""
    rewritten = {text: rewrite(text) for text in texts.dropna().unique()}
    if isinstance(texts.dtype, pd.CategoricalDtype):
        return words(texts.cat.codes.to_numpy(), [rewritten.get(text, "") for text in texts.cat.categories])
    return texts.map(rewritten).astype(texts.dtype)


class _Paths:
    """Paths as they are seen from the working directory; of those outside only the name, and a number where two files
    of one name would become one."""

    def __init__(self, directory: str) -> None:
        self.directory = PurePosixPath(directory) if directory else None
        self.known: dict[str, str] = {}
        self.taken: set[str] = set()

    def __call__(self, text: str) -> str:
        if not text.startswith("/"):
            return text
        if text not in self.known:
            self.known[text] = self._short(PurePosixPath(text))
        return self.known[text]

    def _short(self, path: PurePosixPath) -> str:
        if self.directory is not None and path.is_relative_to(self.directory):
            return str(path.relative_to(self.directory))
        short, number = f"…/{path.name}", 1
        while short in self.taken:
            number += 1
            short = f"…{number}/{path.name}"
        self.taken.add(short)
        return short


class _Addresses:
    """Addresses with a number for each host that isn't this machine, and its port."""

    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}

    def __call__(self, text: str, path: Callable[[str], str]) -> str:
        if text.startswith("/"):
            return path(text)
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or host.startswith(LOCAL):
            return text
        return f"{self.hosts.setdefault(host, f'host-{len(self.hosts) + 1}')}:{port}"
