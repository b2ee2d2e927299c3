"""What the gate does by chance, in a run that looks for a schedule under which the program fails.

Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs"
(PCT, 2010): each thread has a random priority, the one of the highest that can run runs, and at a few change points,
operations chosen at random, a thread's priority becomes the lowest. Here threads run on as many processors as there
are, in several processes; so a thread waits at its operation while one of a higher priority is known to run, for a
moment at most, since that one may compute for long.

Everything is drawn from the seed, the thread's lineage and the number of its operation: the same seed draws the same.
"""

from __future__ import annotations

import os
from _struct import Struct
from time import monotonic_ns, sleep

from .log import _map as map_file

_ENTRY = Struct("<IIQ")  # priority, state, when (ns)
_PLACES = 128
_ABSENT, _RUNS, _INSIDE = 0, 1, 2
_RECENT = 15_000_000  # ns for which a thread that was last seen running counts as running
_YIELDED = 25_000_000  # ns that a thread waits at one operation for those of a higher priority
_sleep = sleep


class Chance:
    """The dice of one process. `drawn`: seed, priorities (bool), change (1 in so many operations is a change point),
    delay (1 in so many is delayed), longest (seconds of a delay), pipe (bytes of a pipe; 0: as they are), split (bool:
    reads of a pipe ask for fewer bytes)."""

    def __init__(self, gate, drawn):
        self.drawn = drawn
        self.table = map_file(gate.folder + "/priorities", 0, _ENTRY.size * _PLACES)

    def draw(self, thread, what):
        """A number from 0 to 2³² - 1, for the operation at which a thread is."""
        return number("%s/%s/%s/%d" % (self.drawn["seed"], what, thread.lineage, thread.operations))

    def begins(self, thread, op):
        """Before an operation."""
        drawn = self.drawn
        thread.operations += 1
        if drawn["delay"] and self.draw(thread, "delay") % drawn["delay"] == 0:
            # small and large ones alike: each power of two is as likely
            _sleep(drawn["longest"] / (1 << self.draw(thread, "length") % 8))
        if drawn["priorities"]:
            self.give_way(thread)

    def give_way(self, thread):
        """Wait while a thread of a higher priority runs."""
        if thread.priority is None:
            thread.priority = 1000 + number("%s/%s" % (self.drawn["seed"], thread.lineage)) % 1_000_000
        elif self.draw(thread, "change") % self.drawn["change"] == 0:
            thread.priority = self.draw(thread, "low") % 1000
        own, now = self.place(thread), monotonic_ns()
        until = now + _YIELDED
        _ENTRY.pack_into(self.table, own * _ENTRY.size, thread.priority, _RUNS, now)
        while now < until and self.others(own, thread.priority, now):
            _sleep(0.0003)
            now = monotonic_ns()
        _ENTRY.pack_into(self.table, own * _ENTRY.size, thread.priority, _INSIDE, now)

    def others(self, own, priority, now):
        """Whether a thread of a higher priority runs."""
        for place, (higher, state, when) in enumerate(_ENTRY.iter_unpack(self.table[: _ENTRY.size * _PLACES])):
            if state == _RUNS and higher > priority and place != own and now - when < _RECENT:
                return True
        return False

    def ends(self, thread):
        """After an operation."""
        if self.drawn["priorities"] and thread.priority is not None:
            at = self.place(thread) * _ENTRY.size
            _ENTRY.pack_into(self.table, at, thread.priority, _RUNS, monotonic_ns())

    def place(self, thread):
        """A thread's place in the table. Two that share one are taken for one: schedules are a matter of chance."""
        return number(thread.lineage) % _PLACES

    def wrap(self, runtime):
        """Small pipes, and reads that ask for less."""
        if self.drawn["pipe"]:
            for name in ("pipe", "pipe2"):
                if hasattr(os, name):
                    _small(getattr(os, name), self.drawn["pipe"])
        if self.drawn["split"]:
            self.split(os.read, runtime)

    def split(self, reading, runtime):
        """A read of a pipe may give fewer bytes than there are: read(2)."""
        original, kind_of, thread_of = reading.original, runtime.descriptors.kind_of, runtime.gate.thread

        def read(fd, length):
            if length > 1 and kind_of(fd) in ("pipe", "fifo"):
                length = (length, 1, (length + 1) // 2, min(length, 3))[self.draw(thread_of(), "split") % 4]
            return original(fd, length)

        reading.original = read


def _small(making, size):
    original = making.original

    def pipe(*args, **kwargs):
        ends = original(*args, **kwargs)
        try:
            import fcntl

            fcntl.fcntl(ends[0], getattr(fcntl, "F_SETPIPE_SZ", 1031), size)
        except (ImportError, OSError):
            pass
        return ends

    making.original = pipe


def number(words):
    """A number from 0 to 2³² - 1 that some words stand for, the same in every process: FNV-1a, and a last stir."""
    value = 2166136261
    for each in words.encode("utf-8", "surrogateescape"):
        value = (value ^ each) * 16777619 & 0xFFFFFFFF
    value ^= value >> 16
    value = value * 0x7FEB352D & 0xFFFFFFFF
    value ^= value >> 15
    value = value * 0x846CA68B & 0xFFFFFFFF
    return value ^ value >> 16
