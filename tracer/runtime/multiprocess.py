"""multiprocessing: its processes, connections, queues and locks.

What is recorded is what the program used: a queue's put and get, not the two locks, the semaphore and the connection
that it is made of. Those inner ones are taken out as they are made (`hide`), so nothing has to be asked at each call.
What is left inside tells what a blocked process really waits for:

* Lock, RLock, Semaphore: the acquire itself. The system doesn't know who holds one: each acquire and release counts.
* Condition, Event, Barrier, JoinableQueue.join: their own wait. Only the lock that the program shares with a Condition
  is recorded within, since a wait gives it back and takes it again.
* Connection: a message around the os.read and os.write of its bytes, which is where it waits.
* Queue.get: os.read of the queue's pipe, or the get itself while another reader has its turn. Queue.put: the put itself
  while the queue is full. The feeder thread: os.write of the queue's pipe, within `multiprocessing.Queue.feed`.
* SimpleQueue, as Pool has it: its connection's messages, within put and get, since Pool also uses these directly.

One object has one channel in every process: its name is that of a semaphore of it, which is pickled to a spawned child.
Under fork semaphores have no names; there the identity itself is inherited, with a name of ours.

Value and Array are ctypes objects in shared memory: what their locks do is recorded, what is stored isn't seen.
"""

from __future__ import annotations

import os
import sys

from . import table
from .calls import first, like, method
from .objects import Identity
from .threads import nanoseconds

_NONE = table.NONE
_ACQUIRE, _RELEASE = table.CODE["multiprocessing.Lock.acquire"], table.CODE["multiprocessing.Lock.release"]
_SEND, _RECEIVE = table.CODE["Connection.send"], table.CODE["Connection.recv"]
_FEED = table.CODE["multiprocessing.Queue.feed"]


def limits(block=True, timeout=None):
    """(flags, nanoseconds) of a wait that was asked for with these arguments; by default it has no limit."""
    if not block:
        return table.NONBLOCKING, 0
    if timeout is None:
        return 0, _NONE
    try:
        return (table.TIMED, nanoseconds(timeout)) if timeout > 0 else (table.NONBLOCKING, 0)
    except TypeError:
        return 0, _NONE


def _limits(args, kwargs):
    try:
        return limits(*args, **kwargs)
    except TypeError:  # wrong arguments: the call itself will say so
        return 0, _NONE


# --- locks, and what is built on them


def wrap_synchronize(runtime, module):
    """Locks are recorded by functions on each lock, where CPython puts the methods of the semaphore itself."""
    objects, mark = runtime.objects, runtime.sites.mark
    semaphore = module.SemLock
    make = semaphore._make_methods
    recorded = _methods(runtime)

    def _make_methods(self):
        make(self)
        kind = "rlock" if isinstance(self, module.RLock) else "lock" if isinstance(self, module.Lock) else "semaphore"
        self._ipctrace = identity = Identity(objects, kind, mark(), path=self._semlock.name or "")
        if not identity.path:
            identity.path = "unnamed-%d-%d" % (identity.origin, identity.serial)
        self.acquire, self.release = recorded(self._semlock, identity)

    initialise = semaphore.__init__

    def __init__(self, kind, value, *args, **kwargs):
        initialise(self, kind, value, *args, **kwargs)
        if self._ipctrace.kind == "semaphore":
            self._ipctrace.capacity = value

    getstate, setstate = semaphore.__getstate__, semaphore.__setstate__

    def __getstate__(self):
        state = getstate(self)
        if getattr(self, "_ipctrace", None) is not None and self._ipctrace.kind:
            objects.number(self._ipctrace)  # its maker alone knows where it was made, and how many places it has
        return state

    def __setstate__(self, state):
        setstate(self, state)
        self._ipctrace.site = ()

    # In the C code these go to the semaphore itself.
    def __enter__(self):
        return self.acquire()

    def __exit__(self, *args):
        return self.release()

    for function in (_make_methods, __init__, __getstate__, __setstate__, __enter__, __exit__):
        setattr(semaphore, function.__name__, like(getattr(semaphore, function.__name__), function))
    _wrap_condition(runtime, module.Condition)
    _wrap_event(runtime, module.Event)
    _wrap_barrier(runtime, module.Barrier)


