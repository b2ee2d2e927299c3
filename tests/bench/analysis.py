"""How fast a trace is loaded and analysed: events a second in each stage, the time of each rule, the peak memory.

    python tests/bench/analysis.py [--rules] [--shapes] [--keep FOLDER] [EVENTS …]        (by default 1e5 1e6)

The traces are made up, but of all that real ones have: processes and threads that talk over pipes, sockets, queues and
streams, that wait, sleep, lock, fork, and in the end hang. Every size is made by a process of its own and analysed by
another, so that the peak memory is the analysis's alone. With --shapes there are also traces of one kind of talk each,
in which something is as many as it can be: channels, threads, processes, writers at once. What is aimed at: 10⁶ events within 3 s and 1 GB, 10⁷ within
30 s and 4 GB, near-linear growth.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, from a checkout

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from ipctrace.analysis import analyze, rules
from ipctrace.analysis.events import NONE
from ipctrace.analysis.findings import Context
from ipctrace.analysis.graph import wait_graph
from ipctrace.analysis.run import Run
from ipctrace.analysis.situation import Situation
from ipctrace.analysis.waiting import find_knot
from ipctrace.tracer import store
from ipctrace.tracer.schema import TABLES, WORDS, WRAPPED, Trace, frame

from ipctrace.heap import keep_what_is_freed
from tests.builders import FIRST_PID, Pipe, TraceBuilder

Ints = npt.NDArray[np.int64]

SPACING = 10_000  # ns of the run for every event
KEPT = 72  # bytes of a payload, as by default
LINE = 41

# --- the trace

# What lies at each byte of every channel: lines of equal length, so that reads agree with writes wherever they begin.
_CONTENT = np.random.default_rng(1).integers(97, 123, LINE * 1601, dtype=np.uint8)
_CONTENT[LINE - 1 :: LINE] = ord("\n")


@dataclass
class Row:
    """One call of a conversation's round: from `begin` to `end` (shares of the round), an array where rounds differ.

    `content`: (position on its channel, bytes) of its payload. `within`: the place of the row that it happens inside.
    """

    thread: Any
    op: str
    begin: Any
    end: Any
    content: tuple[Any, Any] | None = None
    within: int | None = None
    columns: dict[str, Any] = field(default_factory=dict)


@dataclass
class Cast:
    """Who talks, and over what: one process asks, three work, each with threads; all pipes were made before the forks."""

    build: TraceBuilder
    random: np.random.Generator
    parent: int
    workers: list[int]
    pipes: list[Pipe]
    pair: Pipe
    threads: list[int] = field(default_factory=list)
    lasting: int = 0  # ns of the whole run

    def thread(self, main: int, name: str) -> int:
        self.threads.append(self.build.thread(self.build.process_of(main), name))
        return self.threads[-1]

    def sizes(self, rounds: int, low: int = 16, high: int = 64) -> Ints:
        return self.random.integers(low, high + 1, rounds)


def before(*sizes: Any) -> list[Ints]:
    """Where on its channel each of a round's transfers begins, if every round makes them in this order."""
    each = np.array([np.broadcast_to(size, max(np.size(other) for other in sizes)) for size in sizes])
    flat = each.T.ravel()
    return list((np.cumsum(flat) - flat).reshape(-1, len(sizes)).T)


def moved(fd: int, channel: int, size: Any, asked: Any = None, **more: Any) -> dict[str, Any]:
    """The columns of a read or write."""
    return {"fd": fd, "channel": channel, "size": size if asked is None else asked, "result": size, **more}


Make = Callable[[Cast, int], list[Row]]


def plain(cast: Cast, rounds: int) -> list[Row]:
    """os.write, os.read: every other reader waits for its writer."""
    pipe = cast.pipes.pop()
    writer, reader = cast.thread(cast.parent, "sender"), cast.thread(cast.workers[0], "receiver")
    size = cast.sizes(rounds)
    (place,) = before(size)
    early = np.where(np.arange(rounds) % 2, 0.1, 0.6)
    return [
        Row(writer, "os.write", 0.3, 0.4, (place, size), None, moved(pipe.writer, pipe.channel, size)),
        Row(reader, "os.read", early, 0.8, (place, size), None, moved(pipe.reader, pipe.channel, size, 65536)),
    ]


