"""Waits to be told: who is likely to tell, what proves that nobody will, and what explains it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ipctrace.analysis import analyze, is_deadlock
from ipctrace.analysis.results import Analysis, Finding

from .builders import FIRST_PID, MS, TraceBuilder
from .recorded import record


def hung(build: TraceBuilder) -> Analysis:
    build.after(2000 * MS)
    build.look(times=2)
    return analyze(build.trace(ended="duration"))


def rules(analysis: Analysis) -> list[str]:
    return [finding.rule for finding in analysis.findings if finding.rule < "IPC2"]


def first(analysis: Analysis) -> Finding:
    return analysis.findings[0]


def beat(build: TraceBuilder, thread: int, rounds: int = 30) -> None:
    """A thread that ticks, and goes on to."""
    for _ in range(rounds):
        build.sleep(thread, 50 * MS)
    build.begin(thread, "time.sleep", size=50 * MS)


class TestLostWakeup:
    def condition(self, build: TraceBuilder) -> tuple[int, int, int]:
        main = build.process("a.py")
        return main, build.thread(0, "notifier"), build.object(0, "condition")

    def test_a_notify_that_came_before_the_wait(self) -> None:
        build = TraceBuilder()
        main, other, condition = self.condition(build)
        build.call(other, "Condition.notify", channel=condition, size=1, site=build.site("/work/a.py", 5, "c.notify()"))
        build.end_thread(other)
        build.after(300 * MS)
        build.begin(main, "Condition.wait", channel=condition, site=build.site("/work/a.py", 9, "c.wait()"))
        analysis = hung(build)
        assert (analysis.verdict.name, analysis.verdict.certainty) == ("deadlock", "proven")
        assert rules(analysis) == ["IPC119"]
        assert "did that at a.py:5, 300 ms before the wait began" in first(analysis).message
        assert "a.py:9" in first(analysis).remedy

    def test_one_notify_for_two_that_wait(self) -> None:
        build = TraceBuilder()
        main, other, condition = self.condition(build)
        lucky = build.thread(0, "lucky")
        woken = build.begin(lucky, "Condition.wait", channel=condition)
        build.begin(main, "Condition.wait", channel=condition, site=build.site("/work/a.py", 9, "c.wait()"))
        build.call(other, "Condition.notify", channel=condition, size=1, site=build.site("/work/a.py", 5, "c.notify()"))
        build.end(woken)
        build.end_thread(lucky)
        build.end_thread(other)
        analysis = hung(build)
        assert rules(analysis) == ["IPC119"]
        assert "did that at a.py:5, but woke another that waited" in first(analysis).message
        assert "notify_all() at a.py:5" in first(analysis).remedy

    def test_who_notified_before_and_sleeps_may_do_it_again(self) -> None:
        build = TraceBuilder()
        main, other, condition = self.condition(build)
        build.call(other, "Condition.notify", channel=condition, size=1)
        build.begin(main, "Condition.wait", channel=condition)
        build.begin(other, "time.sleep", size=10_000 * MS)
        analysis = hung(build)
        assert analysis.verdict.name == "interrupted" and not rules(analysis)

    def test_a_bystander_that_ticks_leaves_it_open_but_named(self) -> None:
        build = TraceBuilder()
        main, other, condition = self.condition(build)
        ticker = build.thread(0, "ticker")
        build.call(other, "Condition.notify", channel=condition, size=1)
        build.end_thread(other)
        build.begin(main, "Condition.wait", channel=condition)
        beat(build, ticker)
        build.look(times=2)
        trace = build.trace(ended="duration")
        assert not is_deadlock(trace), "it might still notify one day"
        analysis = analyze(trace)
        assert analysis.verdict.name == "stalled" and rules(analysis) == ["IPC119"]

    def test_who_has_not_said_anything_yet_and_only_ticks_proves_nothing(self) -> None:
        build = TraceBuilder()
        main, ticker = build.process("a.py"), build.thread(0, "poller")
        build.begin(main, "Event.wait", channel=build.object(0, "event"))
        beat(build, ticker)
        build.look(times=2)
        trace = build.trace(ended="duration")
        assert not is_deadlock(trace)
        assert not rules(analyze(trace)), "nothing shows that it was told before, or that nobody will"

    def test_queue_join_counts_what_was_put_taken_and_done(self) -> None:
        build = TraceBuilder()
        main, worker, queue = build.process("a.py"), build.thread(0, "worker"), build.object(0, "queue")
        for _ in range(3):
            build.call(main, "Queue.put", channel=queue)
        build.call(worker, "Queue.get", channel=queue)
        build.call(worker, "Queue.task_done", channel=queue)
        build.call(worker, "Queue.get", channel=queue, site=build.site("/work/a.py", 4, "q.get()"))
        build.end_thread(worker)
        build.begin(main, "Queue.join", channel=queue)
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis) == ["IPC119"]
        assert "3 items put, 2 taken, 1 marked task_done" in first(analysis).message
        assert "took one at a.py:4, and ended without task_done()" in first(analysis).message

    def test_queue_join_while_the_worker_is_busy_with_an_item(self) -> None:
        build = TraceBuilder()
        main, worker, queue = build.process("a.py"), build.thread(0, "worker"), build.object(0, "queue")
        build.call(main, "Queue.put", channel=queue)
        build.call(worker, "Queue.get", channel=queue)
        build.begin(worker, "time.sleep", size=10_000 * MS)
        build.begin(main, "Queue.join", channel=queue)
        analysis = hung(build)
        assert analysis.verdict.name == "interrupted" and not rules(analysis)

    def test_a_rival_took_what_was_there(self) -> None:
        build = TraceBuilder()
        main, queue = build.process("a.py"), build.object(0, "queue")
        one, two = build.thread(0, "one"), build.thread(0, "two")
        build.call(main, "Queue.put", channel=queue)
        build.call(one, "Queue.get", channel=queue, site=build.site("/work/a.py", 3, "q.get()"))
        build.end_thread(one)
        build.begin(two, "Queue.get", channel=queue)
        build.begin(main, "Thread.join", size=build.rows["threads"][two]["tid"])
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis)[0] == "IPC119"
        assert "1 item put, 1 taken, the last by a/one at a.py:3" in first(analysis).message

    def test_an_idle_worker_is_no_hang_while_the_rest_goes_on(self) -> None:
        build = TraceBuilder()
        main, worker, queue = build.process("a.py"), build.thread(0, "worker"), build.object(0, "queue")
        build.call(main, "Queue.put", channel=queue)
        build.call(worker, "Queue.get", channel=queue)
        build.begin(worker, "Queue.get", channel=queue)
        build.begin(main, "time.sleep", size=10_000 * MS)
        assert not rules(hung(build))

    def test_a_barrier_that_a_party_never_reaches(self) -> None:
        build = TraceBuilder()
        main, other = build.process("a.py"), build.thread(0, "other")
        barrier = build.object(0, "barrier", capacity=3)
        third = build.thread(0, "third")
        build.end_thread(third)
        for thread in (main, other):
            build.begin(thread, "Barrier.wait", channel=barrier)
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis) == ["IPC119"]
        assert "1 of 3 missing" in first(analysis).message

    def test_a_barrier_that_a_party_may_still_reach(self) -> None:
        build = TraceBuilder()
        main, late = build.process("a.py"), build.thread(0, "late")
        build.begin(main, "Barrier.wait", channel=build.object(0, "barrier", capacity=2))
        beat(build, late)
        build.look(times=2)
        trace = build.trace(ended="duration")
        assert not is_deadlock(trace) and not rules(analyze(trace))

    def test_pause_after_the_signal(self) -> None:
        build = TraceBuilder()
        main = build.process("a.py")
        child = build.fork(main)
        build.call(child, "os.kill", size=FIRST_PID, extra=10, site=build.site("/work/a.py", 5, "os.kill(parent, 10)"))
        build.call(main, "signal handler", size=10)
        build.exit(child)
        build.begin(main, "signal.pause")
        analysis = hung(build)
        assert analysis.verdict.name == "stalled", "the outside may always send one"
        assert rules(analysis) == ["IPC119"] and "came already at a.py:5" in first(analysis).message

    def test_pause_while_who_sends_signals_lives(self) -> None:
        build = TraceBuilder()
        main = build.process("a.py")
        child = build.fork(main)
        build.call(child, "os.kill", size=FIRST_PID, extra=10)
        build.call(main, "signal handler", size=10)
        build.begin(main, "signal.pause")
        build.begin(child, "time.sleep", size=10_000 * MS)
        assert not rules(hung(build))


class TestTasks:
    def loop(self, build: TraceBuilder) -> tuple[int, int]:
        """A main thread that runs a loop, with the pair of sockets that wakes it; the descriptor it waits for."""
        main = build.process("a.py")
        return main, build.pair(main).reader

    def select(self, build: TraceBuilder, main: int, fd: int, **columns: object) -> None:
        event = build.begin(main, "epoll.poll", **columns)
        build.rows["members"].append({"event": event, "fd": fd, "access": "r"})

    def test_a_task_that_nobody_tells_is_proven_and_named_not_its_loop(self) -> None:
        build = TraceBuilder()
        main, fd = self.loop(build)
        task = build.task(main)
        build.begin(task, "asyncio.Event.wait", channel=build.object(0, "event"))
        self.select(build, main, fd)
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis) == ["IPC119"]
        assert first(analysis).threads[0] == task

    def test_a_thread_of_the_process_may_still_tell_it(self) -> None:
        build = TraceBuilder()
        main, fd = self.loop(build)
        worker = build.thread(0, "worker")
        build.begin(build.task(main), "asyncio.Event.wait", channel=build.object(0, "event"))
        self.select(build, main, fd)
        build.begin(worker, "time.sleep", size=10_000 * MS)
        analysis = hung(build)
        assert analysis.verdict.name == "interrupted" and not rules(analysis)

    def test_tasks_that_hold_each_others_locks_are_the_core(self) -> None:
        build = TraceBuilder()
        main, fd = self.loop(build)
        one, two = build.task(main, "one"), build.task(main, "two")
        tids = [build.rows["threads"][task]["tid"] for task in (one, two)]
        for task, owner in ((one, tids[1]), (two, tids[0])):
            build.begin(task, "asyncio.Lock.acquire", channel=build.object(0, "lock"), owner=owner)
        self.select(build, main, fd)
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and analysis.graph is not None
        assert [waiter.thread for waiter in analysis.graph.waiters if waiter.role == "core"] == [one, two]

    def test_a_loop_that_waits_for_what_only_it_could_do(self) -> None:
        build = TraceBuilder()
        main, _ = self.loop(build)
        build.task(main)
        sleeper = build.task(main, "Task-2")
        build.begin(sleeper, "asyncio.sleep", size=100 * MS)
        site = build.site("/work/a.py", 7, "future.result()")
        build.begin(main, "Future.result", channel=build.object(0, "future"), site=site)
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis) == ["IPC120"]
        assert "runs an event loop and waits in Future.result at a.py:7" in first(analysis).message

    def test_a_loop_that_waits_for_a_thread_at_work(self) -> None:
        build = TraceBuilder()
        main, _ = self.loop(build)
        worker, future = build.thread(0, "worker"), build.object(0, "future")
        build.task(main)
        build.begin(worker, "work", channel=future)
        build.begin(worker, "time.sleep", size=10_000 * MS)
        build.begin(main, "Future.result", channel=future)
        assert not rules(hung(build))


class TestPools:
    def pool(self, build: TraceBuilder, workers: int) -> tuple[int, list[int], int]:
        main, queue = build.process("a.py"), build.object(0, "queue")
        return main, [build.thread(0, f"worker {k}") for k in range(workers)], queue

    def submit(self, build: TraceBuilder, thread: int, queue: int) -> int:
        future = build.object(0, "future")
        with build.inside(thread, "Executor.submit", channel=future):
            build.call(thread, "SimpleQueue.put", channel=queue)
        return future

    def work(self, build: TraceBuilder, worker: int, queue: int, future: int) -> None:
        build.call(worker, "SimpleQueue.get", channel=queue)
        build.begin(worker, "work", channel=future)

    def test_all_workers_wait_for_work_behind_them(self) -> None:
        build = TraceBuilder()
        main, workers, queue = self.pool(build, 2)
        outer = [self.submit(build, main, queue) for _ in workers]
        for worker, future in zip(workers, outer, strict=True):
            self.work(build, worker, queue, future)
            build.begin(worker, "Future.result", channel=self.submit(build, worker, queue))
        build.begin(main, "Future.result", channel=outer[0])
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis) == ["IPC121"]
        assert "2 pieces of work lie in a pool's queue A, and all 2 workers wait" in first(analysis).message

    def test_a_worker_that_is_slow_will_come_to_it(self) -> None:
        build = TraceBuilder()
        main, workers, queue = self.pool(build, 2)
        outer = [self.submit(build, main, queue) for _ in workers]
        for worker, future in zip(workers, outer, strict=True):
            self.work(build, worker, queue, future)
        build.begin(workers[0], "Future.result", channel=self.submit(build, workers[0], queue))
        build.begin(workers[1], "time.sleep", size=10_000 * MS)
        build.begin(main, "Future.result", channel=outer[0])
        assert not rules(hung(build))

    def test_a_forks_child_has_the_queue_and_not_the_worker(self) -> None:
        build = TraceBuilder()
        main, [worker], queue = self.pool(build, 1)
        self.work(build, worker, queue, self.submit(build, main, queue))
        build.end(build.rows["events"][-1]["event"])
        build.begin(worker, "SimpleQueue.get", channel=queue)
        child = build.fork(main, site=build.site("/work/a.py", 4, "os.fork()"))
        copy = build.object(1, "queue")
        build.rows["channels"][copy]["copy_of"] = queue
        future = build.object(1, "future")
        with build.inside(child, "Executor.submit", channel=future):
            build.call(child, "SimpleQueue.put", channel=copy)
        build.begin(child, "Future.result", channel=future)
        build.begin(main, "os.waitpid", size=FIRST_PID + 1)
        analysis = hung(build)
        assert analysis.verdict.name == "deadlock" and rules(analysis)[0] == "IPC116"
        assert "the work of parent/worker 0" in first(analysis).message and "a.py:4" in first(analysis).message


PROGRAMS = {
    "IPC119": "import multiprocessing as m\n"
    "def work(q):\n    q.get()\n"
    "if __name__ == '__main__':\n"
    "    c = m.get_context('fork'); q = c.JoinableQueue(); q.put(1)\n"
    "    p = c.Process(target=work, args=(q,)); p.start(); p.join(); q.join()\n",
    "IPC120": "import asyncio, queue\n"
    "q = queue.Queue()\n"
    "async def put():\n    q.put(1)\n"
    "async def main():\n    t = asyncio.create_task(put()); q.get(); await t\n"
    "asyncio.run(main())\n",
    "IPC121": "from multiprocessing.pool import ThreadPool\n"
    "p = ThreadPool(1)\n"
    "print(p.apply(lambda: p.apply(int)))\n",
    "IPC116": "import os, queue, threading\n"
    "q = queue.Queue()\n"
    "def work():\n    while True: q.get(); q.task_done()\n"
    "threading.Thread(target=work, daemon=True).start()\n"
    "q.put(1); q.join()\n"
    "pid = os.fork()\n"
    "if not pid: q.put(2); q.join(); os._exit(0)\n"
    "os.waitpid(pid, 0); os._exit(0)\n",
}  # fmt: skip


@pytest.mark.parametrize("rule", PROGRAMS)
@pytest.mark.sample(2)
def test_a_real_program_is_proven_and_named(rule: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[rule])
    run = record(tmp_path, program, options=["--duration", "30"]).run
    assert (run.verdict.name, run.verdict.certainty) == ("deadlock", "proven")
    assert next(finding.rule for finding in run.findings) == rule


def test_a_server_that_asks_itself(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, socket\n"
        "async def serve(reader, writer): writer.close()\n"
        "async def main():\n"
        "    server = await asyncio.start_server(serve, '127.0.0.1', 0)\n"
        "    with socket.create_connection(server.sockets[0].getsockname()) as s: s.recv(5)\n"
        "asyncio.run(main())\n"
    )
    run = record(tmp_path, program, options=["--duration", "30"]).run
    assert run.verdict.name == "deadlock" and run.findings[0].rule == "IPC120"
