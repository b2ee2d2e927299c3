"""Queues between threads: what is recorded of them, and that the program can't tell the difference."""

from __future__ import annotations

from pathlib import Path

from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.recorded import CHAPTER, record
from tests.test_locks import each_interpreter, line_of, live, of, recorded, same

__all__ = ["live"]


@each_interpreter
def test_what_is_put_and_got_is_recorded_with_its_bytes_and_lines(python: str, live: Path) -> None:
    text = (
        "import queue\nq = queue.Queue(5)\nq.put(b'bytes')\nq.put('text', timeout=2)\nq.put_nowait(('other',))\n"
        "q.get()\nq.get(True, 3)\nq.get_nowait()\n"
        "for _ in range(3): q.task_done()\nq.join()\n"
        "try: q.get(block=False)\nexcept queue.Empty: pass\n"
    )
    (events,) = recorded(text, live, python)
    put, got = of(events, "Queue.put"), of(events, "Queue.get")
    assert [(e.line, e.data, e.size, e.flags) for e in put] == [
        (3, b"bytes", None, 0), (4, b"text", 2 * 10**9, table.TIMED), (5, b"", 0, table.NONBLOCKING),
    ]  # fmt: skip
    assert [(e.line, e.data, e.flags, e.state) for e in got] == [
        (6, b"bytes", 0, table.DONE), (7, b"text", table.TIMED, table.DONE), (8, b"", table.NONBLOCKING, table.DONE),
        (11, b"", table.NONBLOCKING, table.FAILED),
    ]  # fmt: skip
    assert [e.line for e in of(events, "Queue.task_done", "Queue.join")] == [9, 9, 9, 10]
    assert len({e.channel for e in events if e.op.startswith("Queue.")}) == 1
    assert not of(events, "Condition.wait", "Condition.notify", "Lock.acquire")
    (made,) = [d for d in read_logs(live)[0][0].definitions if d.code == table.CHANNEL and d.text["kind"] == "queue"]
    assert made.size == 5


@each_interpreter
def test_a_simple_queue_is_one_of_cs_that_is_recorded(python: str, live: Path) -> None:
    text = """
import pickle, queue, weakref
q = queue.SimpleQueue()
q.put(b'bytes'); q.put(1); q.put_nowait('text')
print(q.qsize(), q.empty(), q.get(), q.get(True), q.get_nowait(), type(q) is queue.SimpleQueue, queue.SimpleQueue, q)
for call in (lambda: q.get(False), lambda: q.get(timeout=-1), lambda: q.get(timeout=0.001), lambda: q.get_nowait(),
             lambda: q.put(), lambda: q.put(1, 2, 3, 4), lambda: pickle.dumps(q), lambda: q.nothing):
    try: print(call())
    except Exception as error: print(type(error))
print(weakref.ref(q)() is q, isinstance(q, queue.SimpleQueue), type(q).__name__, type(q).__module__)
class Mine(queue.SimpleQueue): pass
mine = Mine(); mine.put(1); print(mine.get())
"""
    same(text, live, python)
    (events,) = target.calls(live)
    assert [e.data for e in of(events, "SimpleQueue.get")][:3] == [b"bytes", b"", b"text"]


@each_interpreter
def test_queues_of_every_kind_behave_as_they_do_alone(python: str, live: Path) -> None:
    text = """
import queue, threading
for kind in (queue.Queue, queue.LifoQueue, queue.PriorityQueue):
    q = kind(2)
    for k in (2, 1): q.put(item=k)
    try: q.put(3, False)
    except queue.Full as error: print(repr(error))
    try: q.put(3, timeout=0.001)
    except queue.Full as error: print(repr(error))
    try: q.put(3, timeout=-1)
    except ValueError as error: print(error)
    print(q.get(), q.get(block=True, timeout=None), q.full(), q.qsize(), sorted(vars(q)))
    try: q.task_done(); q.task_done(); q.task_done()
    except ValueError as error: print(error)
def work():
    while True:
        item = q.get()
        if item is None: break
        print(item); q.task_done()
q = queue.Queue(1)
t = threading.Thread(target=work); t.start()
for k in range(50): q.put(k)
q.join(); q.put(None); t.join()
"""
    same(text, live, python)


def test_an_item_is_never_asked_for_its_words(live: Path) -> None:
    text = (
        "import queue\nclass Shy:\n    def __repr__(self): print('asked')\n    __str__ = __bytes__ = __len__ = __eq__ = __repr__\n"
        "class Text(str):\n    def encode(self, *_): print('asked')\n"
        "q = queue.Queue()\nfor item in (Shy(), Text('x'), '\\ud800'): q.put(item); q.get()\nprint('end')\n"
    )
    assert same(text, live) == b"end\n"


def test_the_chapters_queue_is_recorded(tmp_path: Path) -> None:
    done = record(tmp_path, CHAPTER / "queues.py")
    assert (done.status, done.output.splitlines()[-1]) == (0, b"all done")
    run = done.run
    events = run.events
    lines = run.sites.set_index("site")["line"]
    by = {op: events[events["op"] == op] for op in ("Queue.put", "Queue.get", "Queue.join", "Queue.task_done")}
    assert {op: len(rows) for op, rows in by.items()} == {
        "Queue.put": 6, "Queue.get": 6, "Queue.join": 1, "Queue.task_done": 5,
    }  # fmt: skip
    assert set(lines.loc[by["Queue.get"]["site"]]) == {line_of("queues.py", "work.get()")}
    assert {event["wait"] for _, event in by["Queue.get"].iterrows()} == {"nodata"}
    kept = run.payloads.set_index("event")["data"]
    assert [kept.get(event) for event in by["Queue.get"]["event"]][:5] == [b"Spam %d" % k for k in range(5)]
    assert run.verdict.name == "completed"
