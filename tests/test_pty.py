"""Pseudo-terminals: a leader and a follower, each the other's peer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer import proc
from ipctrace.tracer.endpoints import connect
from ipctrace.tracer.logs import Definition, read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH
from tests.recorded import CHAPTER, record

each_interpreter = pytest.mark.parametrize("python", EACH)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def definitions(live: Path, code: int) -> list[list[Definition]]:
    return [[d for d in log.definitions if d.code == code] for log in read_logs(live)[0]]


@each_interpreter
def test_both_ends_of_a_terminal_are_peers_and_bytes_go_both_ways(python: str, live: Path) -> None:
    text = (
        "import os\na, b = os.openpty()\nc, d = os.openpty()\nos.write(a, b'typed\\n')\nos.read(b, 99)\nos.write(b, b'shown')\n"
        "f = open(d, 'w'); print('line', file=f)\nprint(os.ttyname(b), os.ttyname(d), f.line_buffering)\n"
    )
    done = target.run(text, live=live, python=python)
    assert done.stdout.split()[2] == b"True", done
    names = done.stdout.decode().split()[:2]
    (events,) = target.calls(live)
    pairs = [e for e in events if e.op == "os.openpty"]
    assert [(e.fd, e.result) for e in pairs] == [(3, 4), (5, 6)]
    (channels,), (ends,) = definitions(live, table.CHANNEL), definitions(live, table.ENDPOINT)
    kinds = {d.channel: (d.text["kind"], d.text["path"]) for d in channels}
    known = {d.channel: d for d in ends}
    for pair, name in zip(pairs, names, strict=True):
        leader = known[pair.channel]
        assert kinds[pair.channel] == ("tty", "/dev/ptmx")
        assert (leader.text["form"], leader.text["local"], leader.text["remote"]) == ("pty", f"master:{name}", name)
        assert kinds[leader.offset] == ("tty", name)
        assert (known[leader.offset].text["local"], known[leader.offset].text["remote"]) == (name, f"master:{name}")
    moved = [(e.op, e.channel, e.data) for e in events if e.op in ("os.read", "os.write") or (e.op == "raw.write" and e.fd == 6)]
    one, other = pairs[0].channel, known[pairs[0].channel].offset
    assert moved == [
        ("os.write", one, b"typed\n"), ("os.read", other, b"typed\n"), ("os.write", other, b"shown"),
        ("raw.write", known[pairs[1].channel].offset, b"line\n"),
    ]  # fmt: skip


def test_the_runtime_and_the_supervisor_know_a_leader_by_the_same_numbers(live: Path) -> None:
    text = "import os\nos.openpty()\nos.write(1, b'now')\nos.read(0, 1)\n"
    environment = target.traced_environment(live, target.clean_environment())
    with subprocess.Popen(
        [sys.executable, "-c", text], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(3) == b"now"
        seen = {end.fd: (end.kind, end.device, end.inode, end.path) for end in proc.ends(process.pid)}
    (channels,) = definitions(live, table.CHANNEL)
    known = [(d.text["kind"], int(d.text["device"]), int(d.text["inode"]), d.text["path"]) for d in channels]
    assert seen[3] in known
    assert seen[4] in known
    assert seen[3][2] < 0


def test_a_leader_that_an_untraced_process_holds_is_joined_by_its_number() -> None:
    rows = [
        {"channel": 0, "kind": "tty", "inode": -8, "path": "/dev/ptmx", "peer": None},
        {"channel": 1, "kind": "tty", "inode": 10, "path": "/dev/pts/7", "peer": None},
        {"channel": 2, "kind": "tty", "inode": 3, "path": "/dev/pts/0", "peer": None},
        {"channel": 3, "kind": "tty", "inode": -8, "path": "/dev/ptmx", "peer": None},
        {"channel": 4, "kind": "tty", "inode": 10, "path": "/dev/pts/7", "peer": None},
    ]  # fmt: skip
    connect(rows, [], {})
    assert [row["peer"] for row in rows] == [1, 0, None, 4, 3]
    assert (rows[0]["form"], rows[0]["local"], rows[0]["remote"]) == ("pty", "master:/dev/pts/7", "/dev/pts/7")


@each_interpreter
@pytest.mark.sample(2)
def test_a_terminal_that_has_an_earlier_ones_number_is_another_one(python: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os\nfor k in range(2):\n    a, b = os.openpty()\n    os.write(b, b'%d' % k)\n    os.read(a, 1)\n    os.close(a); os.close(b)\n"
    )
    trace = record(tmp_path, python, "program.py").run.trace
    moved = trace.events[trace.events.op.isin(["os.read", "os.write"]) & (trace.events.fd > 2)]
    assert moved.channel.nunique() == 4
    peers = trace.channels.peer
    followers, leaders = moved[moved.op == "os.write"].channel, moved[moved.op == "os.read"].channel
    assert peers[followers.tolist()].tolist() == leaders.tolist()
    assert peers[leaders.tolist()].tolist() == followers.tolist()


@each_interpreter
def test_a_forked_child_has_the_terminal_for_its_streams(python: str, live: Path) -> None:
    text = (
        "import os, pty\npid, fd = pty.fork()\nif not pid:\n    print('child', flush=True)\n    os._exit(0)\n"
        "print(os.read(fd, 99))\nos.waitpid(pid, 0)\n"
    )
    target.run(text, live=live, python=python)
    parent, child = target.calls(live)
    fork = next(e for e in parent if e.op == "os.forkpty")
    assert (fork.result, fork.channel) == (child[0].pid, next(e for e in parent if e.op == "os.read").channel)
    channels = {d.channel: d.text for d in definitions(live, table.CHANNEL)[1]}
    written = next(e for e in child if e.op == "raw.write")
    assert channels[written.channel]["kind"] == "tty"
    listed = {d.fd: d.channel for d in definitions(live, table.DESCRIPTOR)[1]}
    assert listed[0] == listed[1] == listed[2] == written.channel


@pytest.mark.skipif(not hasattr(os, "login_tty"), reason="os.login_tty came with 3.11")
def test_what_login_tty_does_to_descriptors_is_recorded(live: Path) -> None:
    text = "import os\na, b = os.openpty()\nif os.fork() == 0:\n    os.login_tty(b)\n    os._exit(0)\nos.wait()\n"
    target.run(text, live=live)
    _, child = target.calls(live)
    changes = [(e.op, e.fd, e.result) for e in child if e.op in ("os.dup2", "os.close")]
    assert changes == [("os.dup2", 4, 0), ("os.dup2", 4, 1), ("os.dup2", 4, 2), ("os.close", 4, None)]


def test_the_chapters_terminal(tmp_path: Path) -> None:
    made = record(tmp_path, CHAPTER / "terminal.py")
    assert made.status == 0, made
    assert [line.partition(b"saw ")[2] for line in made.output.splitlines()[:3]] == [
        b"[A terminal? True]", b"[Your name: Spam]", b"[Hello, Spam]",
    ]  # fmt: skip
    trace, analysis = made.run.trace, made.run.analysis
    assert analysis.verdict.name == "completed"
    channels = trace.channels[trace.channels.kind == "tty"].set_index("path")
    followers = channels[channels.index.str.startswith("/dev/pts/")]
    assert followers.peer.tolist() == channels.loc[["/dev/ptmx"], "channel"].tolist()
    typed = trace.events[(trace.events.op == "os.write") & (trace.events.channel == channels.loc["/dev/ptmx", "channel"])]
    asked = trace.events[trace.events.op == "input"]
    assert trace.payloads[trace.payloads.event.isin([*typed.event, *asked.event])].data.tolist() == [b"Spam", b"Spam\n"]
    assert set(asked.channel) == set(followers.channel)


@each_interpreter
def test_a_line_that_is_too_long_for_a_terminal_is_told_where_it_keeps_lines(python: str, live: Path) -> None:
    text = (
        "import os, tty\n"
        "def type(leader):\n"
        "    for piece in (b'x' * 3000, b'x' * 2000, b'\\n', b'short\\n', b'x' * 4095, b'\\n'): os.write(leader, piece)\n"
        "one, follower = os.openpty(); type(one)\n"
        "other, raw = os.openpty(); tty.setraw(raw); os.write(other, b'x' * 3000); os.read(raw, 3000)\n"
        "os.write(other, b'x' * 3000)\n"
        "fresh, last = os.openpty(); file = os.fdopen(fresh, 'wb', 0); file.write(b'y' * 5000)\n"
    )
    done = target.run(text, live=live, python=python)
    assert done.returncode == 0, done
    (events,) = target.calls(live)
    moved = [e for e in events if e.op in ("os.write", "raw.write")]
    assert [e.extra for e in moved] == [None, 5000, 5000, None, None, None, None, None, 5000]
