"""Random schedules, against a reference that follows every byte, datagram and item by itself.

What the analysis says without a doubt has to be what happened; where nothing happened at once, it must not doubt.
"""

from __future__ import annotations

from collections import Counter, deque
from itertools import combinations, cycle
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipctrace.analysis.messages import balance, check, stages
from ipctrace.analysis.run import Run
from ipctrace.tracer.schema import Trace

from .builders import MS, Pipe, TraceBuilder

Byte = tuple[int, int]  # what handed it over (an event), its value


class Play:
    """Two pipes, used by three processes, one of them with a second thread, through descriptors and copies of them.

    `lying` is what is in each pipe, `held` what is in each process's stream; `got` counts (origin, read) → bytes.
    """

    def __init__(self) -> None:
        self.build = build = TraceBuilder()
        parent = build.process("a.py")
        self.pipes = [build.pipe(parent) for _ in range(2)]
        for pipe in self.pipes:
            build.dup2(parent, pipe.writer, pipe.writer + 20)
        self.threads = [parent, build.thread(0, "second")]
        self.threads += [build.fork(parent), build.fork(parent)]
        self.streams = {
            thread: [build.stream(build.process_of(thread), f"open(fd {p.writer})", p.writer) for p in self.pipes]
            for thread in self.threads
            if thread != self.threads[1]
        }
        self.lying: list[list[Byte]] = [[], []]
        self.held: dict[int, list[Byte]] = {}
        self.got: Counter[tuple[int, int]] = Counter()
        self.handed = 0

    def data(self, size: int) -> bytes:
        """Bytes that don't come again soon."""
        self.handed += size
        return bytes((self.handed + k) * 7 % 251 + 1 for k in range(size))

    def write(self, who: int, which: int, size: int) -> None:
        data, pipe = self.data(size), self.pipes[which]
        fd = pipe.writer + (20 if size % 2 else 0)
        event = self.build.write(self.threads[who], fd, data)
        self.lying[which] += [(event, byte) for byte in data]

    def short(self, who: int, which: int, size: int) -> None:
        """A write that moves only part of what it was asked to."""
        data = self.data(size + 3)
        event = self.build.call(
            self.threads[who], "os.write", data, fd=self.pipes[which].writer, size=size + 3, result=size
        )
        self.lying[which] += [(event, byte) for byte in data[:size]]

    def send(self, who: int, which: int, size: int) -> None:
        """A Connection's message: its length, then its bytes."""
        pipe = self.pipes[which]
        ends = {"fd": pipe.writer, "channel": pipe.channel}
        with self.build.inside(self.threads[who], "Connection.send", size=size, **ends) as event:
            for data in (self.data(4), self.data(size)):
                self.build.write(self.threads[who], pipe.writer, data)
                self.lying[which] += [(event, byte) for byte in data]

    def print(self, who: int, which: int, size: int) -> None:
        thread = self.threads[0 if who == 1 else who]
        stream, text = self.streams[thread][which], "x" * size
        event = self.build.print(thread, stream, text)
        self.held.setdefault(stream, []).extend((event, byte) for byte in text.encode() + b"\n")

    def flush(self, who: int, which: int, size: int) -> None:
        thread = self.threads[0 if who == 1 else who]
        stream = self.streams[thread][which]
        self.build.flush(thread, stream)
        self.lying[which] += self.held.pop(stream, [])

    def read(self, who: int, which: int, size: int) -> None:
        if self.lying[which]:
            taken, self.lying[which] = self.lying[which][:size], self.lying[which][size:]
            data = bytes(byte for _, byte in taken)
            event = self.build.read(self.threads[who], self.pipes[which].reader, data, size)
            self.got.update((origin, event) for origin, _ in taken)


deeds = st.tuples(
    st.sampled_from(["write", "short", "send", "print", "flush", "read", "read"]),
    st.integers(0, 3), st.integers(0, 1), st.integers(1, 9),
)  # fmt: skip


