"""What happened before what, what raced, and that vector clocks are the transitive closure."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from ipctrace.analysis.causality import Causality
from ipctrace.analysis.run import Run
from ipctrace.analysis.timeline import Nodes
from ipctrace.tracer.schema import Trace

from .builders import MS, Pipe, TraceBuilder, big_trace, completed_trace, deadlock_trace
from .recorded import record


def kinds(run: Run) -> dict[str, list[tuple[int, int]]]:
    """The edges of a run by kind."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row in run.edges.itertuples():
        found.setdefault(row.kind, []).append((row.before_event, row.after_event))
    return found


class Story:
    """A random run: threads of two or three processes that write, read, lock, start and end each other."""

    def __init__(self) -> None:
        self.build = TraceBuilder()
        first = self.build.process("story.py")
        self.pipes = [self.build.pipe(first) for _ in range(3)]
        self.lock, self.queue = self.build.object(0, "lock"), self.build.object(0, "queue")
        self.home = [first, self.build.thread(0, "second")]  # threads of the first process
        self.threads = self.home.copy()
        self.lying: dict[int, list[bytes]] = {pipe.channel: [] for pipe in self.pipes}
        self.reading: dict[int, tuple[Pipe, int]] = {}
        self.held: int | None = None
        self.wanting: dict[int, int] = {}
        self.items = 0
        self.number = 0

    def step(self, action: int, who: int, what: int) -> None:
        build, thread, pipe = self.build, self.threads[who % len(self.threads)], self.pipes[what % 3]
        free = len(self.threads) - len(self.reading) - len(self.wanting)
        if thread in self.reading:
            self.answer(thread)
        elif thread in self.wanting:
            if self.held is None:
                build.end(self.wanting.pop(thread), result=1)
                self.held = thread
        elif action == 0 and len(self.threads) < 6:
            self.threads.append(build.fork(thread) if what % 2 else build.thread(0, f"worker {len(self.threads)}"))
            if not what % 2:
                self.home.append(self.threads[-1])
        elif self.held == thread and (free < 2 or action == 1):
            self.held = None
            build.call(thread, "Lock.release", channel=self.lock)
        elif action == 1 and thread in self.home and free > 1:
            self.wanting[thread] = build.begin(thread, "Lock.acquire", channel=self.lock)
        elif action == 2 and thread in self.home:
            taken = what % 2 and self.items
            build.call(thread, "Queue.get" if taken else "Queue.put", channel=self.queue)
            self.items += -1 if taken else 1
        elif (
            action == 4
            and (free > 1 or self.lying[pipe.channel])
            and all(pipe is not p for p, _ in self.reading.values())
        ):
            self.reading[thread] = pipe, build.begin(thread, "os.read", fd=pipe.reader, size=4)
        else:
            self.number += 1
            data = b"%04d" % self.number
            build.write(thread, pipe.writer, data)
            self.lying[pipe.channel].append(data)

    def answer(self, thread: int) -> None:
        pipe, event = self.reading[thread]
        if self.lying[pipe.channel]:
            del self.reading[thread]
            self.build.end(event, self.lying[pipe.channel].pop(0))

    def trace(self) -> Trace:
        return self.build.trace(ended="duration")


def story(seed: int, steps: int) -> Trace:
    """A random run of so many steps."""
    told, random = Story(), np.random.default_rng(seed)
    for action, who, what in zip(
        random.choice([0, 1, 2, 3, 3, 4, 4], steps), *random.integers(0, 6, (2, steps)), strict=True
    ):
        told.step(int(action), int(who), int(what))
    return told.trace()


stories = some.builds(story, some.integers(0, 10**6), some.integers(0, 70))


def closure(run: Run) -> np.ndarray:
    """Which node (2 · event, + 1 for its end) comes before which: step by step, and then on and on."""
    events = run.events
    count = len(events)
    never = np.iinfo("int64").max
    reached = np.eye(2 * count, dtype=bool)
    for thread in np.unique(events.thread).tolist():
        own = np.flatnonzero(events.thread == thread).tolist()
        nodes = [(int(events.enter[e]), 0, e, 2 * e) for e in own]
        nodes += [(int(events.exit[e]), 1, -e, 2 * e + 1) for e in own if events.exit[e] != never]
        line = [node for *_, node in sorted(nodes)] + [2 * e + 1 for e in own[::-1] if events.exit[e] == never]
        for one, two in pairwise(line):
            reached[one, two] = True
    for row in run.edges.itertuples():
        reached[2 * row.before_event + row.before_end, 2 * row.after_event + row.after_end] = True
    for between in range(2 * count):
        reached |= np.outer(reached[:, between], reached[between])
    return reached


