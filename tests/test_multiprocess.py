"""multiprocessing as it is recorded: by the command line under every start method, and the traps of recording it."""

from __future__ import annotations

import pickle
import re
import signal
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pytest
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from ipctrace import Run
from tests import recorded, target
from tests.interpreters import EACH, FOUND

METHODS = ("fork", "spawn", "forkserver")
each_method = pytest.mark.parametrize("how", METHODS)
each_interpreter = pytest.mark.parametrize("python", EACH)
HELPERS = {"fork": set(), "spawn": {"resource_tracker"}, "forkserver": {"resource_tracker", "forkserver"}}


class Trace:
    """A finished recording's tables, with the words that its numbers stand for."""

    def __init__(self, run: Run) -> None:
        self.tables = run.trace
        self.processes, self.channels, events = run.trace.processes, run.trace.channels, run.trace.events
        sites = run.trace.sites.set_index("site")
        who = self.processes.set_index("process").name
        self.events = events.assign(
            line=events.site.map(sites.line), file=events.site.map(sites.file).map(lambda f: Path(str(f)).name),
            who=events.process.map(who).fillna("main"), thread_name=events.thread.map(run.trace.threads.set_index("thread").name),
            kind_of=events.channel.map(self.channels.set_index("channel").kind),
        )  # fmt: skip

    def of(self, op: str, who: str | None = None) -> pd.DataFrame:
        chosen = self.events[self.events.op == op]
        return chosen if who is None else chosen[chosen.who == who]

    def names(self) -> set[str]:
        return set(self.processes.name.dropna())

    def inside(self, op: str, outer: str) -> pd.DataFrame:
        """The events of `op` that happened directly inside one of `outer`."""
        parents = set(self.of(outer).event)
        return self.events[(self.events.op == op) & self.events.parent.isin(parents)]


def record(folder: Path, program: str, how: str) -> Trace:
    made = recorded.record(folder, program, how)
    assert (made.status, made.run.verdict.name) == (0, "completed"), made.errors.decode()
    trace = Trace(made.run)
    assert trace.processes.traced.all()
    assert trace.processes.lost.sum() == 0
    return trace


def line_of(program: str, text: str) -> int:
    lines = (recorded.CHAPTER / program).read_text().split("\n")
    return next(number for number, line in enumerate(lines, 1) if text in line)


@each_method
class TestProcesses:
    @pytest.mark.sample(1)
    def test_a_child_has_its_name_and_its_messages(self, how: str, tmp_path: Path) -> None:
        trace = record(tmp_path, "processes.py", how)
        assert trace.names() == {"answerer"} | HELPERS[how]
        child = trace.processes[trace.processes.name == "answerer"].iloc[0]
        start, join = trace.of("Process.start").iloc[0], trace.of("Process.join").iloc[0]
        assert (start.result, join["size"], join.result, join.extra) == (child.pid, child.pid, child.pid, 0)
        assert (join.wait, join.line, child.status) == ("child", line_of("processes.py", ".join()"), 0)
        asked, got = trace.of("Connection.send", "main").iloc[0], trace.of("Connection.recv", "answerer").iloc[0]
        assert asked["size"] == got.result > len("Who is there?")
        assert (asked.line, got.line) == (
            line_of("processes.py", "ours.send"),
            line_of("processes.py", "= connection.recv"),
        )
        assert (asked.wait, got.wait, asked.kind_of, got.kind_of) == ("noroom", "nodata", "socket", "socket")
        bytes_of = trace.inside("os.read", "Connection.recv").groupby("parent").result.sum()
        assert bytes_of[got.event] == got.result + 4, "the message and its length"
        assert trace.of("os._exit", "answerer").exit.isna().all(), "nothing is lost by it"