def merged(cast: Cast, rounds: int) -> list[Row]:
    """Three writes, two reads that cut them elsewhere."""
    pipe = cast.pipes.pop()
    writer, reader = cast.thread(cast.parent, "burster"), cast.thread(cast.workers[1], "collector")
    sizes = [cast.sizes(rounds) for _ in range(3)]
    places = before(*sizes)
    total = sum(sizes)
    first = total // 2
    columns = [moved(pipe.writer, pipe.channel, size) for size in sizes]
    return [
        *(Row(writer, "os.write", 0.1 + 0.1 * k, 0.15 + 0.1 * k, (places[k], sizes[k]), None, columns[k]) for k in range(3)),
        Row(reader, "os.read", 0.5, 0.6, (places[0], first), None, moved(pipe.reader, pipe.channel, first, first)),
        Row(reader, "os.read", 0.7, 0.8, (places[0] + first, total - first), None,
            moved(pipe.reader, pipe.channel, total - first, 65536)),
    ]  # fmt: skip


def printed(cast: Cast, rounds: int) -> list[Row]:
    """Three prints and a flush; the reader's stream reads them at once and hands them out line by line."""
    build, (main, other) = cast.build, (cast.workers[0], cast.workers[1])
    pipe = cast.pipes.pop()
    writer, reader = cast.thread(main, "printer"), cast.thread(other, "liner")
    out = build.stream(build.process_of(main), f"open(fd {pipe.writer})", pipe.writer)
    source = build.stream(build.process_of(other), f"open(fd {pipe.reader})", pipe.reader, "r")
    start = np.arange(rounds) * 3 * LINE
    handed = {"fd": pipe.writer, "channel": pipe.channel, "stream": out}
    taken = {"fd": pipe.reader, "channel": pipe.channel, "stream": source}
    rows = []
    for k in range(3):
        for skip, size, begin in ((0, LINE - 1, 0.05), (LINE - 1, 1, 0.08)):
            place = start + k * LINE + skip
            columns = handed | {"size": size, "result": size, "offset": place, "pending": k * LINE + skip + size}
            rows.append(Row(writer, "print", begin + 0.1 * k, begin + 0.1 * k + 0.02, (place, size), None, columns))
    whole = {"size": 3 * LINE, "result": 3 * LINE, "offset": start}
    rows.append(Row(writer, "stream.flush", 0.4, 0.5, None, None, handed | {"pending": 0}))
    rows.append(Row(writer, "raw.write", 0.41, 0.49, (start, 3 * LINE), 6, handed | whole))
    rows.append(Row(reader, "stream.readline", 0.3, 0.6, None, None, taken | {"size": -1, "result": LINE}))
    got = taken | {"size": 8192, "result": 3 * LINE}
    rows.append(Row(reader, "raw.read", 0.31, 0.58, (start, 3 * LINE), 8, got))
    rows += [Row(reader, "stream.readline", 0.7 + 0.1 * k, 0.72 + 0.1 * k, None, None, taken | {"size": -1, "result": LINE})
             for k in range(2)]  # fmt: skip
    return rows


def logged(cast: Cast, rounds: int) -> list[Row]:
    """Three threads of two processes write to one pipe, every eighth time at once; one reads it all."""
    pipe = cast.pipes.pop()
    writers = [cast.thread(cast.workers[k], f"logger-{k}") for k in (1, 2, 1)]
    reader = cast.thread(cast.parent, "log")
    sizes = [cast.sizes(rounds, 20, 60) for _ in range(3)]
    places = before(*sizes)
    total = sum(sizes)
    at_once = np.arange(rounds) % 8 == 0
    begin = [np.where(at_once, 0.1, 0.1 + 0.15 * k) for k in range(3)]
    return [
        *(Row(writers[k], "os.write", begin[k] + 0.001 * k, begin[k] + 0.1, (places[k], sizes[k]), None,
              moved(pipe.writer, pipe.channel, sizes[k])) for k in range(3)),
        Row(reader, "os.read", 0.6, 0.9, (places[0], total), None, moved(pipe.reader, pipe.channel, total, 65536)),
    ]  # fmt: skip


