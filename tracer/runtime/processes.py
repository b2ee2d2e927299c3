"""Processes: fork, exec, spawn, wait, _exit, and the environment that takes us along into children."""

from __future__ import annotations

import os
from _struct import Struct

from . import table
from .calls import POSIX, Call, as_caller, disguise, first, install, like
from .signals import pid_of

_ACL = "system.posix_acl_access"  # acl(5): the kernel's form is a version, then entries of tag, permissions, id
_VERSION, _ENTRY = Struct("<I"), Struct("<HHI")
_OWNER, _USER, _GROUP, _MASK, _OTHER, _NOBODY = 1, 2, 4, 16, 32, 0xFFFFFFFF
# Where the child's user stands in fork_exec's arguments, by their number: from 3.9 on, from 3.11 on.
_USER_AT = {21: 18, 23: 19}
_OPTIONS_AT = {"wait": None, "waitpid": 1, "wait3": 0, "wait4": 1, "waitid": 2}
_geteuid, _chown = getattr(os, "geteuid", int), getattr(os, "chown", None)


class Fork(Call):
    """os.fork, os.forkpty. The child's log has been begun by the fork hook; its ticket leads to scratch memory."""

    def __call__(self, *args, **kwargs):
        ticket = self.begin(args, kwargs)
        try:
            result = as_caller(self.original, args, kwargs)  # it warns where there are threads
        except BaseException as error:
            self.fail(ticket, error)
            raise
        if isinstance(result, tuple):  # forkpty: the child's streams are a new terminal, the parent has its leader
            if result[0]:
                self.runtime.log.about(ticket, self.runtime.descriptors.terminal(result[1]))
            else:
                self.runtime.descriptors.replaced((0, 1, 2))
        self.leave(ticket, result[0] if isinstance(result, tuple) else result)
        return result


class Starts(Call):
    """A call that starts a program in an environment, by default ours: result = the child's pid.

    `environment`: where in its arguments that stands, by position or by name.
    """

    environment = 2

    def __call__(self, *args, **kwargs):
        place = self.environment
        if len(args) > place:
            args = (*args[:place], self.complete(args[place]), *args[place + 1 :])
        elif "env" in kwargs:
            kwargs["env"] = self.complete(kwargs["env"])
        ticket = self.begin(args, kwargs)
        try:
            result = as_caller(self.original, args, kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.end(ticket, result, args)
        return result

    def end(self, ticket, result, args):
        self.leave(ticket, result)

    def complete(self, environment):
        return self.runtime.environment.complete(environment)


class Exec(Starts):
    """os.execv, os.execve: every other exec of os ends in one of them. Returns only by raising."""


class PosixSpawn(Starts):
    """os.posix_spawn, os.posix_spawnp."""


def _descriptor(args, place):
    """An argument that is a descriptor, or -1."""
    return args[place] if len(args) > place and type(args[place]) is int else -1


class ForkExec(Starts):
    """_posixsubprocess.fork_exec, under subprocess and multiprocessing: fd, size, extra = what the child has for stdin,
    stdout and stderr. A child that is gone before anybody looks was there for these."""

    environment = 5  # its arguments have begun with (args, executables, close_fds, keep, cwd, env) ever since 3.8

    def complete(self, environment):
        return None if environment is None else self.runtime.environment.complete_list(environment)

    def begin(self, args, kwargs):
        place = _USER_AT.get(len(args))
        if place is not None:
            self.runtime.environment.admit(args[place])
        stdin, stdout = (_descriptor(args, at) for at in (6, 9))
        return self.enter(self.op, stdin, 0, 0, 0, stdout, self.here())

    def end(self, ticket, result, args):
        self.leave(ticket, result, _descriptor(args, 11))


class Exit(Call):
    """os._exit: whatever lies in buffers is lost, and the record stays open. os.abort: likewise."""

    def begin(self, args, kwargs):
        status = args[0] if args else kwargs.get("status")
        return self.enter(self.op, -1, 0, 0, 0, status if isinstance(status, int) else table.NONE, self.here())


class Wait(Call):
    """os.wait and its kin: size = pid asked for, -1 for any; result = pid, extra = raw wait status.

    A call that only asks (WNOHANG), as subprocess does in a loop, is an event when it has got something.
    """

    def __call__(self, *args, **kwargs):
        place = _OPTIONS_AT[self.__name__]
        options = args[place] if place is not None and len(args) > place else kwargs.get("options", 0)
        if not isinstance(options, int) or not options & os.WNOHANG:
            return Call.__call__(self, *args, **kwargs)
        result = self.original(*args, **kwargs)
        if result is not None and (result.si_pid if self.__name__ == "waitid" else result[0]):
            self.end(self.begin(args, kwargs, table.NONBLOCKING), result, args)
        return result

    def begin(self, args, kwargs, flags=0):
        pid = -1
        if self.__name__ in ("waitpid", "wait4"):
            pid = first(args, kwargs, "pid")
            pid = pid if isinstance(pid, int) else -1
        elif self.__name__ == "waitid" and len(args) > 1 and isinstance(args[1], int):
            pid = _awaited(*args[:2])
        return self.enter(self.op, -1, 0, 0, 0, pid, self.here(), b"", flags)

    def end(self, ticket, result, args):
        if self.__name__ == "waitid":
            exited = result.si_code == os.CLD_EXITED
            self.leave(ticket, result.si_pid, result.si_status << 8 if exited else result.si_status)
        else:
            self.leave(ticket, result[0], result[1])


def _awaited(kind, number):
    """What waitid was asked for, as waitpid has it: a pid, minus a group, or -1 for any."""
    if kind == os.P_PID:
        return number
    if kind == os.P_PGID and number:
        return -number
    if kind == getattr(os, "P_PIDFD", None):
        return pid_of(number)
    return -1


class Kill(Call):
    """os.kill, os.killpg: size = pid, or minus the group; extra = signal."""

    def begin(self, args, kwargs):
        pid, number = args if len(args) == 2 else (None, None)
        pid = pid if isinstance(pid, int) else table.NONE
        ticket = self.enter(self.op, -1, 0, 0, 0, -pid if self.__name__ == "killpg" else pid, self.here())
        # at once: the signal may end this very process
        self.leave(ticket, extra=int(number) if isinstance(number, int) else table.NONE)
        return ticket

    def end(self, ticket, result, args):
        pass


class System(Call):
    """os.system: the payload is the command, extra = the raw status. Its child is the one that is started within it."""

    def begin(self, args, kwargs):
        command = first(args, kwargs, "command")
        if isinstance(command, str):
            command = command.encode("utf-8", "surrogateescape")
        elif not isinstance(command, bytes):
            command = b""
        return self.enter(self.op, -1, 0, 0, 0, table.NONE, self.here(), command, 0, True)

    def end(self, ticket, result, args):
        self.leave(ticket, extra=result)


class OpenProcess(Call):
    """os.pidfd_open: result = the descriptor, size = the pid."""

    def begin(self, args, kwargs):
        pid = first(args, kwargs, "pid")
        return self.enter(self.op, -1, 0, 0, 0, pid if isinstance(pid, int) else table.NONE, self.here())

    def end(self, ticket, result, args):
        self.runtime.descriptors.gone(result)
        self.leave(ticket, result)


class PutEnvironment(Call):
    """os.putenv: the payload is the variable's name.

    A program that sets PYTHONPATH for its children must not lose us on the way.
    """

    def __call__(self, *args, **kwargs):
        ticket = self.begin(args, kwargs)
        try:
            if len(args) == 2 and _name(args) == b"PYTHONPATH":
                args = args[0], self.runtime.environment.path(args[1])
            result = self.original(*args, **kwargs)
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket)
        return result

    def begin(self, args, kwargs):
        name = _name(args)
        return self.enter(self.op, -1, 0, 0, 0, table.NONE, self.here(), name, 0, True)