@each_method
class TestQueue:
    @pytest.mark.sample(1)
    def test_a_put_is_fed_by_a_thread_and_got_elsewhere(self, how: str, tmp_path: Path) -> None:
        trace = record(tmp_path, "process_queue.py", how)
        queues = trace.channels[trace.channels.kind == "queue"].set_index("channel")
        tasks, results = sorted(queues.index, key=lambda channel: queues.capacity.notna()[channel])
        assert (queues.capacity[results], pd.isna(queues.capacity[tasks])) == (10, True)
        for channel, writer, reader, count in ((tasks, "main", "worker", 4), (results, "worker", "main", 3)):
            on = trace.events[trace.events.channel == channel]
            said = {op: set(on[on.op == f"multiprocessing.Queue.{op}"].who) for op in ("put", "feed", "get")}
            assert said == {"put": {writer}, "feed": {writer}, "get": {reader}}, "one channel in every process"
            assert {len(on[on.op == f"multiprocessing.Queue.{op}"]) for op in ("put", "feed", "get")} == {count}
            assert set(on[on.op == "multiprocessing.Queue.feed"].thread_name) == {"QueueFeederThread"}
        fed = dict(
            zip(
                trace.of("multiprocessing.Queue.feed").event,
                trace.of("multiprocessing.Queue.feed")["size"] + 4,
                strict=True,
            )
        )
        written = trace.inside("os.write", "multiprocessing.Queue.feed")
        assert dict(zip(written.parent, written.result, strict=True)) == fed, "the object and its length"
        join = trace.of("multiprocessing.Queue.join").iloc[0]
        assert (join.channel, join.wait, join.line) == (tasks, "notice", line_of("process_queue.py", "tasks.join()"))
        assert len(trace.of("multiprocessing.Queue.task_done", "worker")) == 4
        shared = trace.channels[trace.channels.process.isna()]
        assert not {"lock", "rlock", "semaphore", "condition"} & set(shared.kind), "what it is made of is not told"
        own = trace.channels[trace.channels.process.notna()]
        assert set(own.kind) <= {"lock"}, "but its threads' lock may be, when two of them wanted it at once"


@each_method
class TestPool:
    @pytest.mark.sample(1)
    def test_workers_have_names_and_all_that_they_did_though_they_are_terminated(
        self, how: str, tmp_path: Path
    ) -> None:
        trace = record(tmp_path, "process_pool.py", how)
        workers = {name for name in trace.names() if "PoolWorker" in name}
        assert workers, "the second may be terminated before it has begun"
        assert trace.names() == workers | HELPERS[how]
        answers = trace.of("multiprocessing.Queue.put")
        assert len(answers[answers.who.isin(workers)]) == 5
        queue = answers[answers.who.isin(workers)].channel.iloc[0]
        sent = trace.inside("Connection.send", "multiprocessing.Queue.put")
        pipe = sent[sent.who.isin(workers)].channel.iloc[0]
        sizes, got = (trace.of(f"Connection.{op}") for op in ("send", "recv"))
        answered = sizes[(sizes.channel == pipe) & sizes.who.isin(workers)]["size"]
        nothing = len(pickle.dumps(None))  # with it the pool tells its own threads to end
        assert sorted(answered) == sorted(size for size in got[got.channel == pipe].result if size > nothing)
        assert trace.channels.set_index("channel").kind[queue] == "queue"


@each_method
class TestManager:
    @pytest.mark.sample(1)
    def test_a_proxys_call_is_a_message_and_its_answer(self, how: str, tmp_path: Path) -> None:
        trace = record(tmp_path, "manager.py", how)
        children = {name for name in trace.names() if "Process-" in name}
        assert len(children) == 2
        assert trace.names() == children | {"SyncManager-1"} | HELPERS[how]
        for who in children:
            appended = line_of("manager.py", "shared.append")
            on = trace.events[(trace.events.who == who) & (trace.events.line == appended)]
            assert {"Connection.send", "Connection.recv"} <= set(on.op)
            assert (on[on.op == "Connection.recv"].wait == "nodata").all()
        assert len(trace.of("Connection.recv", "SyncManager-1")) > 8


