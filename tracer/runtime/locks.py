"""Locks: threading.Lock, RLock, and the locks of imports.

Laws
----
1. An acquire that gets its lock at once writes nothing. It leaves in the lock who did it, when and where, so that a
   thread that has to wait later can tell it on the owner's behalf.
2. Told are: an acquire that waits, with the owner's; what a thread acquires past others that wait; and the first time
   that a thread takes one lock inside another at a place, both. A holding that was told has its release told.
3. A signal's handler may raise anywhere. As with C's locks, `with lock:` then either has the lock and releases it, or
   hasn't: see `unstruck` and `_Lock.__getitem__`.
4. A lock that the standard library made for itself (in an Event, a Queue, a logging handler) is held for a moment and
   then told of only if somebody waits longer than `_MOMENT` for it.
"""

from __future__ import annotations

import _thread
import sys
from _thread import get_ident
from sys import _getframe
from time import monotonic_ns

from . import table
from .calls import Call, like
from .log import ours_raised
from .objects import Identity
from .sites import LIBRARY, RUNTIME
from .threads import nanoseconds

_CODE, _NONE = table.CODE, table.NONE
_TIMED, _GHOST = table.TIMED, table.GHOST
_MOMENT = 0.005  # seconds
_DEEPEST = 16  # locks that a thread holds at a time, as far as their order is told
_MOST = 10_000  # of anything that is remembered by the id of an object
_allocate, _RLock = _thread.allocate_lock, _thread.RLock


# There, nothing runs between an instruction that calls a special method and the next one. Elsewhere a signal's handler
# may run between any two, and the answer has to be put into a list in C.
_CERTAIN = sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
_NOT_BLOCKING = (False,)


def unstruck(function):
    """`function`, such that no signal's handler runs between the call of it and its first call of another.

    From CPython 3.11 on the instruction RESUME looks for signals as a function begins, unless it resumes a `yield
    from`, which its argument says. Before that, nothing looks if the function begins with a `try`.
    """
    code = function.__code__
    if _CERTAIN:
        words, resume = bytearray(code.co_code), (lambda: None).__code__.co_code[0]
        for at in range(0, len(words), 2):
            if words[at] == resume:
                words[at + 1] = 2
                function.__code__ = code.replace(co_code=bytes(words))
                break
    return function


class Holder:
    """A thread, as the holder of locks. `held`: the last one that it acquired; the rest hang on that one."""

    __slots__ = ("epoch", "held", "tid")

    def __init__(self):
        self.held = None


