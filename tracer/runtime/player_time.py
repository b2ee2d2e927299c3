"""Clocks, sleeps and chance in a replay.

Clocks go on from where they were in the recording, and sleeps are over at once unless the timing is kept. With --time
each thread is told, one after the other, what each clock and os.urandom told it then; when there is no more, or another
number of bytes is asked for, it goes on without.
"""

from __future__ import annotations

import os
import time
from _struct import Struct

from .calls import like
from .clocks import CLOCKS

monotonic, _sleep, _urandom = time.monotonic, time.sleep, os.urandom
_BITS, _NUMBER = Struct("<d"), Struct("<q")


def replace_time(player):
    """Replace the functions of `time`, and os.urandom."""
    origin, started = player.script["clock"], player.script["started"]

    def of(name):
        base = started if name.startswith("time") else origin
        whole = name.endswith("_ns")
        op = "time." + name

        def now():
            value = player.said(op)
            if value is not None:
                return value if whole else _BITS.unpack(_NUMBER.pack(value))[0]
            value = base + player.clock()
            return value if whole else value / 1e9

        return like(getattr(time, name), now)

    for name in CLOCKS:
        setattr(time, name, of(name))

    def sleep(seconds):
        if not isinstance(seconds, (int, float)) or not seconds >= 0:
            _sleep(seconds)  # which says what is wrong with it
        player.wait(seconds)
        _sleep(0)

    def urandom(size):
        data = player.said(player.drawing())
        return data if data is not None and len(data) == size else _urandom(size)

    time.sleep = like(time.sleep, sleep)
    os.urandom = like(os.urandom, urandom)
