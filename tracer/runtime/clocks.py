"""Clocks and chance, for `record --time` alone: what a program is told by them can then be told again in a replay.

Nothing of this is there unless it was asked for: clocks are read in hot loops, and a record costs more than a clock.
A random generator without a seed takes one from the system in C, where nobody sees it: here it is given one, as good.
"""

from __future__ import annotations

import os
import time
from _struct import Struct

from . import table
from .calls import Call, install, like

CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
SEED = 32  # bytes
_SEED = table.CODE["random.seed"]
_BITS, _NUMBER = Struct("<d"), Struct("<q")


def bits(value):
    """A clock's value as the log has it: whole numbers themselves, others by the bits of their double (IEEE 754)."""
    return value if type(value) is int else _NUMBER.unpack(_BITS.pack(value))[0]


class Clock(Call):
    """A clock: result = what it said."""

    def __call__(self, *args, **kwargs):
        value = self.original(*args, **kwargs)
        self.runtime.log.instant(self.op, 0, table.NONE, self.here(), bits(value))
        return value


class Chance(Call):
    """os.urandom: size = bytes; the payload is kept whole."""

    def __call__(self, *args, **kwargs):
        size = args[0] if len(args) == 1 and type(args[0]) is int else 0
        ticket = self.enter(self.op, -1, 0, 0, 0, size, self.here())
        try:
            data = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        keep(self.runtime.log, ticket, data)
        return data


def keep(log, ticket, data):
    """Complete the record of bytes that are kept whatever is kept of payloads: no message, but what others rest on."""
    full, log.full = log.full, True
    try:
        log.got(ticket, data, len(data))
    finally:
        log.full = full


def wrap(runtime):
    """Wrap the clocks, and os.urandom."""
    if "time" not in runtime.options:
        return
    for name in CLOCKS:
        install(Clock(getattr(time, name), table.CODE["time." + name], runtime), name, time)
    install(Chance(os.urandom, table.CODE["os.urandom"], runtime), "urandom", os)


def wrap_random(runtime, module):
    """random.Random.seed: one without a value gets one that is known."""
    if "time" not in runtime.options:
        return
    original, draw = module.Random.seed, os.urandom.__wrapped__
    log, here = runtime.log, runtime.sites.here

    def seed(self, a=None, *args, **kwargs):
        if a is None and type(self) is module.Random:
            ticket = log.enter(_SEED, -1, 0, 0, 0, SEED, here())
            data = draw(SEED)
            keep(log, ticket, data)
            a = int.from_bytes(data, "little")
        return original(self, a, *args, **kwargs)

    module.Random.seed = like(original, seed)
    module.seed = module._inst.seed
    module.seed()  # as it was imported, it took one that nobody saw
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=module.seed)  # after the module's own


PATCHES = {"random": wrap_random}
