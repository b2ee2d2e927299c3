"""Which write's bytes each read got: by the fast matcher, and byte by byte."""

from __future__ import annotations

import sys
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipctrace.analysis import analyze
from ipctrace.analysis.run import Run

from .builders import TraceBuilder, big_trace, completed_trace, deadlock_trace

steps = st.lists(
    st.tuples(st.sampled_from(["write", "read", "print", "flush"]), st.integers(1, 9), st.integers(0, 1)), max_size=40
)


def play(schedule: list[tuple[str, int, int]]) -> tuple[TraceBuilder, Counter[tuple[int, int]]]:
    """Two pipes, a writer with a stream on each, a reader; and, byte by byte, (writing event, reading event) → bytes."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipes = [build.pipe(parent) for _ in range(2)]
    child = build.fork(parent)
    streams = [build.stream(0, f"open(fd {pipe.writer})", pipe.writer) for pipe in pipes]
    lying: list[list[tuple[int, int]]] = [[], []]  # (handing event, byte)
    held: list[list[tuple[int, int]]] = [[], []]
    got: Counter[tuple[int, int]] = Counter()
    for deed, size, which in schedule:
        data = bytes((7 * size + k) % 251 for k in range(size))
        if deed == "write":
            event = build.write(parent, pipes[which].writer, data)
            lying[which] += [(event, byte) for byte in data]
        elif deed == "print":
            event = build.print(parent, streams[which], data.hex())
            held[which] += [(event, byte) for byte in data.hex().encode() + b"\n"]
        elif deed == "flush":
            build.flush(parent, streams[which])
            lying[which] += held[which]
            held[which] = []
        elif lying[which]:
            taken, lying[which] = lying[which][:size], lying[which][size:]
            event = build.read(child, pipes[which].reader, bytes(byte for _, byte in taken), size)
            got.update((source, event) for source, _ in taken)
    return build, got


@settings(max_examples=60)
@given(steps)
def test_matches_as_a_matcher_that_goes_byte_by_byte(schedule: list[tuple[str, int, int]]) -> None:
    build, expected = play(schedule)
    run = Run(build.trace())
    origin = run.messages["accept_event"].fillna(run.messages["write_event"])
    found = Counter({
        (int(origin[row.message]), int(row.read)): 0 for row in run.got.itertuples()
    })  # fmt: skip
    for row in run.got.itertuples():
        found[int(origin[row.message]), int(row.read)] += int(row.size)
    assert found == expected
    assert not run.messages["ambiguous"].any()


@settings(max_examples=30)
@given(steps)
def test_every_byte_written_belongs_to_one_message(schedule: list[tuple[str, int, int]]) -> None:
    build, _ = play(schedule)
    run = Run(build.trace())
    handed = sum(row["size"] for row in build.rows["events"] if row["kind"] == "accept" or row["op"] == "os.write")
    assert run.messages["size"].sum() == handed
    assert run.messages["message"].tolist() == list(range(len(run.messages)))


@settings(max_examples=40)
@given(steps)
def test_the_pieces_of_a_message_are_all_of_its_bytes(schedule: list[tuple[str, int, int]]) -> None:
    build, _ = play(schedule)
    run = Run(build.trace())
    messages, pieces = run.messages, run.pieces
    for message, own in pieces.groupby("message"):
        row = messages.loc[message]
        assert own["begin"].tolist() == [0, *own["end"].tolist()[:-1]]
        assert own["end"].iloc[-1] == row["size"]
        assert own["read_event"].dropna().nunique() == row["reads"]
        assert own["read_event"].isna().any() == pd.isna(row["read"])
        assert own["write_event"].isna().all() == pd.isna(row["written"])
        assert own["merged"].any() == row["merged"]
    assert set(pieces["message"]) == set(messages["message"])
    received, written = pieces.dropna(subset=["read_event"]), pieces.dropna(subset=["write_event"])
    for rows, event in ((received, "read_event"), (written, "write_event")):
        moved = (rows["end"] - rows["begin"]).groupby(rows[event].astype("int64")).sum()
        assert moved.tolist() == [build.rows["events"][each]["result"] for each in moved.index]


def writers(*schedule: tuple[int, int, int, bytes], order: str, keep: bool = True) -> pd.DataFrame:
    """Threads that write to one pipe at the same time: (thread, enter, exit, bytes); a reader gets `order`."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    threads = [parent, *(build.thread(0, f"t{k}") for k in (1, 2))]
    reader = build.fork(parent)
    start = build.now
    for thread, enter, exit, data in sorted(schedule, key=lambda row: row[1]):
        build.now = start + enter * 1000
        event = build.begin(threads[thread], "os.write", data if keep else b"", fd=pipe.writer, size=len(data))
        build.now = start + exit * 1000
        build.end(event, result=len(data))
    build.now = start + 10_000_000
    taken = order.encode()
    build.end(build.begin(reader, "os.read", fd=pipe.reader, size=99), taken if keep else b"", result=len(taken))
    build.rows["events"][-1]["result"] = len(taken)
    return Run(build.trace()).messages