def connected(cast: Cast, rounds: int) -> list[Row]:
    """Connection.send, Connection.recv."""
    pipe = cast.pipes.pop()
    writer, reader = cast.thread(cast.workers[2], "teller"), cast.thread(cast.parent, "asker")
    size = cast.sizes(rounds)
    (place,) = before(size + 4)
    ends = {"fd": pipe.reader, "channel": pipe.channel}
    return [
        Row(
            writer, "Connection.send", 0.2, 0.5, None, None, {"fd": pipe.writer, "channel": pipe.channel, "size": size}
        ),
        Row(writer, "os.write", 0.3, 0.4, (place, size + 4), 0, moved(pipe.writer, pipe.channel, size + 4)),
        Row(reader, "Connection.recv", 0.1, 0.8, None, None, ends | {"result": size}),
        Row(reader, "os.read", 0.15, 0.6, (place, 4), 2, moved(pipe.reader, pipe.channel, 4)),
        Row(reader, "os.read", 0.65, 0.7, (place + 4, size), 2, moved(pipe.reader, pipe.channel, size)),
    ]


def queued(cast: Cast, rounds: int) -> list[Row]:
    """multiprocessing.Queue: put, the feeder's write, get."""
    build, pipe = cast.build, cast.pipes.pop()
    queue = build.object(None, "queue")
    writer, feeder = cast.thread(cast.parent, "putter"), cast.thread(cast.parent, "QueueFeederThread")
    reader = cast.thread(cast.workers[2], "getter")
    size = cast.sizes(rounds)
    (place,) = before(size + 4)
    return [
        Row(writer, "multiprocessing.Queue.put", 0.1, 0.15, None, None, {"channel": queue}),
        Row(feeder, "multiprocessing.Queue.feed", 0.2, 0.4, None, None, {"channel": queue, "size": size}),
        Row(feeder, "os.write", 0.25, 0.35, (place, size + 4), 1, moved(pipe.writer, pipe.channel, size + 4)),
        Row(reader, "multiprocessing.Queue.get", 0.05, 0.9, None, None, {"channel": queue}),
        Row(reader, "os.read", 0.1, 0.5, (place, 4), 3, moved(pipe.reader, pipe.channel, 4)),
        Row(reader, "os.read", 0.6, 0.7, (place + 4, size), 3, moved(pipe.reader, pipe.channel, size)),
    ]


def threaded(cast: Cast, rounds: int) -> list[Row]:
    """Threads of one process: queue.Queue, a lock that is wanted by two, a sleep."""
    build, home = cast.build, cast.build.process_of(cast.parent)
    queue, lock = build.object(home, "queue"), build.object(home, "lock")
    one, two = cast.thread(cast.parent, "producer"), cast.thread(cast.parent, "consumer")
    items, size = np.arange(rounds) * 8, 8
    tid = build.rows["threads"][one]["tid"]
    return [
        Row(one, "Queue.put", 0.1, 0.12, (items, size), None, {"channel": queue}),
        Row(two, "Queue.get", 0.05, 0.2, (items, size), None, {"channel": queue}),
        Row(one, "Lock.acquire", 0.3, 0.32, None, None, {"channel": lock, "result": 1}),
        Row(two, "Lock.acquire", 0.35, 0.5, None, None, {"channel": lock, "result": 1, "owner": tid}),
        Row(one, "Lock.release", 0.44, 0.45, None, None, {"channel": lock}),
        Row(two, "Lock.release", 0.55, 0.56, None, None, {"channel": lock}),
        Row(one, "time.sleep", 0.6, 0.9, None, None, {"size": 1000}),
    ]


def answered(cast: Cast, rounds: int) -> list[Row]:
    """A request and its answer over a socket pair, the asker waiting in select."""
    pair = cast.pair
    one, two = cast.thread(cast.parent, "client"), cast.thread(cast.workers[1], "server")
    ask, answer = cast.sizes(rounds), cast.sizes(rounds, 100, 400)
    (asked,), (told,) = before(ask), before(answer)
    return [
        Row(one, "socket.sendall", 0.1, 0.15, (asked, ask), None, moved(pair.reader, pair.channel, ask)),
        Row(two, "socket.recv", 0.05, 0.3, (asked, ask), None, moved(pair.writer, pair.channel + 1, ask, 65536)),
        Row(one, "select.select", 0.2, 0.7, None, None, {"result": 1, "extra": pair.reader}),
        Row(two, "socket.sendall", 0.5, 0.6, (told, answer), None, moved(pair.writer, pair.channel + 1, answer)),
        Row(one, "socket.recv", 0.75, 0.8, (told, answer), None, moved(pair.reader, pair.channel, answer, 65536)),
    ]