def found(run: Run) -> Counter[tuple[int, int]]:
    """What the analysis says: (origin, read) → bytes."""
    messages = run.messages
    origin = messages["accept_event"].fillna(messages["write_event"])
    counted: Counter[tuple[int, int]] = Counter()
    for row in run.got.itertuples():
        counted[int(origin[row.message]), int(row.read)] += int(row.size)
    return counted


def origins(build: TraceBuilder, run: Run) -> Counter[tuple[int, int]]:
    """The same, with a send in place of its writes."""
    outer = {row["event"]: row["parent"] for row in build.rows["events"] if row["kind"] == "write"}
    sends = {row["event"] for row in build.rows["events"] if row["kind"] == "send"}
    counted: Counter[tuple[int, int]] = Counter()
    for (origin, read), size in found(run).items():
        counted[outer[origin] if outer.get(origin) in sends else origin, read] += size
    return counted


@settings(max_examples=60)
@given(st.lists(deeds, max_size=40), st.integers(0, 1000))
def test_every_byte_is_followed_through_forks_copies_streams_and_sends(
    schedule: list[tuple[str, int, int, int]], dropped: int
) -> None:
    play = Play()
    for deed, *how in schedule:
        getattr(play, deed)(*how)
    for pipe in play.pipes:  # what went before and was dropped: as much was read as was written
        play.build.rows["channels"][pipe.channel] |= {"dropped_written": dropped, "dropped_read": dropped}
    run = Run(play.build.trace())
    assert origins(play.build, run) == play.got
    assert not run.messages["ambiguous"].any()
    assert run.messages["first"].dropna().ge(dropped).all()
    sums = balance(run.trace, run.lanes, run.messages, run.got)
    check(sums)
    assert sums["left"].tolist() == [len(lying) for lying in play.lying]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 30), st.integers(1, 3)), max_size=8),
    st.lists(st.integers(1, 8), max_size=12),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_what_is_not_ambiguous_of_writes_at_once_is_so(
    calls: list[tuple[int, int, int, int]], reads: list[int], random: Any, alike: bool
) -> None:
    """Each write takes effect at a moment within its call, which nobody records."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    threads = [parent, build.thread(0, "t1"), build.thread(0, "t2")]
    reader = build.fork(parent)
    start, free = build.now, [0, 0, 0]
    writes = []  # (moment, enter, exit, thread, data)
    for number, (thread, wait, length, size) in enumerate(calls):
        enter = free[thread] + 1 + wait
        free[thread] = exit = enter + length
        data = bytes([65 if alike else 65 + number]) * size
        writes.append((random.uniform(enter, exit), enter, exit, thread, data))
    truth: list[int] = []
    events: dict[int, int] = {}
    moments = [(write[1 + ends], bool(ends), k) for k, write in enumerate(writes) for ends in (0, 1)]
    for time, ends, k in sorted(moments):
        build.now = start + time * 1000
        _, _, _, thread, data = writes[k]
        if ends:
            build.end(events[k], result=len(data))
        else:
            events[k] = build.begin(threads[thread], "os.write", data, fd=pipe.writer, size=len(data))
    for k in sorted(range(len(writes)), key=lambda k: writes[k][0]):
        truth += [events[k]] * len(writes[k][4])
    content = b"".join(writes[k][4] for k in sorted(range(len(writes)), key=lambda k: writes[k][0]))
    build.now = start + MS
    expected: Counter[tuple[int, int]] = Counter()
    at = 0
    for size in reads:
        if at < len(content):
            event = build.read(reader, pipe.reader, content[at : at + size], size)
            expected.update((origin, event) for origin in truth[at : at + size])
            at += size
    run = Run(build.trace())
    doubtful = set(run.messages.loc[run.messages["ambiguous"], "write_event"].tolist())
    says = found(run)
    for event in events.values():
        if event not in doubtful:
            mine = {key: size for key, size in expected.items() if key[0] == event}
            assert {key: size for key, size in says.items() if key[0] == event} == mine
    check(balance(run.trace, run.lanes, run.messages, run.got))


# Datagrams


def sockets(form: str) -> tuple[TraceBuilder, list[int], list[Pipe]]:
    build = TraceBuilder()
    parent = build.process("a.py")
    threads = [parent, build.fork(parent), build.fork(parent)]
    return build, threads, [build.datagram_socket(t, f"127.0.0.1:400{k}", form) for k, t in enumerate(threads)]


def send(build: TraceBuilder, thread: int, by: Pipe, to: int, data: bytes) -> int:
    return build.call(
        thread, "socket.sendto", data, fd=by.writer, size=len(data), result=len(data), address=f"127.0.0.1:400{to}"
    )


def receive(build: TraceBuilder, thread: int, by: Pipe, source: int, data: bytes, size: int = 99) -> int:
    event = build.begin(thread, "socket.recvfrom", fd=by.reader, size=size)
    return build.end(event, data, address=f"127.0.0.1:400{source}")


@settings(max_examples=80)
@given(
    st.lists(st.tuples(st.sampled_from(["send", "send", "lose", "receive"]), st.integers(0, 2), st.integers(0, 2),
                       st.sampled_from([b"a", b"b", b"aa", b"long", b""])), max_size=30),
    st.integers(2, 6),
)  # fmt: skip
def test_a_datagram_that_is_not_ambiguous_is_the_one_that_was_sent(
    schedule: list[tuple[str, int, int, bytes]], room: int
) -> None:
    build, threads, ends = sockets("udp")
    queues: list[deque[tuple[int, int, bytes]]] = [deque() for _ in ends]
    truth: dict[int, int] = {}
    lost = False
    for deed, who, other, data in schedule:
        if deed == "receive" and queues[who]:
            sent, source, data = queues[who].popleft()
            truth[receive(build, threads[who], ends[who], source, data[:room], room)] = sent
        elif deed != "receive":
            event = send(build, threads[who], ends[who], other, data)
            if deed == "send":
                queues[other].append((event, who, data))
            lost |= deed == "lose"
    messages = Run(build.trace()).messages
    pairs = messages[messages["read_event"].notna() & ~messages["ambiguous"]]
    assert all(truth[row.read_event] == row.write_event for row in pairs.itertuples())
    assert len(messages) == sum(row["op"] == "socket.sendto" for row in build.rows["events"])
    assert set(messages["read_event"].dropna()) == set(truth)
    if not lost and not any(queues):
        assert not messages["ambiguous"].any()


def orders(sent: list[bytes], got: list[bytes]) -> list[tuple[int, ...]]:
    """All the ways in which `got` can be some of `sent`, in order."""
    choices = combinations(range(len(sent)), len(got))
    return [way for way in choices if all(sent[at] == data for at, data in zip(way, got, strict=True))]


@settings(max_examples=60)
@given(st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=7), st.data())
def test_a_datagram_is_ambiguous_where_another_order_would_do(sent: list[bytes], data: Any) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=len(sent), max_size=len(sent)))
    build, threads, ends = sockets("udp")
    for each in sent:
        send(build, threads[0], ends[0], 1, each)
    got = [each for each, arrives in zip(sent, kept, strict=True) if arrives]
    reads = [receive(build, threads[1], ends[1], 0, each) for each in got]
    messages = Run(build.trace()).messages
    ways = orders(sent, got)
    for number, read in enumerate(reads):
        [row] = messages[messages["read_event"] == read].itertuples()
        assert row.ambiguous == (len({way[number] for way in ways}) > 1)


def test_a_datagram_that_was_overtaken_is_lost_and_one_that_was_cut_lost_its_rest() -> None:
    build, threads, ends = sockets("udp")
    for data in (b"one", b"second", b"third"):
        send(build, threads[0], ends[0], 1, data)
    receive(build, threads[1], ends[1], 0, b"seco", 4)
    messages = Run(build.trace()).messages
    assert messages["lost"].tolist() == [3, 2, 0]
    assert messages["read"].notna().tolist() == [False, True, False]
    assert not messages["merged"].any() and not messages["ambiguous"].any()


def test_datagrams_of_several_senders_race_in_the_order_in_which_they_were_got() -> None:
    build, threads, ends = sockets("udp")
    sends, gets = [], []
    for who, data in ((2, b"a"), (1, b"b"), (2, b"c")):
        sends.append(send(build, threads[who], ends[who], 0, data))
        gets.append(receive(build, threads[0], ends[0], who, data))
    races = Run(build.trace()).races
    assert races["first"].tolist() == sends[:2]
    assert races["second"].tolist() == sends[1:]
    assert races["other"].tolist() == gets[:2]


def test_a_datagram_from_elsewhere_has_no_writer() -> None:
    build, threads, ends = sockets("udp")
    event = build.begin(threads[0], "socket.recvfrom", fd=ends[0].reader, size=99)
    build.end(event, b"hello", address="10.0.0.9:53")
    [message] = Run(build.trace()).messages.itertuples()
    assert pd.isna(message.writer) and pd.isna(message.written)
    assert (message.payload, message.size) == (b"hello", 5)


@pytest.mark.parametrize("form", ["unix-datagram", "unix-seqpacket"])
def test_packets_of_a_pair_go_to_its_other_end_one_to_one(form: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pair = build.pair(parent)
    for end in (pair.channel, pair.channel + 1):
        build.rows["channels"][end]["form"] = form
    child = build.fork(parent)
    for data in (b"a", b"a", b"b"):
        build.call(parent, "socket.send", data, fd=pair.reader, size=1, result=1)
    reads = [build.end(build.begin(child, "socket.recv", fd=pair.writer, size=9), data) for data in (b"a", b"a")]
    messages = Run(build.trace()).messages
    assert messages["read_event"].tolist() == [*reads, pd.NA]
    assert messages["channel"].tolist() == [pair.channel + 1] * 3
    assert not messages["ambiguous"].any()


# When a program got it


@settings(max_examples=60)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_a_line_is_received_by_the_take_that_handed_out_its_end(lines: list[int], chunks: list[int]) -> None:
    """A reader's stream reads ahead, in pieces of any size; readline() gives one line after the other."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    source = build.stream(1, "sys.stdin", pipe.reader, "r")
    written = [build.write(parent, pipe.writer, b"x" * (size - 1) + b"\n") for size in lines]
    content = b"".join(b"x" * (size - 1) + b"\n" for size in lines)
    sizes, ahead, at, takes = cycle(chunks), b"", 0, []
    for size in lines[:-1] if len(lines) > 1 else lines:
        take = build.begin(child, "stream.readline", stream=source, size=-1)
        while b"\n" not in ahead:
            piece = content[at : at + next(sizes)]
            build.end(build.begin(child, "raw.read", stream=source, size=8192), piece)
            at, ahead = at + len(piece), ahead + piece
        line, _, ahead = ahead.partition(b"\n")
        takes.append(build.end(take, result=len(line) + 1))
        assert len(line) + 1 == size
    messages = Run(build.trace()).messages
    assert messages["write_event"].tolist() == written
    expected = [*takes, *[pd.NA] * (len(lines) - len(takes))]
    assert messages["receive_event"].tolist() == expected
    ends = [build.rows["events"][take]["exit"] for take in takes]
    assert messages["received"].dropna().tolist() == ends
    assert (stages(messages)["unread"].dropna() >= 0).all()


