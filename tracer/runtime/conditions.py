"""What threads wait at until something is said: threading.Condition, Event, Semaphore, Barrier.

They are Python classes on top of locks, so their methods are replaced. What the standard library does with one of them
inside a call that is recorded itself (the wait inside Event.wait, the notify inside Queue.put) is not recorded.
"""

from __future__ import annotations

from sys import _getframe

from . import table
from .calls import first, like, method
from .log import ours_raised
from .threads import nanoseconds

_CODE, _NONE, _TIMED, _NONBLOCKING = table.CODE, table.NONE, table.TIMED, table.NONBLOCKING
# Modules whose uses of conditions are inside of calls that are recorded themselves
_INNER = ("threading", "queue", "concurrent.futures._base", "multiprocessing.queues")
_PASSING = ("wait_for", "notifyAll")  # methods of Condition that aren't: whose call is it?
_THREAD = ("start", "_bootstrap_inner", "__init__")  # Thread's own use of its event `_started`


def limit(timeout):
    """Size and flags of a wait of `timeout` seconds, None: without end."""
    if timeout is None:
        return _NONE, 0
    size = nanoseconds(timeout)
    return (size, _TIMED) if size > 0 else (0, _NONBLOCKING)


def replace(runtime, owner, name, begin, end=None):
    """calls.method, but `begin` gets the calling frame too, and other names of the same method are replaced too."""
    original = vars(owner).get(name)
    if original is None:
        return

    def guarded(self, args, kwargs):
        try:
            return begin(self, args, kwargs, _getframe(2))
        except BaseException as error:
            if not ours_raised(error):
                raise
            return None  # the object isn't what it should be: the original will say so

    method(runtime, owner, name, guarded, end)
    for other, value in list(vars(owner).items()):
        if value is original:
            setattr(owner, other, vars(owner)[name])


def told(leave):
    """An end for methods that say whether they got what they waited for."""

    def end(ticket, self, result, args, kwargs):
        leave(ticket, int(result) if type(result) in (bool, int) else _NONE)

    return end


def _inner(frame):
    """Whether a method of a condition is called from within a call that is recorded itself."""
    while frame is not None and frame.f_code.co_name in _PASSING and frame.f_globals.get("__name__") == "threading":
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") in _INNER


def _starting(frame):
    """Whether a thread makes known that it has started."""
    return frame.f_code.co_name in _THREAD and frame.f_globals.get("__name__") == "threading"


def wrap_threading(runtime, module):
    """Replace the methods of threading's classes."""
    enter, leave, here, ledger = runtime.log.enter, runtime.log.leave, runtime.sites.here, runtime.ledger
    end, gated = told(leave), runtime.gate is not None

    def condition(self):
        return ledger.number_of(self, self._lock, "condition")

    def await_condition(self, args, kwargs, frame):
        if _inner(frame):
            queue = self.__dict__.get("_ipctrace_queue")  # multiprocessing's, whose feeder thread waits
            if queue is None:
                return None
            return enter(_CODE["multiprocessing.Queue.next"], -1, runtime.objects.number(queue), 0, 0, _NONE, 0)
        size, flags = limit(first(args, kwargs, "timeout"))
        return enter(_CODE["Condition.wait"], -1, condition(self), 0, 0, size, here(), flags=flags)

    def notify(self, args, kwargs, frame):
        if _inner(frame):
            return None
        return enter(_CODE["Condition.notify"], -1, condition(self), 0, 0, first(args, kwargs, "n", 1), here())

    def notify_all(self, args, kwargs, frame):
        if _inner(frame):
            return None
        return enter(_CODE["Condition.notify"], -1, condition(self), 0, 0, _NONE, here())

    replace(runtime, module.Condition, "wait", await_condition, end)
    replace(runtime, module.Condition, "notify", notify)
    replace(runtime, module.Condition, "notify_all", notify_all)

    def event(self):
        return ledger.number_of(self, self._cond._lock, "event")

    def await_event(self, args, kwargs, frame):
        if (self._flag and not gated) or _starting(frame):
            return None
        size, flags = limit(first(args, kwargs, "timeout"))
        return enter(_CODE["Event.wait"], -1, event(self), 0, 0, size, here(), flags=flags)

    def set_event(self, args, kwargs, frame):
        if _starting(frame):
            return None
        return enter(_CODE["Event.set"], -1, event(self), 0, 0, _NONE, here())

    replace(runtime, module.Event, "wait", await_event, end)
    replace(runtime, module.Event, "set", set_event)
    _wrap_semaphores(runtime, module, end)
    _wrap_barriers(runtime, module, end)


def _wrap_semaphores(runtime, module, end):
    enter, here, ledger = runtime.log.enter, runtime.sites.here, runtime.ledger
    initial = module.Semaphore.__init__

    def __init__(self, *args, **kwargs):
        initial(self, *args, **kwargs)
        try:
            ledger.identify(self, self._cond._lock, "semaphore", self._value)  # later its value isn't its capacity
        except BaseException as error:
            if not ours_raised(error):
                raise

    def semaphore(self):
        return ledger.number_of(self, self._cond._lock, "semaphore")

    def pooled(frame):  # a pool counts its idle threads; a SimpleQueue in Python, its items
        return frame.f_globals.get("__name__") in ("queue", "concurrent.futures.thread", "concurrent.futures.process")

    def acquire(self, args, kwargs, frame):
        if pooled(frame):
            return None
        blocking, timeout = first(args, kwargs, "blocking", True), first(args[1:], kwargs, "timeout")
        size, flags = limit(timeout if blocking else 0)
        return enter(_CODE["Semaphore.acquire"], -1, semaphore(self), 0, 0, size, here(), flags=flags)

    def release(self, args, kwargs, frame):
        if pooled(frame):
            return None
        places = first(args, kwargs, "n", 1)
        return enter(_CODE["Semaphore.release"], -1, semaphore(self), 0, 0, places, here())

    module.Semaphore.__init__ = like(initial, __init__)
    replace(runtime, module.Semaphore, "acquire", acquire, end)
    for owner in (module.Semaphore, module.BoundedSemaphore):
        replace(runtime, owner, "release", release)


def _wrap_barriers(runtime, module, end):
    enter, here, ledger = runtime.log.enter, runtime.sites.here, runtime.ledger

    def barrier(self):
        lock = self._cond._lock
        semaphore = getattr(lock, "_semlock", None)  # multiprocessing's: the same one in several processes
        path = ""
        if semaphore is not None:  # one that only forks share has no name, but the same place in memory
            path = semaphore.name or "semaphore at 0x%x" % semaphore.handle
        return ledger.number_of(self, lock, "barrier", self._parties, path)

    def await_others(self, args, kwargs, frame):
        timeout = first(args, kwargs, "timeout")
        size, flags = limit(self._timeout if timeout is None else timeout)
        return enter(_CODE["Barrier.wait"], -1, barrier(self), 0, 0, size, here(), flags=flags)

    def abort(self, args, kwargs, frame):
        return enter(_CODE["Barrier.abort"], -1, barrier(self), 0, 0, _NONE, here())

    replace(runtime, module.Barrier, "wait", await_others, end)
    replace(runtime, module.Barrier, "abort", abort)


PATCHES = {"threading": wrap_threading}
