"""Locks and conditions of threads: what is recorded of them, and that the program can't tell the difference."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH, FOUND
from tests.recorded import CHAPTER, record

each_interpreter = pytest.mark.parametrize("python", EACH)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def recorded(text: str, live: Path, python: str = sys.executable) -> list[list[target.Call]]:
    """The records of a program that ends well."""
    done = target.run(text, live=live, python=python)
    assert (done.returncode, done.stderr) == (0, b"")
    return target.calls(live)


def of(events: list[target.Call], *ops: str) -> list[target.Call]:
    return [event for event in events if event.op in ops]


def same(text: str, live: Path, python: str = sys.executable) -> bytes:
    """What a program prints alone, and traced."""
    alone, traced = target.run(text, live=None, python=python), target.run(text, live=live, python=python)
    outcomes = [
        (
            done.returncode,
            *(re.sub(rb"0x[0-9a-f]+|owner=[0-9]+", b"*", output) for output in (done.stdout, done.stderr)),
        )
        for done in (alone, traced)
    ]
    assert outcomes[0] == outcomes[1]
    assert alone.stdout
    return alone.stdout


# A thread `holder` has the lock `lock` until the main thread waits for it: told by the log, not by time
CONTENDED = """
import threading, sys, glob, os, time
lock = threading.{kind}()
has, done = threading.Event(), threading.Event()
log = open(glob.glob({folder!r} + "/%d-*.log" % os.getpid())[0], "rb")
def waits():  # somebody's record of an acquire is open
    log.seek(4096)
    data = log.read()
    return any(data[at] in (100, 102) and data[at + 87] == 1 for at in range(0, len(data), 160))
def hold():
    with lock:
        has.set()
        while not waits(): time.sleep(0.001)
