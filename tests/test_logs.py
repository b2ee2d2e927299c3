"""Logs: what a process writes is what is read, whenever it is read."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipctrace.tracer.assemble import Observations, assemble
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.logs import Log, LogReader, decode, read_log, read_logs
from ipctrace.tracer.parts import FOLDER, Parts
from ipctrace.tracer.records import LATEST, layout
from ipctrace.tracer.runtime import table

from .logwriter import LogWriter

NUMBER = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
CALLS = st.lists(
    st.fixed_dictionaries({
        "op": st.sampled_from(sorted(table.CODE)), "enter": st.integers(0, 1 << 61), "exit": st.integers(1 << 61, 1 << 62),
        "thread": st.integers(1, (1 << 32) - 1), "fd": st.integers(-1, (1 << 31) - 1), "size": NUMBER, "result": NUMBER,
        "extra": NUMBER, "pending": NUMBER, "offset": st.integers(0, (1 << 64) - 1), "payload": st.binary(max_size=400),
    }),
    max_size=8,
)  # fmt: skip


def test_a_code_is_one_call_and_fits_a_byte() -> None:
    codes = [code for code, *_ in (*table.CALLS, *table.DEFINITIONS)] + [table.MORE]
    assert len(codes) == len(set(codes))
    assert all(0 < code < 256 for code in codes)


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


# ---- parts: the completed beginning of a log, converted while the rest is being written


def same(one: Log, other: Log) -> bool:
    """Whether two logs say the same."""
    return (
        one.header == other.header
        and one.slots.tolist() == other.slots.tolist()
        and one.records.tolist() == other.records.tolist()
        and (one.payload_of.tolist(), one.payloads) == (other.payload_of.tolist(), other.payloads)
        and (one.definitions, one.damaged, one.dangling) == (other.definitions, other.damaged, other.dangling)
    )


# What a process does: (enter or define or a claim that is never used, which, how many bytes), (complete one that is
# open, which, how many bytes it got), (convert, at most so many slots, -).
STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "define", "tear", "convert"]), st.integers(0, 60), st.integers(0, 300)),
    max_size=60,
)
OPS = ["os.write", "os.read", "stream.write", "raw.write", "os.pipe", "Lock.acquire", "os.fork", "time.sleep"]


def perform(steps: list[tuple[str, int, int]], writers: list[LogWriter], parts: Parts | None) -> None:
    """Do it with all writers; convert the first one's log where the steps say so."""
    opened: list[int] = []
    for time, (what, which, size) in enumerate(steps, 2000):
        slot = 0
        for writer in writers:
            if what == "enter":
                slot = writer.enter(
                    OPS[which % len(OPS)], time, payload=b"w" * (size if which % 2 else 0), fd=which, channel=1, thread=which
                )
            elif what == "leave" and opened:
                writer.leave(opened[which % len(opened)], time, result=size, got=b"g" * min(size, writer.area))
            elif what == "define":
                writer.define(table.SITE, "x" * size, "f", 1, 0, 1, 0, site=1 + which, time=time)
            elif what == "tear":
                writer.claim()
        if what == "enter":
            opened.append(slot)
        elif what == "leave" and opened:
            opened.pop(which % len(opened))
        elif what == "convert" and parts is not None:
            parts.convert(which + 1, LATEST)


@given(STEPS)
def test_a_log_is_the_same_however_it_is_cut_into_parts(steps: list[tuple[str, int, int]]) -> None:
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        cut, whole = LogWriter(Path(one)), LogWriter(Path(other))
        for writer in (cut, whole):
            writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=1)
        parts = Parts(cut.path)
        perform(steps, [cut, whole], parts)
        assert same(decode(parts), read_log(whole.path))
        assert same(read_log(cut.path), read_log(whole.path))  # as after the recorder was killed


