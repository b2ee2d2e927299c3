"""The relaxed order of a run: what is ordered, what isn't, who is who, and that nobody waits in a circle."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from ipctrace.analysis.contests import contests
from ipctrace.analysis.relaxed import Relaxed, Step, relaxed
from ipctrace.analysis.run import Run
from ipctrace.tracer.schema import Trace

from .builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace


def needs(order: Relaxed, event: int) -> list[tuple[str, int]]:
    """What a step waits for: (lineage, the event that it waits for)."""
    (step,) = (step for step in order.steps if step.event == event)
    awaited = [(order.names[unit], order.at(unit, position)) for unit, position in step.needs]
    return [(name, found.event) for name, found in awaited if found is not None]


def test_a_read_waits_for_the_write_that_came_before_its_end() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    reading = build.begin(child, "os.read", fd=pipe.reader, size=32)
    writing = build.write(parent, pipe.writer, b"Spam")
    build.end(reading, data=b"Spam")
    order = relaxed(Run(build.trace()))
    assert needs(order, reading) == [("0", writing)]
    assert needs(order, writing) == []  # the read had only begun


def test_a_write_waits_for_a_read_that_had_ended() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.write(parent, pipe.writer, b"one")
    reading = build.read(child, pipe.reader, b"one")
    second = build.write(parent, pipe.writer, b"two")
    assert needs(relaxed(Run(build.trace())), second) == [("0-1", reading)]


def test_a_write_that_a_read_could_have_got_and_did_not_waits_for_it() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.write(parent, pipe.writer, b"one")
    reading = build.begin(child, "os.read", fd=pipe.reader, size=32)
    second = build.begin(parent, "os.write", fd=pipe.writer, size=3, data=b"two")
    build.end(reading, data=b"one")
    build.end(second, result=3)
    build.read(child, pipe.reader, b"two")
    assert needs(relaxed(Run(build.trace())), second) == [("0-1", reading)]


def test_a_write_need_not_wait_for_a_read_that_had_no_room_for_it() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.write(parent, pipe.writer, b"one")
    reading = build.begin(child, "os.read", fd=pipe.reader, size=3)
    second = build.begin(parent, "os.write", fd=pipe.writer, size=3, data=b"two")
    build.end(reading, data=b"one")
    build.end(second, result=3)
    build.read(child, pipe.reader, b"two")
    assert needs(relaxed(Run(build.trace())), second) == []


def test_an_item_that_its_feeder_did_not_find_was_put_after_it_had_begun_to_wait() -> None:
    build = TraceBuilder()
    parent = build.process("puts.py")
    starting = build.begin(parent, "Thread.start")
    feeder = build.thread(0, "QueueFeederThread")
    build.end(starting)
    queue = build.object(0, "queue")
    build.call(parent, "multiprocessing.Queue.put", channel=queue)
    putting = build.begin(parent, "multiprocessing.Queue.put", channel=queue)
    build.call(feeder, "multiprocessing.Queue.feed", channel=queue)
    waiting = build.begin(feeder, "multiprocessing.Queue.next", channel=queue)
    build.end(putting)
    build.end(waiting, result=1)
    assert ("0.1", waiting) in needs(relaxed(Run(build.trace())), putting)


def test_a_signal_waits_until_its_target_has_come_as_far_as_it_had() -> None:
    build = TraceBuilder()
    parent = build.process("kills.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    taken = build.write(child, pipe.writer, b"done")
    kill = build.call(parent, "os.kill", size=build.rows["processes"][1]["pid"], extra=15)
    build.read(parent, pipe.reader, b"done")
    build.exit(child, -15)
    order = relaxed(Run(build.trace()))
    assert needs(order, kill) == [("0-1", taken)]
    (last,) = order.killed
    killed = order.at(*last.killed)
    assert (last.place.lineage, last.place.op, killed and killed.event) == ("0-1", "os.write", kill)


@pytest.mark.parametrize("lives", [True, False])
def test_a_process_that_a_signal_still_found_is_not_over_before_it(lives: bool) -> None:
    build = TraceBuilder()
    parent = build.process("kills.py")
    child = build.fork(parent)
    leaving = build.begin(child, "os._exit", size=0)
    if not lives:
        build.exit(child, 0)
    kill = build.call(parent, "os.kill", size=build.rows["processes"][1]["pid"], extra=15)
    if lives:
        build.exit(child, 0)
    assert needs(relaxed(Run(build.trace())), leaving) == ([("0", kill)] if lives else [])


def test_of_two_writers_the_second_waits_for_the_first() -> None:
    build = TraceBuilder()
    parent = build.process("two.py")
    pipe = build.pipe(parent)
    first, second = build.fork(parent), build.fork(parent)
    one = build.write(second, pipe.writer, b"body")
    two = build.write(first, pipe.writer, b"head")
    order = relaxed(Run(build.trace()))
    assert needs(order, two) == [("0-2", one)]
    assert needs(order, one) == []


def test_what_one_thread_alone_uses_is_in_no_order() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe, own = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    build.write(parent, own.writer, b"mine")
    build.write(child, pipe.writer, b"yours")
    assert relaxed(Run(build.trace())).steps == []


def test_a_notice_waits_until_the_waiter_has_begun_to_wait() -> None:
    build = TraceBuilder()
    main = build.process("told.py")
    starting = build.begin(main, "Thread.start")
    worker = build.thread(0, "worker")
    build.end(starting)
    condition = build.object(0, "condition")
    waiting = build.begin(main, "Condition.wait", channel=condition)
    notice = build.call(worker, "Condition.notify", channel=condition)
    build.end(waiting, result=1)
    order = relaxed(Run(build.trace()))
    assert needs(order, notice) == [("0", waiting)]
    assert needs(order, waiting) == []


def test_a_check_waits_for_the_act_that_came_before_it() -> None:
    build = TraceBuilder()
    parent = build.process("check.py")
    child = build.fork(parent)
    acting = build.call(parent, "os.mkdir", data=b"taken")
    looking = build.call(child, "os.stat", data=b"/work/taken")
    again = build.call(child, "os.stat", data=b"taken")
    order = relaxed(Run(build.trace()))
    assert needs(order, looking) == [("0", acting)]
    assert needs(order, again) == []  # it has waited before


def test_two_looks_are_in_no_order() -> None:
    build = TraceBuilder()
    parent = build.process("look.py")
    child = build.fork(parent)
    build.call(parent, "os.stat", data=b"file")
    build.call(child, "os.stat", data=b"file")
    assert relaxed(Run(build.trace())).steps == []


def test_lineages_are_by_who_started_whom_and_not_by_time_or_number() -> None:
    build = TraceBuilder()
    main = build.process("tree.py")
    starting = build.begin(main, "Thread.start")
    worker = build.thread(0, "worker")
    build.end(starting)
    pipe = build.pipe(main)
    of_worker = build.fork(worker)
    of_main = build.fork(main)
    grandchild = build.fork(of_main)
    writers = (main, worker, of_worker, of_main, grandchild)
    events = [build.write(thread, pipe.writer, b"x") for thread in writers]
    steps = {step.event: step for step in relaxed(Run(build.trace())).steps}
    assert [steps[event].place.lineage for event in events] == ["0", "0.1", "0.1-1", "0-1", "0-1-1"]


def test_the_same_call_at_the_same_line_is_told_apart_by_its_number() -> None:
    build = TraceBuilder()
    parent = build.process("ask.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    site = build.site("ask.py", 3, "os.write(w, b'x')")
    for _ in range(3):
        build.write(parent, pipe.writer, b"x", site=site)
    build.read(child, pipe.reader, b"xxx")
    places = [step.place for step in relaxed(Run(build.trace())).steps if step.place.op == "os.write"]
    assert [(place.line, place.number) for place in places] == [(3, 0), (3, 1), (3, 2)]


def stuck(order: Relaxed) -> list[Step]:
    """The steps that never come if every thread does its own in order, each as soon as what it needs is there."""
    waiting: dict[int, list[tuple[int, bool, Step]]] = {}
    for step in order.steps:
        own = waiting.setdefault(step.unit, [])
        own.append((step.begin, True, step))
        if step.end:
            own.append((step.end, False, step))
    for own in waiting.values():
        own.sort(key=lambda node: node[0])
    reached = dict.fromkeys(waiting, 0)
    moved = True
    while moved:
        moved = False
        for unit, own in waiting.items():
            while own:
                position, begins, step = own[0]
                if begins and any(reached.get(other, 0) < needed for other, needed in step.needs):
                    break
                reached[unit] = position
                own.pop(0)
                moved = True
    return [own[0][2] for own in waiting.values() if own]


@pytest.mark.parametrize("trace", [completed_trace(), deadlock_trace(), big_trace(2000)])
def test_nobody_waits_in_a_circle(trace: Trace) -> None:
    order = relaxed(Run(trace))
    assert stuck(order) == []


@settings(max_examples=60)
@given(some.lists(some.tuples(some.integers(0, 3), some.integers(0, 2), some.integers(0, 4)), max_size=60))
def test_nobody_waits_in_a_circle_whatever_they_do(story: list[tuple[int, int, int]]) -> None:
    build = TraceBuilder()
    main = build.process("story.py")
    pipes = [build.pipe(main) for _ in range(3)]
    threads = [main, *(build.fork(main) for _ in range(3))]
    lock = build.object(None, "lock")
    inside: dict[int, int] = {}
    for who, where, what in story:
        thread, pipe = threads[who], pipes[where]
        if thread in inside:
            build.end(inside.pop(thread), data=b"x")
        elif what == 0:
            inside[thread] = build.begin(thread, "os.read", fd=pipe.reader, size=8)
        elif what == 1:
            inside[thread] = build.begin(thread, "os.write", fd=pipe.writer, size=1)
        elif what == 2:
            build.call(thread, "multiprocessing.Lock.acquire", channel=lock, result=1)
        elif what == 3:
            build.call(thread, "multiprocessing.Lock.release", channel=lock)
        else:
            build.write(thread, pipe.writer, b"x")
        build.after(MS)
    assert stuck(relaxed(Run(build.trace()))) == []


def test_contests_are_what_luck_put_in_order() -> None:
    build = TraceBuilder()
    parent = build.process("two.py")
    pipe = build.pipe(parent)
    build.write(parent, pipe.writer, b"first of all")
    first, second = build.fork(parent), build.fork(parent)
    build.write(first, pipe.writer, b"head")
    build.write(second, pipe.writer, b"body")
    found = [(each.first.lineage, each.second.lineage) for each in contests(Run(build.trace()))]
    assert found == [("0-1", "0-2")]  # what came before the forks can't come later


def test_a_fork_comes_between_what_its_locks_go_through() -> None:
    build = TraceBuilder()
    main = build.process("fork.py")
    starting = build.begin(main, "Thread.start")
    worker = build.thread(0, "worker")
    build.end(starting)
    lock = build.object(0, "lock")
    taken = build.call(worker, "Lock.acquire", channel=lock, result=1)
    child = build.fork(main)
    given = build.call(worker, "Lock.release", channel=lock)
    trace = build.trace()
    trace.facts["order"] = {"mode": "recorded"}
    order = relaxed(Run(trace))
    (forked,) = (step for step in order.steps if step.place.op == "os.fork")
    assert child
    assert needs(order, forked.event) == [("0.1", taken)]
    assert needs(order, given) == [("0", forked.event)]
