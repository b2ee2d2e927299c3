"""Who can't go on: every way out that there may be is looked for before a deadlock is said."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze, is_deadlock
from ipctrace.analysis.results import Analysis

from .builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace, lucky_trace


def crossed(build: TraceBuilder) -> tuple[int, int]:
    """Parent and child, each reading a pipe that only the other can write; neither has begun to wait."""
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    build.close(parent, down.reader, up.writer)
    build.close(child, down.writer, up.reader)
    return parent, child


def wait_for_each_other(build: TraceBuilder, parent: int, child: int) -> None:
    build.begin(parent, "os.read", fd=5, size=10)
    build.begin(child, "os.read", fd=3, size=10)


def hung(build: TraceBuilder, looks: int = 2) -> Analysis:
    build.after(2000 * MS)
    build.look(times=looks)
    return analyze(build.trace(ended="duration"))


def test_a_cycle_of_two_reads_is_proven() -> None:
    build = TraceBuilder()
    wait_for_each_other(build, *crossed(build))
    analysis = hung(build)
    assert (analysis.verdict.name, analysis.verdict.certainty) == ("deadlock", "proven")
    assert analysis.graph is not None
    assert [waiter.role for waiter in analysis.graph.waiters] == ["core", "core"]
    assert {(edge.waiter, edge.holder) for edge in analysis.graph.edges} == {(0, 1), (1, 0)}


@pytest.mark.parametrize("looks", [0, 1])
def test_less_than_two_looks_prove_nothing(looks: int) -> None:
    build = TraceBuilder()
    wait_for_each_other(build, *crossed(build))
    assert hung(build, looks).verdict.name == "stalled"


def test_a_wait_that_began_between_the_looks_is_not_proven() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.begin(parent, "os.read", fd=5, size=10)
    build.look()
    build.begin(child, "os.read", fd=3, size=10)
    build.look()
    assert not is_deadlock(build.trace(ended="duration"))


def test_a_system_call_other_than_the_open_event_is_no_wait() -> None:
    build = TraceBuilder()
    wait_for_each_other(build, *crossed(build))
    build.look(times=2)
    for row in build.rows["looks"]:
        row["syscall"] = "futex"
    assert not is_deadlock(build.trace(ended="duration"))


def test_another_process_that_holds_the_end_and_sleeps_is_a_way_out() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    child, third = build.fork(parent), build.fork(parent)
    build.close(parent, down.reader, up.writer)
    build.close(child, down.writer, up.reader)
    build.begin(third, "time.sleep", size=10**9)
    wait_for_each_other(build, parent, child)
    build.look(times=2)
    assert not is_deadlock(build.trace(ended="duration"))


def test_bytes_that_lie_in_the_pipe_are_a_way_out() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.write(parent, 4, b"here")
    wait_for_each_other(build, parent, child)
    build.look(times=2)
    assert not is_deadlock(build.trace(ended="duration"))


def test_a_thread_that_waits_for_itself_is_a_core_of_one() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.begin(parent, "os.read", fd=pipe.reader, size=10)
    analysis = hung(build)
    assert analysis.verdict.name == "deadlock"
    assert analysis.graph is not None and len(analysis.graph.waiters) == 1


@pytest.mark.parametrize(
    ("call", "verdict"),
    [({"syscall": "read", "fd": 3}, "deadlock"), ({}, "interrupted"), ({"syscall": "poll"}, "interrupted")],
)
def test_a_member_that_is_not_traced_counts_by_what_proc_shows(call: dict[str, object], verdict: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    down, up = build.pipe(parent), build.pipe(parent)
    build.fork(parent, "sort", traced=False, op="fork_exec", keep=(down.reader, up.writer), **call)
    build.close(parent, down.reader, up.writer)
    build.begin(parent, "os.read", fd=up.reader, size=10)
    assert hung(build).verdict.name == verdict


def test_an_end_held_outside_the_run_is_a_way_out() -> None:
    build = TraceBuilder()
    wait_for_each_other(build, *crossed(build))
    build.look(times=2)
    build.stranger(3, "w")
    assert not is_deadlock(build.trace(ended="duration"))


def test_an_end_that_nobody_can_be_seen_to_hold_is_in_flight() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.close(parent, pipe.writer)
    build.begin(parent, "os.read", fd=pipe.reader, size=10)
    assert hung(build).verdict.name == "stalled"


@pytest.mark.parametrize("kind", ["socket", "fifo"])
def test_what_waits_where_ipctrace_cannot_see_is_stalled(kind: str) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    fd = build.hold(parent, build.channel(kind), "rw")
    build.begin(parent, "os.read", fd=fd, size=10)
    verdict = hung(build).verdict
    assert verdict.name == "stalled"
    assert "may yet" in verdict.headline and "cannot see" in verdict.headline


def test_who_waits_for_the_terminal_waits_for_a_person() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    build.begin(parent, "os.read", fd=0, size=10)
    assert hung(build).verdict.name == "interrupted"


def test_a_stopped_process_may_be_continued() -> None:
    build = TraceBuilder()
    wait_for_each_other(build, *crossed(build))
    build.after(2000 * MS)
    build.look(times=2)
    for row in build.rows["looks"][1::2]:
        row["state"] = "T"
    verdict = analyze(build.trace(ended="duration")).verdict
    assert verdict.name == "stalled" and "is stopped" in verdict.headline


def heartbeat(build: TraceBuilder, rounds: int, pipe_end: int | None = None) -> Analysis:
    """The cycle after one exchange of bytes, with a thread in the parent that only writes dots to the terminal."""
    parent, child = crossed(build)
    build.write(parent, 4, b"hello")
    build.read(child, 3, b"hello")
    build.write(child, 6, b"hello")
    build.read(parent, 5, b"hello")
    tick = build.thread(0, "logger")
    if pipe_end is not None:
        build.write(tick, pipe_end, b"tick")
        build.read(child, 3, b"tick")
    pause, dot = build.site("a.py", 1, "time.sleep(0.3)"), build.site("a.py", 2, "os.write(2, b'.')")
    wait_for_each_other(build, parent, child)
    for _ in range(rounds):
        build.sleep(tick, 300 * MS, pause)
        build.write(tick, 2, b".", dot)
    build.begin(tick, "time.sleep", size=300 * MS, site=pause)
    build.look(times=2)
    return analyze(build.trace(ended="duration"))


def test_a_heartbeat_in_a_member_makes_the_knot_likely_and_says_so() -> None:
    analysis = heartbeat(TraceBuilder(), 8)
    assert (analysis.verdict.name, analysis.verdict.certainty) == ("deadlock", "likely")
    assert "parent/logger" in analysis.verdict.because
    assert analysis.graph is not None
    bystander = analysis.graph.waiters[-1]
    assert bystander.role == "bystander" and "only ever used the terminal" in bystander.evidence
    assert is_deadlock(analysis.trace)


def test_a_few_rounds_are_not_enough() -> None:
    assert heartbeat(TraceBuilder(), 4).verdict.name == "stalled"


def test_a_heartbeat_that_has_used_the_pipe_before_is_a_way_out() -> None:
    assert heartbeat(TraceBuilder(), 8, pipe_end=4).verdict.name == "interrupted"


def test_a_loop_in_the_only_thread_that_could_answer_is_a_way_out() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.begin(parent, "os.read", fd=5, size=10)
    pause = build.site("a.py", 1, "time.sleep(0.3)")
    for _ in range(10):
        build.sleep(child, 300 * MS, pause)
    build.begin(child, "time.sleep", size=300 * MS, site=pause)
    build.look(times=2)
    assert not is_deadlock(build.trace(ended="duration"))


def test_somebody_else_who_lives_could_end_it_by_a_signal() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    other = build.fork(parent, "other.py")
    build.close(other, 4, 5)
    build.begin(parent, "os.read", fd=5, size=10)
    build.begin(child, "os.read", fd=3, size=10)
    build.begin(other, "time.sleep", size=10**10)
    verdict = hung(build).verdict
    assert verdict.name == "stalled"
    assert verdict.headline.endswith("other lives, and might send one.")


def test_waiting_for_a_child_that_waits_for_its_parent_is_a_cycle() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.begin(parent, "os.waitpid", size=47111)
    build.begin(child, "os.read", fd=3, size=10)
    analysis = hung(build)
    assert analysis.verdict.name == "deadlock"
    assert analysis.findings[0].rule == "IPC109"


def test_waiting_for_a_child_that_runs_or_has_ended_is_no_cycle() -> None:
    for ended in (False, True):
        build = TraceBuilder()
        parent, child = crossed(build)
        if ended:
            build.exit(child)
        build.begin(parent, "os.waitpid", size=47111)
        build.look(times=2)
        assert not is_deadlock(build.trace(ended="duration"))


@pytest.mark.parametrize(("stuck", "expected"), [(True, True), (False, False)])
def test_a_join_is_as_dead_as_the_thread_that_it_waits_for(stuck: bool, expected: bool) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    worker = build.thread(0, "worker")
    if stuck:
        build.begin(worker, "os.read", fd=pipe.reader, size=10)
    else:
        build.begin(worker, "time.sleep", size=10**9)
    build.begin(parent, "Thread.join", size=48110)
    build.look(times=2)
    assert is_deadlock(build.trace(ended="duration")) is expected


def test_who_waits_behind_the_knot_is_a_victim() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    out = build.pipe(parent)
    down, up = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    build.fork(parent, "cat", traced=False, op="fork_exec", keep=(out.reader,), syscall="read", fd=out.reader)
    build.close(parent, out.reader, down.reader, up.writer)
    build.close(child, out.reader, out.writer, down.writer, up.reader)
    build.begin(parent, "os.read", fd=up.reader, size=10)
    build.begin(child, "os.read", fd=down.reader, size=10)
    analysis = hung(build)
    assert analysis.graph is not None
    roles = {analysis.process_names[waiter.process]: waiter.role for waiter in analysis.graph.waiters}
    assert roles == {"parent": "core", "child": "core", "cat": "victim"}


def test_a_knot_beside_a_main_thread_that_goes_on_does_not_stop_the_program() -> None:
    build = TraceBuilder()
    main = build.process("main.py")
    down, up = build.pipe(main), build.pipe(main)
    one, two = build.fork(main, "one.py"), build.fork(main, "two.py")
    build.close(main, *down[1:], *up[1:])
    build.close(one, down.reader, up.writer)
    build.close(two, down.writer, up.reader)
    build.begin(one, "os.read", fd=up.reader, size=10)
    build.begin(two, "os.read", fd=down.reader, size=10)
    build.begin(main, "time.sleep", size=10**10)
    analysis = hung(build)
    assert analysis.verdict.name == "stalled"
    assert "goes on" in analysis.verdict.headline


def test_the_chapters_deadlock_is_one_and_its_lucky_run_is_none() -> None:
    assert is_deadlock(deadlock_trace())
    assert not is_deadlock(lucky_trace())
    assert not is_deadlock(completed_trace())
    assert not is_deadlock(big_trace(1000))


@pytest.mark.parametrize(
    ("timer", "expected"),
    [
        ({"size": 3600 * 10**9}, False),
        ({"size": 10**9}, True),
        ({"size": 10**8, "extra": 10**9}, False),
        ({"size": 0}, True),
    ],
)
def test_a_timer_that_may_still_go_off_is_a_way_out(timer: dict[str, int], expected: bool) -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    build.call(parent, "signal.setitimer" if "extra" in timer else "signal.alarm", **timer)
    wait_for_each_other(build, parent, child)
    build.after(3000 * MS)
    build.look(times=2)
    assert is_deadlock(build.trace(ended="duration")) is expected


def test_likely_needs_two_looks_as_well() -> None:
    trace = heartbeat(TraceBuilder(), 8).trace
    trace.tables["looks"] = trace.looks[trace.looks["look"] == 1]
    assert not is_deadlock(trace)


@pytest.mark.parametrize("made_by_ticker", [False, True])
def test_a_thread_that_had_nothing_to_do_with_a_pipe_that_nobody_has_used_leaves_it_stalled(
    made_by_ticker: bool,
) -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    ticker = build.thread(0, "ticker")
    maker = ticker if made_by_ticker else parent
    down, up = build.pipe(maker), build.pipe(maker)
    child = build.fork(parent)
    build.close(child, down.writer, up.reader)
    build.close(maker, down.reader, up.writer)
    pause = build.site("a.py", 1, "time.sleep(0.3)")
    wait_for_each_other(build, parent, child)
    for _ in range(10):
        build.sleep(ticker, 300 * MS, pause)
    build.begin(ticker, "time.sleep", size=300 * MS, site=pause)
    build.look(times=2)
    assert analyze(build.trace(ended="duration")).verdict.name == ("interrupted" if made_by_ticker else "stalled")


def test_bytes_handed_to_a_stream_are_a_use_of_its_channel() -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    tick = build.thread(0, "logger")
    build.print(parent, build.stream(0, "open(fd 4)", 4), "hello")
    build.print(child, build.stream(1, "open(fd 6)", 6), "hello")
    pause = build.site("a.py", 1, "time.sleep(0.3)")
    wait_for_each_other(build, parent, child)
    for _ in range(8):
        build.sleep(tick, 300 * MS, pause)
    build.begin(tick, "time.sleep", size=300 * MS, site=pause)
    build.look(times=2)
    verdict = analyze(build.trace(ended="duration")).verdict
    assert (verdict.name, verdict.certainty, verdict.rule) == ("deadlock", "likely", "IPC101")


def test_a_wait_with_a_time_limit_is_a_way_out() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    worker = build.thread(0, "worker")
    build.begin(worker, "os.read", fd=pipe.reader, size=10)
    join = build.begin(parent, "Thread.join", size=48110)
    build.rows["events"][join]["wait"] = "sleep"
    build.after(2000 * MS)
    build.look(times=2)
    assert not is_deadlock(build.trace(ended="duration"))


@pytest.mark.parametrize("live", [False, True])
def test_a_handler_of_the_programs_own_is_a_way_out_while_anyone_lives_to_send_the_signal(live: bool) -> None:
    build = TraceBuilder()
    parent, child = crossed(build)
    handle = build.begin(parent, "signal.alarm", size=10)
    build.rows["events"][build.end(handle, extra=1)]["kind"] = "handle"
    third = build.fork(child, "other.py")
    build.close(third, 3, 6)
    build.begin(third, "time.sleep", size=10**9) if live else build.exit(third)
    wait_for_each_other(build, parent, child)
    build.after(2000 * MS)
    build.look(times=2)
    assert is_deadlock(build.trace(ended="duration")) is not live
