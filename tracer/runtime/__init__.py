"""The in-target runtime: records what the program does, from inside, and changes nothing that it can see.

Laws
----
1. Standard library only; nothing is imported that start-up hasn't imported already, but for mmap and struct.
2. No threads, locks or exit hooks of its own.
3. Never raises into the program; what can't be recorded is counted as lost.
4. Wrapped calls aren't descriptors (calls.py); the program's descriptor numbers stay as they are (log.py); its
   environment, sys.path and tracebacks look as they look untraced (processes.py, inject.py, tracebacks.py).

It runs from a copy in the run's own folder under the name `_ipctrace`, on CPython 3.8 and up and on PyPy, in whatever
environment the program has: it is never imported as part of ipctrace there.
"""

from __future__ import annotations

import os
import sys

from . import builtin, descriptors, processes, streams, table, threads, tracebacks
from .imports import Finder
from .log import Log
from .sites import Sites


class Runtime:
    """The parts, and how they begin in a new image and in the child of a fork."""

    def __init__(self, run):
        payload, self.buffering, folder = run.split(":", 2)
        full = payload == "full"
        self.log = Log(folder, table.PREFIX if full else int(payload), full)
        self.sites = Sites(self.log)
        self.descriptors = descriptors.Descriptors(self.log)
        self.streams = streams.Streams(self)
        self.environment = processes.Environment(run, os.path.join(folder, "inject"))

    def begin(self):
        """Begin to record this image."""
        self.environment.hide()
        self.log.begin()
        self._introduce("start")
        self.descriptors.begin(forked=False)
        self.streams.wrap_standard(self.buffering)
        for part in (descriptors, processes, builtin, threads):
            part.wrap(self)
        tracebacks.wrap(self)
        Finder({
            "signal": lambda module: threads.wrap_signal(self, module),
            "_posixsubprocess": lambda module: processes.wrap_posixsubprocess(self, module),
            "subprocess": lambda module: processes.wrap_subprocess(self, module),
            "threading": self._wrap_threading,
            "traceback": lambda module: tracebacks.wrap_traceback(self, module),
        }).begin()  # fmt: skip
        if hasattr(os, "register_at_fork"):
            # The first of all hooks, since we come first. The interpreter keeps it to its end, and so us and our maps.
            os.register_at_fork(after_in_child=self.forked)

    def forked(self):
        """Begin anew in the child of a fork: its own file, its inherited streams, no other thread."""
        self.log.begin()
        self.sites.clear()
        self._introduce("fork")
        self.descriptors.begin(forked=True)
        self.streams.begin()

    def _wrap_threading(self, module):
        threads.wrap_threading(self, module)
        tracebacks.wrap_threading(module)

    def _introduce(self, how):
        name = sys.implementation.name
        version = getattr(sys, "pypy_version_info", sys.version_info)
        implementation = "%s %d.%d.%d" % ({"cpython": "CPython", "pypy": "PyPy"}.get(name, name), *version[:3])
        self.log.define(
            table.PROCESS, how, sys.executable or "", implementation, table.LIST_SEPARATOR.join(_command_line()),
            _working_directory(), int(streams.unbuffered()),
            "PYTHONUNBUFFERED=" + os.environ.get("PYTHONUNBUFFERED", ""),
        )  # fmt: skip
        self.log.define(table.THREAD, "MainThread", 1)


def _command_line():
    """argv as the system has it; sys.argv isn't set yet as we come."""
    try:
        with open("/proc/self/cmdline", "rb", 0) as file:
            return [os.fsdecode(part) for part in file.read().split(b"\0")[:-1]]
    except OSError:
        return list(getattr(sys, "orig_argv", ()))


def _working_directory():
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""


def start(run):
    """Record this process into the run that `run` (the value of IPCTRACE_RUN) describes."""
    Runtime(run).begin()