class UnsetEnvironment(PutEnvironment):
    """os.unsetenv, likewise: it becomes a putenv where the variable is PYTHONPATH."""

    def __call__(self, *args, **kwargs):
        if len(args) != 1 or _name(args) != b"PYTHONPATH":
            return Call.__call__(self, *args, **kwargs)
        self.leave(self.begin(args, kwargs))
        return self.runtime.environment.restore()


def _name(args):
    """The name of a variable, for os.putenv and os.unsetenv, which take text and bytes; b"" for anything else."""
    name = args[0] if args else b""
    if isinstance(name, str):
        name = name.encode("utf-8", "surrogateescape")
    return name if isinstance(name, bytes) else b""


class ChangeUser(Call):
    """os.setuid and its kin: no event, but the new user's processes must still reach the run's folder."""

    def __call__(self, *args, **kwargs):
        for user in args:
            self.runtime.environment.give(user)
        return self.original(*args, **kwargs)


class Environment:
    """What must be in a child's environment for it to be recorded; the program itself doesn't see it.

    os.environ is cleared of it, the C environment keeps it: so children that inherit the environment have it, and where
    a program gives its child an environment of its own, it is put back.
    """

    def __init__(self, run, live, log):
        self.run, self.live, self.log = run, live, log
        self.folder = os.path.join(live, "inject")
        self.putenv = os.putenv
        self.admitted = set()

    def hide(self):
        """Take our variables out of os.environ, not out of what children inherit."""
        data, encode = os.environ._data, os.environ.encodekey
        data.pop(encode("IPCTRACE_RUN"), None)
        path = os.environ.get("PYTHONPATH", "")
        if path == self.folder:
            data.pop(encode("PYTHONPATH"), None)
        elif path.startswith(self.folder + os.pathsep):
            data[encode("PYTHONPATH")] = os.environ.encodevalue(path[len(self.folder) + 1 :])

    def define(self):
        """Write down what this image was given, with values as far as payloads are kept."""
        longest = None if self.log.full else self.log.payload
        variables = []
        for name, value in os.environ.items():
            if longest != 0:
                value = value[:longest].replace(table.SEPARATOR, " ").replace(table.LIST_SEPARATOR, " ")
                name += "=" + value
            variables.append(name)
        self.log.define(table.ENVIRONMENT, table.LIST_SEPARATOR.join(variables))

    def path(self, value):
        """PYTHONPATH with our folder first; bytes or text, as given; anything else unchanged."""
        if isinstance(value, bytes):
            return os.fsencode(self.path(os.fsdecode(value)))
        if not isinstance(value, str) or value == self.folder or value.startswith(self.folder + os.pathsep):
            return value
        return self.folder + os.pathsep + value if value else self.folder

    def restore(self):
        """The program wants no PYTHONPATH: its children get only ours."""
        return self.putenv("PYTHONPATH", self.folder)

    def complete(self, environment):
        """A copy of a mapping that a program gives its child, with what we need; anything else unchanged."""
        try:
            # taken apart as the calls do it themselves
            completed = dict(zip(environment.keys(), environment.values()))  # noqa: B905
            key = b"PYTHONPATH" if b"PYTHONPATH" in completed else "PYTHONPATH"
            completed[key] = self.path(completed.get(key, ""))
            completed["IPCTRACE_RUN"] = self.run
            return completed
        except Exception:  # not a mapping: the call itself will say so
            return environment

    def complete_list(self, listed):
        """The same for a list of b"NAME=value"."""
        try:
            given = [item[11:] for item in listed if item.startswith(b"PYTHONPATH=")]
            others = [item for item in listed if not item.startswith((b"PYTHONPATH=", b"IPCTRACE_RUN="))]
            path = self.path(given[0] if given else b"")
            return [*others, b"PYTHONPATH=" + path, b"IPCTRACE_RUN=" + os.fsencode(self.run)]
        except Exception:
            return listed

    def admit(self, user):
        """Let a user's processes record themselves, when root is about to become that user or to start one as it.

        The folder is root's alone then. An entry for this user in its access list is the least that opens it: nobody
        else gets in, and with several users each does. The folder is sticky, so nobody can put another runtime there.
        Where the file system has no access lists, these processes are shown as untraced.
        """
        try:
            if type(user) is not int or not 0 < user < _NOBODY or user in self.admitted or _geteuid() != 0:
                return
            self.admitted.add(user)
            _allow(os.path.dirname(self.live), user, 1)
            _allow(self.live, user, 7)
        except (OSError, AttributeError):
            pass

    def give(self, user):
        """This process itself becomes that user, and goes on to open its log by name as the log grows."""
        self.admit(user)
        if user in self.admitted:
            try:
                _chown(self.log.path, user, -1)
            except OSError:
                pass


