"""asyncio: each task has a line of its own, with what it waits for; and the program notices nothing of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from ipctrace.analysis import blocking
from ipctrace.tracer.logs import Definition, read_logs
from ipctrace.tracer.runtime import table

from tests import recorded, target
from tests.interpreters import EACH

each_interpreter = pytest.mark.parametrize("python", EACH)
since_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout and TaskGroup came with 3.11")


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def trace(live: Path, program: str, python: str = sys.executable) -> list[target.Call]:
    """The events of a program of one process, which must have ended well."""
    done = target.run(dedent(program), live=live, python=python)
    assert (done.returncode, done.stderr) == (0, b"")
    (events,) = target.calls(live)
    return events


def tasks(live: Path, log: int = 0) -> dict[int, Definition]:
    """The tasks that a log defines, by their numbers."""
    definitions = read_logs(live)[0][log].definitions
    return {d.size: d for d in definitions if d.code == table.TASK}


def named(live: Path) -> dict[str, int]:
    return {d.text["name"]: number for number, d in tasks(live).items()}


def of(events: list[target.Call], thread: int, *ops: str) -> list[target.Call]:
    return [e for e in events if e.thread == thread and (e.op in ops if ops else e.op != "task")]


# The objects that tasks wait for


@each_interpreter
def test_what_each_task_waits_for_stands_on_its_own_line(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def worker(queue, event):
            await event.wait()
            print(await queue.get())
            queue.task_done()
        async def main():
            queue, event = asyncio.Queue(1), asyncio.Event()
            task = asyncio.create_task(worker(queue, event), name="worker")
            await asyncio.sleep(0.001)
            event.set()
            await queue.put("x")
            await queue.join()
            await task
        asyncio.run(main())
    """
    events = trace(live, program, python)
    number = named(live)
    assert [(e.op, e.line) for e in of(events, number["worker"])] == [
        ("asyncio.Event.wait", 4), ("asyncio.Queue.get", 5), ("asyncio.Queue.task_done", 6),
    ]  # fmt: skip
    assert [(e.op, e.line) for e in of(events, number["Task-1"])][:4] == [
        ("asyncio.sleep", 10), ("asyncio.Event.set", 11), ("asyncio.Queue.put", 12), ("asyncio.Queue.join", 13),
    ]  # fmt: skip
    waited, said = (next(e for e in events if e.op == op) for op in ("asyncio.Event.wait", "asyncio.Event.set"))
    assert waited.channel == said.channel
    got, put = (next(e for e in events if e.op == op) for op in ("asyncio.Queue.get", "asyncio.Queue.put"))
    assert got.channel == put.channel != said.channel
    assert all(e.state == table.DONE for e in events)
    worker = tasks(live)[number["worker"]]
    assert worker.text["coroutine"] == "worker"
    assert next(e.line for e in events if e.op == "task" and e.thread == number["worker"]) == 9
    assert worker.thread == next(e.thread for e in events if e.op == "print") < table.TASKS


@each_interpreter
def test_a_task_that_never_goes_on_is_an_open_record(python: str, live: Path) -> None:
    program = """
        import asyncio, os
        async def stuck(lock):
            async with lock:
                pass
        async def bare(future):
            await future
        async def main():
            lock = asyncio.Lock()
            await lock.acquire()
            kept = [asyncio.create_task(stuck(lock), name="stuck"),
                    asyncio.create_task(bare(asyncio.get_running_loop().create_future()), name="bare")]
            await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)
            os._exit(0)
        asyncio.run(main())
    """
    events = trace(live, program, python)
    number = named(live)
    unfinished = {(e.thread, e.op): e for e in events if e.state == table.OPEN}
    assert unfinished[number["stuck"], "asyncio.Lock.acquire"].line == 4
    assert unfinished[number["stuck"], "asyncio.Lock.acquire"].offset == number["Task-1"]  # who holds it
    assert unfinished[number["bare"], "asyncio.Future"].line == 7
    assert {op for thread, op in unfinished if thread == number["Task-1"]} == {"task"}