class Ledger:
    """Tells of locks what has to be told."""

    def __init__(self, runtime):
        self.log, self.sites, self.objects = runtime.log, runtime.sites, runtime.objects
        self.holders = {}  # by thread ident, which a fork's child keeps
        self.since = 0  # when this process was forked
        self.orders = set()  # nestings that have been told
        self.strange = {}  # identities of objects whose lock isn't ours, by id
        self.transparent = set()  # ids of code that makes or takes a lock on behalf of its caller

    def forked(self):
        """In the child of a fork only the thread that forked lives on, and what it holds it still holds."""
        holder = self.holders.get(get_ident())
        self.holders = {}
        self.orders = set()
        self.since = monotonic_ns()
        if holder is not None:
            self.introduce(holder)

    def introduce(self, holder=None):
        """The holder that the calling thread is, from now on in log.local."""
        holder = holder or Holder()
        holder.tid, holder.epoch = self.log.thread(), self.objects.epoch
        self.log.local.holder = self.holders[get_ident()] = holder
        return holder

    def holder(self):
        """The holder that the calling thread is."""
        try:
            return self.log.local.holder
        except AttributeError:
            return self.introduce()

    def tid_of(self, ident, threading=None):
        """The system's id of a thread; 0 if it isn't known."""
        holder = self.holders.get(ident)
        if holder is not None:
            return holder.tid
        return getattr(getattr(threading, "_active", {}).get(ident), "native_id", 0) or 0

    def made(self, lock):
        """A lock is new: where it was made, and whether the standard library made it for itself."""
        lock.owner = lock.outer = lock.code = lock.waiters = lock.others = None
        lock.depth = lock.told = lock.instruction = lock.time = 0
        lock.internal = False
        lock.identity = ()
        try:
            frame, codes, transparent = _getframe(2), self.sites.codes, self.transparent
            makes = True  # the next frame that isn't transparent does
            while frame is not None:
                code = frame.f_code
                known = codes.get(id(code))
                if known is None:
                    known = self.sites.whose(code)
                if type(known) is dict:
                    lock.identity = code, frame.f_lasti
                    break
                if makes and known is not RUNTIME and id(code) not in transparent:
                    makes, lock.internal = False, known is LIBRARY
                frame = frame.f_back
        except BaseException as error:
            if not ours_raised(error):  # ours: no Python code made it
                raise

    def number(self, lock, kind):
        """The channel of a lock."""
        identity = lock.identity
        if type(identity) is tuple:
            identity = lock.identity = Identity(self.objects, kind, identity)
        return self.objects.number(identity)

    def identify(self, thing, lock, kind, capacity=_NONE, path=""):
        """The identity of an object that is built on a lock.

        It hangs on the lock: an attribute of the object's own would be seen in vars(), copies and pickles, and a table
        of weak keys would run its __hash__ and __eq__. By id, since two conditions may share a lock.
        """
        others = getattr(lock, "others", self.strange)
        if others is None:
            others = lock.others = {}
        identity = others.get(id(thing))
        if identity is None or identity.kind != kind:
            if len(others) >= _MOST:
                others.clear()
            identity = others[id(thing)] = Identity(self.objects, kind, _made_at(lock), capacity, path)
        return identity

    def number_of(self, thing, lock, kind, capacity=_NONE, path=""):
        """The channel of an object that is built on a lock."""
        return self.objects.number(self.identify(thing, lock, kind, capacity, path))

    def tell(self, lock):
        """Record that a lock was acquired, on its owner's behalf and once; returns the owner's thread, 0: unknown."""
        owner, code, instruction, time = lock.owner, lock.code, lock.instruction, lock.time
        if owner is None:
            return 0
        epoch = self.objects.epoch
        if lock.told != epoch and lock.owner is owner:
            lock.told = epoch
            number = self.number(lock, lock.kind)
            site = self.sites.at(code, instruction) if code is not None else 0
            flags = 0 if owner.epoch == epoch else _GHOST
            if not flags and time < self.since:
                time = self.since  # this process wasn't there yet
            self.log.past(lock.acquiring, owner.tid, time, number, site, flags=flags)
        return owner.tid

    def note(self, lock, holder):
        """A thread got a lock at once that others wait for, or while it holds others."""
        waiters, outer = lock.waiters, holder.held
        if waiters:
            epoch = self.objects.epoch
            for waiter in list(waiters):
                if waiter.epoch != epoch:
                    waiters.pop(waiter, None)  # a thread that a fork's child doesn't have
            if waiters:
                self.tell(lock)
        depth = 0  # a bound on the walk: locks that are released in another order may hang on each other in a circle
        while outer is not None and outer.owner is not holder and depth < _DEEPEST:
            outer, depth = outer.outer, depth + 1
        if outer is None or outer is lock:
            return
        below = outer
        while below is not None and depth < _DEEPEST:
            below, depth = below.outer, depth + 1
        if depth == _DEEPEST:
            return
        lock.outer = outer
        self.number(outer, outer.kind), self.number(lock, lock.kind)
        key = (holder.tid, outer.identity.serial, lock.identity.serial, id(lock.code), lock.instruction)
        if key not in self.orders and len(self.orders) < _MOST:
            self.orders.add(key)
            self.tell(outer)
            self.tell(lock)

    def took(self, lock, holder, told):
        """A thread has got a lock otherwise than at once."""
        try:
            spot = self.sites.mark()
            lock.code, lock.instruction = spot[:2] if spot else (None, 0)
            lock.time = monotonic_ns()
            lock.told = self.objects.epoch if told else 0
            lock.outer, lock.depth, lock.owner = None, 1, holder
            if not lock.internal:
                if holder.held is not None:
                    self.note(lock, holder)
                holder.held = lock
        except BaseException as error:
            if not ours_raised(error):
                raise

    def awaits(self, lock, holder, timeout):
        """Record that a thread begins to wait for a lock; returns the ticket."""
        owner = self.tell(lock)
        if lock.waiters is None:
            lock.waiters = {}
        lock.waiters[holder] = True
        size, flags = (_NONE, 0) if timeout is None else (nanoseconds(timeout), _TIMED)
        number = self.number(lock, lock.kind)
        return self.log.enter(lock.acquiring, -1, number, 0, owner, size, self.sites.here(), flags=flags)

    def wait(self, lock, timeout=None):
        """Acquire a lock that somebody has, for `timeout` seconds at most."""
        holder = self.holder()
        got, ticket = False, None
        try:
            if lock.internal and (timeout is None or timeout > _MOMENT):
                got = lock.take(_MOMENT)
                if got:
                    self.took(lock, holder, False)
                    return True
                timeout = None if timeout is None else timeout - _MOMENT
            ticket = self.awaits(lock, holder, timeout)
            got = lock[True] if timeout is None else lock.take(timeout)
            lock.waiters.pop(holder, None)
            if got:
                self.took(lock, holder, True)
            self.log.leave(ticket, int(got))
            return got
        except BaseException as error:
            if lock.waiters is not None:
                lock.waiters.pop(holder, None)
            if got:  # struck when it had the lock already
                lock.abandon()
            if ticket:
                self.log.fail(ticket, error)
            raise

    def otherwise(self, lock, probe, blocking, timeout, *more):
        """Acquire with other arguments than the usual ones. `probe`, a lock of C's that is free, refuses wrong ones."""
        probe.acquire(blocking, timeout, *more)
        if lock[False]:
            if lock.depth:
                lock.depth += 1
                return True
            try:
                self.took(lock, self.holder(), False)
            except BaseException:
                lock.abandon()
                raise
            return True
        if not blocking or timeout == 0:
            return False
        return self.wait(lock, None if timeout == -1 else timeout)

    def releases(self, lock):
        """Record that a told holding ends; returns the ticket."""
        lock.told = 0
        number = self.number(lock, lock.kind)
        return self.log.enter(lock.releasing, -1, number, 0, 0, _NONE, self.sites.here())


