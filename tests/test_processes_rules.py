"""Ends that are waited for, deaths, stops, signals and loops: what each rule sees, and near misses that it doesn't."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from ipctrace.analysis import analyze, is_deadlock
from ipctrace.analysis.results import Analysis, Finding

from tests.builders import MS, TraceBuilder
from tests.recorded import record

S = 1000 * MS


def hung(build: TraceBuilder, ended: str = "duration", after: int = 4 * S) -> Analysis:
    build.after(after)
    build.look(times=2)
    return analyze(build.trace(ended=ended))


def rules(analysis: Analysis) -> list[str]:
    return [finding.rule for finding in analysis.findings if finding.rule < "IPC2"]


def found(analysis: Analysis, rule: str) -> Finding:
    return next(finding for finding in analysis.findings if finding.rule == rule)


def parent_and_child(build: TraceBuilder) -> tuple[int, int, int, int]:
    """Parent, child, and a pipe from the child to the parent: the parent's reading end, the child's writing one."""
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.close(parent, pipe.writer)
    build.close(child, pipe.reader)
    return parent, child, pipe.reader, pipe.writer


def wait_for(build: TraceBuilder, waiter: int, child: int, **columns: int) -> int:
    pid = build.rows["processes"][build.process_of(child)]["pid"]
    return build.begin(waiter, "os.waitpid", size=pid, **columns)


class TestWaitForAnEnd:
    def cycle(self) -> tuple[TraceBuilder, int, int]:
        build = TraceBuilder()
        parent = build.process("a.py")
        pipe = build.pipe(parent)
        child = build.fork(parent)
        build.close(parent, pipe.reader)
        build.close(child, pipe.writer)
        build.begin(child, "os.read", fd=pipe.reader, size=10)
        wait_for(build, parent, child)
        return build, parent, child

    def test_a_child_that_waits_for_who_waits_for_it_is_proven(self) -> None:
        build, _, _ = self.cycle()
        analysis = hung(build)
        assert (analysis.verdict.certainty, rules(analysis)) == ("proven", ["IPC109"])
        assert "for the child to end, which waits for data" in found(analysis, "IPC109").message

    def test_a_daemon_that_ticks_in_the_child_hides_nothing(self) -> None:
        build, _, child = self.cycle()
        ticker = build.thread(build.process_of(child), "tick")
        build.rows["events"][-1]["size"] = 1
        build.begin(ticker, "time.sleep", size=S)
        analysis = hung(build)
        assert (analysis.verdict.name, rules(analysis)) == ("stalled", ["IPC109"])

    def test_another_thread_that_goes_on_may_kill_the_child(self) -> None:
        build, parent, _ = self.cycle()
        killer = build.thread(build.process_of(parent), "killer")
        build.begin(killer, "time.sleep", size=S)
        build.look(times=2)
        assert not is_deadlock(build.trace(ended="duration"))

    def test_a_thread_that_is_no_daemon_has_to_end_too(self) -> None:
        """At the end of the program the main thread waits for it, and it for an item that nobody is left to put."""
        build = TraceBuilder()
        main = build.process("a.py")
        getter = build.thread(build.process_of(main), "getter")
        build.rows["events"][-1]["size"] = 0
        build.begin(getter, "Queue.get", channel=build.object(build.process_of(main), "queue"))
        build.begin(main, "threading.shutdown", size=0)
        analysis = hung(build)
        assert (analysis.verdict.certainty, rules(analysis)) == ("proven", ["IPC119", "IPC109"])
        assert "last item" in found(analysis, "IPC109").remedy

    def test_a_child_that_sleeps_is_waited_for_in_vain_by_nobody(self) -> None:
        build = TraceBuilder()
        parent, child, _, _ = parent_and_child(build)
        build.begin(child, "time.sleep", size=100 * S)
        wait_for(build, parent, child)
        assert not rules(hung(build))


class TestOutlivedOutput:
    def closes(self, keeps: bool = False, together: bool = True) -> Analysis:
        """A child's output is read to its end and closed, which waits for the child."""
        build = TraceBuilder()
        parent = build.process("a.py")
        start, close, wait = (build.site("a.py", line, "f()") for line in (1, 2, 3))
        pipe = build.pipe(parent, start)
        other = build.pipe(parent)
        keep = (0, 1, 2, *((other.writer,) if keeps else ()))
        sleeping = {"syscall": "clock_nanosleep"}
        child = build.fork(parent, "sleep", traced=False, op="fork_exec", keep=keep, site=start, **sleeping)
        build.sample(child)
        build.call(parent, "stream.close", fd=pipe.reader, channel=pipe.channel, site=close)
        wait_for(build, parent, child, site=close if together else wait)
        build.after(7 * S)
        build.sample(child)
        return hung(build)

    def test_a_close_that_waits_for_a_child_which_nobody_can_hear(self) -> None:
        analysis = self.closes()
        assert (analysis.verdict.name, rules(analysis)) == ("stalled", ["IPC109"])

    def test_a_wait_of_its_own_is_meant(self) -> None:
        assert not rules(self.closes(together=False))

    def test_a_child_that_can_still_be_heard_may_say_something(self) -> None:
        assert not rules(self.closes(keeps=True))


