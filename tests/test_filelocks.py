"""Locks on files, and what fcntl changes of a descriptor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH
from tests.recorded import CHAPTER, record
from tests.test_fidelity import outcome

each_interpreter = pytest.mark.parametrize("python", EACH)

LOCKS = """
import fcntl, os, struct
f = open('file', 'w')
fcntl.flock(f, fcntl.LOCK_SH); fcntl.flock(f.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.flock(f, fcntl.LOCK_UN)
fcntl.lockf(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5); fcntl.lockf(f, fcntl.LOCK_UN)
os.lockf(f.fileno(), os.F_LOCK, 0); os.lockf(f.fileno(), os.F_TLOCK, 7); os.lockf(f.fileno(), os.F_ULOCK, 0)
for command, kind in ((fcntl.F_SETLKW, fcntl.F_WRLCK), (fcntl.F_SETLK, fcntl.F_RDLCK), (fcntl.F_SETLK, fcntl.F_UNLCK)):
    try: fcntl.fcntl(f, command, struct.pack('hhqqi4x', kind, 0, 3, 4, 0))
    except OSError: pass  # the file can't be read
"""
SHARED, EXCLUSIVE, NOW, UNLOCK = 1, 2, 4, 8


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


@each_interpreter
def test_every_way_to_lock_says_what_it_asks_for_and_whether_it_waits(python: str, live: Path, tmp_path: Path) -> None:
    done = target.run(LOCKS, live=live, python=python, cwd=tmp_path)
    assert done.stderr == b""
    (events,) = target.calls(live)
    locks = [e for e in events if "lock" in e.op]
    assert [(e.op, e.size, e.flags & table.NONBLOCKING != 0, e.data) for e in locks] == [
        ("fcntl.flock", SHARED, False, b""), ("fcntl.flock", EXCLUSIVE | NOW, True, b""),
        ("fcntl.flock unlock", UNLOCK, False, b""),
        ("fcntl.lockf", EXCLUSIVE, False, b""), ("fcntl.lockf", EXCLUSIVE | NOW, True, b"5+10"),
        ("fcntl.lockf unlock", UNLOCK, False, b""),
        ("os.lockf", EXCLUSIVE, False, b""), ("os.lockf", EXCLUSIVE | NOW, True, b"0+7"),
        ("os.lockf unlock", UNLOCK, False, b""),
        ("fcntl.lockf", EXCLUSIVE, False, b"3+4"), ("fcntl.lockf", SHARED | NOW, True, b"3+4"),
        ("fcntl.lockf unlock", UNLOCK | NOW, True, b"3+4"),
    ]  # fmt: skip
    assert {(e.fd, e.channel) for e in locks} == {(3, next(e for e in events if e.op == "open").channel)}


def test_a_process_that_waits_for_a_lock_is_in_an_open_record(live: Path, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "file").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        environment = target.traced_environment(live, target.clean_environment())
        text = "import fcntl, os\nf = open('file'); os.write(1, b'now')\nfcntl.flock(f, fcntl.LOCK_SH)\n"
        process = subprocess.Popen([sys.executable, "-c", text], env=environment, cwd=tmp_path, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.read(3) == b"now"
        while not any(e.op == "fcntl.flock" for events in target.calls(live) for e in events):
            assert process.poll() is None
        event = next(e for e in target.calls(live)[0] if e.op == "fcntl.flock")
        assert (event.state, event.flags, event.size, event.line) == (table.OPEN, 0, SHARED, 3)
        fcntl.flock(file, fcntl.LOCK_UN)
        process.communicate()
        assert process.returncode == 0


@each_interpreter
def test_what_fcntl_changes_of_a_descriptor_is_known(python: str, live: Path) -> None:
    text = (
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(w, fcntl.F_SETFL, fcntl.fcntl(w, fcntl.F_GETFL) | os.O_NONBLOCK)\n"
        "os.write(w, b'x')\nfcntl.fcntl(w, fcntl.F_SETFL, os.O_WRONLY)\nos.write(w, b'x')\n"
        "n = fcntl.fcntl(r, 1030, 20)\nm = fcntl.fcntl(r, fcntl.F_DUPFD, 30)\nos.read(n, 1); os.read(m, 1)\n"
        "fcntl.fcntl(n, fcntl.F_SETFD, 0)\nfcntl.fcntl(w, 1031, 1 << 18)\nfcntl.fcntl(r, 1032)\n"
    )
    done = target.run(text, live=live, python=python)
    assert done.stderr == b""
    (events,) = target.calls(live)
    pipe = events[0].channel
    seen = [(e.op, e.fd, e.size, e.result, e.extra, e.flags) for e in events if e.channel == pipe and e.op != "os.pipe"]
    assert seen == [
        ("fcntl.fcntl", 4, 4, 0, os.O_NONBLOCK | os.O_WRONLY, 0), ("os.write", 4, 1, 1, None, table.NONBLOCKING),
        ("fcntl.fcntl", 4, 4, 0, os.O_WRONLY, 0), ("os.write", 4, 1, 1, None, 0),
        ("os.dup", 3, 0, 20, 20, 0), ("os.dup", 3, 1, 30, 30, 0),
        ("os.read", 20, 1, 1, None, 0), ("os.read", 30, 1, 1, None, 0), ("fcntl.fcntl", 20, 2, 0, 0, 0),
        ("fcntl.fcntl", 4, 1031, 1 << 18, 1 << 18, 0), ("fcntl.fcntl", 3, 1032, 1 << 18, 0, 0),
    ]  # fmt: skip


def test_the_capacity_that_a_program_gave_its_pipe_is_in_the_trace(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(w, 1031, 1 << 18)\nfcntl.fcntl(w, 1031, 4096)\nos.pipe()\n"
    )
    trace = record(tmp_path, "program.py").run.trace
    made = trace.events[trace.events.op == "os.pipe"].channel
    given, other = trace.channels.capacity[made].fillna(0).tolist()
    assert given == 4096
    assert other in (0, 65536), "as the system was asked for it, if it was in time"


@each_interpreter
def test_fcntl_refuses_what_it_always_refuses(python: str, live: Path) -> None:
    text = """
        import fcntl, os
        class File:
            def __init__(self, fd): self.fd = fd
            def fileno(self): print('asked'); return self.fd
        r, w = os.pipe()
        for call in (lambda: fcntl.flock('x', 2), lambda: fcntl.flock(r), lambda: fcntl.flock(99, 2), lambda: fcntl.flock(-1, 2),
                     lambda: fcntl.flock(File('x'), 2), lambda: fcntl.flock(File(-5), 2), lambda: fcntl.flock(File(99), 8),
                     lambda: fcntl.lockf(r, 99), lambda: fcntl.lockf(r, 2, 'x'), lambda: fcntl.lockf(fd=r, cmd=2), lambda: fcntl.lockf(),
                     lambda: fcntl.fcntl(r, 'x'), lambda: fcntl.fcntl(99, fcntl.F_SETFL, 0), lambda: fcntl.fcntl(r, fcntl.F_SETLK, 'x'),
                     lambda: fcntl.fcntl(r), lambda: fcntl.fcntl(r, fcntl.F_SETFL, 'x'),
                     lambda: fcntl.fcntl(File(r), fcntl.F_GETFD), lambda: fcntl.fcntl(File(r), fcntl.F_SETFD, 1), lambda: fcntl.fcntl(r, 4, 1.5),
                     lambda: os.lockf('x', 1, 2), lambda: os.lockf(r, 1), lambda: os.lockf(r, 3, 0), lambda: fcntl.flock.__name__):
            try: print(call())
            except Exception as error: print(type(error), error)
    """
    assert outcome(text, live, python=python) == outcome(text, None, python=python)


def test_the_chapters_locks_make_processes_wait_for_each_other(tmp_path: Path) -> None:
    made = record(tmp_path, CHAPTER / "file_locks.py", CHAPTER_SLEEP="1")
    assert made.status == 0, made
    assert made.output.startswith(b"flock: counted to 6\nlockf: counted to 6\n")
    trace, analysis = made.run.trace, made.run.analysis
    assert analysis.verdict.name == "completed"
    for op in ("fcntl.flock", "fcntl.lockf"):
        taken = trace.events[trace.events.op == op]
        assert len(taken) == 6
        assert set(taken.wait) == {"lock"}
        assert taken.process.nunique() == 2
        assert taken.channel.nunique() == 1
        released = trace.events[trace.events.op == op + " unlock"]
        longest = taken.loc[(taken.exit - taken.enter).idxmax()]
        during = released[(released.process != longest.process) & (released.enter > longest.enter)]
        assert (during.enter < longest.exit).any(), "who waited, waited for the other one to unlock"


def test_a_lock_that_belongs_to_the_open_file_is_no_record_lock(tmp_path: Path) -> None:
    text = (
        "import fcntl, struct\n"
        "f = open('data', 'w')\n"
        "for kind in (fcntl.F_WRLCK, fcntl.F_UNLCK):\n"
        "    fcntl.fcntl(f, 37, struct.pack('hhqqi4x', kind, 0, 0, 0, 0))\n"  # F_OFD_SETLK
    )
    done = target.run(text, live=tmp_path / "live", cwd=tmp_path)
    assert done.returncode == 0, done
    (events,) = target.calls(tmp_path / "live")
    assert [e.op for e in events if "lock" in e.op] == ["fcntl.flock", "fcntl.flock unlock"]