def sent(cast: Cast, rounds: int) -> list[Row]:
    """Datagrams to an address; every tenth is lost."""
    build = cast.build
    one, two = cast.thread(cast.parent, "caller"), cast.thread(cast.workers[0], "called")
    ends = [build.channel("socket") for _ in range(2)]
    for end, port in zip(ends, (4001, 4002), strict=True):
        build.rows["channels"][end] |= {"form": "udp", "local": f"127.0.0.1:{port}"}
    size = cast.sizes(rounds)
    (place,) = before(size)
    lost = np.arange(rounds) % 10 == 0
    return [
        Row(one, "socket.sendto", 0.2, 0.3, (place, size), None, moved(30, ends[0], size, address="127.0.0.1:4002")),
        Row(two, "socket.recvfrom", 0.1, 0.5, (place, np.where(lost, 0, size)), None,
            moved(31, ends[1], np.where(lost, NONE, size), 2048, address="127.0.0.1:4001",
                  error=np.where(lost, 11, NONE))),
    ]  # fmt: skip


def forked(cast: Cast, rounds: int) -> list[Row]:
    """A child that writes a line and ends, which its parent waits for."""
    build, main = cast.build, cast.workers[2]
    pipe, spawner = cast.pipes.pop(), cast.thread(main, "spawner")
    length = cast.lasting // rounds
    children = np.zeros(rounds, dtype="int64")
    for number in range(rounds):
        begun = build.now + number * length + length // 10
        process = len(build.rows["processes"])
        pid = FIRST_PID + 1000 + number
        build.rows["processes"].append(build.rows["processes"][build.process_of(main)] | {
            "process": process, "pid": pid, "parent": build.process_of(main), "started": begun, "status": 0,
            "ended": begun + length // 2,
        })  # fmt: skip
        children[number] = len(build.rows["threads"])
        build.rows["threads"].append({
            "thread": int(children[number]), "process": process, "tid": pid, "name": "MainThread", "main": True,
            "started": begun, "ended": begun + length // 2,
        })  # fmt: skip
    pids = FIRST_PID + 1000 + np.arange(rounds)
    (place,) = before(np.full(rounds, LINE))
    return [
        Row(spawner, "os.fork", 0.05, 0.15, None, None, {"result": pids}),
        Row(children, "os.write", 0.2, 0.3, (place, LINE), None, moved(pipe.writer, pipe.channel, LINE)),
        Row(children, "os._exit", 0.4, None, None, None, {"size": 0}),
        Row(spawner, "os.waitpid", 0.35, 0.7, None, None, {"size": pids, "result": pids, "extra": 0}),
        Row(spawner, "os.read", 0.75, 0.8, (place, LINE), None, moved(pipe.reader, pipe.channel, LINE, 4096)),
    ]


# a conversation, its calls a round, and its share of the events
CONVERSATIONS: tuple[tuple[Make, int, float], ...] = (
    (plain, 2, 0.22), (merged, 5, 0.10), (printed, 12, 0.22), (logged, 4, 0.10), (connected, 5, 0.10), (queued, 6, 0.08),
    (threaded, 7, 0.07), (answered, 5, 0.08), (sent, 2, 0.03), (forked, 5, 0.0003),
)  # fmt: skip


def contested(cast: Cast, rounds: int) -> list[Row]:
    """Two processes write to one pipe, a byte each, and there is no moment at which neither does."""
    pipe = cast.pipes.pop()
    one, two = (cast.thread(cast.workers[k], f"writer-{k}") for k in range(2))
    reader = cast.thread(cast.parent, "reader")
    (first, second) = before(np.ones(rounds, dtype="int64"), 1)
    return [
        Row(one, "os.write", 0.1, 0.6, (first, 1), None, moved(pipe.writer, pipe.channel, 1)),
        Row(two, "os.write", 0.5, 1.15, (second, 1), None, moved(pipe.writer, pipe.channel, 1)),
        Row(reader, "os.read", 1.2, 1.3, (first, 2), None, moved(pipe.reader, pipe.channel, 2)),
    ]