@each_interpreter
def test_a_lock_is_told_of_only_where_somebody_waits_for_it(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def use(lock):
            async with lock:
                await asyncio.sleep(0.001)
        async def main():
            lock = asyncio.Lock()
            await use(lock)
            await asyncio.gather(use(lock), use(lock))
        asyncio.run(main())
    """
    events = trace(live, program, python)
    acquired = [e for e in events if e.op == "asyncio.Lock.acquire"]
    released = [e for e in events if e.op == "asyncio.Lock.release"]
    assert [len(acquired), len(released)] == [1, 1]
    assert acquired[0].offset == released[0].thread != acquired[0].thread


@each_interpreter
def test_conditions_and_semaphores(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def waiter(condition, semaphore):
            async with condition:
                await condition.wait()
            async with semaphore:
                pass
        async def main():
            condition, semaphore = asyncio.Condition(), asyncio.Semaphore(1)
            await semaphore.acquire()
            task = asyncio.create_task(waiter(condition, semaphore), name="waiter")
            await asyncio.sleep(0.001)
            async with condition:
                condition.notify_all()
            await asyncio.sleep(0.001)
            semaphore.release()
            await task
        asyncio.run(main())
    """
    events = trace(live, program, python)
    number = named(live)
    waits = of(events, number["waiter"], "asyncio.Condition.wait", "asyncio.Semaphore.acquire")
    assert [(e.op, e.line) for e in waits] == [("asyncio.Condition.wait", 5), ("asyncio.Semaphore.acquire", 6)]
    said = of(events, number["Task-1"], "asyncio.Condition.notify", "asyncio.Semaphore.release")
    assert [(e.op, e.line, e.channel) for e in said] == [
        ("asyncio.Condition.notify", 14, waits[0].channel), ("asyncio.Semaphore.release", 16, waits[1].channel),
    ]  # fmt: skip


@each_interpreter
def test_an_item_passes_once_however_it_is_put_and_got(python: str, live: Path) -> None:
    program = """
        import asyncio
        class Logged(asyncio.Queue):
            def put_nowait(self, item):
                super().put_nowait(item)
        async def main():
            queue = Logged()
            await queue.put(1)
            queue.put_nowait(2)
            asyncio.get_running_loop().call_soon(queue.put_nowait, 3)
            await asyncio.sleep(0.001)
            for _ in range(2):
                queue.get_nowait()
            await queue.get()
            try:
                queue.get_nowait()
            except asyncio.QueueEmpty:
                pass
        asyncio.run(main())
    """
    events = trace(live, program, python)
    task, thread = (
        named(live)["Task-1"],
        next(e.thread for e in events if e.op == "signal.signal" or e.op == "print" or e.thread < table.TASKS),
    )
    put = [(e.thread, e.line, e.flags) for e in events if e.op == "asyncio.Queue.put"]
    assert put == [(task, 8, 0), (task, 5, table.NONBLOCKING), (thread, 5, table.NONBLOCKING)]
    got = [(e.line, e.flags) for e in events if e.op == "asyncio.Queue.get"]
    assert got == [(13, table.NONBLOCKING), (13, table.NONBLOCKING), (14, 0)]


# Streams and processes


@each_interpreter
def test_stream_reads_have_the_bytes_and_writes_what_is_stuck(python: str, live: Path) -> None:
    program = """
        import asyncio, socket
        async def main():
            a, b = socket.socketpair()
            reader, kept = await asyncio.open_connection(sock=a)
            _, writer = await asyncio.open_connection(sock=b)
            writer.write(b"one\\ntwo")
            writer.writelines(piece for piece in (b"thr", b"ee"))
            await writer.drain()
            print(await reader.readline())
            print(await reader.readexactly(3))
            print(await reader.read(99))
            writer.write(b"x" * 3_000_000)
            writer.close()
            print(len(await reader.read()))
            print(a.fileno(), b.fileno())
        asyncio.run(main())
    """
    events = trace(live, program, python)
    (main,) = tasks(live)
    reads = of(events, main, "StreamReader.readline", "StreamReader.readexactly", "StreamReader.read")
    assert [(e.op.partition(".")[2], e.line, e.size, e.result, e.data) for e in reads[:3]] == [
        ("readline", 10, None, 4, b"one\n"), ("readexactly", 11, 3, 3, b"two"), ("read", 12, 99, 5, b"three"),
    ]  # fmt: skip
    assert (reads[3].size, reads[3].result, len(reads[3].data)) == (None, 3_000_000, 72)
    writes = of(events, main, "StreamWriter.write")
    assert [(e.line, e.size, e.data[:7]) for e in writes] == [
        (7, 7, b"one\ntwo"), (8, 5, b"three"), (13, 3_000_000, b"xxxxxxx"),
    ]  # fmt: skip
    assert [e.pending for e in writes[:2]] == [0, 0]
    assert writes[2].pending is not None and writes[2].pending > 1_000_000
    (drain,) = of(events, main, "StreamWriter.drain")
    assert (drain.line, drain.pending, drain.flags) == (9, 0, table.NONBLOCKING)
    assert {e.fd for e in reads} != {e.fd for e in [*writes, drain]}
    assert len({e.channel for e in reads}) == len({e.channel for e in [*writes, drain]}) == 1


@each_interpreter
def test_a_child_of_asyncio_has_its_bytes_and_its_end(python: str, live: Path) -> None:
    program = """
        import asyncio, sys
        async def main():
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "import sys; print(input() * 2, flush=True); sys.stdin.read(); sys.exit(3)",
                stdin=-1, stdout=-1)
            child.stdin.write(b"ab\\n")
            await child.stdin.drain()
            await child.stdout.readline()
            asyncio.get_running_loop().call_soon(child.stdin.close); print(child.pid, await child.wait())
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "print(input() * 2)", stdin=-1, stdout=-1)
            print(child.pid, await child.communicate(b"cd\\n"))
        asyncio.run(main())
    """
    done = target.run(dedent(program), live=live, python=python)
    assert done.returncode == 0
    pids = [int(line.split()[0]) for line in done.stdout.decode().splitlines()]
    events = target.calls(live)[0]
    first = min(tasks(live))
    seen = of(
        events,
        first,
        "StreamWriter.write",
        "StreamReader.readline",
        "asyncio.Process.wait",
        "asyncio.Process.communicate",
    )
    assert [(e.op, e.line, e.data) for e in seen] == [
        ("StreamWriter.write", 7, b"ab\n"), ("StreamReader.readline", 9, b"abab\n"),
        ("asyncio.Process.wait", 10, b""), ("asyncio.Process.communicate", 13, b""),
    ]  # fmt: skip
    assert [(e.size, e.result, e.extra) for e in seen[2:]] == [(pids[0], pids[0], 3 << 8), (pids[1], pids[1], 0)]
    parts = {
        e.data: tasks(live)[e.thread].text["coroutine"]
        for e in events
        if e.data in (b"cd\n", b"cdcd\n") and e.thread >= table.TASKS
    }
    assert parts == {b"cd\n": "Process._feed_stdin", b"cdcd\n": "Process._read_stream"}


# What is read off a task before its loop waits


@each_interpreter
def test_whom_a_task_waits_for_is_known(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def short():
            await asyncio.sleep(0.01)
        async def main():
            def made(name):
                return asyncio.create_task(short(), name=name)
            await made("awaited")
            await asyncio.gather(made("gathered"))
            await asyncio.wait([made("waited")])
            await asyncio.shield(made("shielded"))
            await asyncio.wait_for(made("limited"), 10)
            await asyncio.wait_for(asyncio.shield(made("both")), 10)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, sum, [1, 2])
            future = loop.create_future()
            loop.call_later(0.001, future.set_result, 1)
            await future
        asyncio.run(main())
    """
    events = trace(live, program, python)
    names = {number: name for name, number in named(live).items()}
    main = named(live)["Task-1"]
    waits = [e for e in of(events, main, "await tasks") if e.line is not None]
    assert [(names[e.size], e.line, e.flags & table.TIMED) for e in waits] == [
        ("awaited", 8, 0), ("gathered", 9, 0), ("waited", 10, 0), ("shielded", 11, 0),
        ("limited", 12, table.TIMED), ("both", 13, table.TIMED),
    ]  # fmt: skip
    assert [e.line for e in of(events, main, "asyncio.Future")][-2:] == [15, 18]
    assert [e.line for e in of(events, main, "loop.run_in_executor")] == [15]
    life = {e.thread: e for e in events if e.op == "task"}
    for wait in waits:
        assert life[wait.size].enter <= wait.enter < life[wait.size].exit <= wait.exit


@since_3_11
def test_waits_within_a_timeout_or_a_group_are_told_as_such(live: Path) -> None:
    program = """
        import asyncio
        async def main():
            event = asyncio.Event()
            try:
                async with asyncio.timeout(0.001):
                    await event.wait()
            except TimeoutError:
                pass
            async with asyncio.timeout(None):
                await asyncio.sleep(0.001)
            async with asyncio.timeout(10):
                await asyncio.create_task(asyncio.sleep(0.01), name="inner")
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0.01), name="grouped")
        asyncio.run(main())
    """
    events = trace(live, program)
    number = named(live)
    waits = of(events, number["Task-1"])
    assert [(e.op, e.line, e.flags, e.state, e.size) for e in waits] == [
        ("asyncio.Event.wait", 7, table.TIMED, table.FAILED, None),
        ("asyncio.sleep", 11, 0, table.DONE, 1_000_000),
        ("await tasks", 13, table.TIMED, table.DONE, number["inner"]),
        ("await tasks", 14, 0, table.DONE, number["grouped"]),
    ]
    # a task that is nothing but a call of asyncio's stands where it was made
    assert [e.line for e in of(events, number["grouped"])] == [15]


@pytest.mark.parametrize("python", EACH[4:6])
def test_an_eager_task_is_met_as_it_waits(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def work(wait):
            if wait:
                await asyncio.sleep(0.001)
        async def main():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            first = asyncio.create_task(work(False), name="never waits")
            await asyncio.create_task(work(True), name="waits")
            print(first.get_name())
        asyncio.run(main())
    """
    events = trace(live, program, python)
    assert [e.line for e in of(events, named(live)["waits"], "asyncio.sleep")] == [5]
    assert "never waits" not in named(live)


