"""What holds at an instant, against the analysis' own tables gone through row by row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Analysis
from ipctrace.reports.playback.instants import PLACES, Instants
from ipctrace.reports.run import Run
from ipctrace.tracer.schema import Trace

import ipctrace
from tests.bench.analysis import make
from tests.builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace


def split() -> Trace:
    """A message that two reads get, one that is never read, and one of another writer."""
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe, other = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    build.write(parent, pipe.writer, b"ten bytes!")
    build.after(2 * MS)
    build.read(child, pipe.reader, b"ten ", 4)
    build.after(3 * MS)
    build.read(child, pipe.reader, b"bytes!")
    build.write(child, other.writer, b"unheard")
    build.sleep(child, 5 * MS)
    return build.trace(ended="exit", status=0)


TRACES = {
    "deadlock": deadlock_trace, "completed": completed_trace, "messages": lambda: big_trace(40), "split": split,
    "of all kinds": lambda: make(1000),
}  # fmt: skip


@cache
def played(name: str) -> tuple[Analysis, Instants]:
    analysis = analyze(TRACES[name]())
    return analysis, Instants(Run(analysis))


def moments(instants: Instants) -> Iterator[int]:
    """Every moment (of many every so many), and one between each two."""
    found = instants.moments[:: max(1, len(instants.moments) // 15)].tolist()
    yield from found
    yield from (min(t + 1, instants.end) for t in found)
    yield from (0, instants.end)


@pytest.mark.parametrize("name", TRACES)
def test_who_waits_is_what_the_table_of_blocking_says(name: str) -> None:
    analysis, instants = played(name)
    run = instants.run
    for t in moments(instants):
        table = analysis.blocking
        there = table[(table["begin"] <= t) & ((t < table["end"]) | table["open"])]
        expected = {
            run.lane_of_thread[row.thread]: (row.reason, row.begin, row.open) for row in there.itertuples()
            if (pd.isna(run.threads[row.thread]["ended"]) or t <= run.threads[row.thread]["ended"])
        }  # fmt: skip
        found = {
            wait.lane: (wait.reason, wait.since, wait.open) for wait in instants.waits_at(t).values() if wait.row >= 0
        }
        assert found == expected


@pytest.mark.parametrize("name", TRACES)
def test_every_byte_is_somewhere(name: str) -> None:
    """Where each message lies, asked of one message after the other; pieces leave the channel with their reads."""
    analysis, instants = played(name)
    table = instants.messages
    pieces = analysis.pieces
    exits = analysis.trace.events["exit"]
    for t in moments(instants):
        expected = np.zeros((len(analysis.trace.channels), 3), dtype="int64")
        for row in table.itertuples():
            size = 1 if instants.items[row.channel] else row.size
            if t < row.begin:
                continue
            if pd.isna(row.written) or t < row.written:
                expected[row.channel, 0] += size
                continue
            mine = pieces[pieces["message"] == row.message]
            if row.reads > 1 and len(mine) and not pd.isna(row.read):
                # what the reads have got, and what of it the program has
                got = sum(p.end - p.begin for p in mine.itertuples() if exits[p.read_event] <= t)
                handed = got if row.received == row.read else (size if t >= row.received else 0)
            else:
                got = size if not pd.isna(row.read) and t >= row.read else 0
                done = row.read if row.unseen == 2 else row.received
                handed = size if not pd.isna(done) and t >= done else 0
            expected[row.channel, 1] += size - got
            expected[row.channel, 2] += got - handed
        assert [list(fill) for fill in instants.fills(t)] == expected.tolist()


@pytest.mark.parametrize("name", TRACES)
def test_the_contents_are_the_messages_that_lie_there(name: str) -> None:
    _, instants = played(name)
    for t in moments(instants):
        for channel in range(len(instants.run.channels)):
            rows = np.flatnonzero(instants.channel == channel)
            where = instants.places(rows, t)
            found = instants.contents(channel, t)
            assert {name: list(each) for name, each in found.items()} == {
                name: list(rows[where == place]) for place, name in enumerate(PLACES)
            }


def test_at_the_deadlock_both_wait_for_each_other_and_the_bytes_are_in_the_buffer() -> None:
    analysis, instants = played("deadlock")
    t = instants.formed
    assert t == analysis.graph.formed
    waits = instants.waits_at(t)
    assert {lane: [other for other, _, _ in wait.to] for lane, wait in waits.items()} == {0: [1], 1: [0]}
    assert instants.core == {0, 1}
    stuck = analysis.graph.stuck[0]
    assert instants.fills(t)[stuck.channel].writer == stuck.size == 26
    places = [instants.run.place(site) for site in instants.last_seen(t).tolist()]
    assert places == ["deadlock.py:41", "deadlock_child.py:12"] or all(places)


def test_from_python() -> None:
    run = ipctrace.Run(deadlock_trace())
    formed = run.analysis.graph.formed
    assert [wait.reason for wait in run.instants.waits_at(formed).values()] == ["nodata", "nodata"]


@pytest.mark.parametrize("name", TRACES)
def test_from_moment_to_moment_and_back(name: str) -> None:
    _, instants = played(name)
    all_ = instants.moments.tolist()
    assert all_ == sorted(set(all_))
    forward, t = [], -1
    while len(forward) < 200 and (t := instants.neighbour(t, 1)) < instants.end:
        forward.append(t)
    assert forward == all_[: len(forward)]
    assert [instants.neighbour(t, -1) for t in forward[1:]] == forward[:-1]
    assert instants.neighbour(instants.end, 1) == instants.end
    assert instants.neighbour(all_[0], -1) == 0


def test_along_a_message_and_then_along_its_channel() -> None:
    _, instants = played("split")
    message = 0
    begin, written, read = (int(times[message]) for times in (instants.begin, instants.written, instants.read))
    way, t = [], begin - 1
    for _ in range(4):
        way.append(t := instants.along(message, t, 1))
    assert way[:1] == [begin]
    assert set(way) <= {begin, written, read, *instants.moments.tolist()}
    assert way == sorted(way)
    assert instants.along(message, instants.end, 1) == instants.end


@given(st.integers(0, 10**9), st.sampled_from(sorted(TRACES)))
def test_any_instant_has_an_answer(share: int, name: str) -> None:
    _, instants = played(name)
    t = share * instants.end // 10**9
    assert all(amount >= 0 for fill in instants.fills(t) for amount in fill)
    before, after = instants.used_near(t)
    assert (before <= t).all() and (after > t).all()
    assert instants.neighbour(t, -1) <= t <= instants.neighbour(t, 1)
