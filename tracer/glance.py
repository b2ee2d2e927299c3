"""A first look at a large trace: its bare calls, read in a fraction of the time that all of it takes.

Read by pyarrow's Parquet alone, since pandas takes longer to import than this takes to read. What isn't as expected is
left to `store.load`, which says what is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from .launch import FACTS_FILE

Ints = npt.NDArray[np.int64]

NEVER = int(np.iinfo(np.int64).max)
_EVENTS = ["thread", "enter", "exit", "parent", "op", "kind"]
_WORDS = ["op", "kind"]


class Glance(NamedTuple):
    """Calls in order of `enter`: thread, enter, exit (`NEVER`), parent (-1: none), in `op` and `kind` the number of a
    word of `ops` and `kinds`; threads by number: name, begin and end (ns; `NEVER`)."""

    title: str
    end: int
    threads: list[str]
    started: Ints
    ended: Ints
    thread: Ints
    enter: Ints
    exit: Ints
    parent: Ints
    op: Ints
    kind: Ints
    ops: list[str]
    kinds: list[str]


def glance(path: Path, least: int) -> Glance | None:
    """The calls of a finished trace of at least so many; None: it has fewer, or is no such trace."""
    try:
        facts = json.loads((path / FACTS_FILE).read_text("utf-8"))
        if facts["state"] != "finished":
            return None
        file = pq.ParquetFile(path / "events.parquet", read_dictionary=_WORDS)
        if file.metadata.num_rows < least:
            return None
        events = file.read(_EVENTS)
        threads = pq.ParquetFile(path / "threads.parquet").read(["process", "name", "main", "started", "ended"])
        programs = pq.ParquetFile(path / "processes.parquet").read(["program"])["program"].to_pylist()
        (op, ops), (kind, kinds) = (_words(events[word]) for word in _WORDS)
        exit_, enter = _whole(events["exit"], NEVER), _whole(events["enter"], 0)
        latest = max(int(enter[-1]), int(exit_[exit_ != NEVER].max(initial=0)))
        return Glance(
            str(facts["program"]), max(int(facts["duration"] or 0), int(facts["stopped"] or 0), latest),
            _names(threads, programs), _whole(threads["started"], 0), _whole(threads["ended"], NEVER),
            _whole(events["thread"], 0), enter, exit_, _whole(events["parent"], -1),
            op, kind, ops, kinds,
        )  # fmt: skip
    except (OSError, KeyError, ValueError, TypeError, IndexError, pa.ArrowException):
        return None


def _whole(values: pa.ChunkedArray, missing: int) -> Ints:
    """A column of integers, `missing` where it is empty. Its buffers as they are: pyarrow's own `fill_null` imports
    pandas."""
    whole = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], pa.int64())
    valid, data = whole.buffers()
    here = slice(whole.offset, whole.offset + len(whole))
    found: Ints = np.frombuffer(data or b"", "int64")[here]
    if valid is None or not whole.null_count:
        return found
    there = np.unpackbits(np.frombuffer(valid, "u1"), bitorder="little")[here].astype(bool)
    return np.where(there, found, missing)


def _words(values: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """A column of few different words: the number of each, and the words."""
    coded = values.unify_dictionaries()
    numbers = []
    for chunk in coded.chunks:
        indices = chunk.indices
        whole = np.frombuffer(indices.buffers()[1], f"i{indices.type.bit_width // 8}")
        numbers.append(whole[indices.offset : indices.offset + len(indices)])
    return np.concatenate(numbers).astype("int64"), coded.chunk(0).dictionary.to_pylist()


def _names(threads: pa.Table, programs: list[str]) -> list[str]:
    """`service/sender`, each once: the second of a name is `service/sender 2`."""
    seen: dict[str, int] = {}
    names = []
    for row in threads.to_pylist():
        program = programs[row["process"]].removesuffix(".py")
        name = program if row["main"] else f"{program}/{row['name']}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return names