class TestStopped:
    def test_who_stopped_it_and_who_waits_is_told(self) -> None:
        build = TraceBuilder()
        parent, child, reader, _ = parent_and_child(build)
        pid = build.rows["processes"][1]["pid"]
        build.call(
            parent, "os.kill", size=pid, extra=int(signal.SIGSTOP), site=build.site("a.py", 7, "os.kill(pid, 19)")
        )
        build.begin(parent, "os.read", fd=reader, size=1)
        build.after(2 * S)
        build.look(times=2)
        for row in build.rows["looks"]:
            if row["process"] == build.process_of(child):
                row |= {"state": "T", "syscall": None, "fd": None}
        analysis = analyze(build.trace(ended="duration"))
        assert (analysis.verdict.name, rules(analysis)) == ("stalled", ["IPC123"])
        assert (
            "the child is stopped by sigstop, sent by the parent at a.py:7" in found(analysis, "IPC123").message.lower()
        )


class TestFeederJoin:
    def feeding(self, joins: bool) -> Analysis:
        build = TraceBuilder()
        parent, child, _, writer = parent_and_child(build)
        queue = build.object(None, "queue")
        build.call(child, "multiprocessing.Queue.put", channel=queue, site=build.site("a.py", 3, "queue.put(x)"))
        feeder = build.thread(build.process_of(child), "QueueFeederThread")
        build.begin(feeder, "multiprocessing.Queue.feed", channel=queue, size=100_000)
        build.begin(feeder, "os.write", fd=writer, size=100_000)
        build.begin(child, "Thread.join", size=build.rows["threads"][feeder]["tid"])
        if joins:
            wait_for(build, parent, child)
        else:
            build.begin(parent, "time.sleep", size=100 * S)
        return hung(build)

    def test_a_process_that_is_joined_before_its_queue_is_drained(self) -> None:
        analysis = self.feeding(joins=True)
        assert rules(analysis)[0] == "IPC110"
        assert "has put on queue A at a.py:3: 1 item of 100,000 bytes" in found(analysis, "IPC110").message

    def test_a_reader_that_comes_later_is_waited_for(self) -> None:
        assert not rules(self.feeding(joins=False))

    def test_the_turn_of_a_queues_threads_is_not_the_cause(self) -> None:
        build = TraceBuilder()
        parent, child, _, writer = parent_and_child(build)
        other = build.fork(parent)
        queue, turn = (build.object(None, kind) for kind in ("queue", "lock"))
        for each in (child, other):
            build.call(each, "multiprocessing.Queue.put", channel=queue, site=build.site("a.py", 3, "queue.put(x)"))
        holds, waits = (build.thread(build.process_of(each), "QueueFeederThread") for each in (child, other))
        build.call(holds, "multiprocessing.Lock.acquire", channel=turn)
        build.begin(holds, "os.write", fd=writer, size=100_000)
        build.begin(waits, "multiprocessing.Lock.acquire", channel=turn)
        for each, thread in ((child, holds), (other, waits)):
            build.begin(each, "Thread.join", size=build.rows["threads"][thread]["tid"])
        wait_for(build, parent, other)
        analysis = hung(build)
        assert rules(analysis)[0] == "IPC110"
        assert "IPC113" not in rules(analysis)

    @pytest.mark.parametrize(("its", "verdict"), [(True, "stalled"), (False, "interrupted")])
    def test_another_that_waits_for_its_turn_cannot_help(self, its: bool, verdict: str) -> None:
        """Two processes feed one queue, and a thread that ticks leaves it open whether that can end. Whose turn it is
        isn't recorded: it is that of who feeds, if the queue was made where the lock was."""
        build = TraceBuilder()
        parent, child, _, writer = parent_and_child(build)
        other = build.fork(parent)
        queue, turn = (build.object(None, kind) for kind in ("queue", "lock"))
        made, elsewhere = build.site("a.py", 3, "queue = Queue()"), build.site("a.py", 9, "lock = Lock()")
        build.rows["channels"][queue]["site"] = made
        build.rows["channels"][turn]["site"] = made if its else elsewhere
        feeder, waits = (build.thread(build.process_of(each), "QueueFeederThread") for each in (child, other))
        build.begin(feeder, "multiprocessing.Queue.feed", channel=queue, size=100_000)
        build.begin(feeder, "os.write", fd=writer, size=100_000)
        build.begin(waits, "multiprocessing.Lock.acquire", channel=turn)
        for each, thread in ((child, feeder), (other, waits)):
            build.begin(each, "Thread.join", size=build.rows["threads"][thread]["tid"])
        ticker = build.thread(0, "ticker")
        wait_for(build, parent, child)
        for _ in range(3):
            build.sleep(ticker, 50_000_000)
        build.begin(ticker, "time.sleep", size=50_000_000)
        assert hung(build).verdict.name == verdict