def giant(cast: Cast, rounds: int) -> list[Row]:
    """One write, read byte by byte."""
    pipe = cast.pipes.pop()
    data = _CONTENT[:KEPT].tobytes()
    cast.build.call(cast.parent, "os.write", data, fd=pipe.writer, size=rounds, result=rounds)
    place = np.arange(rounds)
    return [Row(cast.thread(cast.workers[0], "reader"), "os.read", 0.1, 0.2, (place, 1), None,
                moved(pipe.reader, pipe.channel, 1))]  # fmt: skip


def piped(cast: Cast, rounds: int) -> list[Row]:
    """Many pipes, ten messages in each."""
    channels = np.array([cast.build.channel("pipe") for _ in range(rounds)])
    reader, writer = 100 + 2 * np.arange(rounds), 101 + 2 * np.arange(rounds)
    one, two = cast.thread(cast.parent, "sender"), cast.thread(cast.parent, "receiver")
    rows = [Row(one, "os.pipe", 0.01, 0.02, None, None, {"fd": reader, "channel": channels, "result": writer})]
    for k in range(10):
        content, begin = (np.full(rounds, 20 * k), 20), 0.05 + 0.09 * k
        rows += [
            Row(one, "os.write", begin, begin + 0.02, content, None, moved(writer, channels, 20)),
            Row(two, "os.read", begin + 0.01, begin + 0.04, content, None, moved(reader, channels, 20)),
        ]
    return rows


def crowded(cast: Cast, rounds: int) -> list[Row]:
    """Many threads, each of which takes a lock and writes five times, on one pipe, to one reader."""
    build, pipe = cast.build, cast.pipes.pop()
    lock = build.object(build.process_of(cast.parent), "lock")
    reader = cast.thread(cast.workers[0], "reader")
    count = rounds // 5 + 1
    threads = np.array([cast.thread(cast.parent, f"thread-{number}") for number in range(count)])
    thread, place = threads[np.arange(rounds) % count], LINE * np.arange(rounds)
    return [
        Row(thread, "Lock.acquire", 0.1, 0.2, None, None, {"channel": lock, "result": 1}),
        Row(thread, "os.write", 0.3, 0.4, (place, LINE), None, moved(pipe.writer, pipe.channel, LINE)),
        Row(thread, "Lock.release", 0.5, 0.6, None, None, {"channel": lock}),
        Row(reader, "os.read", 0.2, 0.7, (place, LINE), None, moved(pipe.reader, pipe.channel, LINE)),
    ]


def paired(cast: Cast, rounds: int) -> list[Row]:
    """Many pairs of datagram sockets; over each a datagram there, and one back."""
    channels = cast.build.rows["channels"]
    one = np.array([cast.build.channel("socket") for _ in range(2 * rounds)])[::2]
    for first in one.tolist():
        for end, peer in ((first, first + 1), (first + 1, first)):
            channels[end] |= {"form": "unix-datagram", "peer": peer}
    fd, size = 100 + 2 * np.arange(rounds), cast.sizes(rounds)
    left, right = cast.thread(cast.parent, "left"), cast.thread(cast.parent, "right")
    there, back = (np.zeros(rounds, dtype="int64"), size), (size, size)
    return [
        Row(left, "socket.socketpair", 0.01, 0.02, None, None, {"fd": fd, "channel": one, "result": fd + 1}),
        Row(left, "socket.send", 0.2, 0.3, there, None, moved(fd, one, size)),
        Row(right, "socket.recv", 0.1, 0.4, there, None, moved(fd + 1, one + 1, size, 2048)),
        Row(right, "socket.send", 0.5, 0.6, back, None, moved(fd + 1, one + 1, size)),
        Row(left, "socket.recv", 0.7, 0.8, back, None, moved(fd, one, size, 2048)),
    ]


