"""A program that debugs or audits itself, or reads what its errors say, finds its own calls and not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import target
from tests.interpreters import EACH

TRACED = """
import os, sys, threading
seen, others = [], ()
if sys.implementation.name == "pypy":  # where importlib and codecs have other frames from one run to the next
    others = "<frozen importlib._bootstrap>", "utf_8.py", "stat.py"
def trace(frame, event, argument):
    file = os.path.basename(frame.f_code.co_filename)
    if file not in others:
        seen.append((event, file, frame.f_code.co_name, frame.f_lineno))
    return trace
def program():
    import queue
    items = queue.Queue(); items.put(1); items.get()
    reader, writer = os.pipe(); os.write(writer, b"x"); os.read(reader, 1)
    with threading.Lock(): print("locked", file=sys.stderr)
    sys.settrace(sys.gettrace())
sys.settrace(trace); print(sys.gettrace() is trace)
program()
sys.settrace(None); print(sys.gettrace(), *seen, sep="\\n")
threading.settrace(trace)
thread = threading.Thread(target=lambda: print(sys.gettrace() is trace)); thread.start(); thread.join()
for wrong in ((), (1, 2)):
    try: sys.settrace(*wrong)
    except TypeError as error: print(error)
print(sys.settrace, sys.gettrace)
"""

MESSAGES = """
import io, os, time
for wrong in (lambda: print >> io.BytesIO(), lambda: print[1], lambda: os.read + 1, lambda: -time.sleep,
              lambda: open < 3, lambda: len(os.pipe), lambda: iter(print), lambda: os.fork.no, lambda: "a" + input):
    try: wrong()
    except Exception as error: print(type(error).__name__, error)
class Redirect:
    def __rrshift__(self, function): return function.__name__
print(print >> Redirect(), type(print).__name__, type(time.sleep).__module__)
"""

AUDITED = """
import os, sys, threading
told = []
def hook(event, args):
    if event.startswith(("sys.", "os.", "open", "object.", "mmap.")):
        print(event, len(args))  # which is recorded
        told.append(event)
sys.addaudithook(hook)
frame = sys._getframe(); frame.f_code
def function(): pass
function.__code__
open(os.devnull).close(); reader, writer = os.pipe(); os.write(writer, b"x"); os.read(reader, 1); os.listdir("/")
with threading.Lock(): print(len(told), sys.addaudithook)
def refuse(event, args):
    if event == "os.mkdir": raise ValueError("no")
sys.addaudithook(hook=refuse)
try: sys.audit("os.mkdir")
except ValueError as error: print(error)
for wrong in ((), (1, 2)):
    try: sys.addaudithook(*wrong)
    except TypeError as error: print(error)
"""

CLASSES = """
import sys, threading
if sys.version_info < (3, 13):
    try: type(threading.Lock())()
    except TypeError as error: print(error)
else: print(type(threading.Lock())().acquire())
"""

PROGRAMS = {
    "what a trace function is called for": TRACED,
    "what an audit hook is told": AUDITED,
    "messages": MESSAGES,
    "who may make a lock": CLASSES,
}


@pytest.mark.parametrize("python", EACH)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.sample(8)
def test_it_is_the_same_as_untraced(program: str, python: str, tmp_path: Path) -> None:
    alone, traced = (target.run(program, live=live, python=python, cwd=tmp_path) for live in (None, tmp_path / "live"))
    assert alone.returncode == 0, alone.stderr
    assert traced.stdout.decode().splitlines() == alone.stdout.decode().splitlines()
    assert traced.stderr == alone.stderr
    assert list((tmp_path / "live").glob("*.log")), "nothing was recorded"
