"""Plain files through which programs talk, and every call of os that moves bytes but read and write.

A plain file is read and written in bulk: its text layer and its buffer stay C's own, over a FileIO of ours. So what is
recorded is its opening, its closing, and what goes between the buffer and the descriptor. The price, measured on
CPython 3.11: 3 µs and two records more to open and close one; and C looks up `closed` on every line that it gives out,
where it knows its own FileIO by heart: 45 ns a line.
"""

from __future__ import annotations

import io
import os
import stat

from . import table
from .calls import POSIX, WRONG, Call, as_caller, install, named
from .descriptors import MADE, position
from .layers import named_like, unpicklable

_fstat, _lstat = os.fstat, os.lstat
_READ, _WRITE, _CLOSE = table.CODE["raw.read"], table.CODE["raw.write"], table.CODE["stream.close"]
_SOURCE = table.CODE["os.splice source"]
_NONE, _NONBLOCKING = table.NONE, table.NONBLOCKING
_RWF_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_SPLICE_NONBLOCK = getattr(os, "SPLICE_F_NONBLOCK", 2)


def raw_file(runtime):
    """The class of the raw layer under a plain file."""
    log, here, descriptors = runtime.log, runtime.sites.here, runtime.descriptors
    enter, leave, got, fail = log.enter, log.leave, log.got, log.fail
    known, channel_of = descriptors.known, descriptors.channel_of
    kept = None if log.full else log.payload  # no more than that is copied
    most = (1 << 62) if log.full else log.payload
    original = io.FileIO
    fileno, tell = original.fileno, original.tell

    def where(self):
        try:
            return tell(self)
        except (OSError, ValueError):  # what can't be sought, and is a file all the same: some of /proc
            return _NONE

    class FileIO(original):
        """Every byte between a plain file's buffer and its descriptor passes here."""

        __repr__, __reduce_ex__ = named_like(original), unpicklable(original)

        def write(self, data, /):
            try:
                view = memoryview(data).cast("B")
                fd = fileno(self)
            except (TypeError, ValueError):
                return original.write(self, data)
            channel = known.get(fd) or channel_of(fd)
            ticket = enter(_WRITE, fd, channel, 0, 0, len(view), here(), view[:kept], _NONBLOCKING)
            try:
                written = original.write(self, data)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket, written or 0, where(self))
            return written

        def readinto(self, buffer, /):
            try:
                flat = type(buffer) is memoryview and buffer.format == "B" and buffer.ndim == 1  # as C's buffers are
                view = buffer if flat else memoryview(buffer).cast("B")
                fd = fileno(self)
            except (TypeError, ValueError):
                return original.readinto(self, buffer)
            ticket = enter(_READ, fd, known.get(fd) or channel_of(fd), 0, 0, view.nbytes, here(), b"", _NONBLOCKING)
            try:
                count = original.readinto(self, buffer)
            except BaseException as error:
                fail(ticket, error)
                raise
            moved = count or 0
            got(ticket, bytes(view[: moved if moved < most else most]), moved, _NONE, where(self))
            return count

        def read(self, size=-1, /):
            return _reading(self, size, original.read, size)

        def readall(self):
            return _reading(self, _NONE, original.readall)

        def close(self):
            if self.closed or not self.closefd:
                original.close(self)
                return
            call = original.close
            if getattr(self, "_finalizing", False):  # it will warn that nobody has closed it
                call = _as_dropped
            fd = fileno(self)
            ticket = enter(_CLOSE, fd, known.get(fd) or channel_of(fd), 0, 0, _NONE, here())
            descriptors.gone(fd)
            try:
                call(self)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket)

    def _reading(self, size, call, *args):
        try:
            fd = fileno(self)
        except ValueError:
            return call(self, *args)
        size = size if type(size) is int and size >= 0 else _NONE
        ticket = enter(_READ, fd, known.get(fd) or channel_of(fd), 0, 0, size, here(), b"", _NONBLOCKING)
        try:
            data = call(self, *args)
        except BaseException as error:
            fail(ticket, error)
            raise
        got(ticket, data or b"", len(data or b""), extra=where(self))
        return data

    def _as_dropped(self):
        as_caller(original.close, (self,), {})

    FileIO.__module__, FileIO.__qualname__ = original.__module__, original.__qualname__
    FileIO.__doc__ = original.__doc__
    return FileIO


