"""select, poll, epoll and what rests on them, as the runtime records them: who was waited for, how long, who was ready."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH, FOUND

each_interpreter = pytest.mark.parametrize("python", EACH)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def selects(text: str, live: Path, python: str = sys.executable) -> list[target.Call]:
    """The waits for readiness of a program that must end well."""
    done = target.run(text, live=live, python=python)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    kinds = {name for _, name, kind, _ in table.CALLS if kind == "select"}
    return [event for events in target.calls(live) for event in events if event.op in kinds]


EACH_WAY = """
import os, select, selectors
r, w = os.pipe(); q, v = os.pipe()
os.write(w, b'x')
select.select([r, q], [w], [], 5)
p = select.poll(); p.register(r, select.POLLIN); p.register(q, select.POLLIN | select.POLLPRI); p.register(w, select.POLLOUT)
p.poll(5000); p.unregister(w); p.modify(r, select.POLLIN | select.POLLOUT); p.poll()
e = select.epoll(); e.register(q, select.EPOLLIN); e.register(r, select.EPOLLIN | select.EPOLLET)
e.poll(); e.modify(r, 0); e.poll(0)
e.close()
with selectors.DefaultSelector() as s:
    s.register(r, selectors.EVENT_READ); s.select(); s.select(timeout=5)
"""


@each_interpreter
def test_a_wait_lists_whom_it_was_for_and_says_who_was_ready(python: str, live: Path) -> None:
    found = selects(EACH_WAY, live, python)
    assert [(e.op, e.line, e.data, e.result, e.extra) for e in found] == [
        ("select.select", 5, b"r3 r5 w4", 2, 3),
        ("poll.poll", 7, b"r3 r5 w4", 2, 3),
        ("poll.poll", 7, b"rw3 r5", 1, 3),
        ("epoll.poll", 9, b"r5 r3", 1, 3),
        ("epoll.poll", 9, b"r5 r3", 0, None),
        ("epoll.poll", 12, b"r3", 1, 3), ("epoll.poll", 12, b"r3", 1, 3),
    ]  # fmt: skip
    forever, second = (None, 0), 1_000_000_000
    assert [(e.size, e.flags) for e in found] == [
        (5 * second, table.TIMED), (5 * second, table.TIMED), forever, forever, (0, table.NONBLOCKING), forever,
        (5 * second, table.TIMED),
    ]  # fmt: skip


def test_objects_are_asked_once_for_their_descriptor_and_come_back_themselves(live: Path) -> None:
    text = """
import os, select
class End:
    asked = 0
    def __init__(self, fd): self.fd = fd
    def fileno(self): self.asked += 1; return self.fd
r, w = os.pipe()
reader, writer = End(r), End(w)
ready = select.select([reader], (writer, w), iter([r]))
assert ready == ([], [writer, w], []) and type(ready) is tuple, ready
assert (reader.asked, writer.asked) == (1, 1)
p, e = select.poll(), select.epoll()
p.register(writer, select.POLLOUT); e.register(writer, select.EPOLLOUT)
assert p.poll() == e.poll() == [(w, select.POLLOUT)]
assert writer.asked == 3
"""
    found = selects(text, live)
    assert [(e.data, e.result) for e in found] == [(b"r3 w4", 2), (b"w4", 1), (b"w4", 1)]


@each_interpreter
def test_an_epoll_that_was_registered_elsewhere_is_looked_up(python: str, live: Path) -> None:
    text = """
import os, select
r, w = os.pipe(); os.write(w, b'x')
with select.epoll() as e:
    e.register(r, select.EPOLLIN)
    same = select.epoll.fromfd(os.dup(e.fileno()))
    same.poll()
    same.close()
"""
    (found,) = selects(text, live, python)
    assert (found.op, found.data, found.flags) == ("epoll.poll", b"r3", 0)


def test_an_epoll_descriptor_is_opened_and_closed_and_one_that_only_shows_that_there_is_epoll_is_not(live: Path) -> None:
    text = "import os, select, selectors\nwith select.epoll() as e: e.register(os.pipe()[0])\nselect.epoll().close()\n"
    assert not selects(text, live)
    (events,) = target.calls(live)
    assert [(e.op, e.fd, e.result) for e in events if e.op in ("epoll", "os.close")] == [("epoll", -1, 3), ("os.close", 3, None)]


def test_waits_inside_the_standard_library_have_the_programs_line(live: Path) -> None:
    text = """
