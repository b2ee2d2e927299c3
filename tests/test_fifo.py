"""FIFOs: opening one waits for its other side, and the log says for which one while it waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.logs import Log, read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH
from tests.recorded import CHAPTER, record

each_interpreter = pytest.mark.parametrize("python", EACH)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def begun(live: Path) -> Log | None:
    """The log of a program that has just been started, once it can be read."""
    logs, _ = read_logs(live)
    return logs[0] if logs else None


@each_interpreter
@pytest.mark.parametrize(
    ("opening", "op", "access"),
    [("open('fifo')", "open", os.O_RDONLY), ("open(b'fifo', 'wb', 0)", "open", os.O_WRONLY),
     ("os.open('fifo', os.O_WRONLY)", "os.open", os.O_WRONLY),
     ("os.open('fifo', os.O_RDONLY, dir_fd=os.open('.', os.O_RDONLY))", "os.open", os.O_RDONLY)],
)  # fmt: skip
def test_while_an_open_waits_the_log_says_for_which_side_of_which_fifo(
    opening: str, op: str, access: int, python: str, live: Path, fifo: Path
) -> None:
    environment = target.traced_environment(live, target.clean_environment())
    process = subprocess.Popen([python, "-c", f"import os\n{opening}\n"], env=environment, cwd=fifo.parent)
    try:
        while not (log := begun(live)) or not log.definitions or not (events := target.calls(live)[0]) or events[-1].data != b"fifo":
            assert process.poll() is None
        event = events[-1]
        assert event.op == op
        assert (event.state, event.flags, event.size & os.O_ACCMODE) == (table.OPEN, 0, access)
        assert event.data == b"fifo"
        (log,) = read_logs(live)[0]
        (known,) = [d.text for d in log.definitions if d.code == table.CHANNEL and d.channel == event.channel]
        assert (known["kind"], known["path"], int(known["inode"])) == ("fifo", str(fifo), fifo.stat().st_ino)
    finally:
        process.kill()
        process.wait()


@each_interpreter
def test_an_open_that_cannot_wait_is_told_from_one_that_can(python: str, live: Path, fifo: Path) -> None:
    text = (
        "import os\nr = os.open('fifo', os.O_RDONLY | os.O_NONBLOCK)\nw = os.open('fifo', os.O_WRONLY)\n"
        "b = os.open('fifo', os.O_RDWR)\nf = open('fifo', 'r+b', 0)\n"
        "try: os.read(r, 1)\nexcept BlockingIOError: pass\nos.write(w, b'x')\nos.read(r, 1)\nos.read(b, 0)\n"
    )
    target.run(text, live=live, python=python, cwd=fifo.parent)
    (events,) = target.calls(live)
    opened = [(e.op, e.line, e.flags) for e in events if e.op in ("open", "os.open")]
    assert opened == [
        ("os.open", 2, table.NONBLOCKING), ("os.open", 3, 0), ("os.open", 4, table.NONBLOCKING),
        ("open", 5, table.NONBLOCKING),
    ]  # fmt: skip
    moved = [(e.line, e.flags) for e in events if e.op in ("os.read", "os.write")]
    assert moved == [(6, table.NONBLOCKING), (8, 0), (9, table.NONBLOCKING), (10, 0)]
    assert len({e.channel for e in events if e.op in ("open", "os.open", "os.read", "os.write")}) == 1


def test_a_fifo_appears_and_goes_and_one_of_the_same_name_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, socket\nfor k in range(2):\n    if os.fork() == 0:\n        os.mkfifo('name'); os._exit(0)\n"
        "    os.wait()\n    os.close(os.open('name', os.O_RDONLY | os.O_NONBLOCK))\n    os.unlink('name')\n"
        "open('plain', 'w').close()\nos.remove('plain')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('sock'); s.close(); os.remove('sock')\n"
    )
    trace = record(tmp_path, "program.py").run.trace
    events = trace.events
    chosen = events[events.op.isin(["os.mkfifo", "os.open", "os.unlink"])]
    fifos = chosen[chosen.channel.notna()]
    assert fifos.op.tolist() == ["os.mkfifo", "os.open", "os.unlink"] * 2
    assert fifos.channel.iloc[:3].nunique() == fifos.channel.iloc[3:].nunique() == 1
    assert fifos.channel.nunique() == 2
    unlinked = trace.payloads[trace.payloads.event.isin(chosen.loc[chosen.op == "os.unlink", "event"])]
    assert unlinked.data.tolist() == [b"name", b"name", b"sock"], "and nothing of plain files"


def test_the_chapters_fifo_waits_for_its_other_side(tmp_path: Path) -> None:
    made = record(tmp_path, CHAPTER / "fifo.py")
    assert made.status == 0, made
    trace, analysis = made.run.trace, made.run.analysis
    assert analysis.verdict.name == "completed"
    opened = trace.events[trace.events.wait == "peer"]
    assert opened.op.tolist() == ["open", "open"]
    assert opened.channel.nunique() == 1
    assert sorted(trace.sites.loc[opened.site, "function"]) == ["child", "parent"]
    first = opened.sort_values("enter").iloc[0]
    assert (first.exit - first.enter) > 0
    fifos = analysis.channels[analysis.channels.kind == "fifo"]
    assert fifos.messages.tolist() == [3]
    assert trace.events[trace.events.kind.isin(["entry", "unlink"])].op.tolist() == ["os.mkfifo", "os.unlink"]
    assert made.output.count(b"Parent") == 3


def test_wrong_arguments_are_refused_as_they_always_are(live: Path, fifo: Path) -> None:
    text = (
        "import os\nfor call in (lambda: os.mkfifo('fifo'), lambda: os.mkfifo(), lambda: os.mkfifo(path='no/such'), lambda: os.mkfifo(3),\n"
        "             lambda: open('fifo', 'r+'), lambda: open('fifo', 'w+b'), lambda: os.open('fifo', os.O_WRONLY | os.O_NONBLOCK),\n"
        "             lambda: open('fifo', 'x'), lambda: os.open('fifo'), lambda: os.open('fifo', 0, dir_fd=99), lambda: os.unlink('fifo', dir_fd=99),\n"
        "             lambda: os.unlink(path=b'fifo'), lambda: os.unlink('fifo')):\n"
        "    try: print(call())\n    except Exception as error: print(type(error), error)\n"
    )
    outcomes = []
    for each in (None, live):
        done = target.run(text, live=each, cwd=fifo.parent)
        outcomes.append((done.stdout, done.stderr))
        os.mkfifo(fifo)
    assert outcomes[1] == outcomes[0]
    assert sys.version_info < (3, 8) or outcomes[0][0].count(b"class") >= 10
