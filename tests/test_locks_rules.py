"""Rules of locks: who holds what at the cut, what that proves, and each rule with what it must not be mistaken for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.catalogue import CATALOGUE
from ipctrace.analysis.ownership import Holder
from ipctrace.analysis.results import Analysis
from ipctrace.analysis.run import Run
from ipctrace.analysis.situation import Situation

from .builders import MS, TraceBuilder
from .interpreters import EACH
from .recorded import record

EXCLUSIVE, SHARED = 2, 1


class Program:
    """A program in one process, a thread for each name, all of its locks taken by `with` at lines of a.py."""

    def __init__(self, *names: str) -> None:
        self.build = TraceBuilder()
        self.main = self.build.process("a.py")
        self.threads = [self.build.thread(0, name) for name in names]

    def tid(self, thread: int) -> int:
        return int(self.build.rows["threads"][thread]["tid"])

    def line(self, number: int, text: str = "with lock:") -> int:
        return self.build.site("a.py", number, text)

    def take(self, thread: int, lock: int, line: int = 1, text: str = "with lock:", op: str = "Lock.acquire") -> int:
        return self.build.call(thread, op, channel=lock, site=self.line(line, text), result=1)

    def wait(self, thread: int, lock: int, owner: int | None, line: int = 9, op: str = "Lock.acquire") -> int:
        said = None if owner is None else self.tid(owner)
        return self.build.begin(thread, op, channel=lock, owner=said, site=self.line(line))

    def join(self, thread: int, line: int = 20) -> int:
        return self.build.begin(self.main, "Thread.join", size=self.tid(thread), site=self.line(line, "t.join()"))

    def ticks(self, thread: int, times: int = 30) -> None:
        """The thread goes round a loop that sleeps, and is asleep now."""
        site = self.line(99, "time.sleep(0.1)")
        for _ in range(times):
            self.build.sleep(thread, 100 * MS, site)
        self.build.begin(thread, "time.sleep", size=100 * MS, site=site)

    def hung(self) -> Analysis:
        self.build.after(2000 * MS)
        self.build.look(times=2)
        return analyze(self.build.trace(ended="duration"))


def rules(analysis: Analysis) -> list[str]:
    return [finding.rule for finding in analysis.findings if finding.rule < "IPC2"]


def first(analysis: Analysis) -> str:
    """The words of what explains the hang, without the names of their process."""
    return re.sub(r"\ba/", "", analysis.findings[0].message)


def crossed(op: str = "Lock.acquire", kind: str = "lock", *others: str) -> Program:
    """Two threads that took two locks in opposite orders; the main thread joins the first."""
    program = Program("one", "two", *others)
    one, two = program.threads[:2]
    left, right = program.build.object(0, kind), program.build.object(0, kind)
    program.take(one, left, 3, op=op)
    program.take(two, right, 6, op=op)
    program.wait(one, right, two, 4, op)
    program.wait(two, left, one, 7, op)
    program.join(one)
    return program


# IPC111


@pytest.mark.parametrize(("op", "kind"), [("Lock.acquire", "lock"), ("RLock.acquire", "rlock")])
def test_a_cycle_names_both_lines_of_every_member_and_which_to_swap(op: str, kind: str) -> None:
    analysis = crossed(op, kind).hung()
    assert (analysis.verdict.name, rules(analysis)[0]) == ("deadlock", "IPC111")
    assert first(analysis) == (
        f"one holds {kind} A, taken at a.py:3, and waits for {kind} B at a.py:4; "
        f"two holds {kind} B, taken at a.py:6, and waits for {kind} A at a.py:7: neither can go on."
    )
    assert "take lock A at a.py:7 before lock B, taken at a.py:6" in analysis.findings[0].remedy.replace(
        "rlock", "lock"
    )


def test_three_parties_and_the_same_lines() -> None:
    program = Program("one", "two", "three")
    locks = [program.build.object(0, "lock") for _ in range(3)]
    for thread, lock in zip(program.threads, locks, strict=True):
        program.take(thread, lock, 3)
    for place, thread in enumerate(program.threads):
        program.wait(thread, locks[(place + 1) % 3], program.threads[(place + 1) % 3], 4)
    program.join(program.threads[0])
    analysis = program.hung()
    assert rules(analysis)[0] == "IPC111" and len(analysis.findings[0].threads) == 3
    assert "none of them can go on" in first(analysis) and "sort them before a.py:3" in analysis.findings[0].remedy


def test_semaphores_of_one_place_are_locks_too() -> None:
    analysis = crossed("Semaphore.acquire", "semaphore").hung()
    assert rules(analysis)[0] == "IPC111"


def test_a_thread_that_goes_round_a_loop_hides_no_cycle() -> None:
    program = crossed("Lock.acquire", "lock", "heartbeat")
    program.ticks(program.threads[-1])
    analysis = program.hung()
    assert (analysis.verdict.name, analysis.verdict.certainty, rules(analysis)[0]) == ("deadlock", "likely", "IPC111")


def test_locks_taken_in_one_order_are_no_cycle() -> None:
    program = Program("one", "two")
    one, two = program.threads
    left = program.build.object(0, "lock")
    program.take(one, left)
    program.wait(two, left, one)
    program.join(one)
    program.build.begin(one, "time.sleep", size=10_000 * MS)
    assert rules(program.hung()) == []


def test_what_was_released_since_is_nobodys() -> None:
    program = Program("one", "two")
    one, two = program.threads
    left = program.build.object(0, "lock")
    program.take(one, left)
    program.build.call(one, "Lock.release", channel=left)
    waiting = program.wait(two, left, None)
    assert Situation(Run(program.build.trace())).ownership.holders(waiting) == ()


# IPC112


def test_a_lock_that_its_waiter_holds_itself() -> None:
    program = Program()
    lock = program.build.object(0, "lock")
    program.take(program.main, lock, 3)
    program.wait(program.main, lock, program.main, 8)
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC112"])
    assert first(analysis).startswith("a waits for lock A at a.py:8, and holds it itself since a.py:3")


def test_a_handler_that_waits_for_what_it_interrupted() -> None:
    program = Program()
    lock = program.build.object(0, "lock")
    program.take(program.main, lock, 3, "lock.acquire()")
    program.ticks(program.build.thread(0, "heartbeat"), 0)
    program.build.begin(program.main, "signal handler", size=14, site=program.line(4, "work()"))
    program.wait(program.main, lock, program.main, 8)
    analysis = program.hung()
    assert rules(analysis) == ["IPC112"] and "in a signal handler that interrupted it at a.py:4" in first(analysis)
    assert "set a flag" in analysis.findings[0].remedy


def test_a_lock_that_another_thread_may_release_as_a_signal_is_none() -> None:
    program = Program()
    lock = program.build.object(0, "lock")
    late = program.build.thread(0, "late")
    program.take(program.main, lock, 3, "gate.acquire()")
    program.wait(program.main, lock, program.main, 8)
    program.ticks(late)
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)) == ("interrupted", [])


# IPC113


def test_a_join_under_the_lock_that_the_thread_wants() -> None:
    program = Program("work")
    lock = program.build.object(0, "lock")
    program.take(program.main, lock, 3)
    program.wait(program.threads[0], lock, program.main, 8)
    program.join(program.threads[0], 4)
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)[0]) == ("deadlock", "IPC113")
    assert first(analysis) == (
        "a holds lock A, taken at a.py:3, while it waits for work to end at a.py:4, which waits for lock A at a.py:8."
    )
    assert "before the wait at a.py:4" in analysis.findings[0].remedy


def test_a_join_within_an_import() -> None:
    program = Program("work")
    imports = program.build.begin(program.threads[0], "import", b"plugins", owner=program.tid(program.main))
    program.join(program.threads[0], 4)
    analysis = program.hung()
    assert rules(analysis)[0] == "IPC113"
    assert first(analysis).startswith("a is importing plugins while it waits for work to end at a.py:4")
    assert imports in analysis.findings[0].events


def test_a_read_under_the_lock_that_the_writer_wants() -> None:
    program = Program("reader", "writer")
    reader, writer = program.threads
    lock, pipe = program.build.object(0, "lock"), program.build.pipe(program.main)
    program.take(reader, lock, 3)
    program.build.begin(reader, "os.read", fd=pipe.reader, size=1, site=program.line(4, "os.read(r, 1)"))
    program.wait(writer, lock, reader, 8)
    program.join(reader)
    analysis = program.hung()
    assert rules(analysis)[0] == "IPC113"
    assert "waits for data on pipe A at a.py:4, for which writer has to go on" in first(analysis)


def test_a_lock_upstream_of_a_knot_has_a_victim_and_no_blame() -> None:
    program = Program("logger")
    build, main = program.build, program.main
    lock, down, up = build.object(0, "lock"), build.pipe(main), build.pipe(main)
    child = build.fork(main)
    build.close(main, down.reader, up.writer)
    build.close(child, down.writer, up.reader)
    for writer, reader, pipe in ((main, child, down), (child, main, up)):
        build.write(writer, pipe.writer, b"x")
        build.read(reader, pipe.reader, b"x")
    program.take(main, lock, 3)
    build.begin(main, "os.read", fd=up.reader, size=1)
    build.begin(child, "os.read", fd=down.reader, size=1)
    program.wait(program.threads[0], lock, main, 8)
    analysis = program.hung()
    assert analysis.verdict.name == "deadlock" and not {"IPC111", "IPC112", "IPC113", "IPC114"} & set(rules(analysis))


def test_two_threads_at_a_full_pipes_stream_are_no_knot_of_locks() -> None:
    program = Program("one", "two")
    one, two = program.threads
    pipe = program.build.pipe(program.main)
    stream = program.build.stream(0, "open(fd 4)", pipe.writer, layer="binary")
    program.build.begin(one, "stream.write", stream=stream, size=200_000)
    program.build.begin(one, "raw.write", stream=stream, size=200_000)
    waiting = program.build.begin(two, "stream.write", stream=stream, size=1)
    program.join(one)
    analysis = stuck_in_c(program, two)
    assert Situation(Run(analysis.trace)).ownership.holders(waiting) == (Holder(0, one, waiting - 2),)
    assert analysis.verdict.name == "deadlock" and rules(analysis)[0] == "IPC104"


def stuck_in_c(program: Program, thread: int) -> Analysis:
    """As `hung`, where a thread waits for a stream's lock: its call has no reason to wait, /proc alone shows it."""
    program.build.after(2000 * MS)
    program.build.look(times=2)
    for row in program.build.rows["looks"]:
        if row["tid"] == program.tid(thread):
            row |= {"state": "S", "syscall": "futex"}
    return analyze(program.build.trace(ended="duration"))


