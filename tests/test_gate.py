"""The gate in real programs: it isn't there unless it is asked for, holds what the plan says, and never for ever."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ipctrace.analysis.waiting import is_deadlock
from ipctrace.tracer import launch, supervisor
from ipctrace.tracer.replay.schedule import Schedule

import ipctrace
from ipctrace import enforcing
from ipctrace.enforcing import Enforced
from ipctrace.replaying import Program, checked
from ipctrace.run import Run

from .recorded import record

RACES = Path(__file__).parent / "programs" / "races"


def ordered(folder: Path, source: str, **options: object) -> Run:
    """A program's run, recorded with the order of everything; what it prints goes to the file `out`."""
    program = folder / "program.py"
    program.write_text(source)
    with launch.written_to(folder / "out") as streams:
        chosen = supervisor.Options(
            command=[sys.executable, str(program)], out=folder / "first.ipctrace", streams=streams,
            schedule=Schedule(), **options,  # type: ignore[arg-type]
        )  # fmt: skip
        return Run(supervisor.record(chosen, is_deadlock))


def again(run: Run, folder: Path, **options: bool) -> Enforced:
    """The same, held to its order; what it prints goes to the file `again`."""
    return enforcing.enforce(run, checked(run), folder / "again.ipctrace", output=folder / "again", **options)


def changed(run: Run, source: str) -> None:
    """Put another program in the place of the recorded one."""
    Path(run.facts["command"][1]).write_text(source)


def test_a_run_that_is_merely_recorded_never_loads_it(tmp_path: Path) -> None:
    program = tmp_path / "look.py"
    program.write_text(
        "import gc\nprint([type(each).__name__ for each in gc.get_objects() if type(each).__name__ == 'GatedLog'])\n"
    )
    plain = record(tmp_path, program)
    assert plain.output == b"[]\n"
    assert plain.run.facts["order"] is None
    gated = record(tmp_path, program, options=["--order"])
    assert gated.output == b"['GatedLog']\n"
    assert gated.run.facts["order"]["mode"] == "recorded"


LOCKS = """
import threading
a, lock = threading.Lock(), threading.RLock()
told = threading.Event()
with a, lock, lock:
    print(told.is_set())
told.set()
told.clear()
"""


def test_with_order_free_locks_and_events_are_recorded(tmp_path: Path) -> None:
    ops = ordered(tmp_path, LOCKS).events["op"].tolist()
    assert [op for op in ops if "Lock" in op or "Event" in op] == [
        "Lock.acquire", "RLock.acquire", "Event.is_set", "RLock.release", "Lock.release", "Event.set", "Event.clear",
    ]  # fmt: skip


SLEEPERS = """
import os, time
for number in range(4):
    if os.fork() == 0:
        time.sleep((0.9, 0.6, 0.3, 0)[number])
        os.write(1, b"%d\\n" % number)
        os._exit(0)
for _ in range(4):
    os.wait()
"""


def test_without_its_sleeps_a_run_keeps_the_order_that_they_made(tmp_path: Path) -> None:
    first = ordered(tmp_path, SLEEPERS)
    result = again(first, tmp_path, sleep=False)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()  # 3 2 1 0, mostly
    assert result.same


def test_sleeps_that_are_not_slept_take_no_time(tmp_path: Path) -> None:
    first = ordered(tmp_path, SLEEPERS)
    changed(first, SLEEPERS.replace("0.9", "36000"))
    assert again(first, tmp_path, sleep=False).same


@pytest.mark.parametrize("program", sorted(RACES.glob("*.py")), ids=lambda path: path.stem)
def test_a_race_that_was_found_once_is_lost_again(program: Path, tmp_path: Path) -> None:
    made = ipctrace.explore([str(program)], runs=30, seed=3, out=tmp_path / "found.ipctrace")
    assert made.found is not None
    assert made.trace == tmp_path / "found.ipctrace"
    recorded = ipctrace.load(made.trace)
    for _ in range(2):
        assert again(recorded, tmp_path).same
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "again.ipctrace", "found.ipctrace"]