class TestPeerGone:
    def dies(self, status: int, wrote: bool = False, other: bool = False) -> Analysis:
        """A child ends; the parent, which holds a copy of the writing end, waits to hear from it."""
        build = TraceBuilder()
        parent = build.process("a.py")
        pipe = build.pipe(parent)
        child = build.fork(parent)
        if wrote:
            build.write(child, pipe.writer, b"all there is")
            build.read(parent, pipe.reader, b"all there is")
        if other:
            build.begin(build.fork(parent), "time.sleep", size=100 * S)
        build.exit(child, status)
        build.begin(parent, "os.read", fd=pipe.reader, size=10)
        return hung(build)

    @pytest.mark.parametrize(("status", "words"), [(3, "ended with status 3"), (-9, "was ended by SIGKILL")])
    def test_how_it_ended_is_told(self, status: int, words: str) -> None:
        analysis = self.dies(status)
        assert rules(analysis)[0] == "IPC118"
        assert words in found(analysis, "IPC118").message

    def test_a_child_that_said_all_it_had_to_say_is_not_missed(self) -> None:
        assert "IPC118" not in rules(self.dies(0, wrote=True))

    def test_somebody_else_may_answer(self) -> None:
        assert not rules(self.dies(3, other=True))

    def test_work_that_a_worker_took_with_it(self) -> None:
        build = TraceBuilder()
        parent = build.process("a.py")
        tasks, answers = build.object(None, "queue"), build.object(None, "queue")
        worker = build.fork(parent)
        build.call(parent, "SimpleQueue.put", channel=tasks)
        build.call(worker, "multiprocessing.Queue.get", channel=tasks)
        build.exit(worker, 9, at_once=True)
        build.begin(parent, "multiprocessing.Queue.get", channel=answers)
        analysis = hung(build)
        assert rules(analysis)[0] == "IPC118"
        assert "with what it had taken from queue A" in found(analysis, "IPC118").message

    def test_a_thread_that_an_exception_ended(self) -> None:
        build = TraceBuilder()
        main = build.process("a.py")
        queue = build.object(build.process_of(main), "queue")
        worker = build.thread(build.process_of(main), "worker")
        build.call(worker, "Queue.get", channel=queue)
        build.call(worker, "uncaught", data=b"ZeroDivisionError: division by zero")
        build.end_thread(worker)
        build.begin(main, "Queue.get", channel=queue)
        # somebody else is there, who has nothing to do with it
        build.begin(build.thread(build.process_of(main), "other"), "Lock.acquire", channel=build.object(0, "lock"))
        analysis = hung(build)
        assert rules(analysis)[0] == "IPC118"
        assert "(ZeroDivisionError: division by zero)" in found(analysis, "IPC118").message

    def test_a_thread_that_did_something_else_is_not_missed(self) -> None:
        build = TraceBuilder()
        main = build.process("a.py")
        other = build.thread(build.process_of(main), "other")
        build.write(other, build.pipe(main).writer, b"tick")
        build.call(other, "uncaught", data=b"BrokenPipeError: [Errno 32] Broken pipe")
        build.end_thread(other)
        build.begin(main, "Queue.get", channel=build.object(build.process_of(main), "queue"))
        assert "IPC118" not in rules(hung(build))

    def workers(self, statuses: list[int]) -> Analysis:
        """A pool: its main thread waits for an answer, another starts a worker whenever one has ended."""
        build = TraceBuilder()
        main = build.process("pool.py")
        starter = build.thread(build.process_of(main), "starter")
        build.begin(main, "Event.wait", channel=build.object(build.process_of(main), "event"))
        for status in statuses:
            worker = build.fork(starter)
            build.after(500 * MS)
            build.exit(worker, status)
        build.begin(starter, "time.sleep", size=100 * MS)
        return hung(build, after=200 * MS)

    def test_workers_that_fail_again_and_again(self) -> None:
        analysis = self.workers([1] * 6)
        assert (analysis.verdict.name, rules(analysis)) == ("stalled", ["IPC118"])
        assert "6 workers" in found(analysis, "IPC118").message

    @pytest.mark.parametrize("statuses", [[1] * 3, [1, 1, 1, 1, 1, 0], [0] * 8])
    def test_workers_of_which_one_does_its_work(self, statuses: list[int]) -> None:
        assert not rules(self.workers(statuses))


