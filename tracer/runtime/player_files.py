"""What a replay opens: real descriptors of the same kind as the recorded ones, which lead nowhere; and plain files."""

from __future__ import annotations

import io
import os
import sys

from . import descriptors, files, layers

_MEMORY = getattr(os, "memfd_create", None)
_open, _close, _pipe, _fstat, _lseek, _pread, _pwrite, _openpty, _dup2 = (
    os.open, os.close, os.pipe, os.fstat, os.lseek, os.pread, os.pwrite, os.openpty, os.dup2,
)  # fmt: skip
_KEEP: list = []  # the other ends of what stands in for a pipe or terminal


class System:
    """What the replaced functions share."""

    def __init__(self, player):
        self.player, self.answer, self.peek = player, player.answer, player.peek

    # Bytes

    def written(self, event, data, size):
        """How many bytes were taken: as many as then, where it is the same call (`data` isn't None)."""
        return size if data is None or event.result is None else event.result

    def stand_in(self, kind, flags=os.O_RDONLY, content=()):
        """A descriptor that leads nowhere, of the same kind as the recorded one."""
        if kind in ("pipe", "fifo"):
            reading, writing = _pipe()
            mine, other = (writing, reading) if flags & (os.O_WRONLY | os.O_RDWR) else (reading, writing)
        elif kind == "socket":
            mine, other = [end.detach() for end in (sys.modules.get("_socket") or __import__("_socket")).socketpair()]
        elif kind == "tty":
            other, mine = _openpty()
        elif kind == "leader":
            mine, other = _openpty()
        else:
            return self.memory(content)
        low = min(mine, other)
        _KEEP.append(_aside(other))  # closed, it would be seen as gone
        if low != mine:
            _dup2(mine, low, False)
            _close(mine)
        return low

    def memory(self, content):
        """A file without a name, holding what was read of one that isn't there any more."""
        if _MEMORY is not None:
            fd = _MEMORY("replayed")
        else:
            fd = _open(self.player.folder, os.O_RDWR | getattr(os, "O_TMPFILE", 0o20200000), 0o600)
        for place, data in content:
            _pwrite(fd, data, place)
        _lseek(fd, 0, os.SEEK_SET)
        return fd

    def open(self, path, flags, mode=0o777, *, dir_fd=None):
        """os.open, and the opener of every file that the program opens by name."""
        player = self.player
        tape = player.mine()
        event = tape.opening if tape is not None else None
        if event is None:
            return _open(path, flags, mode, dir_fd=dir_fd)
        player.progress(event)
        if event.exit is None:
            player.finish(tape, event)
        if event.kind in ("pipe", "fifo", "tty", "socket"):
            event.check()
            return self.stand_in(event.kind, flags)
        if event.error and event.error > 0 and os.fsencode(path) == event.data:
            event.check()
        try:
            fd = _open(path, flags, mode, dir_fd=dir_fd)
        except OSError:
            if event.error:
                raise
            return self.memory(event.content)
        if event.content and not flags & (os.O_WRONLY | os.O_RDWR) and not self.same(fd, event.content):
            _close(fd)
            return self.memory(event.content)
        return fd

    @staticmethod
    def same(fd, content):
        """Whether a file still holds what was read of it."""
        try:
            return all(_pread(fd, len(data), place) == data for place, data in content)
        except OSError:
            return True


def _aside(fd):
    """The same descriptor with a number that the program won't notice."""
    for high in range(230, 10_000):
        try:
            _fstat(high)
        except OSError:
            _dup2(fd, high, False)
            _close(fd)
            return high
    return fd


def _file_io(system):
    """io.FileIO as the recorder's own raw layers inherit it."""
    original, answer = io.FileIO, system.answer

    class FileIO(original):
        def __init__(self, file, mode="r", closefd=True, opener=None):
            if opener is None and not isinstance(file, int):
                opener = system.open
            original.__init__(self, file, mode, closefd, opener)

        def write(self, data, /):
            event, whole = answer()
            if event is None:
                return original.write(self, data)
            return system.written(event, whole, memoryview(data).nbytes)

        def readinto(self, buffer, /):
            event, data = answer()
            if event is None:
                return original.readinto(self, buffer)
            return fill(buffer, data)

        def read(self, size=-1, /):
            event, data = answer()
            return original.read(self, size) if event is None else data

    FileIO.__name__ = FileIO.__qualname__ = original.__name__
    FileIO.__module__ = original.__module__
    return FileIO


def fill(buffer, data):
    memoryview(buffer).cast("B")[: len(data)] = data
    return len(data)


class _Io:
    """The module io, with another FileIO."""

    def __init__(self, kind):
        self.FileIO = kind

    def __getattr__(self, name):
        return getattr(io, name)


def _stat(system, original):
    """stat for the recorder's own looks at a name: whether somebody else is behind it."""

    def stat(path, **kwargs):
        event = system.player.opening_of(path) if isinstance(path, (str, bytes)) else None
        if event is not None and event.kind in ("fifo", "tty"):
            fd = system.stand_in(event.kind)
            try:
                return _fstat(fd)
            finally:
                _close(fd)
        return original(path, **kwargs)

    return stat


def replace_files(system):
    """Put another FileIO beneath the recorder's layers, and let its own looks at names see what was there."""
    layers.io = files.io = _Io(_file_io(system))
    for module in (descriptors, files):
        for name in ("_stat", "_lstat"):
            if hasattr(module, name):
                setattr(module, name, _stat(system, getattr(module, name)))