CROWD = """
import multiprocessing, os, queue, subprocess, sys, threading
def work(number):
    return number * number
def feed(items):
    for number in range(20):
        items.put(number)
    items.put(None)
def main():
    items = queue.Queue(3)
    feeder = threading.Thread(target=feed, args=(items,))
    feeder.start()
    total = 0
    while (item := items.get()) is not None:
        total += item
    feeder.join()
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        squares = pool.map(work, range(10))
    python = sys.executable
    os.system(f"{python} -c 'print(1, flush=True)'; {python} -c 'print(2, flush=True)'")
    subprocess.run([python, "-c", "import os; os.execv(os.sys.executable, ['python', '-c', 'print(3)'])"], check=True)
    print(total, squares, flush=True)
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_threads_pools_shells_and_execs_find_their_places_again(method: str, tmp_path: Path) -> None:
    program = tmp_path / "crowd.py"
    program.write_text(CROWD)
    first = record(tmp_path, program, method, options=["--order"])
    assert first.status == 0
    result = again(first.run, tmp_path)
    assert not result.verdict and not result.output, (result.verdict, result.output)
    assert not result.order, result.order


KILLED = """
import os, sys, time
reading, writing = os.pipe()
ready, telling = os.pipe()
os.write(writing, b"task")
pid = os.fork()
if pid == 0:
    os.write(telling, b"!")
    if not os.path.exists(sys.argv[1]):
        while True:
            pass
    os.read(reading, 4)
    os._exit(0)
os.read(ready, 1)
time.sleep(0.5)
print(os.read(reading, 4))
os.kill(pid, 9)
os.wait()
"""


def test_who_was_killed_before_it_came_to_a_call_does_not_come_to_it(tmp_path: Path) -> None:
    program, early = tmp_path / "killed.py", tmp_path / "early"
    program.write_text(KILLED)
    first = record(tmp_path, program, str(early), options=["--order"])
    early.touch()  # now it is fast enough to take what isn't its own
    result = again(first.run, tmp_path)
    assert not result.verdict and not result.output and not result.order, result


LATE = """
import os, signal, sys, time
reading, writing = os.pipe()
signal.signal(signal.SIGALRM, lambda *_: os.write(1, b"alarm\\n"))
if os.fork() == 0:
    {child}
    os._exit(0)
{parent}
os.wait()
"""
FIRST = LATE.format(child="time.sleep(0.3); os.write(writing, b'late')", parent="os.write(writing, b'early')")


def test_a_signal_is_handled_while_its_thread_is_held(tmp_path: Path) -> None:
    first = ordered(tmp_path, FIRST)
    child = "signal.setitimer(signal.ITIMER_REAL, 0.2); os.write(writing, b'late')"
    changed(
        first, LATE.format(child=child, parent="time.sleep(1); os.write(1, b'now\\n'); os.write(writing, b'early')")
    )
    again(first, tmp_path)
    assert (tmp_path / "again").read_bytes() == b"alarm\nnow\n"


def test_who_waits_for_what_never_comes_is_let_go_and_it_is_said_where(tmp_path: Path) -> None:
    first = ordered(tmp_path, FIRST)
    changed(first, LATE.format(child="os.write(writing, b'late')", parent=""))
    result = again(first, tmp_path)
    assert result.run.facts["status"] == 0
    assert len(result.order) == 1
    assert "program.py:6 (os.write) had to wait for" in result.order[0]
    assert "os.write at program.py:8, which didn't come" in result.order[0]


def test_strict_stops_there(tmp_path: Path) -> None:
    first = ordered(tmp_path, FIRST)
    changed(first, LATE.format(child="os.write(writing, b'late'); time.sleep(600)", parent=""))
    result = again(first, tmp_path, strict=True)
    assert result.run.facts["ended"] == "interrupted"
    assert len(result.order) == 1


def test_a_trace_that_lost_events_has_no_whole_order(tmp_path: Path) -> None:
    run = ordered(tmp_path, "")
    run.facts["dropped"] = 12
    with pytest.raises(ipctrace.tracer.errors.IpctraceError, match="no whole order"):  # type: ignore[attr-defined]
        enforcing.enforce(run, Program([sys.executable], tmp_path), tmp_path / "again.ipctrace")


def test_a_plain_trace_is_enforced_as_far_as_it_goes(tmp_path: Path) -> None:
    program = tmp_path / "sleepers.py"
    program.write_text(SLEEPERS)
    run = record(tmp_path, program).run
    result = again(run, tmp_path, sleep=False)
    assert sorted((tmp_path / "again").read_bytes().split()) == [b"0", b"1", b"2", b"3"]
    assert result.same
