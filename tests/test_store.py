"""Store: what is saved is what is loaded, and what can't be loaded says why and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from ipctrace.tracer import schema, store
from ipctrace.tracer.assemble import Frame, Look, Observations, assemble
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.lives import Life
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.proc import Call, End, Thread
from ipctrace.tracer.runtime import table

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
        assert len(frame)
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