# IPC114


@pytest.mark.parametrize("status", [-9, 0])
def test_a_process_that_ended_with_a_lock(status: int) -> None:
    program = Program()
    lock = program.build.object(None, "lock")
    child = program.build.fork(program.main)
    program.take(child, lock, 3, "lock.acquire()", "multiprocessing.Lock.acquire")
    program.build.exit(child, status)
    program.wait(program.main, lock, None, 8, "multiprocessing.Lock.acquire")
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC114"])
    assert ("was ended by SIGKILL" in first(analysis)) == (status == -9)
    assert "took at a.py:3" in first(analysis)


def test_a_thread_that_ended_with_a_lock() -> None:
    program = Program("work")
    lock = program.build.object(0, "lock")
    program.take(program.threads[0], lock, 3, "lock.acquire()")
    program.build.end_thread(program.threads[0])
    program.wait(program.main, lock, program.threads[0], 8)
    assert rules(program.hung()) == ["IPC114"]


def test_an_rlock_is_free_when_it_was_released_as_often_as_taken() -> None:
    for releases in (1, 2):
        program = Program()
        lock, op = program.build.object(None, "rlock"), "multiprocessing.Lock.acquire"
        child = program.build.fork(program.main)
        program.take(child, lock, 3, op=op)
        program.take(child, lock, 4, op=op)
        for _ in range(releases):
            program.build.call(child, "multiprocessing.Lock.release", channel=lock)
        waiting = program.wait(program.main, lock, None, 8, op)
        holders = Situation(Run(program.build.trace())).ownership.holders(waiting)
        assert holders == (() if releases == 2 else (Holder(1, child, waiting - 3),))


