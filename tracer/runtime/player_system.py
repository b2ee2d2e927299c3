"""The system as a replay plays it: functions of os, _posixsubprocess, time, _signal, builtins and fcntl.

Each asks the player for the recorded call that has just been met, and answers as that did; where there is none, the
call is the program's own affair and is made. They stand beneath the recorder's wrappers, which take them for C's.
"""

from __future__ import annotations

import builtins
import io
import os
import sys

from . import descriptors, files, layers, table
from .calls import POSIX, like
from .player_locks import answer_wholes, lock_of
from .player_ready import replace_select
from .player_sockets import replace_socket
from .player_time import monotonic, replace_time

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
            result = system.written(event, whole, memoryview(data).nbytes)
            return result

        def readinto(self, buffer, /):
            event, data = answer()
            if event is None:
                return original.readinto(self, buffer)
            return _fill(buffer, data)

        def read(self, size=-1, /):
            event, data = answer()
            return original.read(self, size) if event is None else data

    FileIO.__name__ = FileIO.__qualname__ = original.__name__
    FileIO.__module__ = original.__module__
    return FileIO


def _fill(buffer, data):
    memoryview(buffer).cast("B")[: len(data)] = data
    return len(data)


class _Io:
    """The module io, with another FileIO."""

    def __init__(self, kind):
        self.FileIO = kind

    def __getattr__(self, name):
        return getattr(io, name)


def _functions(system):
    """name → function(original) → what takes its place in os."""
    player, answer, peek = system.player, system.answer, system.peek

    def read(original):
        def read(fd, length, /):
            event, data = answer()
            return original(fd, length) if event is None else data

        return read

    def write(original):
        def write(fd, data, /):
            event, whole = answer()
            return original(fd, data) if event is None else system.written(event, whole, memoryview(data).nbytes)

        return write

    def gather(original):
        def writev(fd, buffers, *rest, **kwargs):
            event, whole = answer()
            if event is None:
                return original(fd, buffers, *rest, **kwargs)
            return system.written(event, whole, sum(memoryview(each).nbytes for each in buffers))

        return writev

    def scatter(original):
        def readv(fd, buffers, *rest, **kwargs):
            event, data = answer()
            if event is None:
                return original(fd, buffers, *rest, **kwargs)
            begin = 0
            for buffer in buffers:
                begin += _fill(buffer, data[begin : begin + memoryview(buffer).nbytes])
            return len(data)

        return readv

    def result(original):
        def call(*args, **kwargs):
            event, _ = answer()
            return original(*args, **kwargs) if event is None else event.result

        return call

    def at(original):
        def pread(*args, **kwargs):
            event, data = answer()
            return original(*args, **kwargs) if event is None else data

        return pread

    def nothing(original):
        def call(*args, **kwargs):
            event, _ = answer()
            return original(*args, **kwargs) if event is None else None

        return call

    def fork(original):
        def fork():
            event, _ = answer()
            if event is None:
                return original()
            if event.event == player.fork:
                return player.split(original)
            return event.result

        return fork

    def forkpty(original):
        def forkpty():
            event, _ = answer()
            if event is None:
                return original()
            if event.event == player.fork:
                made = []

                def really():
                    made.append(original())
                    return made[0][0]

                player.split(really)
                return made[0]
            return event.result, system.stand_in("leader")

        return forkpty

    def leave(original):
        def _exit(status):
            answer()
            original(status)

        return _exit

    def execute(original):
        def execv(*args, **kwargs):
            event, _ = answer()
            if event is None:
                return original(*args, **kwargs)
            player.finish(player.tape(), event)

        return execv

    def wait(original, name, shape):
        def wait(*args, **kwargs):
            options = kwargs.get("options", args[_OPTIONS[name]] if len(args) > _OPTIONS.get(name, 9) else 0)
            if isinstance(options, int) and options & os.WNOHANG and not player.paused:
                event = peek("os." + name)
                wanted = args[0] if name in ("waitpid", "wait4") else -1
                if event is not None and not event.flags and (wanted < 0 or wanted == event.size):
                    event = None
                if event is None or (wanted >= 0 and event.result not in (None, wanted)):
                    return None if name == "waitid" else shape(0, 0)
                event.check()
                player.took(event)
            else:
                event, _ = answer()
                if event is None:
                    return original(*args, **kwargs)
            return shape(event.result, event.extra or 0)

        return wait

    def pair(pid, status):
        return pid, status

    def usage(pid, status):
        import resource

        return pid, status, resource.getrusage(resource.RUSAGE_CHILDREN)

    def information(pid, status):
        import signal

        ended = not status & 0x7F
        code = os.CLD_EXITED if ended else getattr(os, "CLD_KILLED", 2)
        return os.waitid_result((pid, 0, int(signal.SIGCHLD), status >> 8 if ended else status & 0x7F, code))

    def system_(original):
        def system_(command):
            event, _ = answer()
            return original(command) if event is None else event.extra or 0

        return system_

    def descriptor(kind):
        def made(original):
            def call(*args, **kwargs):
                tape = player.mine()
                event = tape.opening if tape is not None else None
                if event is None:
                    return original(*args, **kwargs)
                event.check()
                return system.stand_in(kind)

            return call

        return made

    def named(original):
        """A name in the file system: where nobody else meets us any more, it may be gone already."""

        def call(*args, **kwargs):
            try:
                return original(*args, **kwargs)
            except OSError:
                event = player.opening_named(args[0] if args else kwargs.get("path"))
                if event is None or event.error:
                    raise
                return None

        return call

    def opens(original):
        def open(path, flags, mode=0o777, *, dir_fd=None):
            return system.open(path, flags, mode, dir_fd=dir_fd)

        return open

    def number(original, field):
        def number():
            return getattr(player, field)

        return number

    calls = {
        "read": read, "write": write, "writev": gather, "pwritev": gather, "readv": scatter, "preadv": scatter,
        "pread": at, "pwrite": result, "sendfile": result, "splice": result, "copy_file_range": result, "fork": fork,
        "forkpty": forkpty, "_exit": leave, "abort": nothing, "execv": execute, "execve": execute,
        "posix_spawn": result, "posix_spawnp": result, "kill": nothing, "killpg": nothing, "system": system_,
        "pidfd_open": descriptor("pipe"), "mkfifo": named, "unlink": named, "remove": named, "lockf": nothing,
        "open": opens, "getpid": lambda original: number(original, "pid"),
        "getppid": lambda original: number(original, "parent"),
    }  # fmt: skip
    for name, shape in (("wait", pair), ("waitpid", pair), ("wait3", usage), ("wait4", usage), ("waitid", information)):
        calls[name] = lambda original, name=name, shape=shape: wait(original, name, shape)
    return calls, result, nothing