class TestRetriedWait:
    def read(self, armed: bool = True, raises: bool = False, periodic: int = 0) -> Analysis:
        build = TraceBuilder()
        main = build.process("a.py")
        pipe = build.pipe(main)
        build.call(main, "signal.signal", size=int(signal.SIGALRM), extra=1)
        if armed:
            build.call(main, "signal.setitimer", size=100 * MS, extra=periodic)
        build.begin(main, "os.read", fd=pipe.reader, size=1)
        build.after(100 * MS)
        handler = build.begin(main, "signal handler", size=int(signal.SIGALRM))
        build.end(handler, **({"error": -1} if raises else {}))
        return hung(build)

    def test_an_alarm_whose_handler_returns_breaks_nothing_off(self) -> None:
        analysis = self.read()
        assert (analysis.verdict.certainty, rules(analysis)[0]) == ("proven", "IPC126")

    @pytest.mark.parametrize("how", [{"armed": False}, {"raises": True}, {"periodic": 50 * MS}])
    def test_a_signal_that_was_not_to_end_the_wait(self, how: dict[str, int]) -> None:
        assert "IPC126" not in rules(self.read(**how))


class TestLivelock:
    def spin(self, rounds: int = 800, pause: int = 5 * MS, changed: bool = False, works: bool = False) -> Analysis:
        """Parent and child ask again and again for what lies in memory that they share."""
        build = TraceBuilder()
        parent = build.process("a.py")
        memory = build.channel("file", path="/dev/shm/pym-1")
        build.hold(parent, memory, "rw")
        child = build.fork(parent)
        places = [build.site("a.py", line, "time.sleep(0.005)") for line in (1, 2)]
        for _ in range(rounds):
            sleeps = [build.begin(each, "time.sleep", size=pause, site=place)
                      for each, place in zip((parent, child), places, strict=True)]  # fmt: skip
            build.after(pause)
            for event in sleeps:
                build.end(event)
            if works:
                build.write(child, 1, b".", site=places[1])
        build.rows["channels"][memory]["unchanged"] = build.now if changed else 0
        return hung(build, after=0)

    def test_two_that_ask_for_what_only_the_other_could_change(self) -> None:
        analysis = self.spin()
        assert (analysis.verdict.name, rules(analysis)) == ("stalled", ["IPC125"])

    @pytest.mark.parametrize(
        "alive",
        [{"changed": True}, {"works": True}, {"rounds": 50}, {"rounds": 200, "pause": 100 * MS}],
        ids=["the memory changes", "one of them writes", "not for long", "a scheduler's pace"],
    )
    def test_loops_that_get_somewhere_or_may(self, alive: dict[str, int]) -> None:
        assert not rules(self.spin(**alive))

    def test_a_loop_alone_is_a_heartbeat(self) -> None:
        build = TraceBuilder()
        main = build.process("a.py")
        place = build.site("a.py", 1, "time.sleep(0.005)")
        for _ in range(800):
            build.sleep(main, 5 * MS, place)
        assert not rules(hung(build, after=0))