def test_what_was_dropped_is_no_proof_of_who_has_a_semaphore() -> None:
    program = crossed("Semaphore.acquire", "semaphore")
    program.build.look(times=2)
    situation = Situation(Run(program.build.trace(ended="duration", dropped=1000)))
    waiting = [agent for agent in situation.placed if agent.reason == "lock"]
    assert [situation.ownership.holders(agent.event) for agent in waiting] == [None, None]


def test_a_reader_that_was_killed_has_the_queues_lock() -> None:
    for killed in (True, False):
        program = Program()
        build, queue, pipe = program.build, program.build.object(None, "queue"), program.build.pipe(program.main)
        child = build.fork(program.main)
        build.begin(child, "multiprocessing.Queue.get", channel=queue, site=program.line(3, "q.get()"))
        build.begin(child, "os.read", fd=pipe.reader, size=4)
        if killed:
            build.exit(child, -15)
        build.begin(program.main, "multiprocessing.Queue.get", channel=queue, site=program.line(8, "q.get()"))
        found = [finding for finding in program.hung().findings if finding.rule == "IPC114"]
        assert bool(found) == killed
        assert not found or "was ended by SIGTERM as it waited in get at a.py:3" in found[0].message


# IPC115


def test_a_lock_that_another_thread_held_at_the_fork() -> None:
    program = Program("holder")
    build, (holder,) = program.build, program.threads
    copy = build.object(1, "lock")
    taken = program.take(holder, copy, 3)  # what the child tells of its parent's thread
    build.begin(holder, "Event.wait", channel=build.object(0, "event"))
    child = build.fork(program.main, site=program.line(5, "os.fork()"))
    program.wait(child, copy, holder, 8)
    build.begin(program.main, "os.waitpid", size=47111)
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)[0]) == ("deadlock", "IPC115")
    assert "parent/holder held it at a.py:3 when the fork at a.py:5 copied it" in analysis.findings[0].message
    assert taken in analysis.findings[0].events


