"""The trace on disk: a folder with one Parquet file a table and run.json. Which columns there are, schema.py says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from . import schema
from .assemble import Observations, assemble
from .errors import IpctraceError
from .launch import FACTS_FILE
from .logs import read_logs

_ARROW: dict[schema.Type, pa.DataType] = {
    "int": pa.int64(), "bool": pa.bool_(), "text": pa.string(), "bytes": pa.binary(), "texts": pa.list_(pa.string()),
}  # fmt: skip
_LATER = ("members", "environment", "samples", "users")  # tables that the first schemas didn't have
_UNFINISHED = "the recorder was stopped before the program ended: this is what the processes themselves had written"


def arrow_schema(name: str) -> pa.Schema:
    """The Parquet schema of a table; each column's meaning and unit are in its metadata."""
    table = schema.TABLES[name]
    fields = []
    for column in table.columns:
        metadata = {"meaning": column.meaning, "unit": column.unit}
        fields.append(pa.field(column.name, _ARROW[column.type], column.nullable, metadata))
    return pa.schema(fields, {"row": table.row, "ipctrace.schema": str(schema.VERSION)})


def save(trace: schema.Trace, path: Path) -> None:
    """Write a trace into the folder `path`, made for its owner only if it isn't there.

    run.json is written last: until it says that the trace is finished, the logs are what counts. Raises IpctraceError
    where the trace can't be written.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        for name, frame in trace.tables.items():
            form = arrow_schema(name)
            table = pa.Table.from_pandas(frame, form, preserve_index=False).replace_schema_metadata(form.metadata)
            pq.write_table(table, path / f"{name}.parquet", compression="zstd")
    except OSError as error:
        raise _unwritable(path, error) from error
    save_facts(trace.facts, path)


def save_facts(facts: dict[str, Any], path: Path) -> None:
    """Write run.json, whole or not at all. Raises IpctraceError where it can't be written."""
    unfinished = path / f"{FACTS_FILE}.new"
    try:
        unfinished.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(unfinished, path / FACTS_FILE)  # noqa: PTH105
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> IpctraceError:
    left = f"ipctrace analyze {path} reads what the processes wrote"
    hint = left if (path / "live").is_dir() else "ipctrace record --out FOLDER …"
    return IpctraceError(f"the trace {path} can't be written", error.strerror or str(error), hint)


def dropped(facts: Mapping[str, Any]) -> list[str]:
    """What was dropped of a run, in a sentence, if anything was."""
    if not facts.get("dropped"):
        return []
    return [
        f"the oldest {facts['dropped']:,} events, which ended before {facts['dropped_before'] / 1e9:.3f} s, were "
        "dropped to keep the trace small (--max-size)"
    ]


def lost(facts: Mapping[str, Any]) -> list[str]:
    """What could not be recorded, in a sentence, if anything couldn't."""
    if not facts.get("lost"):
        return []
    why = "there was no room for them (a full disk, or a limit of the program's: ulimit -f, ulimit -v)"
    return [f"{facts['lost']:,} records could not be written: {why}"]


def load(path: str | os.PathLike[str]) -> schema.Trace:
    """The trace in a folder. One whose recorder was killed is put together from the processes' own logs.

    Raises IpctraceError where there is no trace, a damaged one, or one of a newer schema.
    """
    folder = Path(path)
    facts = _facts(folder)
    if facts.get("state") != "finished":
        return _unfinished(folder, facts)
    old = facts["schema"] < schema.VERSION
    tables = {name: _table(folder, name, old) for name in schema.TABLES}
    return schema.Trace(tables, dict.fromkeys(schema.FACTS) | facts)