def _made_at(lock):
    """Where a lock of ours was made, as sites.at takes it."""
    identity = getattr(lock, "identity", ())
    return identity if type(identity) is tuple else identity.site


_FIELDS = (
    "code", "depth", "identity", "instruction", "internal", "others", "outer", "owner", "time", "told", "waiters",
)  # fmt: skip


class _Posing(type):
    """The class of classes that pose as C's: messages call them by a full name, `__name__` has no module."""

    __name__ = property(lambda cls: cls.__qualname__)

    def __instancecheck__(cls, instance):
        return type.__instancecheck__(cls, instance) or type(instance) is cls.posed

    def __subclasscheck__(cls, other):
        return type.__subclasscheck__(cls, other) or other is cls.posed


def pose(made, posed, methods=()):
    """A class with what `made` and `methods` have that looks like the class `posed`."""
    space = {name: value for name, value in vars(made).items() if name not in ("__dict__", "__weakref__")}
    for slot in space["__slots__"]:
        space.pop(slot, None)
    space.update(methods, __module__=posed.__module__, __qualname__=posed.__name__, __doc__=posed.__doc__, posed=posed)
    for name, value in reversed(list(space.items())):  # a function of two names has the first
        if type(value) is type(pose) and hasattr(posed, name):
            value.__doc__ = getattr(posed, name).__doc__
            value.__module__, value.__qualname__ = posed.__module__, "%s.%s" % (posed.__name__, name)
    for name in ("acquire", "release", "locked"):
        if hasattr(posed, name + "_lock"):
            space[name + "_lock"] = space[name]
    return _Posing("%s.%s" % (posed.__module__, posed.__name__), made.__bases__, space)