def test_a_stream_that_another_thread_was_inside_of_at_the_fork() -> None:
    for inside in (True, False):
        program = Program("talker")
        build, (talker,) = program.build, program.threads
        pipe = build.pipe(program.main)
        stream = build.stream(0, "sys.stdout", pipe.writer)
        if inside:
            build.begin(talker, "stream.write", stream=stream, size=200_000, site=program.line(3, "print(text)"))
            build.begin(talker, "raw.write", stream=stream, size=200_000)
        child = build.fork(program.main)
        copy = len(build.rows["streams"]) - 1
        build.begin(child, "stream.write", stream=copy, size=5, site=program.line(8, "print(more)"))
        build.begin(program.main, "os.waitpid", size=47111)
        analysis = stuck_in_c(program, child)
        assert (rules(analysis)[:1] == ["IPC115"]) == inside
        assert not inside or "inside a call on that stream at a.py:3" in analysis.findings[0].message
        assert inside or analysis.verdict.name != "deadlock"


def test_a_module_that_was_being_imported_at_the_fork() -> None:
    program = Program()
    child = program.build.fork(program.main)
    program.build.begin(child, "import", b"plugins")
    program.build.begin(program.main, "os.waitpid", size=47111)
    analysis = program.hung()
    assert rules(analysis)[0] == "IPC115" and "the import of plugins" in analysis.findings[0].message


