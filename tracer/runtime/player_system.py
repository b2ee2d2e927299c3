"""The system as a replay plays it: functions of os, _posixsubprocess, time, _signal, builtins and fcntl.

Each asks the player for the recorded call that has just been met, and answers as that did; where there is none, the
call is the program's own affair and is made. They stand beneath the recorder's wrappers, which take them for C's.
"""

from __future__ import annotations

import builtins
import os

from .calls import POSIX, like
from .player_files import System, fill, replace_files
from .player_locks import answer_wholes, lock_of
from .player_ready import replace_select
from .player_sockets import replace_socket
from .player_time import monotonic, replace_time


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
                begin += fill(buffer, data[begin : begin + memoryview(buffer).nbytes])
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
            return player.finish(player.tape(), event)

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
    replace_files(system)
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
        "multiprocessing.synchronize": [synchronize], "multiprocessing.queues": [queues], "signal": [signals],
        "fcntl": [file_locks],
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


def _input(system, original):
    def input(*args):
        event, data = system.answer()
        if event is None:
            return original(*args)
        if event.error == -1:
            raise EOFError
        return data.decode("utf-8", "surrogateescape")

    return input
