"""Signals: sent, handled, waited for; timers armed.

The functions of C are wrapped, in the module _signal: what `signal` makes of them (names for numbers, checks of
arguments) stays as it is.
"""

from __future__ import annotations

import _signal
import os

from . import log, table
from .calls import Call, install, program_frame
from .threads import nanoseconds

_getpid, _open = os.getpid, open  # not the program's, nor our wrappers
_SIGNAL = table.CODE["signal handler"]
_COLLECTIONS = (set, list, tuple, frozenset)


class Handler:
    """What the interpreter calls in place of the program's handler: an event from the handler's begin to its end.

    The program never sees it: signal() and getsignal() give its own object back.
    """

    __slots__ = ("handler", "runtime")

    def __init__(self, handler, runtime):
        self.handler, self.runtime = handler, runtime

    def __call__(self, number, frame):
        # A signal strikes inside our wrappers too: the program is shown its own frame, where it would be untraced.
        frame = program_frame(frame)
        runtime = self.runtime
        ticket = runtime.log.enter(_SIGNAL, -1, 0, 0, 0, number, runtime.sites.of(frame))
        try:
            self.handler(number, frame)
        except BaseException as error:
            runtime.log.fail(ticket, error)
            raise
        runtime.log.leave(ticket)


log.PROGRAMS.append(Handler.__call__.__code__)  # a handler written in C has no frame of its own


def _own(handler):
    """The program's handler in place of ours."""
    return handler.handler if type(handler) is Handler else handler


class Handle(Call):
    """signal.signal: size = the signal, extra = 1 if code of the program will handle it, result = 1 if it is ignored.

    default_int_handler stays itself: programs compare it, and so does the interpreter.
    """

    def __call__(self, *args, **kwargs):
        number, handler = args if len(args) == 2 else (None, None)
        size = number if type(number) is int else table.NONE
        coded = callable(handler) and not isinstance(handler, int)
        ticket = self.enter(self.op, -1, 0, 0, 0, size, self.here())
        try:
            if coded and handler is not _signal.default_int_handler:
                args = number, Handler(handler, self.runtime)
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        ignored = isinstance(handler, int) and handler == _signal.SIG_IGN
        self.leave(ticket, int(ignored), int(coded))
        return _own(result)


class GetHandler(Call):
    """signal.getsignal."""

    def __call__(self, *args, **kwargs):
        return _own(self.original(*args, **kwargs))


class Arm(Call):
    """signal.alarm, signal.setitimer: size = nanoseconds until the first signal, extra = between further ones."""

    def begin(self, args, kwargs):
        times = args[1:] if self.__name__ == "setitimer" else args
        return self.enter(self.op, -1, 0, 0, 0, nanoseconds(times[0] if times else None), self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, extra=nanoseconds(args[2]) if len(args) > 2 else 0)


class Await(Call):
    """signal.pause, sigwait, sigwaitinfo, sigtimedwait: size = the signal, if it waits for one only; the payload names
    all of them; result = the one that came."""

    def __call__(self, *args, **kwargs):
        numbers = []
        if args and type(args[0]) in _COLLECTIONS:  # any other iterable would be used up
            numbers = sorted(int(number) for number in args[0] if isinstance(number, int))
        flags = 0
        if len(args) > 1 and isinstance(args[1], (int, float)):
            flags = table.NONBLOCKING if args[1] <= 0 else table.TIMED
        ticket = self.enter(
            self.op, -1, 0, 0, 0, numbers[0] if len(numbers) == 1 else table.NONE, self.here(),
            " ".join(map(str, numbers)).encode(), flags, True,
        )  # fmt: skip
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        came = getattr(result, "si_signo", result)
        self.leave(ticket, came if isinstance(came, int) else table.NONE)
        return result


class Raise(Call):
    """signal.raise_signal, pthread_kill: a signal to this very process; its handler may never return."""

    def begin(self, args, kwargs):
        number = args[-1] if args and isinstance(args[-1], int) else table.NONE
        ticket = self.enter(self.op, -1, 0, 0, 0, _getpid(), self.here())
        self.leave(ticket, extra=number)
        return ticket

    def end(self, ticket, result, args):
        pass


class SendToDescriptor(Call):
    """signal.pidfd_send_signal: fd = the pidfd, size = the pid behind it."""

    def begin(self, args, kwargs):
        fd, number = args[:2] if len(args) > 1 else (-1, table.NONE)
        if type(fd) is not int or not isinstance(number, int):
            fd, number = -1, table.NONE
        ticket = self.enter(self.op, fd, 0, 0, 0, pid_of(fd), self.here())
        self.leave(ticket, extra=int(number))
        return ticket

    def end(self, ticket, result, args):
        pass


def pid_of(fd):
    """The process that a pidfd stands for; NONE if it isn't one."""
    try:
        with _open("/proc/self/fdinfo/%d" % fd, "rb", 0) as file:
            for line in file.read().splitlines():
                if line.startswith(b"Pid:"):
                    return int(line[4:])
    except (OSError, ValueError):
        pass
    return table.NONE


_WRAPPED = (
    (Handle, "signal"), (GetHandler, "getsignal"), (Arm, "alarm"), (Arm, "setitimer"), (Await, "pause"),
    (Await, "sigwait"), (Await, "sigwaitinfo"), (Await, "sigtimedwait"), (Raise, "raise_signal"),
    (Raise, "pthread_kill"), (SendToDescriptor, "pidfd_send_signal"),
)  # fmt: skip


def wrap_signal(runtime, module):
    """Wrap the functions of C, and what `signal` has imported of them."""
    for call, name in _WRAPPED:
        if hasattr(_signal, name):
            wrapper = call(getattr(_signal, name), table.CODE.get("signal." + name, 0), runtime)
            install(wrapper, name, _signal, module)


PATCHES = {"signal": wrap_signal}
