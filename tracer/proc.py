"""What /proc shows of processes: the tree, their states, the system calls that they are in, and their descriptors.

Processes vanish while they are looked at, other users' may not be looked at, and not every system has /proc: then a
function here returns None or nothing, and never raises. Fields are described in proc(5).
"""

# These run for every process many times a second, and pathlib's objects cost more than the calls.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208

from __future__ import annotations

import array
import ctypes
import os
import platform
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .schema import printable

try:
    import fcntl
    import resource
except ImportError:  # a system that has neither
    fcntl = resource = None  # type: ignore[assignment]

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
TICK = 1_000_000_000 // _TICKS  # ns: how exactly /proc knows when a process was started

# Numbers of the system calls in which a thread may wait, by machine.
_CALLS: dict[str, dict[int, str]] = {
    "x86_64": {
        0: "read", 1: "write", 2: "open", 3: "close", 7: "poll", 16: "ioctl", 17: "pread64", 18: "pwrite64",
        19: "readv", 20: "writev", 23: "select", 34: "pause", 35: "nanosleep", 40: "sendfile", 42: "connect",
        43: "accept", 44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 58: "vfork", 61: "wait4", 65: "semop",
        70: "msgrcv", 72: "fcntl", 73: "flock", 128: "rt_sigtimedwait", 130: "rt_sigsuspend", 202: "futex",
        219: "restart_syscall", 220: "semtimedop", 230: "clock_nanosleep", 232: "epoll_wait", 243: "mq_timedreceive",
        247: "waitid", 257: "openat", 270: "pselect6", 271: "ppoll", 275: "splice", 276: "tee", 281: "epoll_pwait",
        288: "accept4", 441: "epoll_pwait2", 449: "futex_waitv",
    },
    "aarch64": {
        63: "read", 64: "write", 56: "openat", 57: "close", 29: "ioctl", 67: "pread64", 68: "pwrite64", 65: "readv",
        66: "writev", 72: "pselect6", 73: "ppoll", 101: "nanosleep", 71: "sendfile", 203: "connect", 202: "accept",
        206: "sendto", 207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 260: "wait4", 193: "semop", 188: "msgrcv",
        25: "fcntl", 32: "flock", 137: "rt_sigtimedwait", 133: "rt_sigsuspend", 98: "futex", 128: "restart_syscall",
        192: "semtimedop", 115: "clock_nanosleep", 22: "epoll_pwait", 183: "mq_timedreceive", 95: "waitid",
        76: "splice", 77: "tee", 242: "accept4", 441: "epoll_pwait2", 449: "futex_waitv",
    },
}  # fmt: skip
# Those whose first argument is the descriptor that they wait for.
_BY_DESCRIPTOR = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "sendto", "recvfrom", "sendmsg", "recvmsg", "accept",
    "accept4", "connect", "flock", "fcntl", "ioctl",
}  # fmt: skip
_P_ALL, _P_PID = 0, 1  # waitid(2): what its second argument means
_ACCESS = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}
_ACCESS_MODE, _CLOEXEC = getattr(os, "O_ACCMODE", 3), getattr(os, "O_CLOEXEC", 0)
_O_PATH = getattr(os, "O_PATH", 0)
_TERMINALS = {4, 5, *range(136, 144)}  # major numbers: consoles, /dev/tty, pseudo-terminals
_PF_EXITING = 4  # linux/sched.h
_LEADER = os.makedev(5, 2) if hasattr(os, "makedev") else None  # /dev/ptmx
_PIDFD_GETFD, _F_GETPIPE_SZ = 438, 1032
_PIDFD_GET_INFO, _PIDFD_INFO_EXIT, _PIDFD_INFO = 0xC040FF0B, 1 << 3, "<QQ11Ii"


class Stat(NamedTuple):
    """A process: its command's name, state (R S D T Z …), parent, start (monotonic ns) and, of a zombie, its status."""

    command: str
    state: str
    parent: int
    started: int
    status: int | None


class Call(NamedTuple):
    """The system call that a thread is in: its name, its descriptor, and the pid that it waits for (-1: any)."""

    name: str | None
    fd: int | None
    pid: int | None


class Thread(NamedTuple):
    """A thread of a process. `runs`: how often it had been given a processor, where that was asked."""

    tid: int
    state: str
    call: Call
    runs: int | None = None