def _methods(ledger, entering, probe):
    """What both kinds of lock do. `depth`: how often their owner has them; `entering`: the code of Condition.__enter__.

    Written for speed: `with lock:` costs about 0.6 µs more than C's alone (3.11 and up).
    """
    log, introduce, mark, note, releases = ledger.log, ledger.introduce, ledger.sites.mark, ledger.note, ledger.releases
    wait, otherwise, leave = ledger.wait, ledger.otherwise, ledger.log.leave

    def book(self, frame):
        """The lock has been got at once by the call of `acquire` in `frame`."""
        try:
            try:
                holder = log.local.holder
            except AttributeError:
                holder = introduce()
            if self.internal:
                self.code, self.instruction, _ = mark() or (None, 0, 0)
                self.time = monotonic_ns()
                self.owner = holder
                if self.waiters:
                    note(self, holder)
            else:
                frame = frame.f_back
                code = frame.f_code
                if code is entered:
                    frame = frame.f_back
                    code = frame.f_code
                if code is entering:
                    frame = frame.f_back
                    code = frame.f_code
                self.code, self.instruction, self.time = code, frame.f_lasti, monotonic_ns()
                self.owner = holder
                if holder.held is not None or self.waiters:
                    note(self, holder)
                holder.held = self
        except BaseException as error:
            if not ours_raised(error):  # ours: no Python code calls
                raise

    if _CERTAIN:

        def acquire(self, blocking=True, timeout=-1, *more):
            if timeout != -1 or (blocking is not True and blocking is not False) or more:
                return otherwise(self, probe(), blocking, timeout, *more)
            if not self[False]:
                return blocking and wait(self)
            if self.depth:
                self.depth += 1
                return True
            self.depth = 1
            try:
                book(self, _getframe())
            except BaseException:  # a signal's handler
                self.abandon()
                raise
            return True

    else:

        def acquire(self, blocking=True, timeout=-1, *more):
            if timeout != -1 or (blocking is not True and blocking is not False) or more:
                return otherwise(self, probe(), blocking, timeout, *more)
            got, depth, booked = [], self.depth, False
            try:
                got += map(self.__getitem__, _NOT_BLOCKING)
                if got[0]:
                    if self.depth:
                        self.depth += 1
                    else:
                        self.depth, booked = 1, True
                        book(self, _getframe())
                    return True
            except BaseException:
                if got and got[0]:
                    if booked or self.owner is not ledger.holder():
                        self.abandon()
                    else:
                        self.depth = depth
                        self.free()
                raise
            return blocking and wait(self)

    def release(self):
        try:
            ticket = None
            if self.depth > 1:
                self.depth -= 1
            else:
                self.depth = 0
                holder = self.owner
                if holder is not None:
                    if holder.held is self:
                        holder.held = self.outer
                    self.owner = self.outer = None
                if self.told:
                    ticket = releases(self)
        finally:
            self.free()
        if ticket is not None:
            leave(ticket)

    def __exit__(self, kind, error, trace):
        try:  # as release: a call of it would cost as much as the rest
            ticket = None
            if self.depth > 1:
                self.depth -= 1
            else:
                self.depth = 0
                holder = self.owner
                if holder is not None:
                    if holder.held is self:
                        holder.held = self.outer
                    self.owner = self.outer = None
                if self.told:
                    ticket = releases(self)
        finally:
            self.free()
        if ticket is not None:
            leave(ticket)

    def abandon(self):
        """Give the lock back that has just been got."""
        self.owner = None
        self.depth = 0
        self.free()

    enter, entered = acquire, None
    with probe() as lock:
        if lock is not True:  # PyPy's

            def enter(self):
                acquire(self)
                return self

            entered = enter.__code__

    return {
        "acquire": acquire, "__enter__": enter, "release": unstruck(release), "__exit__": unstruck(__exit__),
        "abandon": abandon,
    }  # fmt: skip


def _forget(lock):
    """Nobody has the lock any more."""
    holder = lock.owner
    if holder is not None and holder.held is lock:
        holder.held = lock.outer
    lock.owner = lock.outer = None
    lock.depth = lock.told = 0


def _lock_class(ledger, entering):
    """What stands in for C's lock, which can't be subclassed."""
    posed = type(_allocate())
    reinit = getattr(posed, "_at_fork_reinit", None)

    class Lock:
        # __getitem__ is C's acquire: no signal's handler runs between `self[False]` and the next instruction, as one
        # may after a call. So it is known whether the lock was got.
        __slots__ = ("__getitem__", "__weakref__", "free", *_FIELDS)
        kind, acquiring, releasing = "lock", _CODE["Lock.acquire"], _CODE["Lock.release"]
        # isinstance(lock, _thread.LockType): what isn't of a class may still say that it is
        __class__ = property(lambda self: posed)

        if not hasattr(_thread, "lock"):  # before 3.13 nobody can make one by its class

            def __new__(cls, *args, **kwargs):
                return posed(*args, **kwargs)

        def __init__(self, *args, **kwargs):
            lock = _allocate(*args, **kwargs)
            self.__getitem__, self.free = lock.acquire, lock.release
            ledger.made(self)

        def take(self, seconds):
            """Acquire it within a time."""
            return self.free.__self__.acquire(True, seconds)

        def locked(self):
            return self.free.__self__.locked()

        def __repr__(self):
            lock = self.free.__self__
            return repr(lock).replace("%x" % id(lock), "%x" % id(self))

        def __reduce_ex__(self, protocol):
            return self.free.__self__.__reduce_ex__(protocol)  # which raises, or makes pickle raise

        def __init_subclass__(cls):
            raise TypeError("type '%s.%s' is not an acceptable base type" % (posed.__module__, posed.__name__))

        if reinit is not None:

            def _at_fork_reinit(self):
                _forget(self)
                reinit(self.free.__self__)

    return pose(Lock, posed, _methods(ledger, entering, _allocate))