# Recorded: the whole way from a program to the finding

PROGRAMS = {
    "IPC109": """
import asyncio, sys
async def main():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('x' * 200_000)", stdout=asyncio.subprocess.PIPE)
    await child.wait()
asyncio.run(main())
""",
    "IPC110": """
import multiprocessing as mp
def produce(queue):
    for _ in range(4):
        queue.put("x" * 50_000)
if __name__ == "__main__":
    context = mp.get_context("fork")
    queue = context.Queue()
    producers = [context.Process(target=produce, args=(queue,)) for _ in range(2)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    queue.get()
""",
    "IPC118": """
import queue, threading
tasks, answers = queue.Queue(), queue.Queue()
def work():
    while True:
        answers.put(10 // tasks.get())
threading.Thread(target=work, daemon=True).start()
for number in (2, 1, 0, 5):
    tasks.put(number)
for _ in range(4):
    answers.get()
""",
    "IPC126": """
import queue, signal
flags = []
signal.signal(signal.SIGALRM, lambda *_: flags.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.2)
queue.Queue().get()
""",
}


@pytest.mark.parametrize("rule", PROGRAMS)
@pytest.mark.sample(2)
def test_a_program_is_recorded_proven_and_named(rule: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[rule])
    run = record(tmp_path, program, options=["--duration", "60"]).run
    assert run.verdict.name == "deadlock"
    first = next(finding for finding in run.findings if finding.certainty != "latent")
    assert first.rule == rule
    if rule == "IPC109":
        assert "for a process that has ended" in first.message and "communicate()" in first.remedy


def test_memory_that_does_not_change_is_told(tmp_path: Path) -> None:
    """Two processes that ask for each other's flag: a livelock, and only a run that is ended shows it."""
    program = tmp_path / "program.py"
    program.write_text("""
import multiprocessing as mp, time
def child(one, other):
    while not one.value:
        time.sleep(0.001)
    other.value = 1
if __name__ == "__main__":
    context = mp.get_context("fork")
    one, other = context.Value("i", 0, lock=False), context.Value("i", 0, lock=False)
    context.Process(target=child, args=(one, other), daemon=True).start()
    while not other.value:
        time.sleep(0.001)
""")
    run = record(tmp_path, program, options=["--duration", "12"]).run
    assert run.verdict.name == "stalled"
    assert [finding.rule for finding in run.findings if finding.rule < "IPC2"] == ["IPC125"]
