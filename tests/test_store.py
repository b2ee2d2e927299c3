"""Store: what is saved is what is loaded, and what can't be loaded says why and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ipctrace.tracer import schema, store
from ipctrace.tracer.assemble import Frame, Look, Observations, assemble
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.lives import Life
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.proc import Call, End, Thread
from ipctrace.tracer.runtime import table

import ipctrace

from .logwriter import LogWriter


def write_log(folder: Path) -> None:
    writer = LogWriter(folder)
    writer.begin(argv=("python3", "pipes.py", "späm"))
    writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=1)
    writer.define(table.DESCRIPTOR, "r", 1, fd=3, channel=1)
    writer.define(table.SITE, __file__, "write_log", 3, -1, -1, -1, site=1)
    writer.define(table.STREAM, "sys.stdout", "w", "text", "utf-8", "block", 8192, "a pipe", stream=1, channel=1, size=0)
    writer.call("os.write", 2000, 2001, fd=4, channel=1, site=1, size=3, result=3, payload=b"\xff\0x")
    writer.define(table.ENVIRONMENT, table.LIST_SEPARATOR.join(["LANG=C", "PATH"]))
    writer.call("select.select", 2500, 2600, result=1, payload=b"r3 w4")
    writer.enter("os.read", 3000, fd=3, channel=1, size=32)


@pytest.fixture
def trace(tmp_path: Path) -> schema.Trace:
    """A trace with a row in every table."""
    (tmp_path / "logs").mkdir()
    write_log(tmp_path / "logs")
    end = End(3, "r", "pipe", 15, 4711, None)
    look = Look(3500, {100: [Thread(100, "S", Call("read", 3, None))]}, {100: [end]}, [(999, end)])
    seen = Observations(1000, [Life(100, 1, 1000, ["python3", "pipes.py"])], [look], [look], [Frame(100, 100, 0, "f", "x.py", 3)])
    return assemble(read_logs(tmp_path / "logs")[0], seen, {"schema": schema.VERSION, "clock": 1000, "state": "finished"})


def test_a_trace_survives_saving_and_loading(trace: schema.Trace, tmp_path: Path) -> None:
    store.save(trace, tmp_path / "pipes.ipctrace")
    loaded = store.load(tmp_path / "pipes.ipctrace")
    assert loaded.facts == trace.facts
    for name, frame in trace.tables.items():
        assert len(frame) or name == "users", "nothing was dropped"
        pd.testing.assert_frame_equal(loaded.tables[name], frame)
    assert loaded.payloads["data"][0] == b"\xff\0x"
    assert list(loaded.processes["argv"][0]) == ["python3", "pipes.py"]


def test_an_empty_trace_too(tmp_path: Path) -> None:
    empty = assemble([], Observations(0), {"schema": schema.VERSION, "clock": 0, "state": "finished"})
    store.save(empty, tmp_path / "pipes.ipctrace")
    loaded = store.load(tmp_path / "pipes.ipctrace")
    for name, frame in empty.tables.items():
        pd.testing.assert_frame_equal(loaded.tables[name], frame)


def test_any_reader_of_parquet_finds_units_and_meanings(trace: schema.Trace, tmp_path: Path) -> None:
    store.save(trace, tmp_path / "pipes.ipctrace")
    enter = pq.read_schema(tmp_path / "pipes.ipctrace" / "events.parquet").field("enter")
    assert enter.metadata == {b"meaning": b"when it was called", b"unit": b"ns"}
    assert not enter.nullable


def test_the_folder_is_its_owners_only(trace: schema.Trace, tmp_path: Path) -> None:
    store.save(trace, tmp_path / "pipes.ipctrace")
    assert (tmp_path / "pipes.ipctrace").stat().st_mode & 0o777 == 0o700
    names = {path.name for path in (tmp_path / "pipes.ipctrace").iterdir()}
    assert names == {"run.json"} | {f"{name}.parquet" for name in schema.TABLES}


def test_what_a_killed_recorder_left_is_put_together_from_the_logs(tmp_path: Path) -> None:
    folder = tmp_path / "pipes.ipctrace"
    (folder / "live").mkdir(parents=True)
    write_log(folder / "live")
    facts = dict.fromkeys(schema.FACTS) | {"schema": schema.VERSION, "clock": 1000, "state": "recording"}
    store.save_facts(facts, folder)
    trace = store.load(folder)
    assert list(trace.events["op"]) == ["os.write", "select.select", "os.read"]
    assert trace.facts["ended"] == "interrupted"
    assert trace.facts["duration"] == 2000
    assert "recorder was stopped" in trace.facts["notes"][0]
    assert trace.processes["ended"].isna().all()


def facts_of(folder: Path, **changes: object) -> None:
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | changes))


@pytest.mark.parametrize(
    ("harm", "what", "why"),
    [
        (lambda folder: folder.rename(folder.with_name("moved")), "there is no trace", "does not exist"),
        (lambda folder: (folder / "run.json").unlink(), "is not a trace", "no run.json"),
        (lambda folder: (folder / "run.json").write_text("{"), "can't be read", "run.json"),
        (lambda folder: (folder / "run.json").write_text("[]"), "is not a trace", "names no schema"),
        (lambda folder: facts_of(folder, schema=schema.VERSION + 1), "newer ipctrace", "reads up to"),
        (lambda folder: facts_of(folder, state="recording"), "is not finished", "while it wrote it"),
        (lambda folder: (folder / "events.parquet").unlink(), "is damaged", "events.parquet: it is missing"),
        (lambda folder: (folder / "events.parquet").write_bytes(b"PAR1 torn"), "is damaged", "events.parquet"),
        (
            lambda folder: (folder / "sites.parquet").write_bytes((folder / "looks.parquet").read_bytes()),
            "is damaged", "sites.parquet",
        ),
    ],
)  # fmt: skip
def test_a_harmed_trace_says_what_and_why(trace: schema.Trace, tmp_path: Path, harm: object, what: str, why: str) -> None:
    folder = tmp_path / "pipes.ipctrace"
    store.save(trace, folder)
    harm(folder)  # type: ignore[operator]
    with pytest.raises(IpctraceError) as error:
        store.load(folder)
    assert what in error.value.what
    assert why in error.value.why
    assert error.value.hint


def test_a_file_is_not_a_trace(tmp_path: Path) -> None:
    (tmp_path / "pipes.py").write_text("")
    with pytest.raises(IpctraceError) as error:
        store.load(tmp_path / "pipes.py")
    assert error.value.why == "a file"


def test_a_trace_that_cant_be_written_says_so_and_the_logs_remain(trace: schema.Trace, tmp_path: Path) -> None:
    folder = tmp_path / "pipes.ipctrace"
    (folder / "live").mkdir(parents=True)
    write_log(folder / "live")
    store.save_facts(dict.fromkeys(schema.FACTS) | {"schema": schema.VERSION, "clock": 1000, "state": "recording"}, folder)
    (folder / "looks.parquet").mkdir()  # as if there were no room for it
    with pytest.raises(IpctraceError, match="can't be written") as error:
        store.save(trace, folder)
    assert "ipctrace analyze" in error.value.hint
    assert len(store.load(folder).events) == 3


@pytest.mark.parametrize("written", range(len(schema.TABLES) + 1))
def test_a_save_that_is_interrupted_leaves_what_the_processes_wrote(
    trace: schema.Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    folder = tmp_path / "pipes.ipctrace"
    (folder / "live").mkdir(parents=True)
    write_log(folder / "live")
    store.save_facts(dict.fromkeys(schema.FACTS) | {"schema": schema.VERSION, "clock": 1000, "state": "recording"}, folder)
    left, write = iter(range(written)), pq.write_table

    def interrupted(table: object, path: Path, **options: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(table, path, **options)

    with monkeypatch.context() as context:
        context.setattr(pq, "write_table", interrupted)
        context.setattr(store, "save_facts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.save(trace, folder)
    assert list(store.load(folder).events["op"]) == ["os.write", "select.select", "os.read"]


# The first schema, as its recorder wrote it: each table's columns, of which a "?" may be empty.
FIRST = {
    "events": "event process thread op kind wait? enter exit? fd? channel? stream? site? size? result? extra? error? offset? pending? parent?",
    "payloads": "event data",
    "processes": "process pid parent? program argv executable? implementation? cwd? traced how started ended? status? lost",
    "threads": "thread process tid name main started ended?",
    "channels": "channel kind device inode generation path? capacity? outside",
    "descriptors": "process time fd channel access inheritable",
    "streams": "stream process name fd channel? mode layer encoding? buffering buffer_size why opened accepted reached",
    "sites": "site file function line column? end_line? end_column?",
    "sources": "file line text",
    "looks": "look time process tid state syscall? fd? pid?",
    "ends": "look process? pid fd channel access",
    "stacks": "process tid depth function file line",
}
TEXTS = ["op", "kind", "wait", "program", "executable", "implementation", "cwd", "how", "name", "path", "access", "mode", "layer", "encoding", "buffering", "why", "file", "function", "text", "state", "syscall"]
ROWS: dict[str, list[dict[str, object]]] = {
    "events": [
        {"event": 0, "process": 0, "thread": 0, "op": "os.pipe", "kind": "make", "enter": 10, "exit": 11, "fd": 3, "channel": 0, "result": 4},
        {"event": 1, "process": 0, "thread": 0, "op": "os.write", "kind": "write", "wait": "noroom", "enter": 20, "exit": 21, "fd": 4, "channel": 0, "size": 2, "result": 2},
        {"event": 2, "process": 0, "thread": 0, "op": "os.read", "kind": "read", "wait": "nodata", "enter": 30, "exit": 31, "fd": 3, "channel": 0, "size": 9, "result": 2},
    ],
    "payloads": [{"event": 1, "data": b"hi"}, {"event": 2, "data": b"hi"}],
    "processes": [
        {"process": 0, "pid": 100, "program": "pipes.py", "argv": ["python3", "pipes.py"], "traced": True, "how": "start", "started": 0, "ended": 50, "status": 0, "lost": 0}
    ],
    "threads": [{"thread": 0, "process": 0, "tid": 100, "name": "MainThread", "main": True, "started": 0, "ended": 50}],
    "channels": [{"channel": 0, "kind": "pipe", "device": 15, "inode": 4711, "generation": 0, "outside": False}],
}  # fmt: skip


def first_trace(folder: Path) -> None:
    """Write a trace of the first schema, without any help of ours."""
    folder.mkdir()
    types = {"data": pa.binary(), "argv": pa.list_(pa.string())} | dict.fromkeys(TEXTS, pa.string())
    types |= dict.fromkeys(["traced", "main", "outside", "inheritable"], pa.bool_())
    for name, columns in FIRST.items():
        fields = [pa.field(each.rstrip("?"), types.get(each.rstrip("?"), pa.int64()), each.endswith("?")) for each in columns.split()]
        pq.write_table(pa.Table.from_pylist(ROWS.get(name, []), pa.schema(fields)), folder / f"{name}.parquet")
    facts = {
        "schema": 1, "ipctrace": "0.0.1", "state": "finished", "command": ["python3", "pipes.py"], "program": "pipes",
        "options": {}, "cwd": "/tmp", "environment": {}, "platform": {}, "page_size": 4096, "started": "2026-01-01",
        "clock": 1000, "duration": 50, "ended": "exit", "status": 0, "stopped": None, "events": 3, "lost": 0, "left": [],
        "notes": [],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(facts))


def test_a_trace_of_the_first_schema_is_loaded_and_analysed(tmp_path: Path) -> None:
    first_trace(tmp_path / "pipes.ipctrace")
    run = ipctrace.load(tmp_path / "pipes.ipctrace")
    assert {name: list(frame.columns) for name, frame in run.trace.tables.items()} == {
        name: [column.name for column in table.columns] for name, table in schema.TABLES.items()
    }
    assert list(run.events["timed"]) == [False, False, False]
    assert run.events["address"].isna().all()
    assert len(run.members) == len(run.environment) == len(run.samples) == 0
    assert (run.facts["dropped"], run.facts["dropped_before"]) == (None, None)
    assert run.verdict.name == "completed"
    assert list(run.messages["size"]) == [2]


def test_a_table_that_the_first_schema_had_is_missed_in_its_traces_too(tmp_path: Path) -> None:
    first_trace(tmp_path / "pipes.ipctrace")
    (tmp_path / "pipes.ipctrace" / "events.parquet").unlink()
    with pytest.raises(IpctraceError, match="is damaged"):
        store.load(tmp_path / "pipes.ipctrace")