_OPTIONS = {"waitpid": 1, "wait3": 0, "wait4": 1, "waitid": 2}


def replace(player):
    """Replace what is there; returns what is to be done to modules when they are imported: name → [function]."""
    system = System(player)
    functions, result, nothing = _functions(system)
    for name, make in functions.items():
        original = getattr(os, name, None)
        if original is None:
            continue
        function = like(original, make(original))
        for module in (os, POSIX):
            if getattr(module, name, None) is original:
                setattr(module, name, function)
        for known in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if original in known:
                known.add(function)
    kind = _file_io(system)
    layers.io = files.io = _Io(kind)
    for module in (descriptors, files):
        for name in ("_stat", "_lstat"):
            if hasattr(module, name):
                setattr(module, name, _stat(system, getattr(module, name)))
    builtins.input = like(builtins.input, _input(system, builtins.input))
    replace_time(player)

    def subprocess(runtime, module):
        module.fork_exec = like(module.fork_exec, result(module.fork_exec))

    def locks(runtime, module):
        module.SemLock = lock_of(player, module.SemLock)

    def synchronize(runtime, module):
        for kind in (module.Condition, module.Event):
            answer_wholes(player, kind, "wait")
        module.Barrier.wait = module.Barrier.wait  # it inherits that of threads, which stays what it is
        answer_wholes(player, module.Barrier, "wait")
        del module.Barrier.wait.__wrapped__  # the recorder looks for the original behind that of threads

    def queues(runtime, module):
        answer_wholes(player, module.JoinableQueue, "task_done", "join")

    def signals(runtime, module):
        import _signal

        for name in ("raise_signal", "pthread_kill", "pidfd_send_signal"):
            _put(nothing, name, _signal, module)
        for name in ("pause", "sigwait", "sigwaitinfo", "sigtimedwait"):
            _put(lambda original: _awaited(system, original), name, _signal, module)
        for name, none in (("alarm", 0), ("setitimer", (0.0, 0.0))):
            _put(lambda original, none=none: lambda *args: none, name, _signal, module)

    def file_locks(runtime, module):
        for name in ("flock", "lockf"):
            _put(nothing, name, module)

    def real_time(name):
        def patch(runtime, module):
            if hasattr(module, name):
                setattr(module, name, monotonic)

        return patch

    def temporary(runtime, module):
        if len(player.images) > 1:  # whoever would remove it again stays behind at the fork
            module.tempdir = os.path.join(player.folder, "tmp")

    return {
        "_posixsubprocess": [subprocess], "_multiprocessing": [locks],
        "multiprocessing.synchronize": [synchronize], "multiprocessing.queues": [queues], "signal": [signals], "fcntl": [file_locks],
        "threading": [real_time("_time")], "queue": [real_time("time")], "tempfile": [temporary],
        "select": [lambda runtime, module: replace_select(system, module)],
        "socket": [lambda runtime, module: replace_socket(system, module)],
    }  # fmt: skip


def _put(make, name, *modules):
    original = getattr(modules[0], name, None)
    if original is not None:
        function = like(original, make(original))
        for module in modules:
            if getattr(module, name, None) is original or (module is modules[-1] and hasattr(module, name)):
                setattr(module, name, function)


def _awaited(system, original):
    def sigwait(*args, **kwargs):
        event, _ = system.answer()
        if event is None:
            return original(*args, **kwargs)
        if original.__name__ in ("sigwaitinfo", "sigtimedwait"):
            import _signal

            if event.result is None:
                return None
            return _signal.struct_siginfo((event.result, 0, 0, 0, 0, 0, 0))
        return event.result

    return sigwait


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


def _input(system, original):
    def input(*args):
        event, data = system.answer()
        if event is None:
            return original(*args)
        if event.error == -1:
            raise EOFError
        return data.decode("utf-8", "surrogateescape")

    return input