@each_method
class TestLocks:
    @pytest.fixture
    def trace(self, how: str, tmp_path: Path) -> Trace:
        return record(tmp_path, "process_locks.py", how)

    @pytest.mark.sample(1)
    def test_one_lock_is_one_channel_and_every_acquire_has_its_release(self, trace: Trace) -> None:
        for kind, who in (
            ("lock", {"first", "second"}),
            ("semaphore", {"first", "second"}),
            ("rlock", {"main", "first", "second"}),
        ):
            on = trace.events[trace.events.kind_of == kind]
            taken = on[on.op == "multiprocessing.Lock.acquire"]
            assert set(taken.who) == who
            assert (taken.result == 1).all()
            for _, of_channel in on.groupby("channel"):
                counts = of_channel.op.value_counts()
                assert counts["multiprocessing.Lock.acquire"] == counts["multiprocessing.Lock.release"]
        made = trace.channels[trace.channels.kind.isin(["lock", "semaphore"])]
        assert set(made.kind) == {"lock", "semaphore"}
        assert len(made) == 2
        assert made.set_index("kind").capacity["semaphore"] == 1

    @pytest.mark.sample(1)
    def test_holders_never_overlap(self, trace: Trace) -> None:
        on = trace.events[(trace.events.kind_of == "lock")].sort_values("enter")
        held: str | None = None
        acquires = on[on.op == "multiprocessing.Lock.acquire"].assign(time=lambda e: e.exit, what="take")
        releases = on[on.op == "multiprocessing.Lock.release"].assign(time=lambda e: e.enter, what="give")
        for event in pd.concat([acquires, releases]).sort_values("time").itertuples():
            assert held == (None if event.what == "take" else event.who)
            held = str(event.who) if event.what == "take" else None

    @pytest.mark.sample(1)
    def test_waits_are_their_own_and_not_those_of_their_parts(self, trace: Trace) -> None:
        kinds = {
            "multiprocessing.Condition.wait": "condition", "multiprocessing.Condition.notify": "condition",
            "multiprocessing.Event.wait": "event", "multiprocessing.Event.set": "event", "Barrier.wait": "barrier",
        }  # fmt: skip
        for op, kind in kinds.items():
            on = trace.of(op)
            assert set(on.kind_of) == {kind}
            assert on.channel.nunique() == 1
            assert set(on.wait.dropna()) == ({"notice"} if op.endswith("wait") else set())
        assert set(trace.of("Barrier.wait").who) == {"main", "first", "second"}
        assert sorted(trace.of("Barrier.wait").result) == [0, 1, 2]
        barrier = trace.channels[trace.channels.kind == "barrier"]
        assert list(barrier.capacity) == [3]
        made = line_of("process_locks.py", "multiprocessing.Condition()")
        sites = trace.tables.sites.set_index("site").line
        assert set(trace.channels[trace.channels.kind == "condition"].site.map(sites)) == {made}
        within = trace.inside("multiprocessing.Lock.acquire", "multiprocessing.Condition.wait")
        assert set(within.kind_of) == {"rlock"}, "a wait takes its lock again"
        assert trace.inside("multiprocessing.Lock.acquire", "multiprocessing.Event.wait").empty
        assert trace.inside("multiprocessing.Condition.wait", "Barrier.wait").empty

    @pytest.mark.sample(1)
    def test_a_value_is_locked_in_the_programs_own_line(self, trace: Trace) -> None:
        lines = {line_of("process_locks.py", "total.value += 1"), line_of("process_locks.py", "total.value += 10")}
        on = trace.events[(trace.events.kind_of == "rlock") & (trace.events.who == "first")]
        assert lines < set(on.line)
        assert set(on.file) == {"process_locks.py"}


def run(text: str, live: Path, **settings: object) -> list[list[target.Call]]:
    done = target.run(dedent(text), live=live, **settings)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr.decode()
    return target.calls(live)


def blocked(calls: list[target.Call]) -> list[str]:
    """The open records of a log's main thread but its end, the innermost last."""
    return [e.op for e in calls if e.state == table.OPEN and e.op not in ("os._exit", "thread")]


HANG = """
    import multiprocessing, os, signal, sys
    context = multiprocessing.get_context('fork')
    lock, condition, event = context.Lock(), context.Condition(), context.Event()
    barrier, queue, full, simple = context.Barrier(2), context.JoinableQueue(), context.Queue(1), context.SimpleQueue()
    one, other = context.Pipe()
    lock.acquire(); full.put(1); queue.put(1)
    while queue.empty(): pass
    def hang():
        {first}
        os.close(ready)
        {call}
    reading, ready = os.pipe()
    child = context.Process(target=hang)
    child.start()
    os.close(ready); os.read(reading, 1)
    state = ''
    while state != 'S':  # asleep: in the call that nobody will end
        with open('/proc/%d/stat' % child.pid) as file: state = file.read().rpartition(')')[2].split()[0]
    child.kill(); child.join(); full.cancel_join_thread()
"""