def test_payload_decides_between_writes_that_overlap() -> None:
    messages = writers((0, 0, 50, b"one"), (1, 10, 30, b"two"), order="onetwo")
    assert dict(zip(messages["payload"], messages["first"], strict=True)) == {b"one": 0, b"two": 3}
    assert not messages["ambiguous"].any()


def test_equal_payloads_that_overlap_are_ambiguous() -> None:
    assert writers((0, 0, 50, b"one"), (1, 10, 30, b"one"), order="oneone")["ambiguous"].all()


def test_without_payloads_an_overlap_is_ambiguous_and_a_sequence_is_not() -> None:
    assert writers((0, 0, 50, b"one"), (1, 10, 30, b"two"), order="onetwo", keep=False)["ambiguous"].all()
    assert not writers((0, 0, 20, b"one"), (1, 30, 50, b"two"), order="onetwo", keep=False)["ambiguous"].any()


def test_one_read_that_gets_two_writes_is_merged_and_one_write_read_twice_is_split() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.write(parent, pipe.writer, b"ab")
    build.write(parent, pipe.writer, b"cdef")
    build.read(parent, pipe.reader, b"abc", 3)
    build.read(parent, pipe.reader, b"def", 8)
    messages = Run(build.trace()).messages
    assert messages["merged"].tolist() == [True, True]
    assert messages["reads"].tolist() == [1, 2]


def test_the_deadlock_has_three_messages_and_the_last_never_left() -> None:
    messages = analyze(deadlock_trace()).messages
    assert messages["payload"].tolist()[::2] == [b"Hello 1 from parent 47110\n", b"Hello 2 from parent 47110\n"]
    assert messages["written"].isna().tolist() == [False, False, True]
    assert messages["size"].tolist() == [26, 45, 26]


def test_a_message_has_the_print_that_wrote_it_and_the_flush_that_sent_it() -> None:
    analysis = analyze(completed_trace())
    sites = analysis.trace.sites
    lines = [
        (sites["line"][row.accept_site], sites["line"][row.write_site], sites["line"][row.read_site])
        for row in analysis.messages.itertuples()
    ]
    assert lines == [(37, 39, 10), (12, 13, 38), (41, 43, 10), (12, 13, 42)]


def test_bytes_that_nobody_wrote_come_from_outside() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.fork(parent, "cat", traced=False, op="fork_exec", keep=(pipe.writer,))
    build.look()
    build.read(parent, pipe.reader, b"from cat")
    message = Run(build.trace()).messages.iloc[0]
    assert pd.isna(message["writer"]) and pd.isna(message["written"])
    assert (message["payload"], message["size"]) == (b"from cat", 8)


def test_bytes_for_a_reader_that_is_not_traced_are_not_left() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.fork(parent, "cat", traced=False, op="fork_exec", keep=(pipe.reader,))
    build.look()
    build.write(parent, pipe.writer, b"for cat")
    analysis = analyze(build.trace())
    assert pd.isna(analysis.messages["reader"].iloc[0])
    assert pd.isna(analysis.channels["left"].iloc[pipe.channel])
    assert analysis.channels["readers"].iloc[pipe.channel] == "cat"


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_a_big_trace_is_matched_one_to_one(count: int) -> None:
    messages = Run(big_trace(count)).messages
    assert len(messages) == count
    assert (messages["reads"] == 1).all() and not messages["merged"].any()
    assert messages["read"].notna().all()


def test_what_was_read_had_left_even_where_the_write_has_not_returned() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.begin(child, "os.write", b"said and done", fd=pipe.writer, size=13)
    read = build.read(parent, pipe.reader, b"said and done")
    build.exit(child, -9)
    [message] = Run(build.trace()).messages.itertuples()
    assert message.written == message.read == build.rows["events"][read]["exit"]


def steps_to_match(messages: int) -> int:
    """Calls of functions that it takes to match what two threads write to one pipe and two read, byte by byte, when
    none of them ever pauses: there is no moment at which it is known what lies in the pipe."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    writing, reading = ((each, build.thread(process, "t")) for process, each in ((0, parent), (1, child)))
    start = build.now
    for number in range(messages):
        for threads, op, fd in ((writing, "os.write", pipe.writer), (reading, "os.read", pipe.reader)):
            build.now = start + number * 1000 + (op == "os.read")
            event = build.begin(threads[number % 2], op, b"x" if op == "os.write" else None, fd=fd, size=1)
            build.now += 1500
            build.end(event, b"x" if op == "os.read" else None, result=1)
    run, steps = Run(build.trace()), Counter[str]()
    assert len(run.lanes.enter) and len(run.units.stream) == 0  # made before it is counted
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, given: steps.update([event]))
    try:
        assert len(run.messages) == messages
    finally:
        sys.setprofile(before)
    return steps.total()


def test_two_writers_and_two_readers_at_once_take_steps_in_proportion() -> None:
    small, twice, four_times = (steps_to_match(messages) for messages in (500, 1000, 2000))
    assert four_times - twice < 3 * (twice - small)  # twice as many more, not four times: what is done once is left out