def _facts(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        why = f"{folder.absolute()} does not exist"
        raise IpctraceError(f"there is no trace {folder}", why, "ipctrace record PROGRAM")
    try:
        facts = json.loads((folder / FACTS_FILE).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "a file" if folder.is_file() else f"it has no {FACTS_FILE}"
        raise IpctraceError(f"{folder} is not a trace", what, "ipctrace record PROGRAM makes one") from error
    except (OSError, ValueError) as error:
        raise IpctraceError(f"{folder} can't be read", f"{FACTS_FILE}: {error}", "record the program again") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise IpctraceError(f"{folder} is not a trace", f"its {FACTS_FILE} names no schema", "record the program again")
    if facts["schema"] > schema.VERSION:
        raise IpctraceError(
            f"{folder} was recorded by a newer ipctrace ({facts.get('ipctrace')})",
            f"its schema is version {facts['schema']}; this ipctrace reads up to version {schema.VERSION}",
            "python -m pip install --upgrade ipctrace",
        )
    return facts


def _table(folder: Path, name: str, old: bool) -> Any:
    """A table; in an `old` trace, what its schema didn't have yet is empty."""
    try:
        if old and name in _LATER and not (folder / f"{name}.parquet").exists():
            return schema.frame(name)
        file = folder / f"{name}.parquet"
        known = set(pq.read_schema(file).names)
        words = known.intersection(schema.WORDS.get(name, ()))
        table = pq.ParquetFile(file, read_dictionary=[*words])
        rows = table.metadata.num_rows
        columns: dict[str, Any] = {}
        for column in schema.TABLES[name].columns:
            if old and column.name not in known:
                if not column.nullable:
                    columns[column.name] = [False] * rows
                continue
            # one column after the other, so that only one is there twice; a KeyError where it is missing
            values = table.read([column.name]).column(column.name)
            if column.type == "bytes":
                joined = values.combine_chunks()  # who wants all of them as one needs no copy
                many = joined if isinstance(joined, pa.ChunkedArray) else pa.chunked_array([joined])
                columns[column.name] = pd.Series(pd.arrays.ArrowExtensionArray(many), copy=False)
            elif column.name in words:
                columns[column.name] = _words(values)
            elif column.type == "int" and column.nullable:
                columns[column.name] = pd.Series(_integers(values), copy=False)
            else:
                columns[column.name] = values.to_pylist() if column.type == "texts" else values.to_pandas()
        pa.default_memory_pool().release_unused()  # what reading took is half as much as the table
        return schema.frame(name, columns)
    except (OSError, KeyError, pa.ArrowException, ValueError, TypeError) as error:
        reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error).splitlines()[0]
        raise IpctraceError(f"{folder} is damaged", f"{name}.parquet: {reason}", "record the program again") from error


def _words(values: pa.ChunkedArray) -> Any:
    """A column of few different words; in the file they are numbered."""
    if not pa.types.is_dictionary(values.type):
        raise TypeError(f"{values.type} where there should be text")
    coded = values.unify_dictionaries().combine_chunks()
    return schema.words(coded.indices.fill_null(-1).to_numpy(), coded.dictionary.to_pylist())


def _integers(values: pa.ChunkedArray) -> pd.arrays.IntegerArray:
    """A column of integers that may be empty; under those that are lies `schema.EMPTY`."""
    empty = values.is_null().to_numpy()
    return pd.arrays.IntegerArray(values.fill_null(schema.EMPTY).to_numpy(), empty)


def _unfinished(folder: Path, facts: dict[str, Any]) -> schema.Trace:
    live = folder / "live"
    if not live.is_dir() or not isinstance(facts.get("clock"), int):
        raise IpctraceError(
            f"{folder} is not finished", "the recorder was stopped while it wrote it", "record the program again"
        )
    logs, notes = read_logs(live, facts["clock"])
    seen = Observations(facts["clock"], complete=False)
    facts = facts | {"ended": "interrupted", "notes": [*(facts.get("notes") or []), _UNFINISHED, *notes]}
    trace = assemble(logs, seen, facts)
    trace.facts["notes"] += dropped(trace.facts)
    times = [trace.events["enter"].max(), trace.events["exit"].max()] if len(trace.events) else [0]
    trace.facts["duration"] = int(max(times))
    return trace