@pytest.mark.parametrize(
    ("call", "innermost"),
    [
        ("lock.acquire()", "multiprocessing.Lock.acquire"),
        ("with lock: pass", "multiprocessing.Lock.acquire"),
        ("with condition: condition.wait()", "multiprocessing.Condition.wait"),
        ("event.wait()", "multiprocessing.Event.wait"),
        ("barrier.wait()", "Barrier.wait"),
        ("queue.join()", "multiprocessing.Queue.join"),
        ("full.put(1)", "multiprocessing.Queue.put"),
        ("queue.get(); queue.get()", "os.read"),
        ("simple.get()", "os.read"),
        ("one.recv()", "os.read"),
    ],
)
def test_what_a_blocked_process_waits_for_is_its_innermost_open_record(
    call: str, innermost: str, tmp_path: Path
) -> None:
    _, child = run(HANG.replace("{call}", call).replace("{first}", ""), tmp_path / "live")
    assert blocked(child)[-1] == innermost


def test_a_get_whose_turn_another_reader_has_is_open_by_itself(tmp_path: Path) -> None:
    child = run(HANG.replace("{call}", "queue.get()").replace("{first}", "queue._rlock.acquire()"), tmp_path / "live")[
        1
    ]
    assert blocked(child) == ["multiprocessing.Queue.get"]


LIMITS = """
    import multiprocessing, queue
    context = multiprocessing.get_context('fork')
    lock, event, condition, full, barrier = context.Lock(), context.Event(), context.Condition(), context.Queue(1), context.Barrier(2, timeout=0.01)
    lock.acquire()
    lock.acquire(False); lock.acquire(block=False); lock.acquire(True, 0.01); lock.acquire(timeout=0.01); lock.acquire(timeout=-1)
    event.wait(0.01); event.wait(timeout=0); event.set(); event.wait()
    with condition: condition.wait(0.01)
    full.put(1)
    for put in (lambda: full.put(2, False), lambda: full.put(2, timeout=0.01), lambda: full.put_nowait(2)):
        try: put()
        except queue.Full: pass
    full.get()
    for get in (lambda: full.get(False), lambda: full.get(True, 0.01), lambda: full.get_nowait()):
        try: get()
        except queue.Empty: pass
    try: barrier.wait()
    except Exception: pass
    sleeper = context.Process(target=event.wait); sleeper.start(); sleeper.join(timeout=60)
"""


@each_interpreter
def test_a_wait_with_a_limit_says_so(python: str, tmp_path: Path) -> None:
    calls = run(LIMITS, tmp_path / "live", python=python)[0]
    T, N, ten = table.TIMED, table.NONBLOCKING, 10_000_000
    seen = {
        op: [(e.flags, e.size, e.result) for e in calls if e.op == f"multiprocessing.{op}"]
        for op in ("Lock.acquire", "Event.wait")
    }
    assert seen["Lock.acquire"][:6] == [(0, None, 1), (N, 0, 0), (N, 0, 0), (T, ten, 0), (T, ten, 0), (N, 0, 0)]
    assert seen["Event.wait"] == [(T, ten, 0), (N, 0, 0), (0, None, 1)]
    moved = [
        (e.op.rpartition(".")[2], e.flags, e.size, e.state)
        for e in calls
        if e.op in ("multiprocessing.Queue.put", "multiprocessing.Queue.get")
    ]
    D, F = table.DONE, table.FAILED
    assert moved == [
        ("put", 0, None, D), ("put", N, 0, F), ("put", T, ten, F), ("put", N, 0, F),
        ("get", 0, None, D), ("get", N, 0, F), ("get", T, ten, F), ("get", N, 0, F),
    ]  # fmt: skip
    assert [(e.flags, e.size) for e in calls if e.op == "Barrier.wait"] == [(T, ten)]
    assert [e.flags for e in calls if e.op == "multiprocessing.Condition.wait"] == [T]
    assert [e.flags for e in calls if e.op == "Process.join"] == [T]


@pytest.mark.parametrize("version", ["CPython 3.8", "CPython 3.11", "CPython 3.13"])
def test_what_was_imported_before_us_is_recorded_too(version: str, tmp_path: Path) -> None:
    """A .pth file runs before we come: Connection then holds os.read and os.write themselves, as default arguments."""
    python = FOUND[version]
    if python is None:
        pytest.skip(f"{version} is not on this machine")
    site = tmp_path / "base" / "lib" / f"python{version.split()[1]}" / "site-packages"
    site.mkdir(parents=True)
    (site / "early.pth").write_text(
        "import multiprocessing.connection, multiprocessing.queues, multiprocessing.synchronize\n"
    )
    text = """
        import multiprocessing
        one, other = multiprocessing.Pipe(); one.send('x'); other.recv(); one.close()
        with multiprocessing.get_context('fork').Lock(): pass
    """
    environment = target.clean_environment(PYTHONUSERBASE=str(tmp_path / "base"))
    (calls,) = run(text, tmp_path / "live", python=python, environment=environment)
    ops = [e.op for e in calls]
    assert ops.index("os.write") == ops.index("Connection.send") + 1
    assert ops.count("os.read") == 2
    assert {"os.close", "multiprocessing.Lock.acquire", "multiprocessing.Lock.release"} <= set(ops)


