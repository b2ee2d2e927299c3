"""What isn't traced, seen from outside: processes that run no Python, or a Python that our runtime can't enter.

Each is looked at soon after it appears, again when it has become another program, and then ever more seldom while it
lives. A thread that was given no processor between two samples has waited all the time in the call that both show, and
its descriptors are what they were: then nothing more is read, and nothing more is kept than the moment.

Of what is traced only this is asked here, once for each channel: how much a pipe holds, and which socket is whose peer.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import netlink, proc
from .assemble import Look
from .lives import INTERPRETERS, Life
from .proc import End, Thread
from .tree import Tree

if TYPE_CHECKING:
    from .watch import LiveLogs

_SHARE = 30  # samples take at most one part in so many of a processor's time,
_SAVED = 0.1  # but as many seconds at once as they haven't taken before, up to so many: at a run's start, say
_FIRST, _LONGEST = 0.01, 1.0  # seconds between the first two samples of a program, and at most
_STARTS = 0.03  # seconds in which a Python mostly has begun its log, if it is to be traced
_FORKED = 0.05  # the same for a child that still is what its traced parent forked
_BLOCKED = 150_000_000  # ns for which all must have slept
_PEERS = 0.1  # seconds at least between questions for peers of the same sockets


@dataclass(slots=True)
class _Image:
    """A program that a process runs. `samples` are of it alone; `since`: for how long no thread of it has run."""

    life: Life
    argv: list[str]
    due: float
    copy: bool
    gap: float = _FIRST
    samples: list[Look] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    since: int = 0

    @property
    def threads(self) -> list[Thread]:
        """Its threads as last seen."""
        return self.samples[-1].threads[self.life.pid] if self.samples else []


class Sampler:
    """Samples what isn't traced. `capacities` of pipes are by (device, inode), `peers` by inode."""

    def __init__(self, tree: Tree, logs: LiveLogs) -> None:
        self._tree, self._logs = tree, logs
        self.capacities: dict[tuple[int, int], int] = {}
        self.peers: dict[int, int] = {}
        self._images: dict[int, _Image] = {}
        self._kept: list[Look] = []
        self._traced: set[int] = set()
        self._met: set[str] = set()
        self._alone: set[int] = set()  # sockets whose other end isn't known
        self._credit, self._last, self._next_peers = _SAVED, time.monotonic(), 0.0

    @property
    def samples(self) -> list[Look]:
        """All samples of what has turned out not to be traced, by time."""
        present = [look for image in self._images.values() for look in self._own(image)]
        return sorted([*self._kept, *present], key=lambda look: look.time)

    def step(self, now: bool = False) -> None:
        """Take the samples that are due, or all of them if `now`."""
        begin = time.monotonic()
        self._credit = min(_SAVED, self._credit + (begin - self._last) / _SHARE)
        self._last = begin
        if self._credit <= 0 and not now:
            return
        self._traced = self._logs.writing()
        for pid in [pid for pid in self._images if self._tree.life(pid) is not self._images[pid].life]:
            self._keep(self._images.pop(pid))
        for pid in self._tree.alive:
            image = self._image(pid, begin)
            if image.samples and pid in self._traced:
                self._tree.refresh(pid)
                image = self._image(pid, begin)
                image.samples.clear()  # taken before its log began
            if begin >= image.due or now:
                image.due, image.gap = begin + image.gap, min(2 * image.gap, _LONGEST)
                if pid in self._traced:
                    self._channels(pid)
                else:
                    self._sample(pid)
        if self._alone and begin >= self._next_peers:
            self.ask_peers()
        self._credit -= time.monotonic() - begin

    def _image(self, pid: int, now: float) -> _Image:
        """The program that a process runs now: another one, if its command line has changed."""
        life = self._tree.life(pid)
        assert life is not None
        image = self._images.get(pid)
        if image is None or image.argv is not life.argv:
            if image is not None:
                self._kept += [] if image.copy else image.samples
            parent = None if image or life.parent is None else self._tree.life(life.parent)
            copy = parent is not None and parent.pid in self._traced and parent.argv == life.argv
            wait = _FORKED if copy else _STARTS if _is_python(life) else 0
            image = self._images[pid] = _Image(life, life.argv, now + wait, copy)
        return image

    def _keep(self, image: _Image) -> None:
        """A process has ended."""
        self._kept += self._own(image)

    def _own(self, image: _Image) -> list[Look]:
        """The samples of an image, unless it was a Python that was starting up."""
        traced = image.samples and self._logs.began(image.life.pid, image.samples[0].time)
        return [] if traced else image.samples

    def _sample(self, pid: int) -> None:
        self._tree.refresh(pid)
        image = self._image(pid, time.monotonic())
        now, before = time.monotonic_ns(), image.threads
        runs = {tid: proc.runs(pid, tid) for tid in proc.thread_ids(pid)}
        # who was on its way into a call as it was looked at may sleep in it by now without having run again
        settled = before and all(thread.state != "R" and thread.call.name for thread in before)
        if settled and None not in runs.values() and runs == {thread.tid: thread.runs for thread in before}:
            rests = len(image.samples) > 1 and image.samples[-2].threads[pid] is before
            del image.samples[len(image.samples) - rests :]
            image.samples.append(Look(now, {pid: before}))
            return
        threads = [thread._replace(runs=runs.get(thread.tid)) for thread in proc.threads(pid)]
        held = [end for end in proc.ends(pid) if end.kind != "other"]
        if not threads or proc.exiting(pid):
            return
        image.since, look = now, Look(now, {pid: threads})
        if held and held != image.ends:
            image.ends = look.ends[pid] = held
        image.samples.append(look)
        self.ask(pid, held)

    def _channels(self, pid: int) -> None:
        """Whatever a traced process holds that hasn't been met yet."""
        for fd, target in proc.links(pid):
            if target not in self._met:
                self._met.add(target)
                found = proc.end(pid, fd)
                if found is not None:
                    self.ask(pid, [found])

    def ask(self, pid: int, ends: list[End]) -> None:
        """What the ends alone don't tell: how much pipes hold, and that sockets have peers."""
        for end in ends:
            key = end.device, end.inode
            if end.kind in ("pipe", "fifo") and key not in self.capacities:
                size = proc.capacity(self._tree.pidfd(pid), end.fd)
                if size is not None:
                    self.capacities[key] = size
            elif end.kind == "socket" and end.inode not in self.peers:
                self._alone.add(end.inode)

    def ask_peers(self) -> None:
        """Which socket is whose other end; nothing where there are no sockets."""
        begin = time.monotonic()
        if self._alone:
            self.peers |= netlink.peers()
            self._alone -= self.peers.keys()
        self._next_peers = time.monotonic() + max(_PEERS, _SHARE * (time.monotonic() - begin))

    def asleep(self) -> frozenset[tuple[object, ...]]:
        """If nothing that lives is traced, and all of it has slept for a while: every thread; else nothing."""
        alive = self._tree.alive
        if alive and self._traced.isdisjoint(alive):
            images = [self._images.get(pid) for pid in alive]
            rests = [image for image in images if image is not None and len(image.samples) > 1]
            threads = [(image, thread) for image in rests for thread in image.threads]
            slept = all(image.samples[-1].time - image.since >= _BLOCKED for image in rests)
            if len(rests) == len(images) and slept and all(thread.state in "SD" for _, thread in threads):
                return frozenset((image.life.pid, thread.tid, thread.runs) for image, thread in threads)
        return frozenset()


def _is_python(life: Life) -> bool:
    """Whether a process is a Python, which may be about to begin its log."""
    names = [os.path.basename(path) for path in (life.executable, *life.argv[:1]) if path]  # noqa: PTH119
    return any(name.startswith(INTERPRETERS) for name in names)
