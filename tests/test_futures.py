"""concurrent.futures: what is recorded of pools and futures, and that the program can't tell the difference."""

from __future__ import annotations

from pathlib import Path

from tests import target
from tests.recorded import CHAPTER, record
from tests.test_locks import each_interpreter, live, of, recorded, same

__all__ = ["live"]


@each_interpreter
def test_a_piece_of_work_is_followed_from_hand_to_hand(python: str, live: Path) -> None:
    text = (
        "import concurrent.futures as cf, threading\ngo = threading.Event()\n"
        "with cf.ThreadPoolExecutor(1) as pool:\n    f = pool.submit(go.wait, 30)\n    waits = pool.submit(int)\n"
        "    go.set()\n    print(f.result(30), waits.exception())\n    waits.result()\n"
    )
    (events,) = recorded(text, live, python)
    submitted, worked = of(events, "Executor.submit"), of(events, "work")
    told, asked = of(events, "Future.set"), of(events, "Future.result")
    assert [e.line for e in submitted] == [4, 5]
    assert [e.channel for e in submitted] == [e.channel for e in worked] == [e.channel for e in told]
    assert {e.thread for e in worked} == {e.thread for e in told} == {of(events, "thread")[0].thread}
    assert {e.line for e in asked} <= {7} and {e.channel for e in asked} <= {e.channel for e in submitted}
    assert not of(events, "Condition.wait", "Semaphore.acquire", "Semaphore.release")


def test_an_awaited_future_is_told_of_before_the_wait_ends(live: Path) -> None:
    text = (
        "import concurrent.futures as cf, threading\nf = cf.Future()\n"
        "t = threading.Timer(0.05, f.set_result, (1,)); t.start()\n"
        "f.result(); t.join()\ng = cf.Future(); g.cancel()\n"
        "try: cf.Future().result(timeout=0.001)\nexcept cf.TimeoutError: pass\n"
    )
    (events,) = recorded(text, live)
    asked, timed = of(events, "Future.result")
    told, cancelled = of(events, "Future.set")
    assert asked.channel == told.channel != cancelled.channel
    assert asked.enter < told.enter < asked.exit
    assert (asked.line, cancelled.line, timed.line, timed.size) == (4, 5, 6, 1_000_000)


@each_interpreter
def test_waiting_for_several_is_done_where_the_program_does_it(python: str, live: Path) -> None:
    text = (
        "import concurrent.futures as cf, threading\ngo = threading.Event()\npool = cf.ThreadPoolExecutor(2)\n"
        "f = pool.submit(go.wait)\nthreading.Timer(0.05, go.set).start()\n"
        "cf.wait([f])\n"
        "go.clear(); f = pool.submit(go.wait)\nthreading.Timer(0.05, go.set).start()\n"
        "for done in cf.as_completed([f]): pass\npool.shutdown()\n"
    )
    (events,) = recorded(text, live, python)
    main = of(events, "Executor.submit")[0].thread
    assert [e.line for e in of(events, "Event.wait") if e.thread == main] == [6, 9]


@each_interpreter
def test_pools_behave_as_they_do_alone(python: str, live: Path) -> None:
    text = """
import concurrent.futures as cf, os, sys
def fail(): raise ValueError('seen')
def echo(*args, **kwargs): return args, kwargs
if __name__ == '__main__':
    with cf.ThreadPoolExecutor(2, 'worker') as pool:
        print(list(pool.map(abs, range(-3, 0))), pool.submit(echo, 1, self=2, fn=3).result())
        f = pool.submit(fail); print(repr(f.exception()), f.done())
        try: f.result()
        except ValueError as error:
            import traceback; traceback.print_exc(file=sys.stdout)
        try: pool.submit()
        except TypeError as error: print('refused')
        f = cf.Future(); print(f.cancel(), f.cancel(), f.cancelled(), sorted(vars(f)))
        try: f.result()
        except cf.CancelledError as error: print('cancelled')
    try: pool.submit(abs, 1)
    except RuntimeError as error: print(error)
    with cf.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(abs, range(-3, 0))), pool.submit(echo, 1, self=2).result())
        print(repr(pool.submit(divmod, 1, 0).exception()))
"""
    same(text, live, python)


def test_the_chapters_pools_are_recorded(tmp_path: Path) -> None:
    done = record(tmp_path, CHAPTER / "pools.py")
    assert (done.status, done.output.splitlines()[0]) == (0, b"threads: [0, 1, 4, 9]")
    run = done.run
    ops = run.events["op"].value_counts()
    assert (ops["Executor.submit"], ops["work"], ops["Future.set"]) == (8, 4, 8)
    assert run.verdict.name == "completed"
    futures = run.channels[run.channels["kind"] == "future"]
    assert len(futures) == 8


def test_an_idle_worker_waits_for_its_queue(live: Path) -> None:
    text = (
        "import concurrent.futures as cf, os\npool = cf.ThreadPoolExecutor(1)\npool.submit(int).result()\n"
        "while pool._work_queue.qsize(): pass\nos._exit(0)\n"
    )
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert [e.op for e in events if e.state == 1 and e.thread != events[0].thread and e.op != "thread"] in (
        ["SimpleQueue.get"], [],
    )  # fmt: skip