def test_a_connections_message_is_received_when_recv_returns() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    with build.inside(parent, "Connection.send", fd=pipe.writer, channel=pipe.channel, size=5):
        build.write(parent, pipe.writer, b"\0\0\0\5")
        build.write(parent, pipe.writer, b"hello")
    with build.inside(child, "Connection.recv", fd=pipe.reader, channel=pipe.channel) as event:
        build.read(child, pipe.reader, b"\0\0\0\5", 4)
        build.read(child, pipe.reader, b"hello", 5)
    [message] = Run(build.trace()).messages.itertuples()
    assert (message.op, message.size, message.payload, message.reads) == ("Connection.send", 9, b"\0\0\0\5hello", 2)
    assert message.receive_event == event
    assert message.received > message.read


def queue_trace(puts: int, feeds: int) -> Trace:
    """A multiprocessing.Queue: the program puts, its feeder thread writes, another process gets."""
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe, queue = build.pipe(parent), build.object(None, "queue")
    child, feeder = build.fork(parent), build.thread(0, "QueueFeederThread")
    for _ in range(puts):
        build.call(parent, "multiprocessing.Queue.put", channel=queue)
    for _ in range(feeds):
        with build.inside(feeder, "multiprocessing.Queue.feed", channel=queue, size=3):
            build.write(feeder, pipe.writer, b"\0\0\0\3abc")
    for _ in range(feeds):
        with build.inside(child, "multiprocessing.Queue.get", channel=queue):
            build.read(child, pipe.reader, b"\0\0\0\3", 4)
            build.read(child, pipe.reader, b"abc", 3)
    return build.trace()