# Locks on files


class Files(Program):
    """Files that are opened, shared and locked."""

    def file(self) -> int:
        return self.build.channel(
            "file", path=f"/work/{'abc'[sum(row['kind'] == 'file' for row in self.build.rows['channels'])]}"
        )

    def open(self, thread: int, file: int) -> int:
        fd = self.build.hold(thread, file, "w")
        self.build.rows["events"][-1]["channel"] = file
        return fd

    def lock(
        self, thread: int, file: int, fd: int, line: int, operation: int = EXCLUSIVE, op: str = "fcntl.flock"
    ) -> int:
        return self.build.call(thread, op, channel=file, fd=fd, size=operation, site=self.line(line, "flock(f)"))

    def want(
        self, thread: int, file: int, fd: int, line: int, operation: int = EXCLUSIVE, op: str = "fcntl.flock"
    ) -> int:
        return self.build.begin(thread, op, channel=file, fd=fd, size=operation, site=self.line(line, "flock(f)"))


@pytest.mark.parametrize("op", ["fcntl.flock", "fcntl.lockf"])
def test_locks_on_files_taken_in_opposite_orders(op: str) -> None:
    program = Files()
    left, right = program.file(), program.file()
    child = program.build.fork(program.main)
    ours = [program.open(program.main, each) for each in (left, right)]
    theirs = [program.open(child, each) for each in (left, right)]
    program.lock(program.main, left, ours[0], 3, op=op)
    program.lock(child, right, theirs[1], 6, op=op)
    program.want(program.main, right, ours[1], 4, op=op)
    program.want(child, left, theirs[0], 7, op=op)
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)) == ("deadlock", ["IPC111"])
    assert "holds the lock on file a, taken at a.py:3, and waits for the lock on file b at a.py:4" in first(analysis)


def test_a_lock_through_another_description_of_the_same_process() -> None:
    program = Files()
    file = program.file()
    one, two = program.open(program.main, file), program.open(program.main, file)
    program.lock(program.main, file, one, 3)
    program.want(program.main, file, two, 8)
    analysis = program.hung()
    assert rules(analysis) == ["IPC112"] and "descriptor that a.py:3 locked" in analysis.findings[0].remedy


def test_a_lock_that_lives_on_in_a_childs_copy() -> None:
    program = Files()
    build, main, file = program.build, program.main, program.file()
    one = program.open(main, file)
    program.lock(main, file, one, 3)
    pipe = build.pipe(main)
    child = build.fork(main, site=program.line(4, "os.fork()"))
    build.close(child, pipe.writer)
    build.close(main, pipe.reader, one)
    two = program.open(main, file)
    program.want(main, file, two, 8)
    build.begin(child, "os.read", fd=pipe.reader, size=1)
    analysis = program.hung()
    assert (analysis.verdict.name, rules(analysis)[0]) == ("deadlock", "IPC124")
    assert "the parent took at a.py:3 lives on in the child" in first(analysis)
    assert f"fd {one} is a copy made by the fork at a.py:4" in first(analysis)


@pytest.mark.parametrize("way_out", ["shared", "unlocked", "closed", "upgraded", "unknown"])
def test_a_file_that_nobody_in_the_run_has_locked_against_it_is_waited_for_from_outside(way_out: str) -> None:
    program = Files()
    build, main, file = program.build, program.main, program.file()
    child = build.fork(main)
    ours, theirs = program.open(main, file), program.open(child, file)
    if way_out != "unknown":
        program.lock(child, file, theirs, 3, SHARED if way_out in ("shared", "upgraded") else EXCLUSIVE)
    if way_out == "unlocked":
        build.call(child, "fcntl.flock unlock", channel=file, fd=theirs, size=8)
    if way_out == "closed":
        build.close(child, theirs)
    if way_out == "upgraded":  # flock(2): the lock that it had goes first
        program.lock(main, file, ours, 4, SHARED)
        program.want(child, file, theirs, 7)
    else:
        build.begin(child, "os.waitpid", size=-1)
    waiting = program.want(main, file, ours, 8, SHARED if way_out == "shared" else EXCLUSIVE)
    analysis = program.hung()
    assert Situation(Run(analysis.trace)).ownership.holders(waiting) == ()
    assert analysis.verdict.name != "deadlock" and rules(analysis) == []