holder = threading.Thread(target=hold, name="holder")
holder.start()
has.wait()
"""


def contended(kind: str, live: Path) -> str:
    return CONTENDED.format(kind=kind, folder=str(live)).lstrip()


@each_interpreter
@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_contended_lock_has_the_owners_line_and_the_waiters(kind: str, python: str, live: Path) -> None:
    text = contended(kind, live) + "with lock:\n    pass\nholder.join()\n"
    (events,) = recorded(text, live, python)
    owner, waiter = of(events, f"{kind}.acquire")
    if owner.enter > waiter.enter:
        owner, waiter = waiter, owner
    assert (owner.line, waiter.line) == (10, 16)
    assert waiter.offset == owner.thread != waiter.thread
    assert owner.channel == waiter.channel
    assert owner.enter < waiter.enter < waiter.exit
    assert (waiter.size, waiter.result, waiter.flags) == (None, 1, 0)
    released = of(events, f"{kind}.release")
    assert [event.thread for event in released] == [owner.thread, waiter.thread]


def test_a_lock_that_nobody_waits_for_leaves_no_record(live: Path) -> None:
    text = (
        "import threading\nlock, r = threading.Lock(), threading.RLock()\n"
        "for _ in range(10):\n    with lock: pass\n    with r:\n        with r: pass\n"
        "    lock.acquire(timeout=1); print(lock.acquire(False), lock.acquire(timeout=0)); lock.release()\n"
    )
    (events,) = recorded(text, live)
    assert not [event for event in events if "ock" in event.op]


def test_a_lock_taken_inside_another_is_told_once_a_place(live: Path) -> None:
    text = (
        "import threading\na, b = threading.Lock(), threading.Lock()\n"
        "for _ in range(10):\n    with a:\n        with b: pass\n"
        "with b:\n    with a: pass\n"
    )
    (events,) = recorded(text, live)
    assert [event.line for event in of(events, "Lock.acquire")] == [4, 5, 6, 7]
    assert len(of(events, "Lock.release")) == 4


def test_a_time_out_is_flagged_and_its_end_is_known(live: Path) -> None:
    text = contended("Lock", live).replace("while not waits(): time.sleep(0.001)", "done.wait()")
    text += "print(lock.acquire(timeout=0.01))\ndone.set(); holder.join()\n"
    (events,) = recorded(text, live)
    timed = next(event for event in of(events, "Lock.acquire") if event.flags & table.TIMED)
    assert (timed.size, timed.result) == (10_000_000, 0)


def test_a_lock_that_another_thread_releases_is_free(live: Path) -> None:
    text = (
        "import threading\nlock = threading.Lock()\nlock.acquire()\n"
        "t = threading.Thread(target=lock.release); t.start(); t.join()\n"
        "print(lock.locked(), lock.acquire(False))\n"
    )
    assert same(text, live) == b"False True\n"


def test_two_hundred_threads_take_one_lock_in_turn(live: Path) -> None:
    text = (
        "import threading\nlock, n = threading.Lock(), 0\n"
        "def add():\n    global n\n    for _ in range(20):\n        with lock: n += 1\n"
        "threads = [threading.Thread(target=add) for _ in range(200)]\n"
        "with lock:\n    for t in threads: t.start()\n"
        "for t in threads: t.join()\nprint(n)\n"
    )
    done = target.run(text, live=live)
    assert (done.stdout, done.stderr) == (b"4000\n", b"")
    (events,) = target.calls(live)
    acquired, released = of(events, "Lock.acquire"), of(events, "Lock.release")
    assert all(event.state == table.DONE for event in acquired)
    assert len({event.channel for event in acquired}) == 1
    assert abs(len(acquired) - len(released)) <= 1
    assert read_logs(live)[0][0].header.lost == 0


@each_interpreter
def test_a_lock_held_at_a_fork_by_a_thread_that_the_child_lacks_is_told_by_the_child(python: str, live: Path) -> None:
    text = (
        "import os, threading, warnings\nwarnings.simplefilter('ignore')\nlock = threading.Lock()\n"
        "has, done = threading.Event(), threading.Event()\n"
        "def hold():\n    with lock:\n        has.set()\n        done.wait()\n"
        "t = threading.Thread(target=hold); t.start(); has.wait()\n"
        "if os.fork() == 0:\n    lock.acquire(timeout=0.01)\n    os._exit(0)\n"
        "os.wait(); done.set(); t.join()\n"
    )
    parent, child = recorded(text, live, python)
    ghost, waiter = sorted(of(child, "Lock.acquire"), key=lambda event: event.enter)
    assert ghost.flags & table.GHOST
    assert (ghost.line, waiter.line) == (6, 11)
    assert waiter.offset == ghost.thread == next(event.thread for event in of(parent, "thread"))
    assert ghost.channel == waiter.channel


def test_what_the_forking_thread_holds_its_child_holds(live: Path) -> None:
    text = (
        "import os, threading\nlock = threading.Lock()\nlock.acquire()\n"
        "if os.fork() == 0:\n"
        "    t = threading.Thread(target=lambda: lock.acquire(timeout=0.01)); t.start(); t.join(); os._exit(0)\n"
        "os.wait()\n"
    )
    _, child = recorded(text, live)
    owner, waiter = sorted(of(child, "Lock.acquire"), key=lambda event: event.enter)
    assert not owner.flags & table.GHOST
    assert waiter.offset == owner.thread == of(child, "Thread.start")[0].thread


def test_logging_works_in_the_child_of_a_fork(live: Path) -> None:
    text = (
        "import logging, os\nlogging.basicConfig(format='%(message)s')\nlogger = logging.getLogger()\n"
        "logger.handlers[0].acquire()\n"
        "if os.fork() == 0:\n    logger.warning('child'); os._exit(0)\n"
        "os.wait(); logger.handlers[0].release(); logger.warning('parent'); print('end')\n"
    )
    same(text, live)


@each_interpreter
def test_the_stand_ins_look_like_what_they_stand_for(python: str, live: Path) -> None:
    text = """
import _thread, copy, pickle, re, threading, weakref
plain = _thread.allocate_lock()
for lock in (threading.Lock(), threading.RLock()):
    print(type(lock), type(lock).__name__, type(lock).__qualname__, type(lock).__module__)
    words = repr(lock)
    print(words, int(re.search('0x([0-9a-f]+)', words)[1], 16) == id(lock))
    with lock as got:
        print(got, lock)
    print(weakref.ref(lock)() is lock, isinstance(lock, type(lock)))
    for call in (lambda: pickle.dumps(lock), lambda: pickle.dumps(lock, 0), lambda: copy.copy(lock),
                 lambda: copy.deepcopy(lock), lambda: lock.release(), lambda: lock.acquire(True, -5),
                 lambda: lock.acquire(False, 1), lambda: lock.acquire(timeout=1e20), lambda: lock.acquire('x', timeout='x')):
        try: print(type(call()))
        except Exception as error: print(type(error), error)
print(isinstance(threading.Lock(), _thread.LockType), isinstance(threading.RLock(), _thread.RLock))
print(threading.Lock, threading.RLock.__name__, threading._allocate_lock)
if isinstance(threading.Lock, type):
    print(isinstance(plain, threading.Lock), issubclass(_thread.LockType, threading.Lock), threading.Lock.__name__)
class Holder:
    make = threading.Lock