def test_an_item_of_a_process_queue_waits_in_the_feeder_then_in_the_pipe_then_is_got() -> None:
    run = Run(queue_trace(puts=3, feeds=2))
    messages = run.messages
    events = run.trace.events
    assert messages["op"].tolist() == ["multiprocessing.Queue.put"] * 3
    assert messages["accept_event"].tolist() == events.index[events["op"] == "multiprocessing.Queue.put"].tolist()
    assert messages["writer"].unique().tolist() == [0]
    assert messages["written"].notna().tolist() == [True, True, False]
    assert messages["channel"].nunique() == 1
    assert (stages(messages).iloc[:2] > 0).all(axis=None)


def test_what_a_stream_writer_was_given_waits_in_the_transport() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pair = build.pair(parent)
    child = build.fork(parent)
    given = [build.call(parent, "StreamWriter.write", data, fd=pair.reader, channel=pair.channel, size=4)
             for data in (b"one\n", b"two\n")]  # fmt: skip
    build.call(parent, "socket.send", b"one\ntw", fd=pair.reader, size=8, result=6)
    taking = build.begin(child, "StreamReader.readline", fd=pair.writer)
    build.end(build.begin(child, "socket.recv", fd=pair.writer, size=99), b"one\ntw")
    build.end(taking, result=4)
    messages = Run(build.trace()).messages
    assert messages["accept_event"].tolist() == [*given, given[1]]
    assert messages["payload"].tolist() == [b"one\n", b"tw", b"o\n"]
    assert messages["written"].notna().tolist() == [True, True, False]
    assert messages["received"].notna().tolist() == [True, False, False]
    assert messages["stream"].isna().all()


