"""The processes of a run while it runs: found through /proc, watched through pidfds, stopped all at once."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from . import proc
from .lives import Life
from .netlink import ProcessEvent, ProcessEvents

_SHARE = 20  # a scan takes at most one part in so many of the supervisor's time
_SHARE_YOUNG = 2  # while processes are being started: some live for a few milliseconds only
_YOUNG = 0.1  # seconds
_AT_ONCE = 0.004  # seconds between two times that a wait ends because a process has come, or become another program
_ATTEMPTS = 3  # at killing: what then still lives can't be killed by us (another user's, or stuck in the kernel)


@dataclass(slots=True)
class _Member:
    life: Life
    pidfd: int  # -1 where the system has none
    told: int | None = None  # the status that its main thread ended with: nearly always its own


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
        self._past: dict[int, Life] = {}  # by pid, those that have ended
        self._returned = 0.0
        self._events = ProcessEvents()
        if self._events.fileno() >= 0:
            self._poll.register(self._events.fileno(), select.POLLIN)
        self._add(root, os.getpid(), started, argv)

    @property
    def alive(self) -> list[int]:
        """The pids that live, parents before their children."""
        return list(self._alive)

    @property
    def young(self) -> bool:
        """Whether a process was found only just now: others often follow, and nobody tells of them."""
        return time.monotonic() - self._found < _YOUNG and not self._events.told

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
        if pidfd * 3 < proc.most_descriptors():
            return pidfd
        os.close(pidfd)
        return -1

    def wait(self, seconds: float) -> bool:
        """Sleep until a process ends, comes, or becomes another program, at most so long; True if one has ended.

        An end is seen at once. What comes and goes all the time doesn't keep us awake: `_AT_ONCE`.
        """
        deadline, heard = time.monotonic() + seconds, False
        while True:
            quick = self._returned + _AT_ONCE if heard else deadline
            ready = {fd for fd, _ in self._poll.poll(max(0.0, min(quick, deadline) - time.monotonic()) * 1000)}
            if self._events.fileno() in ready:
                for event in self._events.read():
                    heard |= self._hear(event)
            now = time.monotonic_ns()
            ended = [pid for pid, member in self._alive.items() if member.pidfd in ready or self._has_gone(member)]
            for pid in ended:
                self._end(pid, now)
            if ended or (moment := time.monotonic()) >= deadline or (heard and moment >= self._returned + _AT_ONCE):
                self._returned = time.monotonic()
                return bool(ended)

    def _hear(self, event: ProcessEvent) -> bool:
        """Take in what the kernel tells of a process; True if one of the run's has come or become another program."""
        if event.kind == "fork":
            past = self._past.get(event.parent)
            if event.parent not in self._alive and (past is None or event.time > (past.ended or 0)):
                return False  # none of ours, or one that only has the number of one of ours now
            known = self._past.get(event.pid)
            if known is not None and event.time <= (known.ended or 0):
                known.started, known.parent = event.time, known.parent or event.parent
                return False
            if event.pid not in self._alive and not self._meet(event.pid, event.parent):
                brief = Life(event.pid, event.parent, event.time, ended=time.monotonic_ns())  # so brief that it is over
                self.lives.append(brief)
                self._past[event.pid] = brief
                return False
            child = self._alive[event.pid].life
            child.started, child.parent = event.time, child.parent or event.parent
            return True
        if event.kind == "exec" and event.pid in self._alive:
            self.refresh(event.pid)
            return True
        if event.kind == "exit" and event.pid in self._alive:
            self._alive[event.pid].told = event.status
        life = self._past.get(event.pid)
        if event.kind == "exit" and life is not None and life.started <= event.time <= (life.ended or 0):
            life.ended = event.time
            life.status = event.status if life.status is None else life.status
        return False

    def _has_gone(self, member: _Member) -> bool:
        """Whether a process without a pidfd has ended."""
        if member.pidfd >= 0:
            return False
        if not proc.available():
            return self._reap(member.life) or not _exists(member.life.pid)
        if member.life.pid == self.root:
            return self._reap(member.life)
        status = proc.read_stat(member.life.pid)
        return status is None or status.state in "ZX" or status.started > member.life.started + 2 * proc.TICK

    def _end(self, pid: int, now: int) -> None:
        member = self._alive.pop(pid)
        life = self._past[pid] = member.life
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
        life.status = member.told if life.status is None else life.status

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
            self.refresh(parent)
            waiting += [pid for pid in proc.children(parent) if self._meet(pid, parent)]
        for pid in proc.children(os.getpid()):
            if pid not in self.helpers and self._meet(pid, None):
                self.scan(now=True)
                break
        share = _SHARE_YOUNG if self.young else _SHARE
        self._next_scan = time.monotonic() + share * (time.monotonic() - begin)

    def _meet(self, pid: int, parent: int | None) -> bool:
        """Take in a process, unless it is known; True if it is new."""
        if not proc.available():
            if pid in self._alive or pid in self._past or not _exists(pid):
                return False
            self._add(pid, parent, self.lives[0].started, [])  # at some time in the run
            return True
        status = None if pid in self._alive else proc.read_stat(pid)
        if status is None or (pid in self._unreaped and status.state in "ZX"):  # X: being reaped just now
            return False
        self._unreaped.discard(pid)
        argv = proc.command_line(pid)
        self._add(pid, parent, status.started, argv or [status.command])
        self._alive[pid].life.defunct = not argv
        return True

    def __contains__(self, pid: object) -> bool:
        """Whether a process of the run lives. One that the scan hasn't found yet is taken in: its log may be there."""
        return pid in self._alive or (isinstance(pid, int) and self._adopt(pid))

    def _adopt(self, pid: int) -> bool:
        """Take in a process that isn't known if it descends from one that is; a number may be another's by now."""
        if not proc.available():  # a log of the run is all that tells of it: nobody knows its parent but that
            return self._meet(pid, None)
        status = proc.read_stat(pid)
        if status is None or status.state in "ZX" or pid in self.helpers or status.parent in (0, 1):
            return False
        if status.parent == os.getpid():
            return self._meet(pid, None)
        return status.parent in self and self._meet(pid, status.parent)

    def refresh(self, pid: int) -> None:
        """A process may have become another program."""
        life, argv = self._alive[pid].life, proc.command_line(pid)
        if argv and argv != life.argv:
            life.argv, life.executable, life.defunct = argv, proc.link(pid, "exe"), False

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
        self._events.close()


def _exists(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
