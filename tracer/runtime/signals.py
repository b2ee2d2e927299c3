"""Signals: sent, handled, waited for; timers armed."""

from __future__ import annotations

from . import table
from .calls import Call, install
from .threads import nanoseconds


class Arm(Call):
    """signal.alarm, signal.setitimer: size = nanoseconds until the first signal, extra = between further ones."""

    def begin(self, args, kwargs):
        times = args[1:] if self.__name__ == "setitimer" else args
        return self.enter(self.op, -1, 0, 0, 0, nanoseconds(times[0] if times else None), self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, extra=nanoseconds(args[2]) if len(args) > 2 else 0)


class Handle(Call):
    """signal.signal: size = the signal, extra = 1 if code of the program will handle it."""

    def begin(self, args, kwargs):
        return self.enter(self.op, -1, 0, 0, 0, int(args[0]) if args else table.NONE, self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, extra=int(len(args) > 1 and callable(args[1]) and not isinstance(args[1], int)))


def wrap_signal(runtime, module):
    """Wrap what arms a timer, and what says who handles a signal."""
    for call, name in ((Arm, "alarm"), (Arm, "setitimer"), (Handle, "signal")):
        if hasattr(module, name):
            install(call(getattr(module, name), table.CODE["signal." + name], runtime), name, module)


PATCHES = {"signal": wrap_signal}
