"""The gate: in a run whose live folder holds a schedule, each thread stops at its operations until it may pass.

Loaded only then: a program that is merely recorded never meets it. It has one place, the log, since every wrapped call
enters and leaves there.

Who is who, in this run and in another one
-----------------------------------------
Never by pid. A process is known by its lineage: "0" is the program, "0-2" what its main thread forked or started
second, "0.1-1" the first child of the first thread that its main thread started; "+1" is what else came out of one
start (two programs of one shell). An operation is the n-th call of one kind at one line of the program by one thread:
what else happens in between, a poll more or less, moves no count.

What a thread waits for
-----------------------
Each thread of the plan has a counter in a map that all processes share, and writes only its own: the position, in the
recorded run, of the last step (begin or end of an operation) that it took. An operation's plan names counters and the
positions that they must have reached. That is a vector clock, of which only what comes from outside of the thread is
written down. Waiting is sleeping, a little longer each time: signals are handled as in any sleep, there is no lock that
a fork could copy or a death could keep, and nobody has to be woken.

It never waits for ever. Where nothing at all has moved anywhere for as long as the plan's patience, or whoever is
waited for has ended, the plan doesn't fit: the departure is written down, and that counter is waited for no more.
"""

from __future__ import annotations

import marshal
import os
from _struct import Struct
from _thread import _local, get_ident
from time import monotonic_ns, sleep

from . import gate_chance, gate_locks, gate_names, processes, table
from .calls import like
from .log import Log, ours_raised
from .log import _map as map_file

_COUNTER = Struct("<Q")
_SLOT = 16  # bytes: the counter, then the pid of whoever has it
_HEADER = 16  # bytes before the first slot: when anybody last took a step (ns)
_DONE = 1 << 62  # the position of a thread that takes no more steps
_FIRST, _LONGEST = 0.00005, 0.002  # seconds that a thread sleeps between two looks at a counter
_CHECKED = 50_000_000  # ns after which it is asked whether whoever is waited for still lives
_NOWHERE = ("", "", 0)
# What makes a lineage: os.fork and its kin, os.system, and an exec, after which this process is another program.
_STARTING = frozenset(
    [code for code, _, kind, _ in table.CALLS if kind in ("fork", "exec")] + [table.CODE["os.system"]]
)
_open, _close, _read, _write, _getpid = os.open, os.close, os.read, os.write, os.getpid
_sleep, _SLEEPS = sleep, table.CODE["time.sleep"]


class Thread:
    """A thread at the gate."""

    __slots__ = (
        "asleep", "children", "counts", "killed", "last", "lineage", "operations", "plan", "priority", "slot",
        "threads",
    )  # fmt: skip

    def __init__(self, lineage, slot, plan, last):
        self.lineage, self.slot, self.plan = lineage, slot, plan
        self.last = last  # of one that was killed: its last call, and what came then
        self.killed = None  # that, once the call is made
        self.counts = {}  # operation and place → how often it was there
        self.children = self.threads = self.operations = 0
        self.priority = None
        self.asleep = False  # whether it begins a sleep that it never came out of, as it was recorded


