"""Tree and netlink: processes are found whether or not the kernel tells of them, and sockets' other ends."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from ipctrace.tracer import netlink, proc
from ipctrace.tracer.lives import Life
from ipctrace.tracer.netlink import ProcessEvents, peers
from ipctrace.tracer.signals import subreaper
from ipctrace.tracer.tree import Tree

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")


@pytest.fixture(params=[True, False], ids=["told", "not told"])
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the kernel tells of processes: it doesn't in a container, or to a user of an older one."""
    if not request.param:
        monkeypatch.setattr(netlink, "_CONNECTOR", -1)
    elif not kernel_tells():
        pytest.skip("this kernel doesn't tell us")
    return bool(request.param)


def kernel_tells() -> bool:
    events = ProcessEvents()
    readable = events.fileno() >= 0 and bool(select.select([events], [], [], 0.2)[0])
    found = readable and any(event.kind == "ready" for event in events.read())
    events.close()
    return found


@pytest.fixture
def grown() -> Iterator[list[Tree]]:
    """Trees that a test has made: none of their processes is left."""
    trees: list[Tree] = []
    with subreaper():
        yield trees
        for tree in trees:
            tree.kill()
            tree.close()


def follow(grown: list[Tree], *command: str) -> list[Life]:
    """Everything that a command starts, seen to its end."""
    before = proc.children(os.getpid())
    program = subprocess.Popen(command)
    program.returncode = 0
    tree = Tree(program.pid, time.monotonic_ns(), list(command), before)
    grown.append(tree)
    while tree.alive:
        tree.wait(0.02)
        tree.scan(now=True)  # orphans come to light when their parent has ended
    return [tree.lives[0], *sorted(tree.lives[1:], key=lambda life: life.started)]


def test_every_process_has_its_parent_end_and_status(told: bool, grown: list[Tree]) -> None:
    lives = follow(grown, "sh", "-c", "(sleep 0.1; exit 3) & (sleep 0.1; exit 4) & wait; exit 5")
    root, *others = lives
    shells = [life for life in others if life.argv[:1] != ["sleep"]]
    assert root.status == 5
    assert sorted(life.status or 0 for life in shells) == [3, 4]
    assert {life.parent for life in shells} == {root.pid}
    assert all(life.ended is not None and life.ended >= life.started for life in lives)


def test_an_orphan_of_a_double_fork_is_followed_to_its_end(told: bool, grown: list[Tree]) -> None:
    program = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.2)
        os._exit(7)
    os._exit(0)
os.wait()
"""
    lives = follow(grown, sys.executable, "-S", "-c", program)
    statuses = [life.status for life in lives]  # the one in between may be too brief to be seen
    assert (statuses[0], statuses[-1]) == (0, 7)
    assert statuses == [0, 0, 7] or not told


@pytest.mark.skipif(not kernel_tells(), reason="this kernel doesn't tell us")
def test_no_process_is_too_brief_to_be_told_of(grown: list[Tree]) -> None:
    program = "import os\nfor status in range(100):\n    os.fork() or os._exit(status)\n    os.wait()"
    lives = follow(grown, sys.executable, "-S", "-c", program)
    assert [life.status for life in lives] == [0, *range(100)]
    assert {life.parent for life in lives[1:]} == {lives[0].pid}
    assert all(life.ended is not None and life.ended >= life.started for life in lives)


def test_what_is_none_of_ours_is_not_taken_in(grown: list[Tree]) -> None:
    stranger = subprocess.Popen(["sh", "-c", "true; true; read line"], stdin=subprocess.PIPE)
    before = proc.children(os.getpid())
    program = subprocess.Popen(["sh", "-c", "true; true"])
    program.returncode = 0
    tree = Tree(program.pid, time.monotonic_ns(), ["sh"], before)
    grown.append(tree)
    assert program.pid in tree
    assert stranger.pid not in tree
    assert os.getpid() not in tree
    stranger.communicate(b"\n")
    while tree.alive:
        tree.wait(0.02)
    assert stranger.pid not in {life.pid for life in tree.lives}


def test_a_process_is_known_by_its_log_before_any_scan(grown: list[Tree]) -> None:
    program = subprocess.Popen(
        ["sh", "-c", "sh -c 'echo $$; read line'; true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    tree = Tree(program.pid, time.monotonic_ns(), ["sh"], [])
    grown.append(tree)
    assert program.stdout is not None
    child = int(program.stdout.readline())
    assert child in tree
    life = tree.life(child)
    assert life is not None
    assert life.parent == program.pid
    tree.kill()
    program.communicate()


# Sockets


def test_both_ends_of_a_pair_name_each_other() -> None:
    one, other = socket.socketpair()
    with one, other:
        ends = os.fstat(one.fileno()).st_ino, os.fstat(other.fileno()).st_ino
        found = peers()
        assert (found[ends[0]], found[ends[1]]) == ends[::-1]


@pytest.mark.parametrize(
    ("listener", "caller"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")], ids=["4", "6", "mapped"]
)
def test_both_ends_of_a_connection_name_each_other(listener: str, caller: str) -> None:
    family = socket.AF_INET6 if ":" in listener else socket.AF_INET
    try:
        server = socket.create_server((listener, 0), family=family, dualstack_ipv6=listener == "::")
    except (OSError, ValueError):
        pytest.skip("this system has no IPv6")
    with server, socket.create_connection((caller, server.getsockname()[1])) as client:
        accepted, _ = server.accept()
        with accepted:
            ends = os.fstat(client.fileno()).st_ino, os.fstat(accepted.fileno()).st_ino
            found = peers()
            assert (found.get(ends[0]), found.get(ends[1])) == ends[::-1]
            assert os.fstat(server.fileno()).st_ino not in found


def test_where_nobody_tells_there_are_no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_SOCK_DIAG", -1)
    assert peers() == {}