@each_interpreter
@each_method
@pytest.mark.sample(4)
def test_children_are_recorded_under_every_interpreter(how: str, python: str, tmp_path: Path) -> None:
    for program in ("processes.py", "process_queue.py", "process_locks.py"):
        live = tmp_path / program / "live"
        done = target.run(recorded.CHAPTER / program, how, live=live, python=python)
        assert done.returncode == 0, done.stderr.decode()
        logs, notes = read_logs(live)
        names = [d.text["text"] for log in logs for d in log.definitions if d.code == table.NAME]
        assert set(names) >= HELPERS[how]
        assert not notes
        ours = [calls for calls in target.calls(live) if any("ultiproc" in e.op or "Connection" in e.op for e in calls)]
        assert len(ours) == (3 if program == "process_locks.py" else 2)
        assert all(
            any(e.op == "os._exit" for e in calls) or any(e.op == "Process.start" for e in calls) or how == "spawn"
            for calls in ours
        )


def test_an_object_made_in_a_spawned_program_is_shared_with_a_grandchild(tmp_path: Path) -> None:
    """Event has no __getstate__ of its own: its parts come out of the pickle one by one."""
    (tmp_path / "program.py").write_text(
        dedent("""
        import multiprocessing
        def grandchild(event): event.set()
        def child(event):
            process = multiprocessing.get_context('spawn').Process(target=grandchild, args=(event,))
            process.start(); event.wait(); process.join()
        if __name__ == '__main__':
            context = multiprocessing.get_context('spawn')
            event = context.Event()
            process = context.Process(target=child, args=(event,)); process.start(); process.join()
            print(process.exitcode, event.is_set())
    """)
    )
    made = recorded.record(tmp_path, tmp_path / "program.py")
    trace = Trace(made.run)
    assert made.output == b"0 True\n"
    on = trace.events[trace.events.kind_of == "event"]
    assert on.channel.nunique() == 1
    by = {op: set(events.process) for op, events in on.groupby("op")}
    parent_of = trace.processes.set_index("process").parent
    (waiter,), (setter,) = by["multiprocessing.Event.wait"], by["multiprocessing.Event.set"]
    assert parent_of[setter] == waiter
    assert parent_of[waiter] == 0
    assert not trace.events.kind_of.isin(["lock", "semaphore", "condition"]).any()