class End(NamedTuple):
    """An open descriptor: what it leads to (kind, device, inode, path where it has one), how it was opened, and whether
    it survives exec."""

    fd: int
    access: str
    kind: str
    device: int
    inode: int
    path: str | None
    inheritable: bool = True


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "backslashreplace")
    except OSError:
        return None


@cache
def _boot() -> int:
    """Monotonic time (ns) of the clock's zero that /proc counts from: it goes on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return 0 if clock is None else time.monotonic_ns() - time.clock_gettime_ns(clock)


def available() -> bool:
    """Whether this system has a /proc that shows processes."""
    return (_PROC / "self" / "stat").exists()


def read_stat(pid: int, tid: int | None = None) -> Stat | None:
    """A process, or one thread of it; None if it is gone."""
    text = _text(f"/proc/{pid}/stat" if tid is None else f"/proc/{pid}/task/{tid}/stat")
    if not text:
        return None
    head, _, tail = text.rpartition(")")  # the name may hold spaces and brackets itself
    fields = tail.split()
    state = fields[0]
    status = os.waitstatus_to_exitcode(int(fields[49])) if state == "Z" and len(fields) > 49 else None
    return Stat(head.partition("(")[2], state, int(fields[1]), int(fields[19]) * TICK + _boot(), status)


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty for a zombie or a process that is gone."""
    text = _text(f"/proc/{pid}/cmdline")
    return text.removesuffix("\0").split("\0") if text else []


def link(pid: int, name: str) -> str | None:
    """Where /proc/PID/exe or /proc/PID/cwd lead."""
    try:
        return printable(os.readlink(f"/proc/{pid}/{name}"))
    except OSError:
        return None


def thread_ids(pid: int) -> list[int]:
    """The threads of a process, in order; empty if it is gone."""
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """The children of a process, zombies among them."""
    found: list[int] = []
    for tid in thread_ids(pid):
        text = _text(f"/proc/{pid}/task/{tid}/children")
        if text is None and tid == pid and not _lists_children():
            return [other for other in processes() if (status := read_stat(other)) and status.parent == pid]
        found += map(int, (text or "").split())
    return found


@cache
def _lists_children() -> bool:
    """Whether this kernel was built to list children."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def processes() -> list[int]:
    """All processes of the machine that can be seen."""
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]
    except OSError:
        return []


def parse_syscall(text: str, machine: str) -> Call:
    """What /proc/PID/task/TID/syscall says: a number and arguments, or `running`."""
    fields = text.split()
    if not fields or fields[0] in ("running", "-1"):
        return Call(None, None, None)
    name = _CALLS.get(machine, {}).get(int(fields[0]))
    if name is None or len(fields) < 3:
        return Call(name, None, None)
    first, second = (struct.unpack("<i", struct.pack("<I", int(field, 16) & 0xFFFFFFFF))[0] for field in fields[1:3])
    if name == "wait4":
        return Call(name, None, first)
    if name == "waitid":
        return Call(name, None, {_P_ALL: -1, _P_PID: second}.get(first))
    return Call(name, first if name in _BY_DESCRIPTOR else None, None)


def runs(pid: int, tid: int) -> int | None:
    """How often a thread has been given a processor; None where the system doesn't count that.

    Between two equal answers it didn't run at all: what it was waiting in, it waited in throughout.
    """
    fields = (_text(f"/proc/{pid}/task/{tid}/schedstat") or "").split()
    return int(fields[2]) or None if len(fields) == 3 else None


def exiting(pid: int) -> bool:
    """Whether a process is gone, or is closing its descriptors one by one because it ends."""
    fields = (_text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return len(fields) < 7 or fields[0] in "ZX" or int(fields[6]) & _PF_EXITING != 0


def threads(pid: int) -> list[Thread]:
    """The threads of a process with what each is doing."""
    found = []
    for tid in thread_ids(pid):
        status = read_stat(pid, tid)
        if status is not None:
            text = _text(f"/proc/{pid}/task/{tid}/syscall") or ""
            found.append(Thread(tid, status.state, parse_syscall(text, platform.machine())))
    return found


def kind_of(status: os.stat_result, target: str) -> str:
    """The kind of channel that a descriptor leads to, from its status and its link's text."""
    mode = status.st_mode
    if stat.S_ISFIFO(mode):
        return "fifo" if target.startswith("/") else "pipe"
    if stat.S_ISCHR(mode):
        return "tty" if os.major(status.st_rdev) in _TERMINALS else "device"
    return "socket" if stat.S_ISSOCK(mode) else "file" if stat.S_ISREG(mode) else "other"