def _allow(folder, user, permissions):
    """Add a user to the access list of a folder that is its owner's alone."""
    try:
        listed = list(_ENTRY.iter_unpack(os.getxattr(folder, _ACL)[_VERSION.size :]))
    except OSError:
        listed = [(_OWNER, 7, _NOBODY), (_GROUP, 0, _NOBODY), (_OTHER, 0, _NOBODY)]
    entries = [entry for entry in listed if entry[0] != _MASK and entry[::2] != (_USER, user)]
    entries += [(_USER, permissions, user), (_MASK, permissions, _NOBODY)]
    packed = b"".join(_ENTRY.pack(*entry) for entry in sorted(entries))
    os.setxattr(folder, _ACL, _VERSION.pack(2) + packed)


_WRAPPED = (
    (Fork, "fork"), (Fork, "forkpty"), (Exec, "execv"), (Exec, "execve"), (Exit, "_exit"), (Exit, "abort"),
    (Wait, "wait"), (Wait, "waitpid"), (Wait, "wait3"), (Wait, "wait4"), (Wait, "waitid"), (Kill, "kill"),
    (Kill, "killpg"), (System, "system"), (PosixSpawn, "posix_spawn"), (PosixSpawn, "posix_spawnp"),
    (OpenProcess, "pidfd_open"), (PutEnvironment, "putenv"), (UnsetEnvironment, "unsetenv"), (ChangeUser, "setuid"),
    (ChangeUser, "seteuid"), (ChangeUser, "setreuid"), (ChangeUser, "setresuid"),
)  # fmt: skip


def wrap(runtime):
    """Wrap the calls of this module in os."""
    for call, name in _WRAPPED:
        if hasattr(os, name):
            install(call(getattr(os, name), table.CODE.get("os." + name, 0), runtime), name, os, POSIX)
    for environ in (os.environ, os.environb):  # until 3.8 they hold the functions themselves
        for name in ("putenv", "unsetenv"):
            if name in vars(environ):
                setattr(environ, name, getattr(os, name))
    original, reload = os.popen, getattr(os, "reload_environ", None)

    def popen(*args, **kwargs):
        stream = original(*args, **kwargs)
        stream._stream = runtime.streams.adopt(stream._stream)  # a text layer that subprocess knows nothing of
        return stream

    def reload_environ():
        reload()
        runtime.environment.hide()

    os.popen = like(original, disguise(popen, original))
    if reload is not None:
        os.reload_environ = like(reload, reload_environ)


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

    module.Popen.__init__ = like(original, disguise(__init__, original))


PATCHES = {"_posixsubprocess": wrap_posixsubprocess, "subprocess": wrap_subprocess}
