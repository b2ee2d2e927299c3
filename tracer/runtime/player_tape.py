"""The tapes of a replay: what each thread of a recording did, in program order."""

from __future__ import annotations

import os

from .player_table import ROLES


class Event:
    """A recorded call, as tracer/replay/script.py wrote it. `data`: its bytes; `exit` None: it never came back; `kind`:
    of its channel; `call`: the kind of the call."""

    __slots__ = (
        "address", "call", "channel", "content", "data", "enter", "error", "event", "exit", "extra", "fd", "flags",
        "kind", "op", "ready", "received", "result", "role", "size",
    )  # fmt: skip

    def __init__(self, fields):
        for name, value in fields.items():
            setattr(self, name, value)
        self.role = ROLES.get(self.op)

    def check(self):
        """Raise what the call raised."""
        if self.error == -1:
            raise KeyboardInterrupt  # what a handler raised has been raised by that handler, again
        if self.error:
            raise OSError(self.error, os.strerror(self.error))


class Tape:
    """What one thread did: `events` in program order, and by call those that gave out descriptors."""

    def __init__(self, recorded):
        self.name, self.main = recorded["name"], recorded["main"]
        self.events = [Event(each) for each in recorded["events"]]
        self.openings = [Event(each) for each in recorded["openings"]]
        self.named = [each for each in self.openings if each.data]
        self.arrived = -1  # the event that it waits for its turn for
        self.at, self.used = 0, 0  # the next event, and how many of its bytes have been used already
        self.current = self.peeked = self.opening = None
        self.portion = None  # (begin, end) of the current event's bytes, where it is used in parts
        self.inside, self.answering = [], []
        self.over = False
        self.said = {op: iter(values) for op, values in recorded["said"].items()}  # by clocks and chance
        self.drawing = "os.urandom"
        self.looks = 0  # in a row, of which the recording knows nothing

    @property
    def head(self):
        return self.events[self.at] if self.at < len(self.events) else None

    def before(self, event):
        """Whether this thread has yet to do what it had done, or begun, as `event` of another one came back."""
        head = self.head
        if head is None or head.exit is None:
            return False
        return head.exit < event.exit or (head.enter < event.exit and self.arrived != self.at)

    def advance(self):
        self.at += 1
        self.used = self.looks = 0