def _methods(runtime):
    """The maker of a lock's `acquire` and `release`."""
    enter, leave, fail, here = runtime.log.enter, runtime.log.leave, runtime.log.fail, runtime.sites.here
    instant, objects, number = runtime.log.instant, runtime.objects, runtime.objects.number
    gated = runtime.gate is not None  # a gate holds whoever is to be held before the call, not after it

    def recorded(semaphore, identity):
        take, give = semaphore.acquire, semaphore.release

        def acquire(*args, **kwargs):
            channel = identity.number if identity.epoch == objects.epoch else number(identity)
            if args or kwargs:
                flags, limit = _limits(args, kwargs)
            elif not gated and take(False):  # free: as the C code tries first, too
                instant(_ACQUIRE, channel, _NONE, here(), 1)
                return True
            else:
                flags, limit = 0, _NONE
            ticket = enter(_ACQUIRE, -1, channel, 0, 0, limit, here(), b"", flags)
            try:
                got = take(*args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket, got)
            return got

        def release(*args, **kwargs):
            channel = identity.number if identity.epoch == objects.epoch else number(identity)
            ticket = instant(_RELEASE, channel, _NONE, here())  # before the call: before anybody else can take it
            try:
                give(*args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise

        return like(take, acquire), like(give, release)

    return recorded


def hide(lock, kind="", capacity=_NONE):
    """Take an inner lock out of the record. Returns the identity of what it is inside of: `kind`, named as the lock is.

    None for a lock that isn't one of ours to tell of.
    """
    identity = getattr(lock, "_ipctrace", None)
    if identity is None or identity.kind == kind:
        return identity
    lock.acquire, lock.release = lock._semlock.acquire, lock._semlock.release
    identity.kind, identity.capacity = kind, capacity
    return identity


def _hide_condition(condition):
    """The same for a Condition with the lock that it made itself; its waits aren't recorded either."""
    hide(condition._lock)
    condition.acquire, condition.release = condition._lock.acquire, condition._lock.release
    identity, condition._wait_semaphore._ipctrace = condition._wait_semaphore._ipctrace, None
    return identity


def _after(owner, names, function):
    """Call `function` with each object of a class after it was made or unpickled."""
    for name in names:
        if name in vars(owner):
            original = getattr(owner, name)

            def completed(self, *args, _original=original, **kwargs):
                result = _original(self, *args, **kwargs)
                function(self)
                return result

            setattr(owner, name, like(original, completed))


def _waiting(runtime, code, identity_of):
    """`begin` of a wait whose only argument is a time-out, on what `identity_of` finds in an object."""
    enter, here, number = runtime.log.enter, runtime.sites.here, runtime.objects.number

    def begin(self, args, kwargs):
        identity = identity_of(self)
        if identity is None:
            return None
        flags, limit = _limits((True, *args), kwargs)
        return enter(code, -1, number(identity), 0, 0, limit, here(), b"", flags)

    return begin


def _telling(runtime, code, identity_of, size=lambda args, kwargs: _NONE):
    """`begin` of a call that waits for nobody."""
    enter, here, number = runtime.log.enter, runtime.sites.here, runtime.objects.number

    def begin(self, args, kwargs):
        identity = identity_of(self)
        if identity is None:
            return None
        return enter(code, -1, number(identity), 0, 0, size(args, kwargs), here())

    return begin


def _with_result(runtime):
    """`end` of a call that returns a number or a truth."""
    leave = runtime.log.leave

    def end(ticket, self, result, args, kwargs):
        leave(ticket, result if isinstance(result, int) else _NONE)

    return end


def _sleepers(args, kwargs):
    """How many a notify wakes."""
    number = args[0] if args else kwargs.get("n", 1)
    return number if isinstance(number, int) and number < sys.maxsize else _NONE


def _wrap_condition(runtime, condition):
    def made(self):
        hide(self._sleeping_count)
        hide(self._woken_count)
        hide(self._wait_semaphore, "condition")

    def identity_of(self):
        return self._wait_semaphore._ipctrace

    _after(condition, ["_make_methods"], made)
    wait, notify = table.CODE["multiprocessing.Condition.wait"], table.CODE["multiprocessing.Condition.notify"]
    method(runtime, condition, "wait", _waiting(runtime, wait, identity_of), _with_result(runtime))
    method(runtime, condition, "notify", _telling(runtime, notify, identity_of, _sleepers))


def _wrap_event(runtime, event):
    def made(self):
        hide(self._flag, "event")
        _hide_condition(self._cond)

    def __setstate__(self, state):
        self.__dict__.update(state)
        made(self)

    def identity_of(self):
        return self._flag._ipctrace

    _after(event, ["__init__"], made)
    if "__setstate__" not in vars(event):
        event.__setstate__ = __setstate__
    wait, told = table.CODE["multiprocessing.Event.wait"], table.CODE["multiprocessing.Event.set"]
    method(runtime, event, "wait", _waiting(runtime, wait, identity_of), _with_result(runtime))
    method(runtime, event, "set", _telling(runtime, told, identity_of))


def _wrap_barrier(runtime, barrier):
    """A Barrier inherits threading.Barrier's methods, where it would pass for an object of this process alone."""

    def made(self):
        self._ipctrace = identity = _hide_condition(self._cond)
        if identity is not None:
            identity.kind, identity.capacity = "barrier", self._parties

    def identity_of(self):
        return self._ipctrace

    def begin(self, args, kwargs):
        timeout = first(args, kwargs, "timeout")
        return waiting(self, (self._timeout if timeout is None else timeout,), {})

    _after(barrier, ["__setstate__"], made)
    waiting = _waiting(runtime, table.CODE["Barrier.wait"], identity_of)
    for name in ("wait", "reset", "abort"):
        original = getattr(barrier, name)
        while hasattr(original, "__wrapped__"):
            original = original.__wrapped__
        setattr(barrier, name, original)
    method(runtime, barrier, "wait", begin, _with_result(runtime))
    for name in ("reset", "abort"):
        method(runtime, barrier, name, _telling(runtime, table.CODE["Barrier.abort"], identity_of))


# --- connections


def wrap_connection(runtime, module):
    """A whole message, around the bytes: below send and send_bytes, recv, recv_bytes and recv_bytes_into."""
    connection = module.Connection
    _rebind(connection)
    enter, leave, fail, here = runtime.log.enter, runtime.log.leave, runtime.log.fail, runtime.sites.here
    known, channel_of, number = runtime.descriptors.known, runtime.descriptors.channel_of, runtime.objects.number
    send, receive = connection._send_bytes, connection._recv_bytes
    connection._ipctrace = None  # the identity of the Queue that a connection is inside of

    def _send_bytes(self, buf):
        queue, fd, size = self._ipctrace, self._handle, len(buf)
        if queue is None:
            ticket = enter(_SEND, fd, known.get(fd) or channel_of(fd), 0, 0, size, here())
        else:
            ticket = enter(_FEED, -1, number(queue), 0, 0, size, here())
        try:
            send(self, buf)
        except BaseException as error:
            fail(ticket, error)
            raise
        leave(ticket)

    def _recv_bytes(self, maxsize=None):
        if self._ipctrace is not None:
            return receive(self, maxsize)
        fd = self._handle
        ticket = enter(_RECEIVE, fd, known.get(fd) or channel_of(fd), 0, 0, _NONE, here())
        try:
            message = receive(self, maxsize)
        except BaseException as error:
            fail(ticket, error)
            raise
        leave(ticket, _NONE if message is None else message.tell())  # None: longer than allowed, and not read
        return message

    connection._send_bytes, connection._recv_bytes = like(send, _send_bytes), like(receive, _recv_bytes)


def _rebind(connection):
    """Its functions hold os.read, os.write, os.close as default arguments since it was imported: perhaps before us."""
    ours = {getattr(os, name).__wrapped__: getattr(os, name) for name in ("read", "write", "close")}
    for name, value in list(vars(connection).items()):
        defaults = getattr(value, "__defaults__", None)
        if defaults:
            value.__defaults__ = tuple(ours.get(default, default) for default in defaults)
        elif name in ("_read", "_write"):
            setattr(connection, name, ours.get(value, value))


# --- queues


def wrap_queues(runtime, module):
    """Queue, JoinableQueue, SimpleQueue. Of a Queue the bytes are written by its feeder thread."""
    enter, here, number = runtime.log.enter, runtime.sites.here, runtime.objects.number
    gated, recorded = runtime.gate is not None, _methods(runtime)

    def hide_turn(lock, kind=""):
        """Take the lock out by which getters, or putters, come one after the other. At the gate it is an object of its
        own: Pool takes a queue's directly, and keeps it, so that whoever comes too late for it never gets anything."""
        identity = hide(lock, kind)
        if gated and identity is not None:
            own = Identity(runtime.objects, "lock", identity.site, path=identity.path + "-turn")
            lock.acquire, lock.release = recorded(lock._semlock, own)
        return identity

    def made(self):
        unlimited = self._maxsize >= getattr(sys.modules.get("multiprocessing.synchronize"), "SEM_VALUE_MAX", 0)
        identity = hide(self._sem, "queue", _NONE if unlimited else self._maxsize)
        hide_turn(self._rlock)
        if self._wlock is not None:
            (hide_turn if gated else tell_of_waits)(self._wlock)
        self._reader._ipctrace = self._writer._ipctrace = identity
        made_again(self)

    def made_again(self):
        self._notempty._ipctrace_queue = getattr(self._reader, "_ipctrace", None)

    def tell_of_waits(lock):
        """Several processes' feeders write one after the other: only that one waits for its turn is recorded."""
        take, identity = lock._semlock.acquire, hide(lock)
        if identity is None:
            return

        def acquire(*args, **kwargs):
            if args or kwargs:
                return take(*args, **kwargs)
            if take(False):
                return True
            identity.kind = "lock"
            ticket = enter(_ACQUIRE, -1, number(identity), 0, 0, _NONE, here())
            try:
                got = take()
            except BaseException as error:
                runtime.log.fail(ticket, error)
                raise
            runtime.log.leave(ticket, got)
            return got

        lock.acquire = like(take, acquire)

    def made_joinable(self):
        hide(self._unfinished_tasks)
        _hide_condition(self._cond)

    def made_simple(self):
        identity = hide_turn(self._rlock, "queue")
        if self._wlock is not None:
            hide_turn(self._wlock)
        return identity

    def identity_of(self):
        return self._reader._ipctrace

    def simple_identity_of(self):
        return getattr(self._rlock, "_ipctrace", None)

    def moving(name, identity_of, skipped):
        code = table.CODE["multiprocessing.Queue." + name]

        def begin(self, args, kwargs):
            identity = identity_of(self)
            if identity is None:
                return None
            flags, limit = 0, _NONE
            if len(args) > skipped or kwargs:
                given = {key: value for key, value in kwargs.items() if key != "obj"}
                flags, limit = _limits(args[skipped:], given)
            return enter(code, -1, number(identity), 0, 0, limit, here(), b"", flags)

        return begin

    states = ("__init__", "__setstate__")
    queue, joinable, simple = module.Queue, module.JoinableQueue, module.SimpleQueue
    for owner, function in ((queue, made), (joinable, made_joinable), (simple, made_simple)):
        _after(owner, states, function)
    _after(queue, ("_after_fork",), made_again)
    for owner in (queue, joinable):
        method(runtime, owner, "put", moving("put", identity_of, 1))
    method(runtime, queue, "get", moving("get", identity_of, 0))
    method(runtime, simple, "put", moving("put", simple_identity_of, 1))
    method(runtime, simple, "get", moving("get", simple_identity_of, 0))
    codes = {name: table.CODE["multiprocessing.Queue." + name] for name in ("join", "task_done", "join_thread")}
    method(runtime, joinable, "join", _waiting(runtime, codes["join"], identity_of))
    method(runtime, joinable, "task_done", _telling(runtime, codes["task_done"], identity_of))

    def join_thread(self, args, kwargs):
        identity = identity_of(self)
        if identity is None or not self._jointhread:
            return None
        feeder = getattr(self._thread, "native_id", None) or 0
        return enter(codes["join_thread"], -1, number(identity), 0, 0, feeder, here())

    method(runtime, queue, "join_thread", join_thread)


# --- processes


def wrap_process(runtime, module):
    """Process.start and join, and the name that a child has."""
    log, here = runtime.log, runtime.sites.here
    enter, leave = log.enter, log.leave
    process = module.BaseProcess
    start_code, join_code = table.CODE["Process.start"], table.CODE["Process.join"]

    def start(self, args, kwargs):
        return enter(start_code, -1, 0, 0, 0, 0, here())

    def started(ticket, self, result, args, kwargs):
        leave(ticket, getattr(self._popen, "pid", _NONE))

    def join(self, args, kwargs):
        flags, _ = _limits((True, *args), kwargs)
        return enter(join_code, -1, 0, 0, 0, getattr(self._popen, "pid", _NONE), here(), b"", flags)

    def joined(ticket, self, result, args, kwargs):
        status = getattr(self._popen, "returncode", None)
        if status is None:  # the time is over, the child isn't
            leave(ticket)
        else:
            leave(ticket, self._popen.pid, status << 8 if status >= 0 else -status)

    def bootstrap(self, args, kwargs):
        log.define(table.NAME, self._name)

    method(runtime, process, "start", start, started)
    method(runtime, process, "join", join, joined)
    method(runtime, process, "_bootstrap", bootstrap)  # which every start method comes to, in the child


def _named(name):
    """The processes that multiprocessing starts for itself run a `main`: so they are known by name."""

    def patch(runtime, module):
        main = module.main

        def named(*args, **kwargs):
            runtime.log.define(table.NAME, name)
            return main(*args, **kwargs)

        module.main = like(main, named)

    return patch


PATCHES = {
    "multiprocessing.process": wrap_process,
    "multiprocessing.connection": wrap_connection,
    "multiprocessing.synchronize": wrap_synchronize,
    "multiprocessing.queues": wrap_queues,
    "multiprocessing.resource_tracker": _named("resource_tracker"),
    "multiprocessing.forkserver": _named("forkserver"),
}
