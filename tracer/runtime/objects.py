"""What isn't a descriptor and still holds threads up: locks, conditions, events, queues, futures, shared memory.

Each gets the number of a channel, as a descriptor's pipe does, but only when there is something to say of it: most
locks never make anybody wait. A fork copies the objects of its process; the child defines its copies anew.
"""

from __future__ import annotations

import os
from itertools import count

from . import table

_getpid = os.getpid


class Identity:
    """What an object of the program is to us. `kind` and `path`: see table.CHANNEL; `site`: where it was made."""

    __slots__ = ("capacity", "epoch", "kind", "number", "origin", "path", "serial", "site")

    def __init__(self, objects, kind, site=(), capacity=table.NONE, path=""):
        self.kind, self.site, self.capacity, self.path = kind, site, capacity, path
        self.serial, self.origin = next(objects.serials), objects.pid
        self.number, self.epoch = 0, 0

    def __reduce__(self):
        # some of the objects that carry one can be copied and pickled: the copy is another one, and gets its own later
        return type(None), ()


class Objects:
    """Numbers the objects of this process. Their numbers come from the same counter as those of descriptors' channels,
    and hold for one log: `epoch` counts the logs."""

    def __init__(self, log, sites, descriptors):
        self.log, self.sites, self.descriptors = log, sites, descriptors
        self.serials = count(1)
        self.epoch = 0
        self.pid = 0

    def begin(self):
        """A new log has begun: in it everything must be defined anew."""
        self.epoch += 1
        self.pid = _getpid()

    def number(self, identity):
        """The channel number of an object, defined in the log before its first use."""
        if identity.epoch != self.epoch:
            number = next(self.descriptors.numbers)
            site = self.sites.at(*identity.site) if identity.site else 0
            self.log.define(
                table.CHANNEL, identity.kind, 0, identity.serial, identity.path, channel=number,
                site=site, offset=identity.origin, size=identity.capacity,
            )  # fmt: skip
            # only now: another thread must not refer to a number that isn't defined. Two numbers do no harm.
            identity.number, identity.epoch = number, self.epoch
        return identity.number
