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

import io
import os
import sys

from . import (
    auditing,
    builtin,
    clocks,
    decoders,
    descriptors,
    filelocks,
    files,
    locks,
    options,
    processes,
    signals,
    streams,
    table,
    threads,
    tracebacks,
    tracing,
)
from .addresses import Addresses
from .imports import Imports
from .log import Log
from .objects import Objects
from .sites import Sites

_open = open  # the program's own is wrapped, and a fork's child asks too
# What is wrapped at once has wrap(runtime); what begins anew after a fork has forked(runtime); what is wrapped when
# its module is imported stands in PATCHES, a table of module names and functions(runtime, module). Their order is the
# order in which they are applied.
_PARTS = (
    descriptors,
    files,
    processes,
    builtin,
    threads,
    signals,
    tracebacks,
    decoders,
    locks,
    filelocks,
    tracing,
    auditing,
    options,
    clocks,
)
# The rest is loaded when the program imports one of these modules: the keys of each part's own PATCHES.
LATER = (
    ("conditions", ("threading",)),
    ("queues", ("queue",)),
    ("futures", ("concurrent.futures._base", "concurrent.futures.thread", "concurrent.futures.process")),
    ("readiness", ("select",)),
    ("sockets", ("socket",)),
    ("memory", ("mmap", "multiprocessing.shared_memory")),
    ("multiprocess", (
        "multiprocessing.process", "multiprocessing.connection", "multiprocessing.synchronize",
        "multiprocessing.queues", "multiprocessing.resource_tracker", "multiprocessing.forkserver",
    )),
    ("asynchronous", (
        "asyncio.tasks", "asyncio.base_events", "asyncio.selector_events", "asyncio.streams", "asyncio.locks",
        "asyncio.queues", "asyncio.subprocess", "asyncio.timeouts",
    )),
)  # fmt: skip
SUBSTITUTES = "substitutes"  # sources under trial, in the folder of our modules: remedies.py
later = None  # function(name) → module: inject.py's


class Runtime:
    """The parts, and how they begin in a new image and in the child of a fork."""

    def __init__(self, run):
        payload, settings, folder = run.split(":", 2)
        payload, _, lineage = payload.partition("@")
        self.options = options.parsed(settings)
        full = payload == "full"
        self.gate, make, environment = None, Log, processes.Environment
        if os.path.exists(folder + "/schedule"):  # an enforced or explored run: in no other is the gate even loaded
            self.gate = tracing.unseen(later, "gate").Gate(folder + "/schedule", lineage)
            make, environment = self.gate.log, self.gate.environment
        self.log = make(folder, table.PREFIX if full else int(payload), full)
        self.sites = Sites(self.log)
        self.descriptors = descriptors.Descriptors(self.log)
        self.addresses = Addresses(self.log)
        self.objects = Objects(self.log, self.sites, self.descriptors)
        self.streams = streams.Streams(self)
        self.begun = set()  # the later parts that have begun
        self.environment = environment(run, folder, self.log)
        self.folder = folder

    def begin(self):
        """Begin to record this image."""
        self.environment.hide()
        self.log.begin()
        self.objects.begin()
        self._introduce("start")
        self.descriptors.begin(forked=False)
        patches = self._played()
        self.streams.wrap_standard(self.options["buffering"])
        if "pipe_size" in self.options:
            self.descriptors.resize = tracing.unseen(options.resizer, int(self.options["pipe_size"]))
        for part in _PARTS:
            if hasattr(part, "wrap"):
                part.wrap(self)
            for name, patch in getattr(part, "PATCHES", {}).items():
                patches.setdefault(name, []).append(patch)
        for part, names in LATER:
            for name in names:
                patches.setdefault(name, []).append(self._later(part, name))
        if self.gate is not None:
            self.gate.wrap(self)
            for name, patch in self.gate.PATCHES.items():
                patches.setdefault(name, []).append(patch)
        Imports(self, patches).begin()
        modules = os.path.join(self.environment.folder, "_ipctrace")
        if os.path.exists(os.path.join(modules, SUBSTITUTES)):  # `ipctrace fix` tries a change of a source
            tracing.unseen(later, "remedies").begin(os.path.join(modules, SUBSTITUTES))
        if hasattr(os, "register_at_fork"):
            # The first of all hooks, since we come first. The interpreter keeps it to its end, and so us and our maps.
            os.register_at_fork(after_in_child=self.forked)

    def _played(self):
        """In a replay of one process the calls are answered by a player, beneath all that is wrapped: the patches that
        it needs, by module. In a recording: none."""
        if not os.path.exists(os.path.join(self.folder, "script")):
            return {}
        return later("player").begin(self, self.folder)

    def _later(self, name, wrapped):
        """A patch of a part that is loaded only when it is needed."""

        def patch(runtime, module):
            part = tracing.unseen(later, name)
            if hasattr(part, "wrap") and name not in self.begun:
                self.begun.add(name)
                part.wrap(runtime)
            part.PATCHES[wrapped](runtime, module)

        return patch

    def forked(self):
        """Begin anew in the child of a fork: its own file, its inherited streams, no other thread."""
        self.log.begin()
        if self.gate is not None:
            self.gate.forked()
        self.sites.clear()
        self.addresses.clear()
        self.objects.begin()
        self._introduce("fork")
        self.descriptors.begin(forked=True)
        self.streams.begin()
        for part in _PARTS:
            if hasattr(part, "forked"):
                part.forked(self)

    def _introduce(self, how):
        name = sys.implementation.name
        version = getattr(sys, "pypy_version_info", sys.version_info)
        implementation = "%s %d.%d.%d" % ({"cpython": "CPython", "pypy": "PyPy"}.get(name, name), *version[:3])
        self.log.define(
            table.PROCESS, how, sys.executable or "", implementation, table.LIST_SEPARATOR.join(_command_line()),
            _working_directory(), int(streams.unbuffered()),
            "PYTHONUNBUFFERED=" + os.environ.get("PYTHONUNBUFFERED", ""),
        )  # fmt: skip
        if how == "start":
            self.environment.define()
            self.log.define(table.INTERPRETER, "buffer_size", io.DEFAULT_BUFFER_SIZE)
        self.log.define(table.THREAD, "MainThread", 1)


def _command_line():
    """argv as the system has it; sys.argv isn't set yet as we come."""
    try:
        with _open("/proc/self/cmdline", "rb", 0) as file:
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
