"""Proc: what /proc says of real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from ipctrace.tracer import proc

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")


@pytest.fixture
def cat() -> Iterator[subprocess.Popen[bytes]]:
    """A cat that waits for its input."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.read(1)
        while (status := proc.read_stat(process.pid)) is not None and status.state != "S":
            time.sleep(0.001)
        yield process
        process.kill()


def test_a_process_is_described(cat: subprocess.Popen[bytes]) -> None:
    status = proc.read_stat(cat.pid)
    assert status is not None
    assert (status.command, status.state, status.parent) == ("cat", "S", os.getpid())
    assert status.started <= time.monotonic_ns()
    assert proc.command_line(cat.pid) == ["cat"]
    assert cat.pid in proc.children(os.getpid())


def test_the_call_that_a_process_is_blocked_in(cat: subprocess.Popen[bytes]) -> None:
    (thread,) = proc.threads(cat.pid)
    assert thread == proc.Thread(cat.pid, "S", proc.Call("read", 0, None))


def test_the_descriptors_of_a_process_and_who_else_holds_them(cat: subprocess.Popen[bytes]) -> None:
    assert cat.stdin is not None
    status = os.fstat(cat.stdin.fileno())
    end = proc.ends(cat.pid)[0]
    assert end == proc.End(0, "r", "pipe", status.st_dev, status.st_ino, None)
    holders = list(proc.outside_holders([(end.device, end.inode)], {cat.pid}))
    assert [(pid, held.access) for pid, held in holders] == [(os.getpid(), "w")]


def test_a_process_that_waits_is_given_no_processor(cat: subprocess.Popen[bytes]) -> None:
    runs = proc.runs(cat.pid, cat.pid)
    assert proc.runs(cat.pid, cat.pid) == runs
    assert cat.stdin is not None
    assert cat.stdout is not None
    cat.stdin.write(b"x")
    cat.stdin.flush()
    cat.stdout.read(1)
    assert runs is None or (proc.runs(cat.pid, cat.pid) or 0) > runs
    assert not proc.exiting(cat.pid)


def test_what_survives_exec_is_told(cat: subprocess.Popen[bytes]) -> None:
    assert all(end.inheritable for end in proc.ends(cat.pid)[:3])
    read, write = os.pipe()
    own = {end.fd: end.inheritable for end in proc.ends(os.getpid())}
    assert (own[read], own[write]) == (False, False)
    assert dict(proc.links(os.getpid()))[read] == f"pipe:[{os.fstat(read).st_ino}]"
    os.close(read)
    os.close(write)


def test_the_capacity_of_a_pipe_is_asked_without_opening_it(cat: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(cat.pid)
    try:
        assert proc.capacity(pidfd, 0) in (None, 65536)
        assert proc.capacity(pidfd, 999) is None
    finally:
        os.close(pidfd)


def test_the_status_of_a_zombie_is_known_before_anybody_waits_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    status = proc.read_stat(process.pid)
    assert status is not None
    assert (status.state, status.status) == ("Z", 3)
    assert proc.command_line(process.pid) == []
    process.wait()


def test_the_status_of_a_process_that_others_have_reaped() -> None:
    process = subprocess.Popen(["sleep", "60"])
    pidfd = os.pidfd_open(process.pid)
    assert proc.exit_status(pidfd) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert proc.exit_status(pidfd) in (-9, None)  # None before Linux 6.15
    os.close(pidfd)


def test_a_process_that_is_gone_is_nothing_and_no_error() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert proc.read_stat(process.pid) is None
    assert proc.command_line(process.pid) == []
    assert proc.threads(process.pid) == []
    assert proc.ends(process.pid) == []
    assert proc.children(process.pid) == []
    assert proc.link(process.pid, "exe") is None
    assert proc.links(process.pid) == []
    assert proc.runs(process.pid, process.pid) is None
    assert proc.exiting(process.pid)


@pytest.mark.parametrize(
    ("text", "machine", "call"),
    [
        ("0 0x3 0x7f 0x20 0x0 0x0 0x0 0x7ff 0x7f1", "x86_64", proc.Call("read", 3, None)),
        ("63 0x3 0x7f 0x20 0x0 0x0 0x0 0x7ff 0x7f1", "aarch64", proc.Call("read", 3, None)),
        ("1 0x1 0x7f 0x20 0x0 0x0 0x0 0x7ff 0x7f1", "x86_64", proc.Call("write", 1, None)),
        ("61 0xffffffffffffffff 0x7f 0x0 0x0 0x0 0x0 0x7ff 0x7f1", "x86_64", proc.Call("wait4", None, -1)),
        ("260 0x1267 0x7f 0x0 0x0 0x0 0x0 0x7ff 0x7f1", "aarch64", proc.Call("wait4", None, 0x1267)),
        ("247 0x1 0x1267 0x7f 0x4 0x0 0x0 0x7ff 0x7f1", "x86_64", proc.Call("waitid", None, 0x1267)),
        ("247 0x0 0x0 0x7f 0x4 0x0 0x0 0x7ff 0x7f1", "x86_64", proc.Call("waitid", None, -1)),
        ("202 0x7f0 0x189 0x0 0x0 0x0 0xffffffff 0x7ff 0x7f1", "x86_64", proc.Call("futex", None, None)),
        ("running", "x86_64", proc.Call(None, None, None)),
        ("-1 0x7ff 0x7f1", "x86_64", proc.Call(None, None, None)),
        ("0 0x3 0x7f 0x20 0x0 0x0 0x0 0x7ff 0x7f1", "riscv64", proc.Call(None, None, None)),
        ("", "x86_64", proc.Call(None, None, None)),
    ],
)
def test_system_calls_by_machine(text: str, machine: str, call: proc.Call) -> None:
    assert proc.parse_syscall(text, machine) == call


def test_what_a_program_would_inherit() -> None:
    read, write = os.pipe()
    inside, status = os.fstat(read), os.fstat(write)
    os.set_inheritable(write, True)
    try:
        assert (status.st_dev, status.st_ino) in proc.inherited()
        os.set_inheritable(write, False)
        assert (inside.st_dev, inside.st_ino) not in proc.inherited()
    finally:
        os.close(read)
        os.close(write)