def test_what_is_converted_is_given_back_to_the_disk(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    waiting = writer.enter("os.read", 2000)
    for time in range(2001, 3000):
        writer.call("os.write", time, time, payload=b"x" * 72)
    parts, before = Parts(writer.path), writer.path.stat().st_blocks
    assert parts.convert(1000, LATEST)
    if not parts.punched:
        pytest.skip("this file system has no holes")
    assert writer.path.stat().st_blocks < before // 4
    writer.leave(waiting, 4000, result=1, got=b"y")
    log = read_log(writer.path)
    assert (len(log.records), log.payloads[0], log.payloads[-1]) == (1000, b"y", b"x" * 72)


def test_an_open_record_does_not_keep_what_follows_it_from_being_converted(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    waiting = writer.enter("os.read", 2000)
    for time in range(2001, 2101):
        writer.call("os.write", time, time)
    parts = Parts(writer.path)
    assert parts.convert(1000, LATEST)
    assert (parts.end, parts.carried.tolist()) == (101, [waiting])
    assert not parts.convert(1000, LATEST)
    writer.leave(waiting, 3000)
    assert parts.convert(1000, LATEST)
    assert parts.carried.tolist() == []


def test_what_was_completed_only_now_is_not_converted_yet(tmp_path: Path) -> None:
    """A payload is written with its record's state, and may be there a moment later."""
    writer = LogWriter(tmp_path)
    writer.call("os.read", 2000, 3000, got=b"x")
    parts = Parts(writer.path)
    assert not parts.convert(1000, 3001)
    assert parts.convert(1000, 3001 + 10**9)


def test_a_part_that_was_not_written_whole_does_not_count(tmp_path: Path) -> None:
    """Its file of what is kept comes last; before that the log is the truth."""
    writer = LogWriter(tmp_path)
    writer.call("os.write", 2000, 2001, payload=b"x")
    Parts(writer.path).convert(1000, LATEST)
    writer.path.write_bytes(writer.path.read_bytes())
    kept = next((tmp_path / FOLDER).glob("*.kept.parquet"))
    kept.unlink()
    assert len(read_log(writer.path).records) == 1


def test_of_what_is_dropped_the_sums_are_known(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=1)
    writer.define(table.STREAM, "sys.stdout", "w", "text", "", "block", 8192, "a pipe", stream=1, channel=1, size=0)
    writer.call("os.pipe", 2000, 2001, fd=3, result=4, channel=1)
    writer.call("stream.write", 2002, 2003, stream=1, offset=0, size=50)
    writer.call("raw.write", 2004, 2005, stream=1, offset=0, size=30, result=30, channel=1, fd=4)
    writer.call("os.read", 2006, 2007, channel=1, size=100, result=20, fd=3)
    writer.call("Lock.acquire", 2008, 2009, channel=2, thread=7)
    writer.call("Lock.acquire", 2010, 2011, channel=2, thread=7)
    parts = Parts(writer.path)
    parts.convert(1000, LATEST)
    writer.call("os.read", 3000, 3001, channel=1, size=100, result=10, fd=3)
    for part in parts.parts:
        part.drop()
    for log in (decode(parts, since=2012), read_logs(tmp_path)[0][0], decode(Parts(writer.path), since=2012)):
        names = {code: name for code, name, *_ in table.CALLS}
        assert [names[op] for op in log.records["op"]] == ["os.pipe", "Lock.acquire", "os.read"]
        assert (log.dropped.events, log.dropped.until) == (4, 2010)
        assert log.dropped.moved == {(1, "w"): 30, (1, "r"): 20}
        assert log.dropped.streams == {1: (50, 30)}


# ---- damage


DAMAGE = st.lists(
    st.one_of(
        st.tuples(st.just("cut"), st.integers(0, 1 << 14), st.just(b"")),
        st.tuples(st.just("flip"), st.integers(0, 1 << 14), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("zero"), st.integers(0, 3), st.just(b"")),
        st.tuples(st.just("append"), st.just(0), st.binary(min_size=1, max_size=600)),
        st.tuples(st.just("write"), st.integers(0, 1 << 14), st.binary(min_size=1, max_size=400)),
    ),
    min_size=1,
    max_size=4,
)


def harm(data: bytes, damage: list[tuple[str, int, bytes]]) -> bytes:
    """A log's bytes after something has happened to them, behind its header."""
    head, body = data[: table.HEADER_SIZE], bytearray(data[table.HEADER_SIZE :])
    for what, where, value in damage:
        at = where % max(1, len(body))
        if what == "cut":
            del body[at:]
        elif what == "flip":
            for index, mask in enumerate(value):
                if at + index < len(body):
                    body[at + index] ^= mask
        elif what == "zero":
            body[where * 4096 : (where + 1) * 4096] = bytes(len(body[where * 4096 : (where + 1) * 4096]))
        elif what == "append":
            body += value
        else:
            body[at : at + len(value)] = value
    return head + bytes(body)


def busy_log(folder: Path) -> LogWriter:
    """A log with every kind of definition, and calls of many kinds."""
    writer = LogWriter(folder)
    writer.begin(argv=("pipes.py", "x" * 200))
    writer.define(table.SITE, "/pipes.py", "main", 3, 0, 3, 9, site=1)
    writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=1)
    writer.define(table.CHANNEL, "lock", 0, 1, "", channel=2, site=1, offset=100)
    writer.define(table.DESCRIPTOR, "r", 1, fd=3, channel=1)
    writer.define(table.STREAM, "sys.stdout", "w", "text", "utf-8", "block", 8192, "a pipe", stream=1, channel=1, size=0)
    writer.define(table.ADDRESS, "127.0.0.1:80", offset=1)
    writer.define(table.ENDPOINT, "tcp", "127.0.0.1:80", "127.0.0.1:81", "100", channel=1, offset=1)
    writer.define(table.ENVIRONMENT, "LANG=C", size=0)
    writer.define(table.TASK, "Task-1", "main", size=table.TASKS + 1)
    writer.define(table.NAME, "Process-1")
    for time in range(2000, 2100, 10):
        writer.call("os.write", time, time + 1, fd=4, channel=1, site=1, size=100, result=100, payload=b"w" * 100)
        writer.call("os.read", time + 2, time + 3, fd=3, channel=1, site=1, size=100, result=5, got=b"hello")
        writer.call("stream.write", time + 4, time + 5, stream=1, offset=time, size=5, pending=5, payload=b"hello")
        writer.call("os.fork", time + 6, time + 7, result=time)
        writer.call("os.waitpid", time + 8, time + 9, size=time, result=time, extra=256)
        writer.call("select.select", time + 8, time + 9, result=1, payload=b"r3 w4")
        writer.call("Lock.acquire", time + 8, time + 9, channel=2, offset=100)
    writer.enter("os.read", 3000, fd=3, channel=1, site=1)
    return writer


@settings(max_examples=300)
@given(DAMAGE)
def test_a_damaged_log_is_read_as_far_as_it_is_true(damage: list[tuple[str, int, bytes]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        writer = busy_log(folder)
        data = writer.path.read_bytes()
        whole = read_log(writer.path, 1000)
        assert (whole.damaged, whole.dangling) == (0, 0)
        harmed = harm(data, damage)
        writer.path.write_bytes(harmed)
        log = read_log(writer.path, 1000)
        logs, _ = read_logs(folder, 1000)
        trace = assemble(logs, Observations(1000), {})
        reader = LogReader(writer.path)
        reader.poll()
        reader.close()
    first = next((at for at, pair in enumerate(zip(data, harmed, strict=False)) if pair[0] != pair[1]), min(map(len, (data, harmed))))
    intact = (first - table.HEADER_SIZE) // writer.record_size  # the slots before the damage; MORE of theirs may be gone
    before = [record for slot, record in zip(whole.slots, whole.records.tolist(), strict=True) if slot < intact]
    names = list(log.records.dtype.names or ())
    references = {names.index(name) for name in ("channel", "site", "stream")}

    def plain(record: tuple[object, ...]) -> list[object]:
        return [value for place, value in enumerate(record) if place not in references]

    assert [plain(record) for record in log.records.tolist()[: len(before)]] == [plain(record) for record in before]
    assert len(trace.events) <= len(log.records)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("op", 255), ("state", 9), ("enter", 5), ("enter", 1 << 63), ("exit", 1), ("exit", 1 << 63), ("kept", 60_000),
    ],
)  # fmt: skip
def test_what_cant_be_true_is_left_out_and_counted(tmp_path: Path, field: str, value: int) -> None:
    writer = LogWriter(tmp_path)
    for time in (2000, 3000, 4000):
        writer.call("os.write", time, time + 1, size=1, result=1)
    data = np.frombuffer(bytearray(writer.path.read_bytes()[table.HEADER_SIZE :]), layout(writer.record_size))
    data[field][1] = value
    writer.path.write_bytes(writer.path.read_bytes()[: table.HEADER_SIZE] + data.tobytes())
    logs, notes = read_logs(tmp_path, 1000)
    assert logs[0].records["enter"].tolist() == [2000, 4000]
    assert notes == [f"1 record of {writer.path.name} is damaged and left out"]


@pytest.mark.parametrize(
    ("code", "fields", "numbers"),
    [
        (table.SITE, ("pipes.py", "main", "three", 1, 1, 1), {"site": 1}),
        (table.SITE, ("pipes.py",), {"site": 1}),
        (table.SITE, ("pipes.py", "main", 10**30, 1, 1, 1), {"site": 1}),
        (table.CHANNEL, ("pipe", "", "", ""), {"channel": 1}),
        (table.CHANNEL, ("tube", 1, 1, ""), {"channel": 1}),
        (table.CHANNEL, ("pipe", 1, 1, ""), {"channel": 0}),
        (table.STREAM, ("sys.stdout", "w"), {"stream": 1}),
        (table.DESCRIPTOR, ("x", 1), {"channel": 1}),
        (table.ADDRESS, ("here",), {"offset": 1 << 60}),
        (table.TASK, ("Task-1", "main"), {"size": 3}),
    ],
)
def test_a_definition_that_cant_be_one_is_left_out(
    tmp_path: Path, code: int, fields: tuple[object, ...], numbers: dict[str, int]
) -> None:
    writer = LogWriter(tmp_path)
    writer.begin()
    writer.define(code, *fields, **numbers)
    log = read_log(writer.path)
    assert [definition.code for definition in log.definitions] == [table.PROCESS, table.THREAD]
    assert log.damaged == 1
    assemble([log], Observations(1000), {})


def test_more_of_what_cant_be_a_record_is_left_out(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    for owner in (10**6, (1 << 64) - 1):
        writer.enter(table.MORE, 2000, offset=owner, size=0, payload=b"x", state=table.DONE)
    writer.call("os.write", 3000, 3001, payload=b"kept")
    log = read_log(writer.path)
    assert (log.payloads, log.damaged) == ([b"kept"], 2)


def test_a_reference_to_what_nobody_defined_is_empty(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.call("os.write", 2000, 2001, site=7, channel=1 << 31, stream=9)
    (log,), notes = read_logs(tmp_path)
    assert [int(log.records[name][0]) for name in ("site", "channel", "stream")] == [0, 0, 0]
    assert notes == [f"{writer.path.name}: what its records refer to was not written, 3 times"]


@given(st.binary(max_size=table.HEADER_SIZE + 400))
def test_a_header_is_right_or_says_what_is_wrong(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "1-1.log"
        for content in (data, struct.pack("<8sI", table.MAGIC, table.VERSION) + data):
            path.write_bytes(content)
            try:
                read_log(path)
            except IpctraceError as error:
                assert error.what