def _identity(status: os.stat_result, lines: Iterable[str]) -> tuple[int, int]:
    """Device and inode; `lines` of fdinfo. The leaders of all pseudo-terminals share one inode: there it is -1 - N, of
    /dev/pts/N, as in runtime/descriptors.py."""
    if _LEADER is not None and status.st_rdev == _LEADER:
        number = next((line.split()[1] for line in lines if line.startswith("tty-index:")), None)
        if number is not None:
            return status.st_dev, -1 - int(number)
    return status.st_dev, status.st_ino


def _end(pid: int | str, fd: int) -> End | None:
    folder = f"/proc/{pid}/fd/{fd}"
    lines = (_text(f"/proc/{pid}/fdinfo/{fd}") or "").splitlines()
    flags = next((line.split()[1] for line in lines if line.startswith("flags")), None)
    try:
        status, target = os.stat(folder), os.readlink(folder)
    except OSError:
        return None
    if flags is None or int(flags, 8) & _O_PATH:
        return None
    path = printable(target) if target.startswith("/") else None
    access = _ACCESS.get(int(flags, 8) & _ACCESS_MODE, "rw")
    inheritable = not int(flags, 8) & _CLOEXEC
    return End(fd, access, kind_of(status, target), *_identity(status, lines), path, inheritable)


def _descriptors(pid: int | str) -> list[int]:
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/fd")))
    except OSError:
        return []


def links(pid: int) -> list[tuple[int, str]]:
    """The open descriptors of a process and what each leads to, in a word: `pipe:[4711]`, or a path."""
    return [(fd, target) for fd in _descriptors(pid) if (target := link(pid, f"fd/{fd}")) is not None]


def end(pid: int, fd: int) -> End | None:
    """One open descriptor of a process."""
    return _end(pid, fd)


def ends(pid: int) -> list[End]:
    """The open descriptors of a process, in order."""
    return [end for fd in _descriptors(pid) if (end := _end(pid, fd)) is not None]


def inherited() -> set[tuple[int, int]]:
    """Device and inode of everything that this process would hand to a program that it starts."""
    found = set()
    for fd in _descriptors("self") or [0, 1, 2]:
        try:
            if os.get_inheritable(fd):
                status = os.fstat(fd)
                found.add((status.st_dev, status.st_ino))
        except OSError:  # the descriptor of the listing itself
            continue
    return found


def outside_holders(inodes: Iterable[tuple[int, int]], inside: set[int]) -> Iterator[tuple[int, End]]:
    """Who else on the machine holds an end of these pipes and FIFOs (device, inode): (pid, end).

    Other users' processes can't be looked into without privilege; nobody but root hands them an anonymous pipe.
    """
    wanted = set(inodes)
    for pid in processes() if wanted else ():
        if pid in inside:
            continue
        for fd in _descriptors(pid):
            try:
                status = os.stat(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in wanted and (end := _end(pid, fd)) is not None:
                yield pid, end


def capacity(pidfd: int, fd: int) -> int | None:
    """How many bytes the pipe behind another process's descriptor holds; None where that can't be asked.

    The descriptor is duplicated (pidfd_getfd(2)), not opened anew: a new opening would for a moment be a reader or
    writer more.
    """
    try:
        number = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, fd, 0)
    except (OSError, AttributeError):
        return None
    if number < 0:
        return None
    try:
        return pipe_size(number)
    finally:
        os.close(number)


def pipe_size(fd: int) -> int | None:
    """How many bytes the pipe behind a descriptor of ours holds; None where that can't be asked."""
    try:
        return fcntl.fcntl(fd, _F_GETPIPE_SZ)
    except (OSError, AttributeError):
        return None


def most_descriptors() -> int:
    """How many descriptors this process may have."""
    return 512 if resource is None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def exit_status(pidfd: int) -> int | None:
    """The exit status, or minus the signal, of a process that has ended; None before Linux 6.15 or if it lives."""
    info = array.array("B", struct.pack(_PIDFD_INFO, _PIDFD_INFO_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info, True)
    except (OSError, AttributeError):
        return None
    mask, *_, status = struct.unpack(_PIDFD_INFO, info)
    return os.waitstatus_to_exitcode(status) if mask & _PIDFD_INFO_EXIT else None