def posted(cast: Cast, rounds: int) -> list[Row]:
    """One pair of datagram sockets, two threads that send at once."""
    build = cast.build
    ends = [build.channel("socket") for _ in range(2)]
    for end, peer in (ends, ends[::-1]):
        build.rows["channels"][end] |= {"form": "unix-datagram", "peer": peer}
    one, two, reader = (cast.thread(cast.parent, name) for name in ("one", "two", "reader"))
    sizes = [cast.sizes(rounds) for _ in range(2)]
    first, second = before(*sizes)
    return [
        Row(one, "socket.send", 0.1, 0.6, (first, sizes[0]), None, moved(30, ends[0], sizes[0])),
        Row(two, "socket.send", 0.5, 1.15, (second, sizes[1]), None, moved(30, ends[0], sizes[1])),
        Row(reader, "socket.recv", 1.2, 1.22, (first, sizes[0]), None, moved(31, ends[1], sizes[0], 2048)),
        Row(reader, "socket.recv", 1.25, 1.28, (second, sizes[1]), None, moved(31, ends[1], sizes[1], 2048)),
    ]


Talks = tuple[tuple[Make, int, float], ...]
SHAPES: dict[str, Talks] = {
    "mixed": CONVERSATIONS, "two writers at once": ((contested, 3, 1.0),), "one giant write": ((giant, 1, 1.0),),
    "many pipes": ((piped, 21, 1.0),), "many threads": ((crowded, 4, 1.0),), "many processes": ((forked, 5, 0.05), (plain, 2, 0.95)),
    "many socket pairs": ((paired, 5, 1.0),), "two datagram senders at once": ((posted, 4, 1.0),),
    "lossy datagrams": ((sent, 2, 1.0),), "one queue": ((queued, 6, 1.0),), "locks and sleeps": ((threaded, 7, 1.0),),
}  # fmt: skip


def make(events: int, talks_of: Talks = CONVERSATIONS, seed: int = 0) -> Trace:
    """A trace of about so many events, in which four processes hang in the end, each in a read that nobody answers."""
    build = TraceBuilder()
    parent = build.process("service.py")
    pipes, pair = [build.pipe(parent) for _ in range(12)], build.pair(parent)
    workers = [build.fork(parent) for _ in range(3)]
    sites = [build.site("/work/service.py", line, f"call_{line}()") for line in range(1, 41)]
    cast = Cast(build, np.random.default_rng(seed), parent, workers, pipes, pair, lasting=events * SPACING)
    talks = []
    for each, calls, share in talks_of:
        rounds = max(int(events * share / calls), 1)
        talks.append((rounds, each(cast, rounds)))
    begun, start = len(build.rows["events"]), build.now
    columns, payloads = _rows(cast, talks, sites, start)
    build.now = start + cast.lasting
    for thread in cast.threads:
        build.end_thread(thread)
    for thread, pipe in zip((parent, *workers), pipes, strict=False):
        build.begin(thread, "os.read", fd=pipe.reader, size=100)
    build.look(times=2)
    few = build.trace(ended="deadlock")
    return _joined(few, begun, columns, payloads)


Content = tuple[Ints, Ints, Ints]  # event, position on the channel, bytes


def _rows(
    cast: Cast, talks: list[tuple[int, list[Row]]], sites: list[int], start: int
) -> tuple[dict[str, Any], Content]:
    """The columns of all calls, in order of enter, and what their payloads are."""
    parts: dict[str, list[Any]] = {}
    content: list[Ints] = []
    base = 0
    process_of = np.array([row["process"] for row in cast.build.rows["threads"]])
    life = np.array(
        [opened[0] if opened else -1 for opened in (cast.build._open.get(t, []) for t in range(len(process_of)))]
    )
    for rounds, rows in talks:
        begin = start + np.arange(rounds) * (cast.lasting / rounds)
        for number, row in enumerate(rows):
            thread = np.broadcast_to(row.thread, rounds)
            enter = (begin + np.asarray(row.begin) * (cast.lasting / rounds)).astype("int64")
            given: dict[str, Any] = {
                "process": process_of[thread], "thread": thread, "op": row.op, "kind": WRAPPED[row.op][0],
                "wait": WRAPPED[row.op][1] or None, "timed": False, "enter": enter, "site": sites[number * 3 % 40],
                "exit": None if row.end is None else (begin + np.asarray(row.end) * (cast.lasting / rounds)).astype("int64"),
                "parent": np.where(life[thread] >= 0, life[thread], NONE),
                "inner": -1 if row.within is None else base + (row.within - number) * rounds + np.arange(rounds),
            } | row.columns  # fmt: skip
            for name in (*(column.name for column in TABLES["events"].columns if column.name != "event"), "inner"):
                parts.setdefault(name, []).append((given.get(name), rounds))
            place, size = row.content or (0, 0)
            content.append(np.broadcast_to(np.array([place, size], dtype=object)[:, None], (2, rounds))
                           if np.ndim(place) == np.ndim(size) == 0 else
                           np.array([np.broadcast_to(place, rounds), np.broadcast_to(size, rounds)]))  # fmt: skip
            base += rounds
    enter = np.concatenate([values for values, _ in parts["enter"]])
    order = np.argsort(enter, kind="stable")
    place_of = np.empty(len(order), dtype="int64")
    place_of[order] = np.arange(len(order))
    first = len(cast.build.rows["events"])
    columns = {column.name: _column(parts[column.name], column.type, order)
               for column in TABLES["events"].columns if column.name != "event"}  # fmt: skip
    inner = np.concatenate([np.broadcast_to(values, count) for values, count in parts["inner"]])
    parent = np.concatenate([values for values, _ in parts["parent"]])
    parent = np.where(inner >= 0, first + place_of[np.maximum(inner, 0)], parent)[order]
    columns["parent"] = pd.arrays.IntegerArray(parent, parent == NONE)
    lying = np.concatenate(content, axis=1).astype("int64")[:, order]
    kept = np.flatnonzero(lying[1] > 0)
    return columns, (first + kept, lying[0][kept], lying[1][kept])