# Items of queues


@settings(max_examples=80)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([b"", b"a", b"b", b"c"])), max_size=16),
    st.sampled_from(["fifo", "lifo", "priority"]),
)
def test_an_item_that_is_not_ambiguous_is_the_one_that_was_put(puts: list[tuple[bool, bytes]], order: str) -> None:
    build = TraceBuilder()
    one = build.process("a.py")
    two = build.thread(0, "t")
    queue = build.object(0, "queue")
    inside: list[tuple[int, bytes]] = []
    truth = {}
    for put, item in puts:
        if put:
            inside.append((build.call(one, "Queue.put", item, channel=queue), item))
        elif inside:
            at = {"fifo": 0, "lifo": -1, "priority": min(range(len(inside)), key=lambda k: inside[k][1])}[order]
            event, item = inside.pop(at)
            truth[build.end(build.begin(two, "Queue.get", channel=queue), item)] = event
            build.rows["events"][-1]["result"] = None
    messages = Run(build.trace()).messages
    sure = messages[messages["read_event"].notna() & ~messages["ambiguous"]]
    assert all(truth[row.read_event] == row.write_event for row in sure.itertuples())
    assert len(messages) == sum(row["op"] == "Queue.put" for row in build.rows["events"])


def test_items_that_differ_show_their_order() -> None:
    build = TraceBuilder()
    one = build.process("a.py")
    two = build.thread(0, "t")
    queue = build.object(0, "queue")
    items = [b"a", b"b", b"c"]
    puts = [build.call(one, "Queue.put", item, channel=queue) for item in items]
    gets = [build.end(build.begin(two, "Queue.get", channel=queue), item) for item in items]
    messages = Run(build.trace()).messages
    assert (messages["write_event"].tolist(), messages["read_event"].tolist()) == (puts, gets)
    assert not messages["ambiguous"].any()