import multiprocessing.connection, subprocess
subprocess.Popen(['cat'], stdin=-1, stdout=-1).communicate(b'x')
a, b = multiprocessing.Pipe()
a.send('x')
multiprocessing.connection.wait([b], 5)
"""
    assert {(e.op, e.line) for e in selects(text, live)} == {("poll.poll", 3), ("poll.poll", 6)}


def test_an_event_loops_look_before_each_step_is_nobodys_wait(live: Path) -> None:
    text = """
import asyncio
async def main():
    for _ in range(100): await asyncio.sleep(0)
    await asyncio.sleep(0.01)
asyncio.run(main())
"""
    found = selects(text, live)
    assert all(e.flags & table.TIMED for e in found)
    assert 1 <= len(found) < 10


def test_polling_is_recorded_even_where_nothing_was_ready(live: Path) -> None:
    text = "import os, select\nr, w = os.pipe()\nfor _ in range(3): select.select([r], [], [], 0)\n"
    assert [(e.result, e.extra, e.flags) for e in selects(text, live)] == [(0, None, table.NONBLOCKING)] * 3


def test_a_signal_does_not_end_a_wait_and_an_exception_of_its_handler_does(live: Path) -> None:
    text = """
import os, select, signal
r, w = os.pipe()
signal.signal(signal.SIGALRM, lambda *_: os.write(w, b'x'))
signal.setitimer(signal.ITIMER_REAL, 0.02)
assert select.select([r], [], [])[0] == [r]
def stop(*_): raise KeyError('stop')
os.read(r, 1)
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.02)
p = select.poll(); p.register(r)
try: p.poll()
except KeyError: pass
"""
    first, second = selects(text, live)
    assert (first.result, second.state) == (1, table.FAILED)


@each_interpreter
def test_the_stand_ins_look_like_the_types_they_stand_for(python: str, live: Path) -> None:
    text = """
import copy, os, pickle, re, select
def said(call):
    try: return call()
    except Exception as error: return type(error).__name__, str(error)
r, w = os.pipe()
p, e = select.poll(), select.epoll()
for each in (p, e):
    print(type(each), type(each).__module__, type(each).__qualname__, re.sub('0x[0-9a-f]*', '', repr(each)))
    print(type(each).__doc__, [name for name in ('register', 'modify', 'unregister', 'poll') if callable(getattr(each, name))])
    print(said(lambda: pickle.dumps(each))[0], said(lambda: copy.copy(each))[0], said(lambda: each.nothing)[0])
    print(said(lambda: each.register()), said(lambda: each.register('x')), said(lambda: each.register(r)), said(lambda: each.modify(50, 1)))
    print(said(lambda: each.poll('x')), said(lambda: each.unregister(50)))
print(select.poll, select.epoll, select.select, isinstance(e, select.epoll), type(p) is type(select.poll()))
print(e.fileno(), e.closed, e.poll(0), said(lambda: select.epoll(0)), said(lambda: select.epoll(1, 2, 3)), said(lambda: select.epoll(sizehint=5).closed))
e.close(); e.close()
print(e.closed, said(e.fileno), said(lambda: e.poll(0)), said(e.__enter__))
print(said(lambda: type(p)()))
for arguments in ((), (1, 2, 3), ([], [], [], 'x'), ([], [], [], -1), (['x'], [], []), ([-1], [], []), ([50], [], []), ([1 << 20], [], []), ([r], [], [], None, 1)):
    print(said(lambda: select.select(*arguments)))
print(said(lambda: select.select(rlist=[])), select.select([], [w], [], 0.0), select.select((), {w}, [], True))
e = select.epoll(); n = e.fileno(); del e
import gc; gc.collect()
print(said(lambda: os.fstat(n))[0])
"""
    alone = target.run(text, live=None, python=python)
    traced = target.run(text, live=live, python=python)
    assert traced.stdout.decode().splitlines() == alone.stdout.decode().splitlines()
    assert alone.stderr == traced.stderr


@pytest.mark.skipif(FOUND["CPython 3.8"] is None, reason="CPython 3.8 isn't on this machine")
def test_what_had_been_imported_before_a_fork_goes_on_in_the_child(live: Path) -> None:
    text = """
import os, select
r, w = os.pipe()
p = select.poll(); p.register(r, select.POLLIN)
if not os.fork(): os.write(w, b'x'); p.poll(); os._exit(0)
os.wait(); p.poll()
"""
    for python in (sys.executable, FOUND["CPython 3.8"]):
        shutil.rmtree(live, ignore_errors=True)
        assert [e.data for e in selects(text, live, str(python))] == [b"r3", b"r3"]