print(Holder().make().locked(), pickle.loads(pickle.dumps(threading.Lock))().locked())
"""
    same(text, live, python)


@each_interpreter
def test_a_with_statements_traceback_has_no_frame_of_ours(python: str, live: Path) -> None:
    text = (
        "import threading, traceback\nlock, r, c = threading.Lock(), threading.RLock(), threading.Condition()\n"
        "def inner(thing):\n    with thing:\n        raise ValueError('seen')\n"
        "for thing in (lock, r, c):\n    try: inner(thing)\n    except ValueError: print(traceback.format_exc())\n"
        "try: c.wait()\nexcept RuntimeError: print(traceback.format_exc())\n"
        "inner(lock)\n"
    )
    alone, traced = target.run(text, live=None, python=python), target.run(text, live=live, python=python)
    assert (traced.stdout, traced.stderr) == (alone.stdout, alone.stderr)


def test_an_interrupt_ends_an_acquire(live: Path) -> None:
    text = (
        "import signal, threading\nlock = threading.Lock()\nlock.acquire()\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "try: lock.acquire()\nexcept KeyboardInterrupt: print('interrupted', lock.locked())\n"
        "lock.release()\nwith lock: print('again')\n"
    )
    assert target.run(text, live=live).stdout == b"interrupted True\nagain\n"
    (events,) = target.calls(live)
    acquired = of(events, "Lock.acquire")
    assert [(event.line, event.state) for event in acquired if event.line == 6] == [(6, table.FAILED)]
    assert acquired[0].thread == acquired[1].thread == max(event.offset for event in acquired), "it waits for itself"


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("kind", ["Lock", "RLock"])
@pytest.mark.sample(4)
def test_wherever_a_signals_handler_raises_no_lock_stays_locked(version: str, kind: str, live: Path) -> None:
    python = FOUND[f"CPython {version}"]
    if python is None:
        pytest.skip(f"CPython {version} is not on this machine")
    text = f"""
import signal, threading
class Struck(Exception): pass
def strike(*_): raise Struck
signal.signal(signal.SIGALRM, strike)
left = 0
def probe():
    global left
    left += not lock.acquire(False)
for k in range(300):
    lock = threading.{kind}()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0003 + k * 1e-6)
        while True:
            with lock: pass
    except Struck:
        t = threading.Thread(target=probe); t.start(); t.join()
print(left)
"""
    assert target.run(text, live=live, python=python).stdout == b"0\n"


@each_interpreter
def test_a_condition_over_either_lock_gives_it_back_while_it_waits(python: str, live: Path) -> None:
    text = """
import threading
for lock in (threading.Lock(), threading.RLock(), None):
    c, there = threading.Condition(lock), []
    def tell():
        with c:
            there.append(1)
            c.notify()
    with c:
        t = threading.Thread(target=tell); t.start()
        print(c.wait_for(lambda: there, 30), c.wait(0.001))
    t.join()
r = threading.RLock(); c = threading.Condition(r)
with r, r, c:
    print(c.wait(0.001), r._is_owned())
