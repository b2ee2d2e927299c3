"""Processes: fork, exec, spawn, wait, _exit, and the environment that takes us along into children."""

from __future__ import annotations

import os

from . import table
from .calls import POSIX, Call, install, like


class Fork(Call):
    """os.fork, os.forkpty. The child's log has been begun by the fork hook; its ticket leads to scratch memory."""

    def end(self, ticket, result, args):
        if isinstance(result, tuple):  # forkpty: the child's streams are a new terminal, the parent has its leader
            if result[0]:
                self.runtime.log.led_to(ticket, self.runtime.descriptors.terminal(result[1]))
            else:
                self.runtime.descriptors.replaced((0, 1, 2))
            result = result[0]
        self.leave(ticket, result)


class Exec(Call):
    """os.execv, os.execve: every other exec of os ends in one of them. Returns only by raising."""

    def __call__(self, *args, **kwargs):
        if self.__name__ == "execve" and len(args) == 3:
            args = (args[0], args[1], self.runtime.environment.complete(args[2]))
        return Call.__call__(self, *args, **kwargs)


class Exit(Call):
    """os._exit: whatever lies in buffers is lost, and the record stays open."""

    def begin(self, args, kwargs):
        status = args[0] if args else kwargs.get("status", 0)
        return self.enter(self.op, -1, 0, 0, 0, status if isinstance(status, int) else table.NONE, self.here())


class Wait(Call):
    """os.wait and its kin: size = pid asked for, -1 for any; result = pid, extra = raw wait status."""

    def begin(self, args, kwargs):
        pid = -1
        if self.__name__ in ("waitpid", "wait4") and args and isinstance(args[0], int):
            pid = args[0]
        elif self.__name__ == "waitid" and len(args) > 1 and args[0] == os.P_PID:
            pid = args[1]
        return self.enter(self.op, -1, 0, 0, 0, pid, self.here())

    def end(self, ticket, result, args):
        if result is None:  # waitid with WNOHANG
            self.leave(ticket, 0)
        elif self.__name__ == "waitid":
            exited = result.si_code == os.CLD_EXITED
            self.leave(ticket, result.si_pid, result.si_status << 8 if exited else result.si_status)
        else:
            self.leave(ticket, result[0], result[1])


class Kill(Call):
    """os.kill: size = pid, extra = signal."""

    def begin(self, args, kwargs):
        pid = args[0] if args and isinstance(args[0], int) else table.NONE
        ticket = self.enter(self.op, -1, 0, 0, 0, pid, self.here())
        number = int(args[1]) if len(args) > 1 and isinstance(args[1], int) else table.NONE
        self.leave(ticket, extra=number)  # at once: the signal may end this very process
        return ticket

    def end(self, ticket, result, args):
        pass


class ForkExec(Call):
    """_posixsubprocess.fork_exec, under subprocess and multiprocessing: result = the child's pid."""

    ENVIRONMENT = 5  # its argument list has begun with (args, executables, close_fds, keep, cwd, env) ever since 3.8

    def __call__(self, *args, **kwargs):
        if len(args) > self.ENVIRONMENT and args[self.ENVIRONMENT] is not None:
            listed = self.runtime.environment.complete_list(args[self.ENVIRONMENT])
            args = (*args[: self.ENVIRONMENT], listed, *args[self.ENVIRONMENT + 1 :])
        return Call.__call__(self, *args, **kwargs)

    def end(self, ticket, result, args):
        self.leave(ticket, result)


class PosixSpawn(Call):
    """os.posix_spawn, os.posix_spawnp: result = the child's pid."""

    def __call__(self, *args, **kwargs):
        if len(args) == 3:
            args = (args[0], args[1], self.runtime.environment.complete(args[2]))
        return Call.__call__(self, *args, **kwargs)

    def end(self, ticket, result, args):
        self.leave(ticket, result)


class PutEnvironment(Call):
    """os.putenv: a program that sets PYTHONPATH for its children must not lose us on the way."""

    def __call__(self, *args, **kwargs):
        if len(args) == 2 and os.fsdecode(args[0]) == "PYTHONPATH":
            return self.original(args[0], self.runtime.environment.path(args[1]))
        return self.original(*args, **kwargs)


