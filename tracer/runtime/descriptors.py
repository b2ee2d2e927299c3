"""Descriptors and the channels behind them: os.read, write, pipe, dup, close, open."""

from __future__ import annotations

import os
import stat
from itertools import count

from . import table
from .calls import POSIX, Call, install

_fstat, _readlink, _listdir, _get_inheritable, _lstat = (
    os.fstat, getattr(os, "readlink", None), os.listdir, os.get_inheritable, os.lstat,
)  # fmt: skip
_OWN_FOLDER = "/proc/self/fd"
_KINDS = (
    (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISREG, "file"), (stat.S_ISCHR, "device"),
)  # fmt: skip


def _kind(status):
    for test, kind in _KINDS:
        if test(status.st_mode):
            return kind
    return "other"


class Descriptors:
    """Numbers the channels that this process meets, from 1, and knows which of its descriptors leads to which.

    Only pipes and terminals are remembered by descriptor: their closing passes through us. For anything else the
    descriptor is asked each time, since its number may have been given out again behind our back.
    """

    def __init__(self, log):
        self.log = log
        self.channels = {}  # (device, inode) → (number, kind, path)
        self.known = {}  # descriptor → number
        self.sockets = {}  # descriptor → number, for as long as the same socket object of Python's has it: sockets.py
        self.numbers = count(1)  # `+= 1` would give two threads the same number

    def begin(self, forked):
        """In a new log: define what is known already (in a fork's child), or list what the process was given."""
        self.sockets.clear()  # of those, a channel that isn't remembered may be
        if forked:
            self._forget_closed()
            for (device, inode), (number, kind, path) in self.channels.items():
                self.log.define(table.CHANNEL, kind, device, inode, path, channel=number)
        else:
            self._list()

    def _forget_closed(self):
        """Each child of a server that makes a pipe for each child would begin with all pipes that there ever were."""
        open_ends = set(self.known.values())
        for key, (number, kind, _) in list(self.channels.items()):
            if kind == "pipe" and number not in open_ends:
                del self.channels[key]

    def _list(self):
        try:
            held = sorted(int(name) for name in _listdir(_OWN_FOLDER))
        except OSError:  # no /proc: the standard streams at least
            held = [0, 1, 2]
        for fd in held:
            self.held(fd)  # the listing's own descriptor is gone by now

    def held(self, fd):
        """Record that the process holds an end: as it starts, or since it opened it."""
        channel = self.channel_of(fd)
        if channel:
            try:  # the link's own mode says how the descriptor was opened: proc_pid_fd(5)
                mode = _lstat("%s/%d" % (_OWN_FOLDER, fd)).st_mode
                access = ("r" if mode & 0o400 else "") + ("w" if mode & 0o200 else "")
            except OSError:
                access = "rw"
            self.log.define(table.DESCRIPTOR, access, int(_get_inheritable(fd)), fd=fd, channel=channel)

    def channel_of(self, fd):
        """The number of the channel behind a descriptor; 0 if it isn't open."""
        number = self.known.get(fd)
        if number is not None:
            return number
        try:
            status = _fstat(fd)
        except (OSError, TypeError, ValueError, OverflowError):
            return 0
        found = self.channels.get((status.st_dev, status.st_ino))
        if found is None:
            found = self._define(fd, status)
        if found[1] in ("pipe", "fifo", "tty"):
            self.known[fd] = found[0]
        return found[0]

    def kind_of(self, fd):
        """The kind of channel behind a descriptor; "" if it isn't open."""
        number = self.channel_of(fd)
        for found, kind, _ in self.channels.values():
            if found == number:
                return kind
        return ""

    def made(self, fd):
        """A pipe was made: the numbers that it has may have been another's before."""
        try:
            status = _fstat(fd)
            self.channels.pop((status.st_dev, status.st_ino), None)
        except OSError:
            pass
        return self.channel_of(fd)

    def gone(self, fd):
        """A descriptor is closed or leads elsewhere now."""
        self.known.pop(fd, None)
        self.sockets.pop(fd, None)

    def forget(self, fd):
        """A socket is closed: a server of many clients must not make us keep all of them."""
        self.gone(fd)
        try:
            status = _fstat(fd)
        except OSError:
            return
        self.channels.pop((status.st_dev, status.st_ino), None)

    def _define(self, fd, status):
        kind, path = _kind(status), ""
        if _readlink is not None:
            try:
                path = _readlink("%s/%d" % (_OWN_FOLDER, fd))
            except OSError:
                path = ""
        if not path.startswith("/"):
            path = ""
        if kind == "pipe" and path:
            kind = "fifo"
        elif kind == "device" and os.isatty(fd):
            kind = "tty"
        found = (next(self.numbers), kind, path)
        self.channels[status.st_dev, status.st_ino] = found
        self.log.define(table.CHANNEL, kind, status.st_dev, status.st_ino, path, channel=found[0])
        return found