def _column(parts: list[tuple[Any, int]], type: str, order: Ints) -> Any:
    """A column out of what each kind of call gives for it: an array, a value, or None."""
    if type == "text":
        words = list(dict.fromkeys(value for value, _ in parts if value is not None))
        codes = np.concatenate(
            [np.full(count, -1 if value is None else words.index(value), "int32") for value, count in parts]
        )
        codes = codes[order]
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(words, pa.string())).cast(
            pa.string()
        )
    values = np.concatenate([np.broadcast_to(NONE if value is None else value, count) for value, count in parts])[order]
    return values.astype(bool) if type == "bool" else pd.arrays.IntegerArray(values.astype("int64"), values == NONE)


def _payloads(content: Content) -> pa.Array:
    """The bytes of payloads: what lies at their places of any channel."""
    _, place, size = content
    kept = np.minimum(size, KEPT)
    bounds = np.append(0, np.cumsum(kept))
    data = np.empty(bounds[-1], dtype=np.uint8)
    for low in range(0, len(kept), 1_000_000):  # in pieces: the indices are eight times as large as the bytes
        some = slice(low, low + 1_000_000)
        of = np.repeat(place[some] - bounds[:-1][some], kept[some]) + np.arange(
            bounds[low], bounds[min(low + 1_000_000, len(kept))]
        )
        data[bounds[low] : bounds[low] + len(of)] = _CONTENT[of % len(_CONTENT)]
    array = pa.Array.from_buffers(pa.large_binary(), len(kept), [None, pa.py_buffer(bounds), pa.py_buffer(data)])
    return array.cast(pa.binary())


def _joined(few: Trace, begun: int, columns: dict[str, Any], content: Content) -> Trace:
    """The builder's events, the many of the conversations between the first of them and the last."""
    many = len(columns["enter"])
    table = few.tables["events"].astype(dict.fromkeys(WORDS["events"], "str"))
    after = table[begun:].assign(event=table["event"][begun:] + many)
    mine = pd.DataFrame(
        {"event": begun + np.arange(many)} | {name: _series(values) for name, values in columns.items()}
    )
    mine = mine[table.columns].astype(table.dtypes)
    few.tables["events"] = frame("events", dict(pd.concat([table[:begun], mine, after], ignore_index=True)))
    data = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([_payloads(content)])))
    few.tables["payloads"] = pd.DataFrame({"event": content[0], "data": data})
    few.facts["events"] = len(few.tables["events"])
    return few


def _series(values: Any) -> Any:
    return (
        pd.Series(values.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=np.nan)}.get))
        if isinstance(values, pa.Array)
        else values
    )


# --- the measuring