class UnsetEnvironment(Call):
    """os.unsetenv, likewise."""

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and os.fsdecode(args[0]) == "PYTHONPATH":
            return self.runtime.environment.restore()
        return self.original(*args, **kwargs)


class Environment:
    """What must be in a child's environment for it to be recorded; the program itself doesn't see it.

    os.environ is cleared of it, the C environment keeps it: so children that inherit the environment have it, and where
    a program gives its child an environment of its own, it is put back.
    """

    def __init__(self, run, folder):
        self.run, self.folder = run, folder
        self.putenv = os.putenv

    def hide(self):
        """Take our variables out of os.environ, not out of what children inherit."""
        data, encode = os.environ._data, os.environ.encodekey
        data.pop(encode("IPCTRACE_RUN"), None)
        path = os.environ.get("PYTHONPATH", "")
        if path == self.folder:
            data.pop(encode("PYTHONPATH"), None)
        elif path.startswith(self.folder + os.pathsep):
            data[encode("PYTHONPATH")] = os.environ.encodevalue(path[len(self.folder) + 1 :])

    def path(self, value):
        """PYTHONPATH with our folder first; bytes or text, as given."""
        if isinstance(value, bytes):
            return os.fsencode(self.path(os.fsdecode(value)))
        if value == self.folder or value.startswith(self.folder + os.pathsep):
            return value
        return self.folder + os.pathsep + value if value else self.folder

    def restore(self):
        """The program wants no PYTHONPATH: its children get only ours."""
        return self.putenv("PYTHONPATH", self.folder)

    def complete(self, environment):
        """A copy of a mapping that a program gives its child, with what we need; anything else unchanged."""
        try:
            completed = dict(environment)
            binary = any(isinstance(key, bytes) for key in completed)
            key = b"PYTHONPATH" if b"PYTHONPATH" in completed else "PYTHONPATH"
            completed[key] = self.path(completed.get(key, ""))
            completed[b"IPCTRACE_RUN" if binary else "IPCTRACE_RUN"] = self.run.encode() if binary else self.run
            return completed
        except Exception:  # not a mapping: the call itself will say so
            return environment

    def complete_list(self, listed):
        """The same for a list of b"NAME=value"."""
        try:
            pairs = dict(item.split(b"=", 1) for item in listed)
            pairs[b"PYTHONPATH"] = self.path(pairs.get(b"PYTHONPATH", b""))
            pairs[b"IPCTRACE_RUN"] = os.fsencode(self.run)
            return [key + b"=" + value for key, value in pairs.items()]
        except Exception:
            return listed


_WRAPPED = (
    (Fork, "fork"), (Fork, "forkpty"), (Exec, "execv"), (Exec, "execve"), (Exit, "_exit"), (Wait, "wait"),
    (Wait, "waitpid"), (Wait, "wait3"), (Wait, "wait4"), (Wait, "waitid"), (Kill, "kill"), (PosixSpawn, "posix_spawn"),
    (PosixSpawn, "posix_spawnp"), (PutEnvironment, "putenv"), (UnsetEnvironment, "unsetenv"),
)  # fmt: skip


def wrap(runtime):
    """Wrap the calls of this module in os."""
    for call, name in _WRAPPED:
        if hasattr(os, name):
            install(call(getattr(os, name), table.CODE.get("os." + name, 0), runtime), name, os, POSIX)


def wrap_posixsubprocess(runtime, module):
    """Wrap fork_exec when its module is imported."""
    install(ForkExec(module.fork_exec, table.CODE["fork_exec"], runtime), "fork_exec", module)


def wrap_subprocess(runtime, module):
    """Popen puts text layers on its pipes by itself: rebuild them so that they count."""
    original = module.Popen.__init__

    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        for name in ("stdin", "stdout", "stderr"):
            stream = getattr(self, name, None)
            if stream is not None:
                setattr(self, name, runtime.streams.adopt(stream))

    module.Popen.__init__ = like(original, __init__)


PATCHES = {"_posixsubprocess": wrap_posixsubprocess, "subprocess": wrap_subprocess}