@each_interpreter
@pytest.mark.sample(2)
def test_a_task_that_is_done_is_closed_and_a_cancelled_wait_has_failed(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def main():
            task = asyncio.create_task(asyncio.sleep(10), name="cancelled")
            await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(0.05)
            wait = asyncio.Event().wait()
            wait.close()
        asyncio.run(main())
    """
    events = trace(live, program, python)
    number = named(live)["cancelled"]
    (slept,) = of(events, number)
    (life,) = [e for e in events if e.op == "task" and e.thread == number]
    later = next(e for e in events if e.op == "asyncio.sleep" and e.line == 8)
    assert (slept.op, slept.state) == ("asyncio.sleep", table.FAILED)
    assert life.state == table.DONE and life.exit < later.exit


@each_interpreter
def test_errands_of_asyncio_itself_are_not_tasks_of_the_program(python: str, live: Path) -> None:
    program = """
        import asyncio
        async def handle(reader, writer):
            await reader.readline()
            writer.close()
        async def main():
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            host, port = server.sockets[0].getsockname()
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\\n")
            await asyncio.sleep(0.05)
            writer.close()
            server.close()
        asyncio.run(main())
    """
    events = trace(live, program, python)
    assert sorted(d.text["coroutine"] for d in tasks(live).values()) == ["handle", "main"]
    (connected,) = [e for e in events if e.op == "asyncio.open_connection"]
    (written,) = [e for e in events if e.op == "StreamWriter.write"]
    assert (connected.line, connected.result, connected.flags) == (9, written.fd, table.ADDRESSED)
    handler = next(e for e in events if e.op == "task" and tasks(live)[e.thread].text["coroutine"] == "handle")
    assert handler.line == 3  # asyncio made it: its own definition tells more than asyncio.run


# Processes, threads, loops


@each_interpreter
def test_tasks_are_defined_anew_in_the_child_of_a_fork(python: str, live: Path) -> None:
    program = """
        import asyncio, os
        async def nap():
            await asyncio.sleep(0.001)
        async def main():
            await asyncio.create_task(nap(), name="parent's")
            if not os.fork():
                os._exit(0)
            os.wait()
        asyncio.run(main())
        if not os.fork():
            asyncio.run(nap())
            os._exit(0)
        os.wait()
    """
    done = target.run(dedent(program), live=live, python=python)
    assert done.returncode == 0
    assert [d.text["coroutine"] for d in tasks(live, 0).values()] == ["main", "nap"]
    assert [d.text["coroutine"] for d in tasks(live, 2).values()] == ["nap"]
    assert [(e.op, e.line) for e in target.calls(live)[2] if e.thread >= table.TASKS] == [
        ("task", 12),
        ("asyncio.sleep", 4),
    ]


@each_interpreter
def test_loops_in_several_threads_have_their_own_tasks(python: str, live: Path) -> None:
    program = """
        import asyncio, threading
        async def nap(name):
            await asyncio.create_task(asyncio.sleep(0.001), name=name)
        threads = [threading.Thread(target=asyncio.run, args=(nap(name),)) for name in ("a", "b")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        asyncio.run(nap("c"))
        asyncio.run(nap("d"))
    """
    trace(live, program, python)
    loops = {d.text["name"]: d.thread for d in tasks(live).values()}
    assert len({loops["a"], loops["b"], loops["c"]}) == 3
    assert loops["c"] == loops["d"]
    assert len(tasks(live)) == 8


def test_tasks_live_no_longer_than_without_us(live: Path) -> None:
    program = """
        import asyncio, gc, weakref
        class Item: pass
        async def work(item, queue):
            await queue.get()
        async def main():
            queue, item = asyncio.Queue(), Item()
            task = asyncio.create_task(work(item, queue))
            seen = weakref.ref(task), weakref.ref(item), weakref.ref(queue)
            await queue.put(1)
            await task
            del task, item, queue
            await asyncio.sleep(0)  # the loop itself holds a task that it has just woken
            assert [ref() for ref in seen] == [None] * 3
            future = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(asyncio.wait_for(future, 10))
            await asyncio.sleep(0.001)
            future.set_result(1)
            await task
            seen = weakref.ref(task), weakref.ref(future)
            del task, future
            await asyncio.sleep(0)
            gc.collect()
            assert [ref() for ref in seen] == [None] * 2
        asyncio.run(main())
    """
    trace(live, program)


# Fidelity


TELLING = r"""
import asyncio, gc, inspect, io, logging, re, sys, traceback
sys.stderr = sys.stdout  # in one order
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)

def told(thing):
    return re.sub("0x[0-9a-f]+", "0x", str(thing))

functions = asyncio.sleep, asyncio.open_connection, asyncio.Queue.get, asyncio.StreamReader.readuntil, asyncio.Queue.__init__
for function in functions:
    print(inspect.iscoroutinefunction(function), asyncio.iscoroutinefunction(function), inspect.signature(function))
    print(told(function), function.__module__, function.__qualname__)

class Failing(asyncio.Queue):
    def _put(self, item):
        raise ValueError("no")

async def fails():
    await Failing().put(1)

async def main():
    queue, event, lock, reader = asyncio.Queue(), asyncio.Event(), asyncio.Lock(), asyncio.StreamReader()
    await lock.acquire()

    async def inner():
        await queue.get()

    waits = [
        queue.get(), event.wait(), lock.acquire(), asyncio.sleep(10), inner(), reader.read(5), reader.readline(),
        queue.join(), asyncio.Semaphore(0).acquire(), asyncio.gather(event.wait()), asyncio.shield(event.wait()),
    ]
    waits = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.sleep(0.01)
    for task in [wait for wait in waits if isinstance(wait, asyncio.Task)]:
        text = io.StringIO()
        task.print_stack(file=text)
        print(told(task), told(text.getvalue()), [(frame.f_lineno, frame.f_code.co_name) for frame in task.get_stack()])
    print(sorted(task.get_name() for task in asyncio.all_tasks()), told(asyncio.current_task()), told([queue, lock, event, reader]))
    for wait in waits:
        wait.cancel()
    print(told(await asyncio.gather(*waits, return_exceptions=True)))
    try:
        await asyncio.create_task(fails())
    except ValueError:
        traceback.print_exc()
    task = asyncio.create_task(fails())
    await asyncio.sleep(0.01)
    task.print_stack()
    del task
    gc.collect()  # Task exception was never retrieved
    queue.get(), asyncio.sleep(1)  # never awaited
    gc.collect()
    for wrong in (
        lambda: asyncio.sleep(), lambda: asyncio.sleep("x"), lambda: queue.get(1), lambda: reader.readexactly(-1),
        lambda: asyncio.open_connection("127.0.0.1", 1),
    ):
        try:
            await wrong()
        except Exception as error:
            print(type(error), error)
    for wrong in (
        lambda: queue.put_nowait(), lambda: queue.get_nowait(), lambda: lock.release() or lock.release(),
        lambda: asyncio.create_task(3), lambda: queue.task_done(), lambda: asyncio.Queue(1, 2, 3),
        lambda: asyncio.sleep(), lambda: queue.get(1), lambda: reader.read(1, 2), lambda: event.wait(x=1),
    ):
        try:
            wrong()
        except Exception as error:
            print(type(error), error)
    coroutine = queue.get()
    print(told(coroutine), coroutine.cr_code.co_name, coroutine.cr_frame.f_lineno)
    coroutine.close()
    lost = asyncio.create_task(event.wait())
    print([str(frame) for frame in getattr(lost, "_source_traceback", None) or ()])
    await asyncio.sleep(0)

for debug in (False, True):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_debug(debug)
    loop.slow_callback_duration = 100
    loop.run_until_complete(main())
    loop.close()
    getattr(asyncio.tasks, "_all_tasks", set()).clear()
    gc.collect()  # Task was destroyed but it is pending
"""


@each_interpreter
@pytest.mark.sample(2)
def test_all_that_asyncio_tells_of_tasks_is_as_without_us(python: str, live: Path, tmp_path: Path) -> None:
    program = tmp_path / "telling.py"
    program.write_text(TELLING)

    def output(where: Path | None) -> str:
        done = target.run(program, live=where, python=python)
        assert done.returncode == 0, done.stdout
        return re.sub("0x[0-9a-f]+", "0x", done.stdout.decode())

    alone = output(None)
    assert output(live) == alone
    assert "Task was destroyed but it is pending" in alone or python.endswith("pypy3")
    assert "Task exception was never retrieved" in alone
    assert tasks(live)


@pytest.mark.parametrize("python", EACH[2:])
def test_locks_and_queues_are_copied_and_pickled_as_ever(python: str, live: Path) -> None:
    program = """
        import asyncio, copy, pickle
        async def main():
            for thing in asyncio.Lock(), asyncio.Event(), asyncio.Queue(3), asyncio.Semaphore(2):
                for way in copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing)):
                    try:
                        print(type(way(thing)), await getattr(way(thing), "acquire", asyncio.Lock().acquire)())
                    except Exception as error:
                        print(type(error), error)
            lock = copy.copy(asyncio.Lock())
            await lock.acquire()
            waits = asyncio.create_task(lock.acquire())
            await asyncio.sleep(0.001)
            lock.release()
            print(await waits)
        asyncio.run(main())
    """
    alone, traced = (target.run(dedent(program), live=where, python=python) for where in (None, live))
    told = [re.sub(b"0x[0-9a-f]+", b"0x", done.stdout + done.stderr) for done in (alone, traced)]
    assert (alone.returncode, traced.returncode, told[0]) == (0, 0, told[1])


@pytest.mark.parametrize("python", EACH[:2])
def test_what_is_deprecated_is_warned_of_at_the_program_s_own_line(python: str, live: Path, tmp_path: Path) -> None:
    program = tmp_path / "warned.py"
    program.write_text("""