class Gate:
    """One process at the gate. `folder`: where the schedule lies; `lineage`: as our parent gave it to us."""

    def __init__(self, folder, lineage):
        self.folder = folder
        self.plan = marshal.loads(_contents(folder + "/plan"))
        self.patience = int(self.plan["patience"] * 1e9)
        self.threads = self.plan["threads"]  # lineage → (slot, marshaled {(operation, *place): {n: step}}, last)
        self.counters = map_file(folder + "/counters", 0, _HEADER + _SLOT * max(1, self.plan["slots"]))
        self.sites = {0: _NOWHERE}
        self.pending = {}  # slot of a record → (thread, position of its end)
        self.local = _local()
        self.born = {}  # id of a threading.Thread → its lineage, until it runs
        self.claim(lineage or "0")
        self.chance = gate_chance.Chance(self, self.plan["chance"]) if self.plan["chance"] else None
        self.PATCHES = {**gate_locks.PATCHES, "threading": self._wrap_threading}

    def log(self, *args):
        """The log of this process, with the gate in it."""
        return GatedLog(self, *args)

    def environment(self, *args):
        """What children are given, which says who they are."""
        return Environment(self, *args)

    def wrap(self, runtime):
        """Wrap what only matters here."""
        self.runtime = runtime
        gate_names.wrap(runtime)
        if not self.plan["sleep"]:
            _skip_sleeps(self)
        if self.chance:
            self.chance.wrap(runtime)

    def _wrap_threading(self, runtime, module):
        gate_locks.wrap_threading(runtime, module)
        thread = module.Thread
        start, life = thread.start, thread._bootstrap_inner

        def started(this, /, *args, **kwargs):
            parent = self.thread()
            parent.threads += 1
            self.born[id(this)] = "%s.%d" % (parent.lineage, parent.threads)
            return start(this, *args, **kwargs)

        def lived(this):
            self.local.thread = own = self._made(self.born.pop(id(this), "?"))
            try:
                life(this)
            finally:
                self.reach(own.slot, _DONE)

        thread.start, thread._bootstrap_inner = like(start, started), like(life, lived)

    def forked(self):
        """In the child of a fork: its only thread is the one that forked."""
        parent = self.thread()
        self.pending.clear()
        self.born.clear()
        self.local = _local()
        self.claim("%s-%d" % (parent.lineage, parent.children))

    def claim(self, lineage):
        """Become the process of a lineage; where it is another's already, the next one of the same start."""
        number, name = 0, lineage
        while True:
            try:
                _close(_open("%s/%s" % (self.folder, name), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
                break
            except FileExistsError:
                number += 1
                name = "%s+%d" % (lineage, number)
            except OSError:
                break
        self.local.thread = self._made(name)

    def _made(self, lineage):
        slot, plan = self.threads.get(lineage, (-1, b""))
        made = Thread(lineage, slot, *(marshal.loads(plan) if plan else ({}, None)))
        if slot >= 0:
            _COUNTER.pack_into(self.counters, _HEADER + slot * _SLOT + 8, _getpid())
        return made

    def thread(self):
        """The calling thread; one that nobody saw starting has no place in any plan."""
        try:
            return self.local.thread
        except AttributeError:
            made = self.local.thread = self._made("?%d" % get_ident())
            return made

    # The operations

    def begins(self, op, site):
        """An operation is about to begin: wait until it may. Returns its thread and the position of its end.

        What a signal's handler raises meanwhile is the program's, and it is raised where the call stands.
        """
        try:
            return self.passes(op, site)
        except BaseException as error:
            if not ours_raised(error):
                raise
            return None

    def passes(self, op, site):
        thread = self.thread()
        if op in _STARTING:
            thread.children += 1
            self.runtime.environment.inherit(thread)
        place = self.sites.get(site, _NOWHERE)
        key = (op, *place)
        number = thread.counts.get(key, 0)
        thread.counts[key] = number + 1
        _COUNTER.pack_into(self.counters, 0, monotonic_ns())
        if thread.killed:  # what it does now it never came to, and it may be another's
            self.await_step(thread, *thread.killed, key)
        elif thread.last and thread.last[:2] == (key, number):
            thread.killed = thread.last[2]
        steps = thread.plan.get(key)
        step = steps.get(number) if steps else None
        end = 0
        if op == _SLEEPS:
            thread.asleep = step is not None
        if step is not None:
            begin, end, needs = step
            for slot, position in needs:
                self.await_step(thread, slot, position, key)
            self.reach(thread.slot, begin)
        if self.chance:
            self.chance.begins(thread, op)
        return thread, end

    def ends(self, ticket):
        """An operation has ended."""
        try:
            self.left(ticket)
        except BaseException as error:
            if not ours_raised(error):
                raise

    def left(self, ticket):
        found = self.pending.pop(ticket[2], None)
        if found is not None:
            thread, end = found
            if end:
                self.reach(thread.slot, end)
            if self.chance:
                self.chance.ends(thread)
        _COUNTER.pack_into(self.counters, 0, monotonic_ns())

    def reach(self, slot, position):
        """The thread of a slot has come to a position."""
        if slot >= 0:
            at = _HEADER + slot * _SLOT
            if _COUNTER.unpack_from(self.counters, at)[0] < position:
                _COUNTER.pack_into(self.counters, at, position)

    def await_step(self, thread, slot, position, key):
        """Wait until another thread has come to a position, or it shows that it won't."""
        counters, at, pause = self.counters, _HEADER + slot * _SLOT, _FIRST
        begun = checked = monotonic_ns()
        while _COUNTER.unpack_from(counters, at)[0] < position:
            _sleep(pause)
            pause = min(pause * 1.5, _LONGEST)
            now = monotonic_ns()
            if now - max(begun, _COUNTER.unpack_from(counters, 0)[0]) > self.patience:
                self.depart(thread, slot, position, key, "late")
            elif now - checked > _CHECKED:
                checked = now
                pid = _COUNTER.unpack_from(counters, at + 8)[0]
                # it may have come there as its last step, since we looked
                if pid and not _lives(pid) and _COUNTER.unpack_from(counters, at)[0] < position:
                    self.depart(thread, slot, position, key, "ended")

    def depart(self, thread, slot, position, key, why):
        """The run doesn't do what the record says: write down where, and wait for that thread no more."""
        if self.plan["told"]:
            fields = (why, thread.lineage, key[0], *key[1:], slot, position, monotonic_ns())
            line = table.SEPARATOR.join([str(field) for field in fields]) + "\n"
            try:
                file = _open(self.folder + "/departures", os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
                try:
                    _write(file, line.encode("utf-8", "surrogateescape"))
                finally:
                    _close(file)
            except OSError:
                pass
        self.reach(slot, _DONE)


class GatedLog(Log):
    """The log of a process, with the gate in it: an operation is recorded once it may begin."""

    def __init__(self, gate, *args):
        super().__init__(*args)
        self.gate = gate

    def begin(self):
        self.gate.sites = {0: _NOWHERE}
        super().begin()

    def enter(self, op, fd, channel, stream, offset, size, site, data=b"", flags=0, whole=False, thread=0):
        if thread or op in _UNHELD:  # a task: its loop's thread must not stand still for it
            return super().enter(op, fd, channel, stream, offset, size, site, data, flags, whole, thread)
        passed = self.gate.begins(op, site)
        ticket = super().enter(op, fd, channel, stream, offset, size, site, data, flags, whole, thread)
        self.gate.pending[ticket[2]] = passed
        return ticket

    def leave(self, ticket, *args, **kwargs):
        super().leave(ticket, *args, **kwargs)
        self.gate.ends(ticket)

    def got(self, ticket, *args, **kwargs):
        super().got(ticket, *args, **kwargs)
        self.gate.ends(ticket)

    def fail(self, ticket, *args, **kwargs):
        super().fail(ticket, *args, **kwargs)
        self.gate.ends(ticket)

    def instant(self, op, channel, size, site, result=table.NONE):
        passed = self.gate.begins(op, site)
        ticket = super().instant(op, channel, size, site, result)
        self.gate.pending[ticket[2]] = passed
        self.gate.ends(ticket)
        return ticket

    def define(self, op, *fields, **where):
        if op == table.SITE:
            self.gate.sites[where["site"]] = fields[:3]
        super().define(op, *fields, **where)


# Calls that last, with others inside: nobody waits to begin one of them
_UNHELD = frozenset(
    code for code, name, kind, _ in table.CALLS if kind in ("thread", "task", "signal") or name == "work"
)


class Environment(processes.Environment):
    """What is in a child's environment also says who the child is."""

    def __init__(self, gate, run, live, log):
        self.gate = gate
        payload, self.rest = run.split(":", 1)
        self.payload = payload.partition("@")[0]
        super().__init__(run, live, log)

    def named(self, thread, number):
        return "%s@%s-%d:%s" % (self.payload, thread.lineage, number, self.rest)

    @property
    def run(self):
        """For the child that the calling thread starts next."""
        thread = self.gate.thread()
        return self.named(thread, thread.children + 1)

    @run.setter
    def run(self, given):
        pass

    def inherit(self, thread):
        """For the child that the calling thread starts now, and that inherits our environment."""
        self.putenv("IPCTRACE_RUN", self.named(thread, thread.children))


def _skip_sleeps(gate):
    import time as module

    sleeping = module.sleep
    original = sleeping.original

    def skipped(*args, **kwargs):
        if len(args) == 1 and not kwargs and type(args[0]) in (int, float) and args[0] > 0 and not gate.thread().asleep:
            args = (0,)
        return original(*args, **kwargs)

    sleeping.original = skipped


def _contents(path):
    file = _open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while True:
            part = _read(file, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        _close(file)


def _lives(pid):
    """Whether a process can still take a step: there is one, and it isn't only waiting to be waited for."""
    try:
        return _contents("/proc/%d/stat" % pid).rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return not _proc


_proc = os.path.exists("/proc/self")