SAME = {
    "locks look and fail as they do alone": """
        import multiprocessing, pickle
        for how in ('fork', 'spawn'):
            context = multiprocessing.get_context(how)
            for lock in (context.Lock(), context.RLock(), context.Semaphore(2), context.BoundedSemaphore(3), context.Condition()):
                print(lock, lock.acquire(), lock, lock.release(), lock.acquire.__name__, callable(lock.release))
                with lock as got: print(got)
                for wrong in (lambda: lock.acquire(1, 2, 3), lambda: lock.acquire(nonsense=1), lambda: lock.release(1),
                              lambda: pickle.dumps(lock), lambda: lock.acquire(True, 'x'), lambda: lock.__exit__()):
                    try: print(wrong())
                    except Exception as error: print(type(error), error)
        try: context.BoundedSemaphore(1).release()
        except Exception as error: print(type(error), error)
        try: context.Event().wait(1, 2)
        except Exception as error: print(type(error), error)
        barrier = context.Barrier(1); print(barrier.wait(), barrier.n_waiting, barrier.broken, barrier.abort(), barrier.broken, barrier.reset())
    """,
    "queues look and fail as they do alone": """
        import multiprocessing, pickle
        context = multiprocessing.get_context('fork')
        for queue in (context.Queue(2), context.JoinableQueue(), context.SimpleQueue()):
            for call in (lambda: queue.put(1), lambda: queue.get(), lambda: queue.get(1, 2, 3), lambda: queue.put(), lambda: queue.put(obj=2),
                         lambda: queue.get(), lambda: queue.put(x=1), lambda: pickle.dumps(queue), lambda: queue.task_done(),
                         lambda: queue.join_thread(), lambda: queue.close(), lambda: queue.put(3), lambda: queue.get()):
                try: print(call())
                except Exception as error: print(type(error), error)
    """,
    "connections look and fail as they do alone": """
        import array, multiprocessing
        one, other = multiprocessing.Pipe(); read, write = multiprocessing.Pipe(False)
        numbers = array.array('i', [1, 2, 3]); room = bytearray(20)
        for call in (lambda: one.send_bytes(numbers, 4), lambda: other.recv_bytes_into(room, 8), lambda: room, lambda: one.send_bytes(b'x' * 20000),
                     lambda: len(other.recv_bytes()), lambda: one.send_bytes(b''), lambda: other.recv_bytes(), lambda: one.poll(), lambda: other.poll(0),
                     lambda: read.send(1), lambda: write.recv(), lambda: one.send_bytes('x'), lambda: one.send(lambda: 0), lambda: one.send_bytes(b'abc', 4),
                     lambda: one.send_bytes(b'x' * 9), lambda: other.recv_bytes(3), lambda: other.recv(), lambda: write.close(), lambda: read.recv(), lambda: write.send(1)):
            try: print(call())
            except Exception as error: print(type(error).__name__, error)
    """,
    "processes look and fail as they do alone": """
        import multiprocessing, sys
        context = multiprocessing.get_context('fork')
        def work(): sys.exit(3)
        process = context.Process(target=work, name='worker')
        for call in (lambda: process.join(), lambda: process.start(), lambda: process.join('x'), lambda: process.join(), lambda: process.exitcode,
                     lambda: process.start(), lambda: process.join(5), lambda: process.close(), lambda: process.join()):
            try: print(call())
            except Exception as error: print(type(error).__name__, error)
    """,
    "a queue is closed when nobody has it any more": """
        import multiprocessing, os
        context = multiprocessing.get_context('fork')
        def ends(): return len(os.listdir('/proc/self/fd'))
        before = ends()
        lock, queue, simple, event = context.Lock(), context.Queue(), context.SimpleQueue(), context.Event()
        print(ends() - before)
        import gc; gc.disable()
        del queue, simple, lock, event
        print(ends() - before)
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("version", ["CPython 3.8", "CPython 3.11", "CPython 3.13", "PyPy"])
@pytest.mark.sample(10)
def test_it_prints_traced_what_it_prints_alone(name: str, version: str, tmp_path: Path) -> None:
    python = FOUND[version]
    if python is None:
        pytest.skip(f"{version} is not on this machine")
    outcomes = []
    for live in (None, tmp_path / "live"):
        done = target.run(dedent(SAME[name]), live=live, python=python)
        text = (done.stdout + done.stderr).decode()
        outcomes.append((done.returncode, re.sub(r"0x[0-9a-f]+|\b\d{4,}\b", "*", text)))
    assert outcomes[1] == outcomes[0]
    assert list((tmp_path / "live").glob("*.log")), "nothing was recorded"


def test_a_handler_that_raises_in_an_acquire_reaches_the_program(tmp_path: Path) -> None:
    text = """
        import multiprocessing, signal
        class Struck(Exception): pass
        def strike(*_): raise Struck
        signal.signal(signal.SIGALRM, strike)
        lock = multiprocessing.get_context('fork').Lock()
        lock.acquire()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try: lock.acquire()
        except Struck: print('struck')
    """
    done = target.run(dedent(text), live=tmp_path / "live")
    assert done.stdout == b"struck\n"
    (calls,) = target.calls(tmp_path / "live")
    assert [e.state for e in calls if e.op == "multiprocessing.Lock.acquire"] == [table.DONE, table.FAILED]


def test_a_terminated_worker_ends_by_its_signal_and_keeps_its_records(tmp_path: Path) -> None:
    text = """
        import multiprocessing
        context = multiprocessing.get_context('fork')
        one, other = context.Pipe()
        def work(): other.send('here'); other.recv()
        process = context.Process(target=work); process.start(); one.recv(); process.terminate(); process.join()
        print(process.exitcode)
    """
    calls, child = run(text, tmp_path / "live")
    (join,) = [e for e in calls if e.op == "Process.join"]
    assert join.extra == signal.SIGTERM
    assert "Connection.send" in [e.op for e in child]