import asyncio, socket, warnings
warnings.simplefilter("always")
async def main():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.001, loop=loop)
    await asyncio.sleep(0, loop=loop)
    a, b = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=a, loop=loop)
    writer.close(), b.close()
    asyncio.Queue(loop=loop), asyncio.Lock(loop=loop), asyncio.Event(loop=loop)
    await asyncio.wait_for(asyncio.sleep(0), 1, loop=loop)
    await asyncio.gather(asyncio.sleep(0), loop=loop)
asyncio.run(main())
""")
    alone, traced = (target.run(program, live=where, python=python) for where in (None, live))
    assert alone.stderr == traced.stderr
    assert alone.stderr.count(b"The loop argument is deprecated") > 5


# The chapter's programs


def test_the_tasks_of_the_chapter(tmp_path: Path) -> None:
    made = recorded.record(tmp_path, "tasks.py")
    run = made.run
    assert run.verdict.name == "completed"
    assert b"1 process, 1 thread, 4 tasks" in made.errors
    trace = run.trace
    own = trace.threads[trace.threads["loop"].notna()]
    assert set(own["name"]) == {"Task-1", "producer", "Ann", "Bob"}
    assert set(own["loop"]) == set(trace.threads.loc[trace.threads["main"], "thread"])
    assert own["ended"].notna().all() and (own["tid"] >= table.TASKS).all()
    blocking.check(run.analysis.blocking, run.analysis.busy)
    of_task = trace.events.merge(own[["thread", "name"]], on="thread").merge(trace.sites, on="site")
    lines = {(row.name, row.op, row.line) for row in of_task.itertuples(index=False)}
    source = (recorded.CHAPTER / "tasks.py").read_text().splitlines()

    def line(text: str) -> int:
        return next(number for number, each in enumerate(source, 1) if text in each)

    assert {
        ("producer", "asyncio.Event.wait", line("opened.wait()")), ("producer", "asyncio.Queue.put", line("orders.put")),
        ("producer", "asyncio.Queue.join", line("orders.join()")), ("Ann", "asyncio.Queue.get", line("orders.get()")),
        ("Bob", "asyncio.Lock.acquire", line("async with till")), ("Ann", "asyncio.sleep", line("asyncio.sleep(pause)")),
        ("Task-1", "asyncio.Event.set", line("opened.set()")), ("Task-1", "await tasks", line("await work")),
    } <= lines  # fmt: skip
    (orders,) = trace.channels[trace.channels["kind"] == "queue"].itertuples(index=False)
    assert orders.capacity == 2
    assert (trace.events["op"] == "asyncio.Queue.put").sum() == 4
    held = trace.events[trace.events["op"] == "asyncio.Lock.acquire"]["owner"].dropna()
    assert set(held) <= set(own["tid"]) and len(held)


def test_the_child_of_the_chapter(tmp_path: Path) -> None:
    run = recorded.record(tmp_path, "async_child.py").run
    assert run.verdict.name == "completed"
    events = run.trace.events.merge(run.trace.payloads, on="event", how="left")
    (task,) = run.trace.threads.loc[run.trace.threads["loop"].notna(), "thread"]
    own = events[(events["thread"] == task) & events["data"].notna()]
    assert list(zip(own["op"], own["data"], strict=True)) == [
        ("StreamWriter.write", b"Hello 1\n"), ("StreamReader.readline", b"child got: Hello 1\n"),
        ("StreamWriter.write", b"Hello 2\n"), ("StreamReader.readline", b"child got: Hello 2\n"),
    ]  # fmt: skip
    kinds = run.trace.channels["kind"].to_numpy()
    assert set(kinds[own["channel"].to_numpy(dtype=int)]) <= {"pipe", "socket"}
    ended = events[(events["op"] == "asyncio.Process.wait")]
    assert ended["size"].to_list() == run.trace.processes["pid"].to_list()[1:] and ended["extra"].to_list() == [0]
    assert run.trace.processes["status"].to_list() == [0, 0]


def test_the_server_of_the_chapter(tmp_path: Path) -> None:
    run = recorded.record(tmp_path, "async_server.py").run
    assert run.verdict.name == "completed"
    events = run.trace.events.merge(run.trace.payloads, on="event", how="left")
    connected = events[events["op"] == "asyncio.open_connection"]
    assert len(connected) == 2 and connected["address"].str.startswith("127.0.0.1:").all()
    for name in (b"spam", b"eggs"):
        sent = events[(events["op"] == "StreamWriter.write") & (events["data"] == name + b" 1\n")]
        got = events[(events["op"] == "StreamReader.readline") & (events["data"] == name.upper() + b" 1\n")]
        assert sent["thread"].to_list() == got["thread"].to_list() and len(sent) == 1
    names = run.trace.threads.loc[run.trace.threads["loop"].notna(), "name"]
    assert len(names) == 5  # main, two clients, two connections


def test_the_pipe_of_the_chapter(tmp_path: Path) -> None:
    run = recorded.record(tmp_path, "async_pipe.py").run
    assert run.verdict.name == "completed"
    events = run.trace.events
    producer = int(run.trace.threads.loc[run.trace.threads["name"] == "producer", "thread"].iloc[0])
    written = events[(events["op"] == "StreamWriter.write") & (events["thread"] == producer)]
    assert written["size"].to_list() == [50_000] * 3
    assert written["pending"].to_list()[-1] > 0  # what the pipe has no room for stays in the transport
    (pipe,) = set(written["channel"])
    assert set(events.loc[events["op"] == "StreamReader.readexactly", "channel"]) == {pipe}
    assert run.messages["size"].sum() == 150_000


def test_reports_of_tasks_that_hang(tmp_path: Path) -> None:
    program = tmp_path / "stuck.py"
    program.write_text(dedent("""
        import asyncio
        async def one(mine, other):
            await other.get()
            await mine.put(1)
        async def main():
            a, b = asyncio.Queue(), asyncio.Queue()
            await asyncio.gather(one(a, b), one(b, a))
        asyncio.run(main())
    """))  # fmt: skip
    command = [sys.executable, "-m", "ipctrace", "record", "--out", "stuck.ipctrace", "--duration", "1", str(program)]
    status, output, errors = recorded.run(command, tmp_path)
    assert b"Traceback" not in errors + output
    assert (tmp_path / "stuck.html").stat().st_size > 0
    run = recorded.Recorded(status, output, errors, tmp_path / "stuck.ipctrace").run
    waits = run.blocking[run.blocking["open"]]
    assert sorted(run.trace.events["op"].iloc[waits["event"]])[:3] == ["asyncio.Queue.get"] * 2 + ["await tasks"]