def _rlock_class(ledger, entering):
    """A subclass of C's RLock. A condition releases it and gets it back by methods that only this kind has."""
    owned, save, restore, reinit = (
        _RLock._is_owned, _RLock._release_save, _RLock._acquire_restore, getattr(_RLock, "_at_fork_reinit", None),
    )  # fmt: skip

    class RLock(_RLock):
        __slots__ = _FIELDS
        kind, acquiring, releasing = "rlock", _CODE["RLock.acquire"], _CODE["RLock.release"]
        __getitem__, free = _RLock.acquire, _RLock.release

        def __init__(self, *args, **kwargs):
            ledger.made(self)

        def take(self, seconds):
            """Acquire it within a time."""
            return _RLock.acquire(self, True, seconds)

        def _release_save(self):
            ticket = ledger.releases(self) if self.told else None
            _forget(self)
            state = save(self)
            if ticket is not None:
                ledger.log.leave(ticket)
            return state

        def _acquire_restore(self, state):
            # C's can't be interrupted: what a signal's handler raises has to wait until the lock is back. Who gave
            # notice still has the lock, for a moment: that is no record worth.
            ticket, struck, brief = None, None, state[0] == 1
            while True:
                try:
                    if brief:
                        brief = False
                        self.take(_MOMENT)
                    if not owned(self):
                        if ticket is None:
                            ticket = ledger.awaits(self, ledger.holder(), None)
                        restore(self, state)
                    break
                except BaseException as error:
                    struck = error
            ledger.took(self, ledger.holder(), ticket is not None)
            self.depth = state[0]
            if ticket is not None:
                self.waiters.pop(self.owner, None)
                ledger.log.leave(ticket, 1)
            if struck is not None:
                raise struck

        def __reduce_ex__(self, protocol):
            _RLock().__reduce_ex__(protocol)  # which raises, but on PyPy
            return _RLock, ()

        if reinit is not None:

            def _at_fork_reinit(self):
                _forget(self)
                reinit(self)

    unstruck(RLock._acquire_restore)
    return pose(RLock, _RLock, _methods(ledger, entering, _RLock))


class Allocate(Call):
    """threading.Lock up to 3.12: a function, under another name than its own."""

    def __init__(self, original, runtime, stand_in):
        super().__init__(original, 0, runtime)
        self.stand_in = stand_in

    def __call__(self, *args, **kwargs):
        lock = object.__new__(self.stand_in)
        lock.__init__(*args, **kwargs)
        return lock

    def __reduce__(self):
        return getattr, (_Module("_thread"), "allocate_lock")


def wrap_copyreg(runtime, module):
    """A class that poses as C's pickles as that."""
    module.pickle(_Posing, lambda cls: (getattr, (_Module(cls.posed.__module__), cls.posed.__name__)))


class _Module:
    """Pickles as a module."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return __import__, (self.name,)


def wrap_threading(runtime, module):
    """Put stand-ins where the program takes its locks from."""
    ledger, condition = runtime.ledger, module.Condition
    for function in (module.RLock, condition.__init__):
        ledger.transparent.add(id(function.__code__))
    entering = condition.__enter__.__code__
    lock = _lock_class(ledger, entering)
    module.Lock = lock if isinstance(module.Lock, type) else Allocate(module.Lock, runtime, lock)
    if getattr(module, "_CRLock", None) is _RLock:
        module._CRLock = _rlock_class(ledger, entering)


def _wrap_imports(runtime):
    """Record that a thread waits for a module that another one imports. Ordinary imports pay one look at the owner."""
    locks = getattr(sys.modules.get("_frozen_importlib"), "_ModuleLock", None)
    if locks is None:
        return
    ledger, log, here, op = runtime.ledger, runtime.log, runtime.sites.here, _CODE["import"]
    original = locks.acquire

    def acquire(self):
        owner = self.owner
        if owner is None or owner == get_ident():
            return original(self)
        tid = ledger.tid_of(owner, sys.modules.get("threading"))
        name = self.name.encode("utf-8", "replace") if type(self.name) is str else b""
        ticket = log.enter(op, -1, 0, 0, tid, _NONE, here(), name, whole=True)
        try:
            result = original(self)
        except BaseException as error:
            log.fail(ticket, error)
            raise
        log.leave(ticket, 1)
        return result

    locks.acquire = like(original, acquire)


def wrap(runtime):
    """Wrap what is there already: the locks of imports."""
    runtime.ledger = Ledger(runtime)
    _wrap_imports(runtime)


def forked(runtime):
    """In the child of a fork."""
    runtime.ledger.forked()


PATCHES = {"threading": wrap_threading, "copyreg": wrap_copyreg}
