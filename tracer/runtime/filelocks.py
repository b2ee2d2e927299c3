"""fcntl: locks on files, and what changes a descriptor."""

from __future__ import annotations

import os
import sys

from . import table
from .calls import POSIX, WRONG, Call, install

_SHARED, _EXCLUSIVE, _NOW, _UNLOCK = 1, 2, 4, 8  # LOCK_SH LOCK_EX LOCK_NB LOCK_UN of flock(2), the words of the log
# l_type of fcntl(2)'s struct flock, and F_ULOCK F_LOCK F_TLOCK of lockf(3), in those words
_TYPES = {0: _SHARED, 1: _EXCLUSIVE, 2: _UNLOCK}
_LINUX = {
    "F_DUPFD_CLOEXEC": 1030, "F_SETPIPE_SZ": 1031, "F_GETPIPE_SZ": 1032, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38,
}  # fmt: skip
_LOCKF = {0: _UNLOCK, 1: _EXCLUSIVE, 2: _EXCLUSIVE | _NOW}


class Lock(Call):
    """A call that locks (size = operation; it may wait) or unlocks a file or a part of it."""

    def __init__(self, original, op, runtime, asked):
        super().__init__(original, op, runtime)
        self.unlock, self.asked = table.CODE[table_name(op) + " unlock"], asked

    def __call__(self, *args, **kwargs):
        args = once(args)
        try:
            fd, operation, part = self.asked(*args, **kwargs)
        except WRONG:  # wrong arguments: the call itself will say so
            operation = 0
        if not operation:
            return self.original(*args, **kwargs)
        ticket = self.locking(fd, operation, part)
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket)
        return result

    def locking(self, fd, operation, part):
        """Record the enter; returns the ticket."""
        op = self.unlock if operation & _UNLOCK else self.op
        flags = table.NONBLOCKING if operation & _NOW else 0
        return self.enter(op, fd, self.channel_of(fd), 0, 0, operation, self.here(), part, flags, True)


def table_name(op):
    """The name of a call's code."""
    return next(name for name, code in table.CODE.items() if code == op)


class Answered:
    """Answers once more what a file has answered: the program's own fileno() must not be called twice."""

    def __init__(self, answer):
        self.answer = answer

    def fileno(self):
        return self.answer


def once(args):
    """The arguments of a function of fcntl, the first one asked for its descriptor if it is an object that has one."""
    if not args or isinstance(args[0], int) or not hasattr(args[0], "fileno"):
        return args
    fd = args[0].fileno()
    return (fd if type(fd) is int and fd >= 0 else Answered(fd), *args[1:])


def number(fd):
    """A descriptor that is one; ValueError for anything else."""
    if not isinstance(fd, int) or fd < 0:
        raise ValueError(fd)
    return fd


def _part(start, length):
    """A part of a file in words, b"" for all of it; length 0: to its end."""
    return b"" if not start and not length else b"%d+%d" % (start, length)


def _flock(file, operation):
    return number(file), operation, b""


def _lockf(file, operation, length=0, start=0, whence=0):
    return number(file), operation, _part(start, length)


def _os_lockf(fd, command, length):
    return number(fd), _LOCKF.get(command, 0), _part(0, length)


class Control(Call):
    """fcntl.fcntl: size = command, result, extra = argument; only of commands that change or tell something of a
    channel or descriptor. Its copies are recorded as dup's; its locks as lockf's, which belong to the process, or
    as flock's, which belong to the open file (F_OFD_SETLK)."""

    def __init__(self, original, op, runtime, module, lockf, flock):
        super().__init__(original, op, runtime)
        known = {name: getattr(module, name, None) for name in (
            "F_SETFL", "F_SETFD", "F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETPIPE_SZ", "F_GETPIPE_SZ", "F_SETLK", "F_SETLKW",
            "F_OFD_SETLK", "F_OFD_SETLKW",
        )}  # fmt: skip
        if sys.platform == "linux":  # older versions of the module don't name them all
            known = {name: _LINUX.get(name) if code is None else code for name, code in known.items()}
        self.names = {code: name for name, code in known.items() if code is not None}
        self.lockf, self.flock = lockf, flock

    def __call__(self, *args, **kwargs):
        args = once(args)
        try:
            name = self.names.get(args[1])
            fd = number(args[0]) if name else -1
            argument = args[2] if len(args) > 2 else 0
            if name and "LK" in name:
                start, operation = self.locks(name, argument)
                ticket = (self.flock if "OFD" in name else self.lockf).locking(fd, operation, start)
            elif name and name.startswith("F_DUPFD"):
                survives = int(name == "F_DUPFD")
                ticket = self.enter(table.CODE["os.dup"], fd, self.channel_of(fd), 0, 0, survives, self.here())
            elif name:
                ticket = self.enter(self.op, fd, self.channel_of(fd), 0, 0, args[1], self.here())
        except WRONG:  # wrong arguments: the call itself will say so
            name = None
        if not name:
            return self.original(*args, **kwargs)
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.done(ticket, name, fd, argument, result)
        return result

    def done(self, ticket, name, fd, argument, result):
        """Complete the record, and remember what has changed."""
        descriptors = self.runtime.descriptors
        if name.startswith("F_DUPFD"):
            descriptors.copied(fd, result)
        elif name == "F_SETFL" and isinstance(argument, int):
            (descriptors.unblocked.add if argument & os.O_NONBLOCK else descriptors.unblocked.discard)(fd)
        if "LK" in name:
            self.leave(ticket)
        else:
            extra = argument if isinstance(argument, int) else table.NONE
            self.leave(ticket, result if isinstance(result, int) else table.NONE, extra)

    @staticmethod
    def locks(name, argument):
        """Part and operation of a struct flock: type and whence (h), then start and length (q, aligned)."""
        view = memoryview(argument).cast("B")
        operation = _TYPES[int.from_bytes(view[0:2], "little")]
        start, length = (int.from_bytes(view[at : at + 8], "little", signed=True) for at in (8, 16))
        return _part(start, length), operation | (0 if name.endswith("W") else _NOW)


def wrap(runtime):
    """Wrap os.lockf."""
    if hasattr(os, "lockf"):
        install(Lock(os.lockf, table.CODE["os.lockf"], runtime, _os_lockf), "lockf", os, POSIX)


def wrap_fcntl(runtime, module):
    """Wrap the functions of fcntl."""
    lockf = Lock(module.lockf, table.CODE["fcntl.lockf"], runtime, _lockf)
    flock = Lock(module.flock, table.CODE["fcntl.flock"], runtime, _flock)
    control = Control(module.fcntl, table.CODE["fcntl.fcntl"], runtime, module, lockf, flock)
    install(flock, "flock", module)
    install(lockf, "lockf", module)
    install(control, "fcntl", module)


PATCHES = {"fcntl": wrap_fcntl}
