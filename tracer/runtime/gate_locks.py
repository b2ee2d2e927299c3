"""Locks and events of Python's, each operation of them: at the gate the order of all matters.

Elsewhere an acquire that gets its lock at once writes nothing, and an event that is set is not worth a record.
"""

from __future__ import annotations

import _thread
from sys import _getframe

from . import table
from .calls import like, method
from .threads import nanoseconds

_CODE, _NONE, _TIMED, _NONBLOCKING = table.CODE, table.NONE, table.TIMED, table.NONBLOCKING


def wrap_threading(runtime, module):
    """Replace what the locks' stand-ins do (locks.py), and what is asked of an Event."""
    stand_in = module.Lock if isinstance(module.Lock, type) else getattr(module.Lock, "stand_in", None)
    for lock in (stand_in, getattr(module, "_CRLock", None)):
        if hasattr(lock, "acquiring"):
            _order(runtime, lock)
    ledger = runtime.ledger

    def event(self):
        return ledger.number_of(self, self._cond._lock, "event")

    _asked(runtime, module.Event, "Event.", event)


def _order(runtime, lock):
    """Record every acquire and release of a class of locks."""
    ledger = runtime.ledger
    enter, leave, fail, here = runtime.log.enter, runtime.log.leave, runtime.log.fail, runtime.sites.here
    plain_acquire, plain_release, opcode = lock.acquire, lock.release, lock.acquiring

    def begin(self, blocking, timeout):
        flags, size = 0, _NONE
        if not blocking:
            flags, size = _NONBLOCKING, 0
        elif timeout != -1:
            flags, size = _TIMED, nanoseconds(timeout)
        owner = self.owner
        return enter(
            opcode, -1, ledger.number(self, self.kind), 0, owner.tid if owner else 0, size, here(), b"", flags
        )  # fmt: skip

    def has(self, holder):
        self.owner, self.depth, self.outer, self.told = holder, 1, None, runtime.objects.epoch

    def acquire(self, blocking=True, timeout=-1):
        if self.internal:
            return plain_acquire(self, blocking, timeout)
        holder = ledger.holder()
        if self.kind == "rlock" and self.owner is holder:
            got = self.__getitem__(blocking, timeout)
            self.depth += 1
            return got
        ticket = begin(self, blocking, timeout)
        try:
            got = self.__getitem__(blocking, timeout)
        except BaseException as error:
            fail(ticket, error)
            raise
        if got:
            has(self, holder)
        leave(ticket, int(got))
        return got

    def release(self):
        if self.internal or self.depth != 1:
            return plain_release(self)
        self.owner, self.depth, self.told = None, 0, 0
        ticket = enter(self.releasing, -1, ledger.number(self, self.kind), 0, 0, _NONE, here())
        try:
            self.free()
        except BaseException as error:
            fail(ticket, error)
            raise
        leave(ticket)
        return None

    def entered(self):
        got = acquire(self)
        return self if gives_itself else got

    def __exit__(self, *raised):
        release(self)

    with _thread.allocate_lock() as given:
        gives_itself = given is not True  # PyPy's
    lock.acquire, lock.release = like(plain_acquire, acquire), like(plain_release, release)
    lock.__enter__, lock.__exit__ = like(lock.__enter__, entered), like(lock.__exit__, __exit__)
    if hasattr(lock, "_acquire_restore"):
        _order_restoring(runtime, lock, begin, has)


def _order_restoring(runtime, lock, begin, has):
    """A condition gives its lock back and takes it again by methods of their own."""
    ledger, leave = runtime.ledger, runtime.log.leave
    plain = lock._acquire_restore
    base = lock.__mro__[1]
    restore = base._acquire_restore

    def _acquire_restore(self, state):
        if self.internal:
            return plain(self, state)
        ticket = begin(self, True, -1)
        restore(self, state)
        has(self, ledger.holder())
        self.depth = state[0]
        leave(ticket, 1)
        return None

    lock._acquire_restore = like(plain, _acquire_restore)


def _asked(runtime, owner, prefix, channel):
    """Record an event's is_set and clear."""
    enter, leave, here = runtime.log.enter, runtime.log.leave, runtime.sites.here

    def around(name):
        code = _CODE[prefix + name]

        def begin(self, args, kwargs):
            if _getframe(2).f_globals.get("__name__") == "threading":  # a Thread asks its own whether it has started
                return None
            try:
                number = channel(self)
            except AttributeError:  # it isn't what it should be: the call itself will say so
                return None
            return enter(code, -1, number, 0, 0, _NONE, here())

        def end(ticket, self, result, args, kwargs):
            leave(ticket, int(result) if type(result) is bool else _NONE)

        method(runtime, owner, name, begin, end)

    around("is_set")
    around("clear")


def wrap_synchronize(runtime, module):
    """The same of multiprocessing's events."""
    number = runtime.objects.number
    _asked(runtime, module.Event, "multiprocessing.Event.", lambda event: number(event._flag._ipctrace))


PATCHES = {"multiprocessing.synchronize": wrap_synchronize}