class Read(Call):
    """os.read: the hot path, so everything is done here."""

    def __call__(self, *args, **kwargs):
        try:
            fd, length = args
            channel = self.known.get(fd) or self.channel_of(fd)
        except (ValueError, TypeError):
            return self.original(*args, **kwargs)  # raises what it raises for wrong arguments
        ticket = self.enter(self.op, fd, channel, 0, 0, length, self.here())
        try:
            data = self.original(fd, length)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.got(ticket, data, len(data))
        return data


class Write(Call):
    """os.write."""

    def __call__(self, *args, **kwargs):
        try:
            fd, data = args
            channel = self.known.get(fd) or self.channel_of(fd)
            size = len(data) if type(data) is bytes else memoryview(data).nbytes
        except (ValueError, TypeError):
            return self.original(*args, **kwargs)
        ticket = self.enter(self.op, fd, channel, 0, 0, size, self.here(), data)
        try:
            written = self.original(fd, data)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket, written)
        return written


class Pipe(Call):
    """os.pipe, os.pipe2: fd = the reading end, result = the writing end. Known only at the end, so recorded there."""

    def __call__(self, *args, **kwargs):
        site = self.here()
        ends = self.original(*args, **kwargs)
        descriptors = self.runtime.descriptors
        for end in ends:
            descriptors.gone(end)
        self.leave(self.enter(self.op, ends[0], descriptors.made(ends[0]), 0, 0, table.NONE, site), ends[1])
        descriptors.channel_of(ends[1])
        return ends


class Duplicate(Call):
    """os.dup, os.dup2: result = the new descriptor; size = whether it survives exec (os.dup's does not)."""

    def begin(self, args, kwargs):
        fd = args[0] if args else kwargs.get("fd", -1)
        if not isinstance(fd, int):
            fd = -1
        inheritable = (
            0 if self.__name__ == "dup" else int(bool(args[2] if len(args) > 2 else kwargs.get("inheritable", 1)))
        )
        return self.enter(self.op, fd, self.channel_of(fd), 0, 0, inheritable, self.here())

    def end(self, ticket, result, args):
        self.runtime.descriptors.gone(result)
        self.leave(ticket, result)


class Close(Call):
    """os.close."""

    def begin(self, args, kwargs):
        fd = args[0] if args else kwargs.get("fd", -1)
        if not isinstance(fd, int):
            fd = -1
        ticket = self.enter(self.op, fd, self.channel_of(fd), 0, 0, table.NONE, self.here())
        # before the call: another thread may be given the number as soon as it is free
        self.runtime.descriptors.gone(fd)
        return ticket


class CloseRange(Call):
    """os.closerange: fd up to and without extra."""

    def begin(self, args, kwargs):
        low, high = args if len(args) == 2 else (0, 0)
        descriptors = self.runtime.descriptors
        for fd in [fd for fd in [*descriptors.known, *descriptors.sockets] if low <= fd < high]:
            descriptors.gone(fd)
        return self.enter(self.op, low, 0, 0, 0, table.NONE, self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, extra=args[1] if len(args) == 2 else table.NONE)


class Open(Call):
    """os.open: result = the descriptor. Opening a FIFO waits for its other end."""

    def begin(self, args, kwargs):
        return self.enter(self.op, -1, 0, 0, 0, table.NONE, self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, result)
        self.runtime.descriptors.gone(result)
        if self.runtime.descriptors.kind_of(result) != "file":
            self.runtime.descriptors.held(result)


_WRAPPED = (
    (Read, "read"), (Write, "write"), (Pipe, "pipe"), (Pipe, "pipe2"), (Duplicate, "dup"), (Duplicate, "dup2"),
    (Close, "close"), (CloseRange, "closerange"), (Open, "open"),
)  # fmt: skip


def wrap(runtime):
    """Wrap the calls of this module in os."""
    for call, name in _WRAPPED:
        if hasattr(os, name):
            install(call(getattr(os, name), table.CODE["os." + name], runtime), name, os, POSIX)
