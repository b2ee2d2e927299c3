"""Queues between threads: queue.Queue and its kin, queue.SimpleQueue.

Of what is put only bytes and str are kept: anything else would have to be asked for words, by code of the program's.
"""

from __future__ import annotations

from . import table
from .calls import first
from .conditions import limit, replace
from .locks import pose
from .log import ours_raised
from .objects import Identity

_CODE, _NONE = table.CODE, table.NONE


def words(item):
    """What is kept of an item."""
    if type(item) is bytes:
        return item
    return item.encode("utf-8", "surrogatepass") if type(item) is str else b""


def patience(args, kwargs):
    """Size and flags of a wait that `block` and `timeout` describe."""
    if not first(args, kwargs, "block", True):
        return limit(0)
    return limit(first(args[1:], kwargs, "timeout"))


def wrap_queue(runtime, module):
    """Wrap the methods of Queue, on which LifoQueue and PriorityQueue are built, and SimpleQueue."""
    log, here, ledger = runtime.log, runtime.sites.here, runtime.ledger
    enter, got = log.enter, log.got

    def channel(self):
        places = self.maxsize
        return ledger.number_of(self, self.mutex, "queue", places if type(places) is int and places > 0 else _NONE)

    def simple_channel(self):
        return ledger.number_of(self, self._count._cond._lock, "queue")

    def messages(owner, name, number):
        def put(self, args, kwargs, frame):
            size, flags = patience(args[1:], kwargs)
            item = words(first(args, kwargs, "item"))
            return enter(_CODE[name + ".put"], -1, number(self), 0, 0, size, here(), item, flags)

        def get(self, args, kwargs, frame):
            size, flags = patience(args, kwargs)
            return enter(_CODE[name + ".get"], -1, number(self), 0, 0, size, here(), flags=flags)

        def has_got(ticket, self, item, args, kwargs):
            got(ticket, words(item), _NONE)

        replace(runtime, owner, "put", put)
        replace(runtime, owner, "get", get, has_got)

    def join(self, args, kwargs, frame):
        return enter(_CODE["Queue.join"], -1, channel(self), 0, 0, _NONE, here())

    def task_done(self, args, kwargs, frame):
        return enter(_CODE["Queue.task_done"], -1, channel(self), 0, 0, _NONE, here())

    def shutdown(self, args, kwargs, frame):
        return enter(_CODE["Queue.shutdown"], -1, channel(self), 0, 0, _NONE, here())

    messages(module.Queue, "Queue", channel)
    for name, begin in (("join", join), ("task_done", task_done), ("shutdown", shutdown)):
        replace(runtime, module.Queue, name, begin)
    if module.SimpleQueue is module._PySimpleQueue:  # PyPy's
        messages(module.SimpleQueue, "SimpleQueue", simple_channel)
    else:
        module.SimpleQueue = _simple_queue(runtime, module.SimpleQueue)


def _simple_queue(runtime, simple):
    """A subclass of C's SimpleQueue. Nothing in it is a lock of ours: it has its identity itself."""
    log, here, mark, objects = runtime.log, runtime.sites.here, runtime.sites.mark, runtime.objects
    putting, getting = _CODE["SimpleQueue.put"], _CODE["SimpleQueue.get"]

    def begin(op, queue, size, flags=0, item=b""):
        try:
            return log.enter(op, -1, objects.number(queue.identity), 0, 0, size, here(), item, flags)
        except BaseException as error:
            if not ours_raised(error):
                raise
            return log.scratch, 0, -1

    class SimpleQueue(simple):
        __slots__ = ("identity",)

        def __init__(self, *args, **kwargs):
            self.identity = Identity(objects, "queue", mark())

        def put(self, item, block=True, timeout=None):
            ticket = begin(putting, self, _NONE, 0, words(item))
            try:
                simple.put(self, item, block, timeout)
            except BaseException as error:
                log.fail(ticket, error)
                raise
            log.leave(ticket)

        def get(self, block=True, timeout=None):
            ticket = begin(getting, self, *(limit(timeout) if block else limit(0)))
            try:
                item = simple.get(self, block, timeout)
            except BaseException as error:
                log.fail(ticket, error)
                raise
            log.got(ticket, words(item), _NONE)
            return item

        def put_nowait(self, item):
            ticket = begin(putting, self, _NONE, 0, words(item))
            try:
                simple.put_nowait(self, item)
            except BaseException as error:
                log.fail(ticket, error)
                raise
            log.leave(ticket)

        def get_nowait(self):
            ticket = begin(getting, self, *limit(0))
            try:
                item = simple.get_nowait(self)
            except BaseException as error:
                log.fail(ticket, error)
                raise
            log.got(ticket, words(item), _NONE)
            return item

        def __reduce_ex__(self, protocol):
            return simple().__reduce_ex__(protocol)  # which raises

    return pose(SimpleQueue, simple)


PATCHES = {"queue": wrap_queue}