# Real programs

LOCK_AT_FORK = """
import os, threading
lock, held = threading.{kind}(), threading.Event()
def hold():
    with lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    with lock:
        os._exit(0)
os.waitpid(child, 0)
"""

STREAM_AT_FORK = """
import fcntl, os, struct, termios, threading, time
r, w = os.pipe()
stream = os.fdopen(w, "wb")
threading.Thread(target=stream.write, args=(b"x" * 200_000,), daemon=True).start()
while fcntl.ioctl(r, termios.FIONREAD, b"....") != struct.pack("i", 65536):
    time.sleep(0.01)
child = os.fork()
if not child:
    stream.write(b"child")
    os._exit(0)
os.waitpid(child, 0)
"""

FILES = """
import fcntl, os
def take(first, second, told, hears):
    with open(first, "w") as one, open(second, "w") as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        os.write(told, b".")
        os.read(hears, 1)
        fcntl.flock(two, fcntl.LOCK_EX)
down, up = os.pipe(), os.pipe()
if not os.fork():
    take("b", "a", up[1], down[0])
    os._exit(0)
take("a", "b", down[1], up[0])
os.wait()
"""

IMPORT = """
import sys
with open("plugins.py", "w") as file:
    file.write("import threading\\ndef load():\\n    import plugins\\n")
    file.write("thread = threading.Thread(target=load)\\nthread.start()\\nthread.join()\\n")
sys.path.insert(0, ".")
import plugins
"""

SPAWNED = """
import multiprocessing
def take(one, two, both):
    with one:
        both.wait()
        with two:
            pass
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    one, two, both = context.Lock(), context.RLock(), context.Barrier(2)
    workers = [context.Process(target=take, args=(*locks, both)) for locks in ((one, two), (two, one))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
"""


def recorded(folder: Path, text: str, python: str | None = None) -> tuple[str, str]:
    """The verdict on a program, and the rule that explains it."""
    (folder / "program.py").write_text(text)
    command = (python, "program.py") if python else ("program.py",)
    done = record(folder, *command, options=("--duration", "60"))
    findings = [finding.rule for finding in done.run.findings if finding.rule < "IPC2"]
    return done.run.verdict.name, (findings or [""])[0]


@pytest.mark.chapter
@pytest.mark.parametrize("python", EACH)
@pytest.mark.parametrize("kind", ["Lock", "RLock", "Condition", "STREAM"])
@pytest.mark.sample(4)
def test_a_lock_held_at_the_fork_on_every_interpreter(kind: str, python: str, tmp_path: Path) -> None:
    text = STREAM_AT_FORK if kind == "STREAM" else LOCK_AT_FORK.format(kind=kind)
    assert recorded(tmp_path, text, python) == ("deadlock", "IPC115")


@pytest.mark.chapter
@pytest.mark.parametrize("code", ["IPC111", "IPC112", "IPC113", "IPC114", "IPC115", "IPC124"])
@pytest.mark.sample(3)
def test_the_catalogues_example_shows_its_rule(code: str, tmp_path: Path) -> None:
    assert recorded(tmp_path, CATALOGUE[code].example) == ("deadlock", code)


@pytest.mark.chapter
@pytest.mark.parametrize(("text", "rule"), [(FILES, "IPC111"), (SPAWNED, "IPC111"), (IMPORT, "IPC113")])
@pytest.mark.sample(1)
def test_files_and_processes_and_modules(text: str, rule: str, tmp_path: Path) -> None:
    assert recorded(tmp_path, text) == ("deadlock", rule)
