"""Logs: what a process writes is what is read, whenever it is read."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.logs import LogReader, read_log, read_logs
from ipctrace.tracer.runtime import table

from .logwriter import LogWriter

NUMBER = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
CALLS = st.lists(
    st.fixed_dictionaries({
        "op": st.sampled_from(sorted(table.CODE)), "enter": st.integers(0, 1 << 62), "exit": st.integers(0, 1 << 62),
        "thread": st.integers(1, (1 << 32) - 1), "fd": st.integers(-1, (1 << 31) - 1), "size": NUMBER, "result": NUMBER,
        "extra": NUMBER, "pending": NUMBER, "offset": st.integers(0, (1 << 64) - 1), "payload": st.binary(max_size=400),
    }),
    max_size=8,
)  # fmt: skip


@settings(deadline=None)
@given(CALLS, st.sampled_from([0, 8, 72, 200]))
def test_what_is_written_is_read(calls: list[dict[str, object]], payload: int) -> None:
    with TemporaryDirectory() as folder:
        writer = LogWriter(Path(folder), payload=payload)
        for call in calls:
            writer.call(**call)  # type: ignore[arg-type]
        log = read_log(writer.path)
    assert [table.CODE[str(call["op"])] for call in calls] == log.records["op"].tolist()
    for name in ("enter", "exit", "thread", "fd", "size", "result", "extra", "pending", "offset"):
        assert log.records[name].tolist() == [call[name] for call in calls]
    given_payloads = {index: call["payload"] for index, call in enumerate(calls) if call["payload"]}
    assert dict(zip(log.payload_of.tolist(), log.payloads, strict=True)) == given_payloads


@settings(deadline=None)
@given(CALLS, st.integers(0, 5000))
def test_a_torn_log_gives_a_beginning_of_it(calls: list[dict[str, object]], missing: int) -> None:
    with TemporaryDirectory() as folder:
        writer = LogWriter(Path(folder))
        for call in calls:
            writer.call(**call)  # type: ignore[arg-type]
        whole = read_log(writer.path).records.tolist()
        data = writer.path.read_bytes()
        writer.path.write_bytes(data[: max(table.HEADER_SIZE, len(data) - missing)])
        assert read_log(writer.path).records.tolist() == whole[: len(read_log(writer.path).records)]


def test_a_read_shows_the_bytes_that_it_got(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    slot = writer.enter("os.read", 10, size=32)
    assert read_log(writer.path).payloads == []
    writer.leave(slot, 20, result=5, got=b"hello")
    assert read_log(writer.path).payloads == [b"hello"]


def test_pieces_of_a_payload_may_lie_between_those_of_another_thread(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    first, other = writer.claim(), writer.claim()
    late, early = writer.claim(), writer.claim()
    for owner, fill in ((first, b"a"), (other, b"x")):
        writer.enter("os.write", 10, slot=owner, payload=fill * writer.area)
    writer.enter(table.MORE, 0, slot=early, offset=first, size=0, payload=b"b" * writer.area, state=table.DONE)
    writer.enter(table.MORE, 0, slot=late, offset=first, size=1, payload=b"c", state=table.DONE)
    area = writer.area
    assert read_log(writer.path).payloads == [b"a" * area + b"b" * area + b"c", b"x" * area]


def test_more_of_a_record_that_was_never_written_belongs_to_nobody(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    torn = writer.claim()
    writer.enter(table.MORE, 0, offset=torn, size=0, payload=b"lost", state=table.DONE)
    writer.call("os.write", 1, 2, payload=b"kept")
    assert read_log(writer.path).payloads == [b"kept"]


def test_a_long_definition_is_whole(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.begin(argv=("pipes.py", "x" * 1000))
    assert read_log(writer.path).process["argv"].split(table.LIST_SEPARATOR) == ["pipes.py", "x" * 1000]


def test_the_reader_follows_open_records_until_they_are_completed(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    reader = LogReader(writer.path)
    assert not reader.poll()
    slot = writer.enter("os.read", 10)
    assert reader.poll()
    (waiting,) = reader.open.values()
    assert (waiting.slot, waiting.enter, waiting.waits) == (slot, 10, True)
    assert not reader.poll()
    writer.call("os.write", 11, 12)
    writer.leave(slot, 20)
    assert reader.poll()
    assert (reader.events, list(reader.open)) == (2, [])
    reader.close()


def test_the_reader_comes_back_to_a_slot_that_was_claimed_and_not_yet_written(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    reader = LogReader(writer.path)
    claimed = writer.claim()
    writer.call("os.write", 11, 12)
    reader.poll()
    assert reader.events == 1
    writer.enter("os.read", 10, slot=claimed)
    assert reader.poll()
    assert (reader.events, list(reader.open)) == (2, [claimed])
    reader.close()


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=300))
def test_the_reader_counts_each_event_once_however_often_it_polls(polls: list[bool]) -> None:
    with TemporaryDirectory() as folder:
        writer = LogWriter(Path(folder))
        reader = LogReader(writer.path)
        for number, poll in enumerate(polls):
            slot = writer.enter("os.read", number)
            if poll:
                reader.poll()
            if number % 3:
                writer.leave(slot, number)
        reader.poll()
        assert reader.events == len(polls)
        assert len(reader.open) == len(range(0, len(polls), 3))
        reader.close()


def test_a_log_that_is_being_created_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "1-1.log"
    path.write_bytes(bytes(table.HEADER_SIZE))
    reader = LogReader(path)
    assert not reader.poll()
    reader.close()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (table.MAGIC, "empty"),
        (b"#!/bin/sh\n" * 1000, "not a log"),
        (struct.pack(table.HEADER, table.MAGIC, table.VERSION, 5, 1, 1, 1, 1, 0), "damaged"),
        (struct.pack(table.HEADER, table.MAGIC, table.VERSION + 1, 160, 1, 1, 1, 1, 0), "newer"),
    ],
)
def test_what_is_no_log_says_so(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "1-1.log"
    path.write_bytes(content)
    with pytest.raises(IpctraceError, match=what):
        read_log(path)


def test_a_log_that_cant_be_read_is_noted_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "7-1.log").write_bytes(b"")
    LogWriter(tmp_path, pid=8, started=20).begin()
    LogWriter(tmp_path, pid=9, started=10).begin()
    logs, notes = read_logs(tmp_path)
    assert [log.header.pid for log in logs] == [9, 8]
    assert len(notes) == 1
    assert notes[0].startswith("7-1.log")
