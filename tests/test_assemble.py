"""Assemble: logs and observations become one trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipctrace.tracer.assemble import Frame, Look, Observations, assemble, nesting
from ipctrace.tracer.lives import Life
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.proc import Call, End, Thread
from ipctrace.tracer.runtime import table
from ipctrace.tracer.schema import FACTS, TABLES, Trace

from .logwriter import LogWriter


def trace_of(folder: Path, **seen: Any) -> Trace:
    return assemble(read_logs(folder)[0], Observations(**{"origin": 1000, **seen}))


def column(frame: pd.DataFrame, name: str) -> list[Any]:
    return [None if pd.isna(value) else value for value in frame[name]]


def test_a_run_in_which_nothing_happened_has_all_tables_and_facts(tmp_path: Path) -> None:
    trace = trace_of(tmp_path, lives=[Life(100, 1, 1000, ["cat"], ended=3000, status=0)])
    assert list(trace.tables) == list(TABLES)
    assert list(trace.facts) == list(FACTS)
    assert column(trace.processes, "program") == ["cat"]
    assert column(trace.threads, "name") == ["cat"]


def test_events_of_all_processes_are_in_order_of_enter(tmp_path: Path) -> None:
    for pid, times in ((100, (2000, 5000)), (101, (3000, 4000))):
        writer = LogWriter(tmp_path, pid, 1, pid)
        writer.begin()
        for time in times:
            writer.call("os.write", time, time + 10, size=1, result=1, fd=1)
    events = trace_of(tmp_path).events
    assert column(events, "enter") == [1000, 2000, 3000, 4000]
    assert column(events, "process") == [0, 1, 1, 0]
    assert column(events, "event") == [0, 1, 2, 3]


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.begin()
    writer.enter("os.read", 2000, fd=3, size=32)
    writer.call("os.close", 3000, 3001, fd=4)
    writer.fail(writer.enter("os.write", 4000, fd=5, size=7), 4001, 32)
    events = trace_of(tmp_path).events
    assert column(events, "exit") == [None, 2001, 3001]
    assert column(events, "size") == [32, None, 7]
    assert column(events, "result") == [None, None, None]
    assert column(events, "error") == [None, None, 32]
    assert column(events, "channel") == column(events, "site") == column(events, "stream") == [None] * 3
    assert column(events, "offset") == [None] * 3


def test_ids_of_logs_become_ids_of_the_run(tmp_path: Path) -> None:
    for pid, number in ((100, 7), (101, 1)):
        writer = LogWriter(tmp_path, pid, 1, pid)
        writer.begin()
        writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=number)
        writer.define(table.SITE, "/nowhere/pipes.py", "main", 12, 4, 12, 20, site=number)
        writer.define(
            table.STREAM, "sys.stdout", "w", "text", "utf-8", "block", 8192, "a pipe",
            stream=number, fd=1, channel=number, offset=26, size=0,
        )  # fmt: skip
        slot = writer.enter(
            "stream.write", 2000 + pid, channel=number, site=number, stream=number, offset=26, size=5, payload=b"hello"
        )
        writer.leave(slot, 2500, result=5, pending=31)
    trace = trace_of(tmp_path)
    assert column(trace.events, "channel") == [0, 0]
    assert column(trace.events, "site") == [0, 0]
    assert column(trace.events, "stream") == [0, 1]
    assert column(trace.events, "offset") == [26, 26]
    assert column(trace.events, "pending") == [31, 31]
    assert column(trace.channels, "inode") == [4711]
    assert column(trace.streams, "accepted") == [26, 26]
    assert column(trace.payloads, "data") == [b"hello", b"hello"]
    assert column(trace.sites, "end_column") == [20]


def test_a_stream_that_gets_a_text_layer_is_the_same_stream(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.begin()
    for time, layer, accepted in ((1100, "binary", 0), (1200, "text", 9)):
        facts = ("open(fd 3)", "w", layer, "", "block", 4096, "")
        writer.define(table.STREAM, *facts, time=time, stream=1, fd=3, offset=accepted, size=0)
    streams = trace_of(tmp_path).streams
    assert column(streams, "layer") == ["text"]
    assert column(streams, "opened") == [100]
    assert column(streams, "accepted") == [0]


def test_a_pipe_that_is_made_with_known_numbers_is_another_channel(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.begin()
    for number, time in ((1, 2000), (2, 3000)):
        writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=number, time=time - 1)
        writer.call("os.pipe", time, time + 1, fd=3, result=4, channel=number)
    trace = trace_of(tmp_path)
    assert column(trace.events, "channel") == [0, 1]
    assert column(trace.channels, "generation") == [0, 1]


def made_by_two(folder: Path, *, apart: int = 100, closed: bool = False, kind: str = "file") -> list[Any]:
    """Two processes that each say to have made what has the same numbers: the channels of their opens."""
    for number, time in ((1, 2000), (2, 2000 + apart)):
        writer = LogWriter(folder, 100 + number, 1, 1000 + number)
        writer.begin()
        writer.define(table.CHANNEL, kind, 15, 4711, "/tmp/a", channel=number, time=time - 1)
        writer.leave(writer.enter("open", time, channel=number), time + 5, result=3, extra=1)
        if closed and number == 1:
            writer.call("os.close", time + 10, time + 11, fd=3, channel=number)
    lives = [Life(101, 1, 1001, ended=9_000_000_000), Life(102, 101, 1002, ended=9_000_000_000)]
    return column(trace_of(folder, lives=lives).events.query("op == 'open'"), "channel")


def test_of_two_that_make_one_file_at_once_one_has_made_it(tmp_path: Path) -> None:
    assert made_by_two(tmp_path) == [0, 0]


@pytest.mark.parametrize("other", [{"closed": True}, {"apart": 2_000_000_000}, {"kind": "pipe"}], ids=str)
def test_a_file_that_could_have_gone_is_another_when_it_is_made_again(tmp_path: Path, other: dict[str, Any]) -> None:
    assert made_by_two(tmp_path, **other) == [0, 1]


def test_calls_nest_in_their_thread_and_not_across_exec(tmp_path: Path) -> None:
    first = LogWriter(tmp_path, started=1000)
    first.begin()
    outer = first.enter("stream.flush", 2000)
    first.call("raw.write", 2100, 2200, thread=100)
    first.call("os.read", 2150, 2160, thread=105)
    first.leave(outer, 2300)
    first.enter("os.execv", 2400)
    second = LogWriter(tmp_path, started=3000)
    second.begin()
    second.call("os.read", 3100, 3200)
    events = trace_of(tmp_path).events
    assert column(events, "op") == ["stream.flush", "raw.write", "os.read", "os.execv", "os.read"]
    assert column(events, "parent") == [None, 0, None, None, None]
    assert column(events, "thread") == [0, 0, 1, 0, 0]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_nesting_is_that_of_a_stack(steps: list[int]) -> None:
    stack: list[int] = []
    enter: list[int] = []
    leave: list[int] = []
    expected: list[int] = []
    for time, step in enumerate(steps):
        if step and stack:
            leave[stack.pop()] = 10 * time
        else:
            expected.append(stack[-1] if stack else -1)
            stack.append(len(enter))
            enter.append(10 * time)
            leave.append(np.iinfo(np.int64).max)
    found = nesting(np.zeros(len(enter), np.int64), np.array(enter, np.int64), np.array(leave, np.int64))
    assert found.tolist() == expected


def test_what_came_after_the_run_was_frozen_is_cut_off(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.begin()
    writer.call("os.read", 2000, 5000, result=3, got=b"abc")
    writer.call("os.write", 5100, 5200, payload=b"late")
    life = Life(100, 1, 1000, ["python", "pipes.py"], ended=6000, status=-15)
    trace = trace_of(tmp_path, lives=[life], stopped=4000)
    assert column(trace.events, "op") == ["os.read"]
    assert column(trace.events, "exit") == column(trace.events, "result") == [None]
    assert column(trace.processes, "ended") == column(trace.processes, "status") == [None]
    assert trace.facts["events"] == 1


def test_looks_and_ends_speak_of_the_runs_processes_and_channels(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.begin()
    writer.define(table.CHANNEL, "pipe", 15, 4711, "", channel=1)
    end = End(3, "r", "pipe", 15, 4711, None)
    look = Look(3000, {100: [Thread(100, "S", Call("read", 3, None))]}, {100: [end]}, [(999, end._replace(access="w"))])
    life = Life(100, 1, 1000, ["python", "pipes.py"])
    trace = trace_of(tmp_path, lives=[life], looks=[look], outside={(15, 4711)}, capacities={(15, 4711): 65536})
    assert column(trace.looks, "syscall") == ["read"]
    assert column(trace.ends, "process") == [0, None]
    assert column(trace.ends, "channel") == [0, 0]
    assert column(trace.ends, "access") == ["r", "w"]
    assert column(trace.channels, "outside") == [True]
    assert column(trace.channels, "capacity") == [65536]


def test_source_lines_around_sites_and_stacks_are_kept(tmp_path: Path) -> None:
    program = tmp_path / "pipes.py"
    program.write_text("".join(f"line {number}\n" for number in range(1, 41)))
    binary = tmp_path / "binary.py"
    binary.write_bytes(b"\0\1\2")
    writer = LogWriter(tmp_path)
    writer.begin()
    writer.define(table.SITE, program, "main", 4, -1, -1, -1, site=1)
    writer.define(table.SITE, binary, "main", 1, -1, -1, -1, site=2)
    writer.define(table.SITE, "<string>", "main", 1, -1, -1, -1, site=3)
    trace = trace_of(tmp_path, lives=[Life(100, 1, 1000)], stacks=[Frame(100, 100, 0, "main", str(program), 30)])
    assert column(trace.sites, "column") == [None, None, None]
    assert column(trace.sources, "line") == [*range(1, 13), *range(22, 39)]
    assert column(trace.sources, "text")[:2] == ["line 1", "line 2"]