class Transfer(Call):
    """A call that moves bytes, described by one line of the table below."""

    def __init__(self, original, op, runtime):
        super().__init__(original, op, runtime)
        self.names, self.moves = _MOVES[original.__name__]
        self.waits, self.files = runtime.descriptors.waits, runtime.descriptors.files
        self.kept = None if runtime.log.full else runtime.log.payload

    def __call__(self, *args, **kwargs):
        try:
            given = named(self.names, args, kwargs)
            fd, size, data, flags, source = self.moves(self, given)
            channel = self.channel_of(fd)
            flags |= self.waits(fd, channel)
            hash(source)
        except WRONG:  # wrong arguments: the call itself will say so
            return self.original(*args, **kwargs)
        ticket = self.enter(self.op, fd, channel, 0, 0, size, self.here(), data, flags)
        # What is spliced out of a pipe is read there, and that is what it mostly waits for
        inner = self.taken(source, size, flags) if source is not None else None
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            if inner is not None:
                self.fail(inner, error)
            self.fail(ticket, error)
            raise
        if inner is not None:
            self.leave(inner, result)
        self.done(ticket, given, result, fd, channel, source)
        return result

    def taken(self, source, size, flags):
        """Record that a pipe is read by a call that writes what it reads elsewhere; None: the source isn't a pipe."""
        channel = self.channel_of(source)
        if source not in self.known or channel in self.files:
            return None
        flags |= self.waits(source, channel)
        return self.enter(_SOURCE, source, channel, 0, 0, size, self.here(), b"", flags)

    def done(self, ticket, given, result, fd, channel, source):
        """Complete the record: what came, and where in a plain file that was."""
        extra = source if source is not None else _NONE
        if source is None and channel in self.files:
            start = given.get("offset")
            moved = len(result) if isinstance(result, bytes) else result
            extra = position(fd) if start is None or start < 0 else start + moved
        if isinstance(result, bytes):
            self.got(ticket, result, len(result), extra=extra)
        elif self.__name__ in ("readv", "preadv"):
            self.got(ticket, self.joined(given["buffers"], result), result, extra=extra)
        else:
            self.leave(ticket, result, extra)

    def joined(self, buffers, count):
        """The first `count` bytes of several buffers, as many of them as are kept."""
        left = count if self.kept is None else min(count, self.kept)
        pieces = []
        for buffer in buffers:
            if left <= 0:
                break
            piece = memoryview(buffer).cast("B")[:left]
            pieces.append(bytes(piece))
            left -= len(piece)
        return b"".join(pieces)


# What each call is about to do, as (fd, size, data, flags, source: whence the bytes come)


def _at(call, given):
    return given["fd"], given["length"], b"", 0, None


def _write_at(call, given):
    view = memoryview(given["buffer"]).cast("B")
    return given["fd"], len(view), view[: call.kept], 0, None


def _size(buffers):
    return sum(memoryview(buffer).nbytes for buffer in buffers)


def _scatter(call, given):
    return given["fd"], _size(given["buffers"]), b"", _now(given), None


def _gather(call, given):
    size = _size(given["buffers"])
    return given["fd"], size, call.joined(given["buffers"], size), _now(given), None


def _now(given):
    return _NONBLOCKING if given.get("flags", 0) & _RWF_NOWAIT else 0


def _send(call, given):
    target = given["out_fd"] if "out_fd" in given else given["out"]
    return target, given["count"], b"", 0, given["in_fd"] if "in_fd" in given else given["in"]


def _splice(call, given):
    flags = _NONBLOCKING if given.get("flags", 0) & _SPLICE_NONBLOCK else 0
    return given["dst"], given["count"], b"", flags, given["src"]


def _copy(call, given):
    return given["dst"], given["count"], b"", _NONBLOCKING, given["src"]


_MOVES = {
    "pread": (("fd", "length", "offset"), _at),
    "pwrite": (("fd", "buffer", "offset"), _write_at),
    "readv": (("fd", "buffers"), _scatter),
    "writev": (("fd", "buffers"), _gather),
    "preadv": (("fd", "buffers", "offset", "flags"), _scatter),
    "pwritev": (("fd", "buffers", "offset", "flags"), _gather),
    "sendfile": (("out_fd", "in_fd", "offset", "count"), _send),
    "splice": (("src", "dst", "count", "offset_src", "offset_dst", "flags"), _splice),
    "copy_file_range": (("src", "dst", "count", "offset_src", "offset_dst"), _copy),
}