@settings(max_examples=30)
@given(stories)
def test_clocks_are_the_transitive_closure(trace: Trace) -> None:
    run = Run(trace)
    causality, reached = run.causality, closure(run)
    count = len(run.events)
    nodes = np.arange(2 * count)
    one, two = np.repeat(nodes, 2 * count), np.tile(nodes, 2 * count)
    unmarked, narrow = Causality(run), Causality(run, Nodes(nodes[:count], nodes[:count] % 2 == 1))
    narrow.__dict__.update(_roomy=False, _width=1)  # as with more threads than memory has room for
    for each in (causality, unmarked, narrow):
        found = each.reaches(Nodes(one // 2, one % 2 == 1), Nodes(two // 2, two % 2 == 1))
        assert (found.reshape(2 * count, 2 * count) == reached).all()


@settings(max_examples=15)
@given(stories)
def test_logical_numbers_grow_along_every_order(trace: Trace) -> None:
    run = Run(trace)
    causality, logical = run.causality, run.causality.logical
    moment = causality.moment(np.arange(len(run.events)))
    node = 2 * moment.event + moment.end
    before = closure(run)[np.ix_(node, node)]
    np.fill_diagonal(before, False)
    highest = np.where(before, logical.to_numpy()[:, None], 0).max(axis=0, initial=0)
    assert (logical == highest + 1).all(), "one above the highest before it"


@settings(max_examples=8)
@given(stories)
def test_order_is_a_partial_order_that_time_agrees_with(trace: Trace) -> None:
    run = Run(trace)
    count = len(run.events)
    for one in range(count):
        assert run.causality.order(one, one) == "same"
        for two in range(one):
            order = run.causality.order(one, two)
            mirrored = {"before": "after", "after": "before", "concurrent": "concurrent"}
            assert run.causality.order(two, one) == mirrored[order]
            assert run.causality.happens_before(one, two) == (order == "before")


@settings(max_examples=15)
@given(stories)
def test_what_races_is_concurrent_and_what_does_not_race_is_ordered(trace: Trace) -> None:
    run = Run(trace)
    reached, pairs = closure(run), run.contested
    raced = {(row.first, row.second) for row in run.races.itertuples()}
    for first, second, send in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.sends.tolist(), strict=True):
        assert ((first, second) in raced) == (not reached[2 * first + (not send), 2 * second])


# What makes an order


def family() -> tuple[TraceBuilder, int, int, Pipe, Pipe]:
    """A parent and a child with a pipe each way."""
    build = TraceBuilder()
    parent = build.process("ask.py")
    down, up = build.pipe(parent), build.pipe(parent)
    return build, parent, build.fork(parent), down, up


def test_a_write_is_before_the_read_of_its_bytes_and_what_came_meanwhile_is_concurrent() -> None:
    build, parent, child, down, _ = family()
    early = build.sleep(child, MS)
    waiting = build.begin(child, "os.read", fd=down.reader, size=8)
    write = build.write(parent, down.writer, b"x")
    build.end(waiting, b"x")
    late = build.sleep(parent, MS)
    causality = Run(build.trace()).causality
    assert causality.order(write, waiting) == "before"
    assert causality.order(waiting, write) == "after"
    assert causality.order(early, write) == "concurrent"
    assert causality.order(waiting, late) == "concurrent", "the clock says before, the data doesn't"
    assert causality.clock(waiting) == {parent: write, child: waiting}


def test_fork_and_wait_order_all_of_a_child() -> None:
    build, parent, child, *_ = family()
    fork = 2
    inside = build.sleep(child, MS)
    build.exit(child)
    wait = build.call(parent, "os.waitpid", size=-1, result=47111)
    run = Run(build.trace())
    assert kinds(run) == {"fork": [(fork, inside)], "exit": [(inside, wait)]}
    assert run.causality.order(fork, inside) == "before"
    assert run.causality.order(inside, wait) == "before"


def test_start_and_join_order_all_of_a_thread() -> None:
    build = TraceBuilder()
    main = build.process("threads.py")
    start = build.begin(main, "Thread.start", size=0)
    worker = build.thread(0, "worker")
    build.end(start)
    inside = build.sleep(worker, MS)
    build.end_thread(worker)
    join = build.call(main, "Thread.join", size=48110)
    causality = Run(build.trace()).causality
    assert causality.order(start, inside) == "before"
    assert causality.order(inside, join) == "before"


def test_a_release_is_before_the_next_acquire_and_not_before_an_earlier_one() -> None:
    build = TraceBuilder()
    main = build.process("locks.py")
    worker = build.thread(0, "worker")
    lock = build.object(0, "lock")
    first = build.call(main, "Lock.acquire", channel=lock)
    wanting = build.begin(worker, "Lock.acquire", channel=lock)
    release = build.call(main, "Lock.release", channel=lock)
    build.end(wanting, result=1)
    causality = Run(build.trace()).causality
    assert causality.order(release, wanting) == "before"
    assert causality.order(first, wanting) == "before"


def test_shared_locks_of_a_file_order_nothing() -> None:
    build = TraceBuilder()
    main = build.process("files.py")
    other = build.fork(main)
    file = build.channel("file", path="/work/x")
    for thread in (main, other):
        build.call(thread, "fcntl.flock", channel=file, size=1)
        build.call(thread, "fcntl.flock unlock", channel=file)
    assert "lock" not in kinds(Run(build.trace()))


def test_the_nth_item_got_comes_after_n_were_put() -> None:
    build = TraceBuilder()
    main = build.process("queues.py")
    one, two = build.thread(0, "one"), build.thread(0, "two")
    queue = build.object(0, "queue")
    first = build.call(main, "Queue.put", channel=queue)
    second = build.call(one, "Queue.put", channel=queue)
    a = build.call(two, "Queue.get", channel=queue)
    b = build.call(two, "Queue.get", channel=queue)
    assert kinds(Run(build.trace()))["item"] == [(first, b), (second, b)], f"whose item {a} got nobody knows"


def test_a_put_into_a_full_queue_comes_after_the_get_that_made_room() -> None:
    build = TraceBuilder()
    main = build.process("queues.py")
    worker = build.thread(0, "worker")
    queue = build.object(0, "queue", capacity=1)
    one = build.call(main, "Queue.put", channel=queue)
    two = build.begin(main, "Queue.put", channel=queue)
    get = build.call(worker, "Queue.get", channel=queue)
    build.end(two)
    assert set(kinds(Run(build.trace()))["item"]) == {(one, get), (get, two)}


def test_nobody_gets_past_a_barrier_before_the_last_has_come() -> None:
    build = TraceBuilder()
    main = build.process("barrier.py")
    worker = build.thread(0, "worker")
    barrier = build.object(0, "barrier", capacity=2)
    before = build.sleep(main, MS)
    waiting = build.begin(worker, "Barrier.wait", channel=barrier)
    last = build.call(main, "Barrier.wait", channel=barrier)
    build.end(waiting)
    after = build.sleep(worker, MS)
    causality = Run(build.trace()).causality
    assert causality.order(before, after) == "before"
    assert causality.order(waiting, last) == "concurrent"


def test_a_signal_is_before_its_handler() -> None:
    build, parent, child, *_ = family()
    pause = build.begin(parent, "signal.pause")
    kill = build.call(child, "os.kill", size=47110, extra=10)
    handler = build.call(parent, "signal handler", size=10)
    build.end(pause)
    causality = Run(build.trace()).causality
    assert causality.order(kill, handler) == "before"
    assert causality.order(kill, pause) == "before"


def test_who_told_is_before_who_was_told_and_of_two_who_can_have_none() -> None:
    build = TraceBuilder()
    main = build.process("events.py")
    one, two = build.thread(0, "one"), build.thread(0, "two")
    lone, crowd = build.object(0, "event"), build.object(0, "event")
    waiting = build.begin(main, "Event.wait", channel=lone)
    told = build.call(one, "Event.set", channel=lone)
    build.end(waiting, result=1)
    doubtful = build.begin(main, "Event.wait", channel=crowd)
    build.call(one, "Event.set", channel=crowd)
    build.call(two, "Event.set", channel=crowd)
    build.end(doubtful, result=1)
    assert kinds(Run(build.trace()))["notice"] == [(told, waiting)]


def test_end_of_file_comes_after_every_close() -> None:
    build, parent, child, down, _ = family()
    own = build.call(child, "os.close", fd=down.writer, channel=down.channel)
    waiting = build.begin(child, "os.read", fd=down.reader, size=8)
    build.close(parent, down.writer)
    close = waiting + 1
    build.end(waiting, b"")
    assert kinds(Run(build.trace()))["close"] == [(close, waiting)], f"{own} is its own"


def test_a_long_write_ends_after_the_read_that_made_room() -> None:
    build, parent, child, down, _ = family()
    size = 65536 + 4
    write = build.begin(parent, "os.write", b"x" * size, fd=down.writer, size=size)
    read = build.read(child, down.reader, b"x" * 4, 4)
    build.end(write, result=size)
    rest = build.read(child, down.reader, b"x" * 65536, 65536)
    after = build.sleep(parent, MS)
    run = Run(build.trace())
    assert kinds(run)["room"] == [(read, write)]
    assert run.causality.order(rest, after) == "concurrent"


# Races


def test_prints_of_two_that_nothing_orders_race_and_both_orders_are_told() -> None:
    build, parent, child, down, _ = family()
    mine, other = build.site("/work/a.py", 1, "os.write(1, b'a')"), build.site("/work/b.py", 2, "os.write(1, b'b')")
    one = build.write(parent, down.writer, b"a", site=mine)
    two = build.write(child, down.writer, b"b", site=other)
    reader = build.read(parent, down.reader, b"a")
    build.read(parent, down.reader, b"b")
    [row] = Run(build.trace()).races.itertuples()
    assert (row.kind, row.channel, row.first, row.second, row.other) == ("send", down.channel, one, two, reader)
    assert (row.first_site, row.second_site, row.count) == (mine, other, 1)


def test_question_and_answer_do_not_race_on_one_channel() -> None:
    build, parent, child, down, up = family()
    build.write(parent, down.writer, b"a")
    build.read(child, down.reader, b"a")
    build.write(child, down.writer, b"b")
    build.read(parent, down.reader, b"b")
    build.write(child, up.writer, b"c")
    build.read(parent, up.reader, b"c")
    build.write(parent, up.writer, b"d")
    build.read(child, up.reader, b"d")
    assert Run(build.trace()).races["kind"].tolist().count("send") == 0


def test_two_readers_of_one_pipe_race() -> None:
    build, parent, child, down, _ = family()
    a = build.begin(parent, "os.read", fd=down.reader, size=1)
    b = build.begin(child, "os.read", fd=down.reader, size=1)
    writer = build.fork(parent)
    build.write(writer, down.writer, b"x")
    build.end(a, b"x")
    build.write(writer, down.writer, b"y")
    build.end(b, b"y")
    [row] = Run(build.trace()).races.itertuples()
    assert (row.kind, row.first, row.second) == ("receive", a, b)


def test_all_races_are_counted_and_the_first_are_listed() -> None:
    build, parent, child, down, _ = family()
    for _ in range(100):
        build.write(parent, down.writer, b"a")
        build.write(child, down.writer, b"b")
        build.read(parent, down.reader, b"ab", 2)
    races = Run(build.trace()).races
    sends = races[races["kind"] == "send"]
    assert len(sends) == 100
    assert set(sends["count"]) < set(range(100, 200)), "a read of both orders what the reader does next"


@pytest.mark.parametrize("trace", [deadlock_trace(), completed_trace(), big_trace(300)])
def test_one_writer_and_one_reader_never_race(trace: Trace) -> None:
    assert len(Run(trace).races) == 0


def test_an_empty_trace_has_no_order_to_tell() -> None:
    build = TraceBuilder()
    build.process("nothing.py")
    run = Run(build.trace())
    assert not len(run.edges) and not len(run.races) and not len(run.causality.logical)


# Real programs

TWO_WRITERS = """
import os, sys
reader, writer = os.pipe()
turn, done = os.pipe()
for number in range(2):
    if not os.fork():
        if number and len(sys.argv) > 1:
            os.read(turn, 1)
        os.write(writer, b"%d" % number)
        os.write(done, b"!")
        os._exit(0)
os.close(writer)
got = os.read(reader, 1) + os.read(reader, 1)
os.wait(), os.wait()
"""


@pytest.mark.parametrize("arguments, sends", [((), 1), (("in turn",), 0)])
def test_two_writers_race_unless_one_waits_for_the_other(
    tmp_path: Path, arguments: tuple[str, ...], sends: int
) -> None:
    program = tmp_path / "writers.py"
    program.write_text(TWO_WRITERS)
    run = Run(record(tmp_path, program, *arguments).run.trace)
    shared = run.contested.channel[run.contested.sends]
    raced = run.races[(run.races["kind"] == "send") & (run.races["channel"] == shared.min())]
    assert len(raced) == sends
    if sends:
        assert set(raced.iloc[0][["first_site", "second_site"]]) == {run.events.site[raced.iloc[0]["first"]]}


THREADS = """
import queue, threading
items, told, meeting = queue.Queue(), threading.Event(), threading.Barrier(2)

def work():
    items.get()
    told.set()
    meeting.wait()

worker = threading.Thread(target=work)
worker.start()
items.put("something")
told.wait()
meeting.wait()
worker.join()
"""


def test_a_queue_an_event_a_barrier_and_a_join_order_real_threads(tmp_path: Path) -> None:
    program = tmp_path / "threads.py"
    program.write_text(THREADS)
    run = Run(record(tmp_path, program).run.trace)
    event = {str(op): k for k, op in enumerate(run.trace.events["op"])}
    order = run.causality.order
    assert order(event["Thread.start"], event["Queue.get"]) == "before"
    assert order(event["Queue.put"], event["Queue.get"]) == "before"
    assert order(event["Event.set"], event["Event.wait"]) == "before"
    assert order(event["Event.set"], event["Thread.join"]) == "before"
    meetings = np.flatnonzero(run.events.is_op("Barrier.wait")).tolist()
    assert order(*meetings) == "concurrent"
    assert order(event["Queue.put"], event["Thread.join"]) == "before"
