"""The processes of a run while it runs: found through /proc, watched through pidfds, stopped all at once."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from . import proc
from .lives import Life

_SHARE = 20  # a scan takes at most one part in so many of the supervisor's time
_SHARE_YOUNG = 2  # while processes are being started: some live for a few milliseconds only
_YOUNG = 0.1  # seconds
_ATTEMPTS = 3  # at killing: what then still lives can't be killed by us (another user's, or stuck in the kernel)


@dataclass(slots=True)
class _Member:
    life: Life
    pidfd: int  # -1 where the system has none


class Tree:
    """Follows the recorded program and everything that it starts, orphans included.

    The supervisor is their subreaper: a process whose parent has ended becomes its child, and is found there. `before`
    are children that the supervisor had already; those are none of the run's, nor are its `helpers`.
    """

    def __init__(self, root: int, started: int, argv: list[str], before: Iterable[int]) -> None:
        self.root = root
        self.lives: list[Life] = []
        self.helpers = set(before)
        self._alive: dict[int, _Member] = {}
        self._poll = select.poll()
        self._next_scan = self._found = 0.0
        self._unreaped: set[int] = set()
        self._add(root, os.getpid(), started, argv)

    @property
    def alive(self) -> list[int]:
        """The pids that live, parents before their children."""
        return list(self._alive)

    @property
    def young(self) -> bool:
        """Whether a process was found only just now: others often follow."""
        return time.monotonic() - self._found < _YOUNG

    def life(self, pid: int) -> Life | None:
        """The living process with this pid."""
        member = self._alive.get(pid)
        return member.life if member else None

    def pidfd(self, pid: int) -> int:
        """A pidfd of a living process; -1 if there is none."""
        member = self._alive.get(pid)
        return member.pidfd if member else -1

    def _add(self, pid: int, parent: int | None, started: int, argv: list[str]) -> None:
        life = Life(pid, parent, started, argv, proc.link(pid, "exe"), proc.link(pid, "cwd"))
        pidfd = self._open(pid)
        self.lives.append(life)
        self._found = time.monotonic()
        self._alive[pid] = _Member(life, pidfd)
        if pidfd >= 0:
            self._poll.register(pidfd, select.POLLIN)

    @staticmethod
    def _open(pid: int) -> int:
        """A pidfd, unless there are none, or so many that descriptors would run short."""
        try:
            pidfd = os.pidfd_open(pid)
        except (OSError, AttributeError):
            return -1
        if pidfd * 3 < resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
            return pidfd
        os.close(pidfd)
        return -1

    def wait(self, seconds: float) -> bool:
        """Sleep until a process ends, at most so long; True if one has ended. Its end is seen at once."""
        ready = {fd for fd, _ in self._poll.poll(seconds * 1000)}
        now = time.monotonic_ns()
        ended = [pid for pid, member in self._alive.items() if member.pidfd in ready or self._has_gone(member)]
        for pid in ended:
            self._end(pid, now)
        return bool(ended)

    def _has_gone(self, member: _Member) -> bool:
        """Whether a process without a pidfd has ended."""
        if member.pidfd >= 0:
            return False
        if member.life.pid == self.root or not proc.available():
            return self._reap(member.life)
        status = proc.read_stat(member.life.pid)
        return status is None or status.state in "ZX" or status.started > member.life.started + 2 * proc.TICK

    def _end(self, pid: int, now: int) -> None:
        member = self._alive.pop(pid)
        life = member.life
        life.ended = now
        status = proc.read_stat(pid)
        if status is not None and status.state == "Z":
            life.status = status.status
        if not self._reap(life):
            self._unreaped.add(pid)
        if member.pidfd >= 0:
            if life.status is None:
                life.status = proc.exit_status(member.pidfd)
            self._poll.unregister(member.pidfd)
            os.close(member.pidfd)

    def _reap(self, life: Life) -> bool:
        """Take the status of a child of ours that has ended; True if it was one and is gone now."""
        try:
            pid, status = os.waitpid(life.pid, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid:
            life.status = os.waitstatus_to_exitcode(status)
        return pid != 0

    def scan(self, now: bool = False) -> None:
        """Look for new processes and for new commands in known ones; seldom, where there are many, unless `now`."""
        begin = time.monotonic()
        if begin < self._next_scan and not now:
            return
        waiting = [*self._alive]
        for parent in waiting:  # grows while it is gone through
            self._refresh(parent)
            waiting += [pid for pid in proc.children(parent) if self._meet(pid, parent)]
        for pid in proc.children(os.getpid()):
            if pid not in self.helpers and self._meet(pid, None):
                self.scan(now=True)
                break
        share = _SHARE_YOUNG if self.young else _SHARE
        self._next_scan = time.monotonic() + share * (time.monotonic() - begin)

    def _meet(self, pid: int, parent: int | None) -> bool:
        """Take in a process, unless it is known; True if it is new."""
        status = None if pid in self._alive else proc.read_stat(pid)
        if status is None or (pid in self._unreaped and status.state in "ZX"):  # X: being reaped just now
            return False
        self._unreaped.discard(pid)
        self._add(pid, parent, status.started, proc.command_line(pid) or [status.command])
        return True

    def _refresh(self, pid: int) -> None:
        """A process may have become another program."""
        life, argv = self._alive[pid].life, proc.command_line(pid)
        if argv and argv != life.argv:
            life.argv, life.executable = argv, proc.link(pid, "exe")

    def signal(self, number: int) -> None:
        """Send a signal to every living process, and to those that are started meanwhile."""
        done: set[int] = set()
        while fresh := [pid for pid in self._alive if pid not in done]:
            for pid in fresh:
                self._send(pid, number)
            done.update(fresh)
            self.scan(now=True)

    def _send(self, pid: int, number: int) -> None:
        member = self._alive[pid]
        with suppress(ProcessLookupError, PermissionError):
            if member.pidfd >= 0:
                signal.pidfd_send_signal(member.pidfd, number)
            else:
                os.kill(pid, number)

    def send_root(self, number: int) -> None:
        """Pass a signal on to the recorded program."""
        if self.root in self._alive:
            self._send(self.root, number)

    def wait_for_all(self, seconds: float) -> bool:
        """Wait until nothing lives, at most so long; True if nothing does."""
        deadline = time.monotonic() + seconds
        while self._alive and (left := deadline - time.monotonic()) > 0:
            self.wait(min(left, 0.02))
            self.scan()
        return not self._alive

    def kill(self) -> None:
        """End everything at once: freeze it first, so that nobody reacts to another's end."""
        for _ in range(_ATTEMPTS):
            self.signal(signal.SIGSTOP)
            self.signal(signal.SIGKILL)
            self.wait_for_all(5)
            self.scan(now=True)  # what was orphaned at the last moment
            if not self._alive:
                return

    def close(self) -> None:
        """Reap what was adopted, and forget everything."""
        for pid in self._unreaped:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        for member in self._alive.values():
            if member.pidfd >= 0:
                os.close(member.pidfd)
        self._alive.clear()
