"""Descriptors and the channels behind them: os.read, write, pipe, dup, close, open."""

from __future__ import annotations

import os
import stat
from itertools import count
from os import path
from sys import _getframe

from . import table
from .calls import POSIX, WRONG, Call, install, named
from .terminals import Lines

_fstat, _stat, _readlink, _listdir, _get_inheritable, _get_blocking, _lstat, _lseek, _isatty = (
    os.fstat, os.stat, getattr(os, "readlink", None), os.listdir, os.get_inheritable,
    getattr(os, "get_blocking", lambda fd: True), os.lstat, os.lseek, os.isatty,
)  # fmt: skip
O_NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # this file is also imported where traces are only read: by any system
_open, _read, _close = os.open, os.read, os.close
_OWN_FOLDER = "/proc/self/fd"
_KINDS = (
    (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"), (stat.S_ISREG, "file"), (stat.S_ISCHR, "device"),
)  # fmt: skip
_NAMED = ("pipe", "fifo", "tty")  # what is remembered by descriptor
# /dev/ptmx, through which every pseudo-terminal's leader is opened
_LEADER = os.makedev(5, 2) if hasattr(os, "makedev") else None
_ACCESS = os.O_WRONLY | os.O_RDWR  # PyPy has no O_ACCMODE
_ALONE = getattr(os, "O_PATH", 0)  # an open that touches nothing
_UNNAMED = getattr(os, "O_TMPFILE", 0)
_MOST_FILES = 4096
# Whose opening of files is no communication: they read source code, and write what it was compiled to
_SILENT = frozenset(("tokenize", "linecache", "importlib._bootstrap_external"))
MADE = 1  # `extra` of an open: the call made what it opened


def _kind(status):
    for test, kind in _KINDS:
        if test(status.st_mode):
            return kind
    return "other"


class Descriptors:
    """Numbers the channels that this process meets, from 1, and knows which of its descriptors leads to which.

    Only pipes, terminals and what open() opened are remembered by descriptor: their closing passes through us. For
    anything else the descriptor is asked each time, since its number may have been given out again behind our back.
    """

    def __init__(self, log):
        self.log = log
        self.channels = {}  # (device, inode) → (number, kind, path)
        self.known = {}  # descriptor → number
        self.sockets = {}  # descriptor → number, for as long as the same socket object of Python's has it: sockets.py
        self.files = set()  # the numbers of plain files: there nobody ever waits for somebody else
        self.mapped = set()  # those of files of which there is or was a map: it outlives every descriptor (memory.py)
        self.unblocked = set()  # descriptors of which we know that they don't wait (others may have changed it since)
        self.lines = Lines()  # of the leaders of pseudo-terminals
        self.resize = None  # gives a pipe the capacity that `record --pipe-size` asks for: options.py
        self.numbers = count(1)  # `+= 1` would give two threads the same number

    def begin(self, forked):
        """In a new log: define what is known already (in a fork's child), or list what the process was given."""
        self.sockets.clear()  # of those, a channel that isn't remembered may be
        if forked:
            self._forget_closed()
            self._forget_files()
            for (device, inode), (number, kind, name) in self.channels.items():
                self.log.define(table.CHANNEL, kind, device, inode, name, channel=number)
        else:
            self.list()

    def _forget_closed(self):
        """Each child of a server that makes a pipe for each child would begin with all pipes that there ever were."""
        open_ends = set(self.known.values())
        for key, (number, kind, _) in list(self.channels.items()):
            if kind == "pipe" and number not in open_ends:
                del self.channels[key]

    def _forget_files(self):
        """A program opens thousands; each is defined again where it turns up again."""
        forgotten = self.files - self.mapped
        for key, found in list(self.channels.items()):
            if found[0] in forgotten:
                self.channels.pop(key, None)
        for fd, number in list(self.known.items()):
            if number in forgotten:
                self.known.pop(fd, None)
        self.files -= forgotten

    def list(self):
        """Record every end that the process holds."""
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
            if not _get_blocking(fd):
                self.unblocked.add(fd)

    def channel_of(self, fd):
        """The number of the channel behind a descriptor; 0 if it isn't open."""
        number = self.known.get(fd)
        if number is not None:
            return number
        try:
            status = _fstat(fd)
        except (OSError, TypeError, ValueError, OverflowError):
            return 0
        return self._found(fd, status)

    def _found(self, fd, status):
        found = self.channels.get(_identity(fd, status))
        if found is None:
            found = self._define(fd, status)
        if found[1] in _NAMED:
            self.known[fd] = found[0]
        return found[0]

    def kind_of(self, fd):
        """The kind of channel behind a descriptor; "" if it isn't open."""
        try:
            status = _fstat(fd)
        except (OSError, TypeError, ValueError, OverflowError):
            return ""
        self.channel_of(fd)
        return self.channels.get(_identity(fd, status), (0, "", ""))[1]

    def made(self, fd):
        """A pipe was made: the numbers that it has may have been another's before."""
        try:
            status = _fstat(fd)
        except OSError:
            return 0
        self.channels.pop(_identity(fd, status), None)
        self.known.pop(fd, None)
        return self._found(fd, status)

    def replaced(self, fds):
        """These descriptors lead elsewhere now: list anew all that the process holds."""
        for fd in fds:
            self.gone(fd)
        self.list()

    def gone(self, fd):
        """A descriptor is closed or leads elsewhere now."""
        self.known.pop(fd, None)
        self.sockets.pop(fd, None)
        self.unblocked.discard(fd)

    def forget(self, fd):
        """A socket is closed: a server of many clients must not make us keep all of them."""
        self.gone(fd)
        try:
            status = _fstat(fd)
        except OSError:
            return
        self.channels.pop((status.st_dev, status.st_ino), None)

    def copied(self, fd, copy):
        """A descriptor was duplicated: the copy waits, or doesn't, as the original does."""
        self.gone(copy)
        if fd in self.unblocked:
            self.unblocked.add(copy)

    def named(self, status, name, made=False):
        """The number of a FIFO that isn't opened yet, by what stat says of its name."""
        key = status.st_dev, status.st_ino
        found = None if made else self.channels.get(key)
        return (found or self._number("fifo", key, path.realpath(_text(name))))[0]

    def unlinked(self, status):
        """A name is gone: whoever makes the next one, in another process perhaps, may be given the same inode. Where it
        is still open it is defined again, as the one that it is by the time of that."""
        self.channels.pop((status.st_dev, status.st_ino), None)

    def waits(self, fd, channel):
        """The flags of a read or write: whether it can wait at all."""
        return table.NONBLOCKING if fd in self.unblocked or channel in self.files else 0

    def opened(self, ticket, opening, fd, flags, stays=False):
        """What is known now of a new descriptor; returns `extra`. `stays`: nobody but us will close it."""
        status = opening.status
        self.gone(fd)
        if status is not None and status.st_rdev == _LEADER:
            self.log.about(ticket, self.terminal(fd))
        else:
            channel = self.made(fd) if opening.makes else self.channel_of(fd)
            self.log.about(ticket, channel)
            if channel in self.files:
                if stays:
                    self.known[fd] = channel
            elif status is None or not stat.S_ISDIR(status.st_mode):
                self.held(fd)
        if flags & O_NONBLOCK:
            self.unblocked.add(fd)
        return MADE if opening.makes else table.NONE

    def _define(self, fd, status):
        kind, name = _kind(status), ""
        if _readlink is not None:
            try:
                name = _readlink("%s/%d" % (_OWN_FOLDER, fd))
            except OSError:
                name = ""
        if not name.startswith("/"):
            name = ""
        if kind == "pipe" and name:
            kind = "fifo"
        elif kind == "device" and _isatty(fd):
            kind = "tty"
        elif kind == "file" and name.endswith(" (deleted)"):
            name = name[: -len(" (deleted)")]
        found = self._number(kind, _identity(fd, status), name)
        if kind == "tty" and name.startswith("/dev/pts/"):
            self.log.define(table.ENDPOINT, "pty", name, "master:" + name, "", channel=found[0])
        return found

    def _number(self, kind, key, name):
        found = next(self.numbers), kind, name
        self.log.define(table.CHANNEL, kind, key[0], key[1], name, channel=found[0])
        if kind == "file":
            if len(self.files) - len(self.mapped) >= _MOST_FILES:
                self._forget_files()
            self.files.add(found[0])
        self.channels[key] = found  # only now: another thread must not refer to what isn't defined
        return found

    def terminal(self, leader, follower=None):
        """A pseudo-terminal was made: define its leader, and its follower where this process has it; returns the
        leader's channel. Either end is the other's peer."""
        self.gone(leader)
        channel, number = self.made(leader), _terminal(leader)
        self.lines.begin(channel)
        self.held(leader)
        peer = 0
        if follower is not None:
            self.gone(follower)
            peer = self.made(follower)
            self.held(follower)
        if number is not None:
            name = "/dev/pts/%d" % number
            self.log.define(table.ENDPOINT, "pty", "master:" + name, name, "", channel=channel, offset=peer)
        return channel


def _identity(fd, status):
    """What tells a channel from all others: device and inode. The leaders of all pseudo-terminals share one inode:
    there it is the terminal's number, as proc.identity has it too."""
    if status.st_rdev == _LEADER:
        number = _terminal(fd)
        if number is not None:
            return status.st_dev, -1 - number
    return status.st_dev, status.st_ino


def _terminal(fd):
    """The number of the pseudo-terminal that a leader belongs to (N of /dev/pts/N); None if that isn't known."""
    try:  # without fcntl, which start-up doesn't import
        info = _open("/proc/self/fdinfo/%d" % fd, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for line in _read(info, 4096).splitlines():
                if line.startswith(b"tty-index:"):
                    return int(line.split()[1])
        finally:
            _close(info)
    except (OSError, ValueError, IndexError):
        pass
    return None


def silent(frame):
    """Whether it is no communication when `frame` opens a file; None: PyPy itself does, to read its script."""
    return frame is None or frame.f_globals.get("__name__") in _SILENT


def _text(name):
    return os.fsdecode(name)


class Read(Call):
    """os.read: the hot path, so everything is done here."""

    def __init__(self, original, op, runtime):
        super().__init__(original, op, runtime)
        self.unblocked, self.files = runtime.descriptors.unblocked, runtime.descriptors.files
        self.lines = runtime.descriptors.lines

    def __call__(self, *args, **kwargs):
        try:
            fd, length = args
            channel = self.known.get(fd) or self.channel_of(fd)
            plain = channel in self.files
            flags = _NONBLOCKING if plain or fd in self.unblocked else 0
        except (ValueError, TypeError):
            return self.original(*args, **kwargs)  # raises what it raises for wrong arguments
        ticket = self.enter(self.op, fd, channel, 0, 0, length, self.here(), b"", flags)
        try:
            data = self.original(fd, length)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        if plain:
            self.got(ticket, data, len(data), extra=position(fd))
        else:
            self.got(ticket, data, len(data))
        return data


class Write(Read):
    """os.write."""

    def __call__(self, *args, **kwargs):
        try:
            fd, data = args
            channel = self.known.get(fd) or self.channel_of(fd)
            plain = channel in self.files
            flags = _NONBLOCKING if plain or fd in self.unblocked else 0
            size = len(data) if type(data) is bytes else memoryview(data).nbytes
        except (ValueError, TypeError):
            return self.original(*args, **kwargs)
        ticket = self.enter(self.op, fd, channel, 0, 0, size, self.here(), data, flags)
        try:
            written = self.original(fd, data)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        if plain:
            extra = position(fd)
        else:
            extra = self.lines.wrote(channel, fd, data, written) if channel in self.lines.lengths else table.NONE
        self.leave(ticket, written, extra)
        return written


_NONBLOCKING = table.NONBLOCKING


def position(fd):
    """Where in a plain file the next read or write will be; NONE where that isn't known."""
    try:
        return _lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return table.NONE


class Pipe(Call):
    """os.pipe, os.pipe2: fd = the reading end, result = the writing end; size = the capacity that record's options gave
    it. Known only at the end, so recorded there."""

    def __call__(self, *args, **kwargs):
        site = self.here()
        ends = self.original(*args, **kwargs)
        descriptors = self.runtime.descriptors
        for end in ends:
            descriptors.gone(end)
        size = descriptors.resize(ends[1]) if descriptors.resize else table.NONE
        self.leave(self.enter(self.op, ends[0], descriptors.made(ends[0]), 0, 0, size, site), ends[1])
        descriptors.channel_of(ends[1])
        if args and args[0] & O_NONBLOCK:
            descriptors.unblocked.update(ends)
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
        if args and args[0] != result:
            self.runtime.descriptors.copied(args[0], result)
        else:
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
        try:
            known = (*descriptors.known, *descriptors.unblocked, *descriptors.sockets)
            for fd in [fd for fd in known if low <= fd < high]:
                descriptors.gone(fd)
        except TypeError:  # not numbers: the call itself will say so
            low = -1
        return self.enter(self.op, low, 0, 0, 0, table.NONE, self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, extra=args[1] if len(args) == 2 else table.NONE)


class Opening:
    """What opening a name is about to do: wait for the other side of a FIFO, make a file, or neither."""

    __slots__ = ("channel", "flags", "makes", "status")

    def __init__(self, descriptors, name, flags, folder=None):
        self.channel, self.flags, self.status, self.makes = 0, table.NONBLOCKING, None, False
        if name is None:  # an opener of the program's own decides what it opens
            return
        try:
            self.status = _stat(name, dir_fd=folder)
        except (OSError, ValueError, TypeError, NotImplementedError):
            self.makes = flags & os.O_CREAT != 0
            return
        self.makes = self.status.st_rdev == _LEADER or (_UNNAMED and flags & _UNNAMED == _UNNAMED)
        if stat.S_ISFIFO(self.status.st_mode) and not flags & _ALONE:
            if folder is not None:
                name = path.join(_readlink("%s/%d" % (_OWN_FOLDER, folder)), _text(name))
            self.channel = descriptors.named(self.status, name)
            if not flags & O_NONBLOCK and flags & _ACCESS != os.O_RDWR:
                self.flags = 0


class Open(Call):
    """os.open: size = its flags, payload = the name, result = the descriptor; extra: MADE.

    Opening a FIFO waits for its other side; anything else that is opened doesn't make anybody wait.
    """

    def __call__(self, *args, **kwargs):
        if silent(_getframe().f_back):
            return self.original(*args, **kwargs)
        descriptors = self.runtime.descriptors
        try:
            given = named(("path", "flags", "mode"), args, kwargs)
            name, flags = os.fspath(given["path"]), given["flags"]
            opening = Opening(descriptors, name, flags, given.get("dir_fd"))
            words = os.fsencode(name)
        except WRONG:  # wrong arguments: the call itself will say so
            return self.original(*args, **kwargs)
        ticket = self.enter(self.op, -1, opening.channel, 0, 0, flags, self.here(), words, opening.flags, True)
        try:
            fd = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket, fd, descriptors.opened(ticket, opening, fd, flags))
        return fd


_WRAPPED = (
    (Read, "read"), (Write, "write"), (Pipe, "pipe"), (Pipe, "pipe2"), (Duplicate, "dup"), (Duplicate, "dup2"),
    (Close, "close"), (CloseRange, "closerange"), (Open, "open"),
)  # fmt: skip


def wrap(runtime):
    """Wrap the calls of this module in os."""
    for call, name in _WRAPPED:
        if hasattr(os, name):
            install(call(getattr(os, name), table.CODE["os." + name], runtime), name, os, POSIX)