print(r._is_owned(), r.acquire(), r.release(), r.acquire(False))
"""
    same(text, live, python)
    (events,) = target.calls(live)
    waits, notified = of(events, "Condition.wait"), of(events, "Condition.notify")
    assert {event.line for event in waits} == {11, 15}
    assert {(event.line, event.size) for event in notified} == {(8, 1)}
    assert {event.channel for event in notified} < {event.channel for event in waits}
    assert all(event.flags & table.TIMED for event in waits)


def test_the_inner_waits_of_events_and_barriers_are_not_recorded(live: Path) -> None:
    text = (
        "import threading\ne, b = threading.Event(), threading.Barrier(2)\n"
        "def other():\n    e.wait()\n    b.wait()\n"
        "t = threading.Thread(target=other); t.start()\n"
        "e.set(); b.wait(); t.join()\ne.wait(); e.clear(); e.wait(0); e.wait(0.001)\n"
    )
    (events,) = recorded(text, live)
    assert not of(events, "Condition.wait", "Condition.notify", "Lock.acquire")
    assert [event.line for event in of(events, "Event.set")] == [7]
    last = of(events, "Event.wait")[-2:]
    assert [(event.line, event.flags, event.result) for event in last] == [
        (8, table.NONBLOCKING, 0), (8, table.TIMED, 0),
    ]  # fmt: skip
    assert {event.line for event in of(events, "Barrier.wait")} == {5, 7}


def test_semaphores_say_how_many_places_they_have(live: Path) -> None:
    text = (
        "import threading\ns = threading.Semaphore(3)\nwith s: print(s.acquire(False), s.acquire(True, 0.5))\n"
        "b = threading.BoundedSemaphore(1)\nb.acquire()\nb.release()\n"
        "try: b.release()\nexcept ValueError as error: print(error)\n"
    )
    (events,) = recorded(text, live)
    assert [(event.line, event.flags) for event in of(events, "Semaphore.acquire")] == [
        (3, 0), (3, table.NONBLOCKING), (3, table.TIMED), (5, 0),
    ]  # fmt: skip
    made = [d for d in read_logs(live)[0][0].definitions if d.code == table.CHANNEL and d.text["kind"] == "semaphore"]
    assert [d.size for d in made] == [3, 1]


def test_a_barrier_of_multiprocessing_is_one_in_all_processes(live: Path) -> None:
    text = (
        "import multiprocessing\ndef meet(b): b.wait()\n"
        "if __name__ == '__main__':\n    c = multiprocessing.get_context('fork'); b = c.Barrier(2)\n"
        "    p = c.Process(target=meet, args=(b,)); p.start(); b.wait(); p.join(); print(p.exitcode)\n"
    )
    done = target.run(text, live=live)
    assert (done.stdout, done.stderr) == (b"0\n", b"")
    assert [len(of(events, "Barrier.wait")) for events in target.calls(live)] == [1, 1]
    paths = {
        d.text["path"]
        for log in read_logs(live)[0]
        for d in log.definitions
        if d.code == table.CHANNEL and d.text["kind"] == "barrier"
    }
    assert len(paths) == 1 and paths != {""}


def test_a_thread_waits_for_the_module_that_another_imports(live: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import __main__\n__main__.begun.set()\n__main__.go_on.wait()\n")
    text = (
        f"import sys, threading\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "begun, go_on = threading.Event(), threading.Event()\n"
        "def first(): import slow\n"
        "t = threading.Thread(target=first); t.start(); begun.wait()\n"
        "threading.Timer(0.05, go_on.set).start()\nimport slow\nt.join()\n"
    )
    (events,) = recorded(text, live)
    (waited,) = of(events, "import")
    importer = of(events, "thread")[0].thread
    assert (waited.data, waited.line, waited.offset, waited.state) == (b"slow", 7, importer, table.DONE)


def test_a_killed_program_shows_who_waits_for_whom(live: Path) -> None:
    text = (
        "import threading\nprint('begun', flush=True)\na, b = threading.Lock(), threading.Lock()\nboth = threading.Barrier(2)\n"
        "def take(first, second):\n    with first:\n        both.wait()\n        with second: pass\n"
        "t = threading.Thread(target=take, args=(a, b)); t.start()\ntake(b, a)\n"
    )
    environment = target.traced_environment(live, target.clean_environment())
    process = subprocess.Popen([sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"begun\n"
        waiting: list[target.Call] = []
        while len(waiting) < 2:
            waiting = [e for e in of(target.calls(live)[0], "Lock.acquire") if e.state == table.OPEN]
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    one, other = waiting
    assert (one.offset, other.offset) == (other.thread, one.thread)
    assert (one.line, other.line) == (8, 8)
    owned = [e for e in of(target.calls(live)[0], "Lock.acquire") if e.state == table.DONE]
    assert {(e.thread, e.channel, e.line) for e in owned} == {
        (one.thread, other.channel, 6), (other.thread, one.channel, 6),
    }  # fmt: skip


def line_of(name: str, text: str) -> int:
    lines = (CHAPTER / name).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_the_chapters_locks_are_recorded(tmp_path: Path) -> None:
    done = record(tmp_path, CHAPTER / "locks.py")
    assert (done.status, done.output.splitlines()[-1]) == (0, b"All have ended, the total is 400")
    run = done.run
    events = run.events
    acquired = events[events["op"] == "Lock.acquire"]
    lines = set(run.sites.set_index("site").loc[acquired["site"].dropna(), "line"])
    assert line_of("locks.py", "with lock:  # waits") in lines
    assert line_of("locks.py", "with lock:  # nobody") in lines
    assert set(acquired["wait"]) == {"lock"}
    assert run.verdict.name == "completed"


def test_the_chapters_conditions_are_recorded(tmp_path: Path) -> None:
    done = record(tmp_path, CHAPTER / "conditions.py")
    assert (done.status, done.output.splitlines()[-1]) == (0, b"Everybody was there")
    ops = done.run.events["op"].value_counts()
    assert (ops["Barrier.wait"], ops["Semaphore.acquire"], ops["Event.set"], ops["Condition.notify"]) == (3, 2, 1, 1)