def stages(run: Run, situation: Situation) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What `analyze` does before the rules, step by step: each step finds what it needs of those before it."""
    yield "events", lambda: (run.events, run.lanes, run.payloads)
    yield "descriptors", lambda: run.held
    yield "matching", lambda: run.messages
    yield "blocking", lambda: (run.blocking, run.busy)
    yield "streams", lambda: (run.streams, run.stuck)
    yield "situation", lambda: situation.agents
    yield "knot", lambda: find_knot(situation)


def told(name: str, took: Took, events: int) -> None:
    rate = f"{events / max(took.seconds, 1e-9):13,.0f} events/s"
    print(f"  {name:<12}{took.seconds:9.3f} s {took.own:9.3f} s{took.system:9.3f} s{rate}{peak():8,.0f} MB", flush=True)


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Took(NamedTuple):
    """Seconds on the clock, and of processors: the analysis's own, and those in which the system gave it memory.

    On a busy machine the second says more than the first. The third is mostly the machine's: one that gets its memory
    from another takes ten times as long for a page.
    """

    seconds: float
    own: float
    system: float


def timed(work: Callable[[], Any]) -> tuple[Took, Any]:
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    found = work()
    ended, over = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    return Took(ended - begun, over.ru_utime - used.ru_utime, over.ru_stime - used.ru_stime), found


def measure(folder: str, by_rule: bool) -> None:
    """Each stage of the analysis by itself; `by_rule`: each rule, too."""
    took, trace = timed(lambda: store.load(folder))
    events = len(trace.events)
    print(f"{events:,} events, {len(trace.payloads):,} payloads, {len(trace.processes):,} processes")
    print(f"  {'stage':<12}{'clock':>9}   {'own CPU':>9}  {'system':>9}{'':22}{'peak':>11}")
    told("loading", took, events)
    run = Run(trace)
    situation = Situation(run)
    for name, work in stages(run, situation):
        took, knot = timed(work)
        told(name, took, events)
    context = Context(run, situation, knot, wait_graph(situation, knot) if knot is not None else None)
    seconds = [(*timed(lambda check=check: list(check(context))), check) for check in rules.CHECKS]  # type: ignore[misc]
    told("findings", Took(*(sum(part) for part in zip(*(took for took, _, _ in seconds), strict=True))), events)
    if by_rule:
        print(f"  {'rule':<44}{'clock':>9}{'own CPU':>9}  findings")
        for took, found, check in sorted(seconds, key=lambda row: -row[0].seconds):
            name = f"{check.__module__.removeprefix('ipctrace.analysis.')}.{check.__name__}"
            print(
                f"  {name:<44}{took.seconds:9.3f}{took.own:9.3f}  {' '.join(sorted({each.rule for each in found}))}"
            )


def measure_all(folder: str) -> None:
    """Loading and all of the analysis, as `ipctrace analyze` does it."""
    took, analysis = timed(lambda: analyze(store.load(folder)))
    told("everything", took, len(analysis.trace.events))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sizes", nargs="*", type=lambda text: int(float(text)), default=[10**5, 10**6], metavar="EVENTS"
    )
    parser.add_argument("--shapes", action="store_true", help="of each size a trace of every shape")
    parser.add_argument("--rules", action="store_true", help="seconds of each rule")
    parser.add_argument("--keep", type=Path, help="a folder for the traces, which are used again if they are there")
    parser.add_argument(
        "--only", choices=["make", "stages", "all"], help=argparse.SUPPRESS
    )  # one step, in this process
    parser.add_argument("--trace", help=argparse.SUPPRESS)
    parser.add_argument("--shape", default="mixed", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only == "make":
        store.save(make(given.sizes[0], SHAPES[given.shape]), Path(given.trace))
    elif given.only:
        keep_what_is_freed()  # as in the command line's process
        measure(given.trace, given.rules) if given.only == "stages" else measure_all(given.trace)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            for shape in SHAPES if given.shapes else (given.shape,):
                for size in given.sizes:
                    name = f"{size}.ipctrace" if shape == "mixed" else f"{shape.replace(' ', '-')}-{size}.ipctrace"
                    print(f"{shape}:", flush=True)
                    _each_in_a_process(size, shape, (given.keep or Path(scratch)) / name, given.rules)


def _each_in_a_process(size: int, shape: str, trace: Path, by_rule: bool) -> None:
    steps = [] if (trace / "run.json").exists() else ["make"]
    for step in [*steps, "stages", "all"]:
        command = [sys.executable, __file__, "--only", step, "--shape", shape, "--trace", str(trace), str(size)]
        subprocess.run([*command, *(["--rules"] if by_rule else [])], check=True)


if __name__ == "__main__":
    main()