class Entry(Call):
    """os.mkfifo: a name for other processes to meet at; payload: the name."""

    def __call__(self, *args, **kwargs):
        try:
            name = os.fspath(args[0] if args else kwargs["path"])
            words = os.fsencode(name)
        except WRONG:  # wrong arguments: the call itself will say so
            return self.original(*args, **kwargs)
        ticket = self.enter(self.op, -1, 0, 0, 0, _NONE, self.here(), words, 0, True)
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        folder = kwargs.get("dir_fd")
        try:
            status = _lstat(name, dir_fd=folder)
            if folder is not None:
                name = os.path.join(os.readlink("/proc/self/fd/%d" % folder), os.fsdecode(name))
            self.runtime.log.about(ticket, self.runtime.descriptors.named(status, name, made=True))
        except OSError:  # somebody has removed it already
            pass
        self.leave(ticket)
        return result


class Unlink(Call):
    """os.unlink, os.remove: recorded of a FIFO or socket, where it breaks off what others could have connected to."""

    def __call__(self, *args, **kwargs):
        try:
            name = os.fspath(args[0] if args else kwargs["path"])
            status = _lstat(name, dir_fd=kwargs.get("dir_fd"))
            fifo = stat.S_ISFIFO(status.st_mode)
            met = fifo or stat.S_ISSOCK(status.st_mode)
        except (OSError, ValueError, TypeError, KeyError, NotImplementedError):
            met = False
        if not met:
            return self.original(*args, **kwargs)
        channel = self.runtime.descriptors.named(status, name) if fifo else 0
        ticket = self.enter(self.op, -1, channel, 0, 0, _NONE, self.here(), os.fsencode(name), 0, True)
        try:
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.runtime.descriptors.unlinked(status)
        self.leave(ticket)
        return result


class Control(Call):
    """os.set_blocking, os.set_inheritable: size = what it is set to."""

    def begin(self, args, kwargs):
        fd, wanted = args if len(args) == 2 else (-1, _NONE)
        fd = fd if isinstance(fd, int) else -1
        return self.enter(self.op, fd, self.channel_of(fd), 0, 0, int(bool(wanted)), self.here())

    def end(self, ticket, result, args):
        if self.__name__ == "set_blocking":
            unblocked = self.runtime.descriptors.unblocked
            if args[1]:
                unblocked.discard(args[0])
            else:
                unblocked.add(args[0])
        self.leave(ticket)


class OpenTerminal(Call):
    """os.openpty: fd = the leader, result = the follower. Known only at the end, so recorded there."""

    def __call__(self, *args, **kwargs):
        site = self.here()
        ends = self.original(*args, **kwargs)
        channel = self.runtime.descriptors.terminal(*ends)
        self.leave(self.enter(self.op, ends[0], channel, 0, 0, _NONE, site), ends[1])
        return ends


class OpenLeader(Call):
    """os.posix_openpt: size = the flags, result = the leader."""

    def begin(self, args, kwargs):
        size = args[0] if args and isinstance(args[0], int) else _NONE
        return self.enter(self.op, -1, 0, 0, 0, size, self.here(), b"/dev/ptmx", _NONBLOCKING, True)

    def end(self, ticket, result, args):
        self.runtime.log.about(ticket, self.runtime.descriptors.terminal(result))
        self.leave(ticket, result, MADE)


class Login(Call):
    """os.login_tty: the terminal becomes the standard streams, and its own descriptor is closed."""

    def __call__(self, *args, **kwargs):
        site = self.here()
        fd = args[0] if args else kwargs.get("fd", -1)
        channel = self.channel_of(fd) if isinstance(fd, int) else 0
        result = self.original(*args, **kwargs)
        descriptors = self.runtime.descriptors
        for copy in range(3):
            descriptors.copied(fd, copy)
            self.leave(self.enter(table.CODE["os.dup2"], fd, channel, 0, 0, 1, site), copy)
        if fd > 2:
            descriptors.gone(fd)
            self.leave(self.enter(table.CODE["os.close"], fd, channel, 0, 0, _NONE, site))
        return result


_WRAPPED = (
    *((Transfer, name, "os." + name) for name in _MOVES),
    (Entry, "mkfifo", "os.mkfifo"), (Unlink, "unlink", "os.unlink"), (Unlink, "remove", "os.unlink"),
    (Control, "set_blocking", "os.set_blocking"), (Control, "set_inheritable", "os.set_inheritable"),
    (OpenTerminal, "openpty", "os.openpty"), (OpenLeader, "posix_openpt", "os.open"), (Login, "login_tty", "os.dup2"),
)  # fmt: skip


def wrap(runtime):
    """Wrap the calls of this module in os."""
    for call, name, code in _WRAPPED:
        if hasattr(os, name):
            install(call(getattr(os, name), table.CODE[code], runtime), name, os, POSIX)


PATCHES: dict = {}
