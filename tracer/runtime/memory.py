"""Memory that several processes see: mmap, multiprocessing.shared_memory.

What passes through the methods and indices of a shared map or a ShareableList is recorded. What moves through a buffer
can't be seen: memoryview (SharedMemory.buf), numpy, struct.pack_into, ctypes. Private maps concern nobody else.
"""

from __future__ import annotations

import os
import sys
from sys import _getframe

from . import table
from .calls import like, method
from .descriptors import MADE
from .objects import Identity

_NONE = table.NONE
_PLAIN = frozenset((int, type(None)))
# Modules whose maps are inside of what they make: SharedMemory is recorded as such, an Arena is Value's and Array's.
_INNER = ("multiprocessing.shared_memory", "multiprocessing.heap")


def wrap_mmap(runtime, module):
    """A subclass in the place of mmap.mmap, since a C type's methods can't be replaced. Our log holds the C type."""
    original = module.mmap
    log, here, objects, descriptors = runtime.log, runtime.sites.here, runtime.objects, runtime.descriptors
    enter, leave, got, fail = log.enter, log.leave, log.got, log.fail
    code = {name: table.CODE[name] for name in ("mmap", "mmap.close", "mmap.write", "mmap.read")}
    tell = original.tell

    class mmap(original):
        # An anonymous map's Identity, which a fork's child inherits; the channel of a file; None: nothing is recorded.
        __slots__ = ("_ipctrace",)

        def __new__(cls, *args, **kwargs):
            self = original.__new__(cls, *args, **kwargs)
            self._ipctrace = None
            if _getframe(1).f_globals.get("__name__") not in _INNER and _shared(module, args, kwargs):
                opened(self, args[0] if args else kwargs.get("fileno", -1))
            return self

        def __repr__(self):
            text = original.__repr__(self)
            if type(self) is mmap and text.startswith("<mmap "):  # C's own name for its type is mmap.mmap
                text = "<mmap.mmap " + text[6:]
            return text

        def __getitem__(self, index):
            place = None if self._ipctrace is None else _place(self, index)
            if place is None:
                return original.__getitem__(self, index)
            offset, size = place
            ticket = begin(code["mmap.read"], self, offset, size)
            try:
                value = original.__getitem__(self, index)
            except BaseException as error:
                fail(ticket, error)
                raise
            got(ticket, value if type(value) is bytes else bytes((value,)), size)
            return value

        def __setitem__(self, index, value):
            place = None if self._ipctrace is None else _place(self, index)
            if place is None:
                original.__setitem__(self, index, value)
                return
            offset, size = place
            ticket = begin(code["mmap.write"], self, offset, size, _data(value))
            try:
                original.__setitem__(self, index, value)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket, size)

    def opened(self, fd):
        if type(fd) is not int or fd < 0:
            self._ipctrace = identity = Identity(objects, "memory", capacity=len(self))
            identity.path = "anonymous-%d-%d" % (identity.origin, identity.serial)
            fd = table.NO_FD
        else:
            self._ipctrace = descriptors.channel_of(fd)
            descriptors.mapped.add(self._ipctrace)
        leave(enter(code["mmap"], fd, channel(self), 0, 0, len(self), here()))

    def channel(self):
        found = self._ipctrace
        return found if type(found) is int else objects.number(found)

    def begin(op, self, offset, size, data=b""):
        return enter(op, -1, channel(self), 0, offset, size, here(), data)

    def position(self):
        try:
            return tell(self)
        except ValueError:  # closed: the call itself will say so
            return 0

    def stores(name):
        store = getattr(original, name)

        def recorded(self, *args, **kwargs):
            if self._ipctrace is None:
                return store(self, *args, **kwargs)
            data = _data(args[0]) if args else b""
            ticket = begin(code["mmap.write"], self, position(self), len(data), data)
            try:
                result = store(self, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket, len(data))
            return result

        setattr(mmap, name, like(store, recorded))

    def loads(name):
        load = getattr(original, name)

        def recorded(self, *args, **kwargs):
            if self._ipctrace is None:
                return load(self, *args, **kwargs)
            asked = args[0] if args and type(args[0]) is int and args[0] >= 0 else _NONE
            ticket = begin(code["mmap.read"], self, position(self), asked)
            try:
                value = load(self, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            data = value if type(value) is bytes else bytes((value,))
            got(ticket, data, len(data))
            return value

        setattr(mmap, name, like(load, recorded))

    def closes(name):
        close = getattr(original, name)

        def recorded(self, *args, **kwargs):
            if self._ipctrace is None:
                return close(self, *args, **kwargs)
            ticket = begin(code["mmap.close"], self, 0, _NONE)
            held, self._ipctrace = self._ipctrace, None  # up to 3.9 __exit__ calls close: told once
            try:
                result = close(self, *args, **kwargs)
            except BaseException as error:  # somebody still has a view of it
                self._ipctrace = held
                fail(ticket, error)
                raise
            leave(ticket)
            return result

        setattr(mmap, name, like(close, recorded))

    class Items:
        """The map as C's own iteration has it: each item a byte as bytes, where an index gives a number."""

        __slots__ = ("map",)

        def __init__(self, map):
            self.map = map

        def __len__(self):
            return len(self.map)

        def __getitem__(self, index):
            item = original.__getitem__(self.map, slice(index, index + 1))
            if not item:
                raise IndexError
            return item

    def iterates(name, function):
        def recorded(self):
            if self._ipctrace is not None:  # once for all of it
                leave(begin(code["mmap.read"], self, 0, len(self)), len(self))
            return function(Items(self))

        recorded.__name__ = name
        setattr(mmap, name, recorded)

    def __reduce_ex__(self, protocol):
        if type(self) is not mmap:
            return super(mmap, self).__reduce_ex__(protocol)
        # A map of the C type is asked: its error names the type as C does, and PyPy's raises none, but has no slots
        function, args, *rest = original(-1, 1).__reduce_ex__(protocol)
        return (function, tuple(mmap if arg is original else arg for arg in args), *rest)

    mmap.__reduce_ex__ = __reduce_ex__
    if sys.implementation.name == "cpython":
        iterates("__iter__", iter)  # which would take our __getitem__, and get numbers
        iterates("__reversed__", reversed)
    for name in ("write", "write_byte"):
        stores(name)
    for name in ("read", "read_byte", "readline"):
        loads(name)
    for name in ("close", "__exit__"):
        closes(name)
    mmap.__module__, mmap.__qualname__, mmap.__doc__ = original.__module__, original.__qualname__, original.__doc__
    module.mmap = mmap


def _shared(module, args, kwargs):
    """Whether others see what is stored in a map made with these arguments: not so MAP_PRIVATE and ACCESS_COPY."""
    flags = args[2] if len(args) > 2 else kwargs.get("flags")
    if isinstance(flags, int) and flags & 0xF == module.MAP_PRIVATE:  # the other bits aren't of mmap(2)'s types
        return False
    access = args[4] if len(args) > 4 else kwargs.get("access")
    return access is None or access != getattr(module, "ACCESS_COPY", None)


def _place(map, index):
    """(offset, size) of what an index or a slice is about; None for one that runs the program's code to say it."""
    if type(index) is int:
        return (index if index >= 0 else max(0, index + len(map))), 1
    if type(index) is not slice or not _PLAIN.issuperset((type(index.start), type(index.stop), type(index.step))):
        return None
    try:
        start, stop, step = index.indices(len(map))
    except ValueError:  # a step of 0: the call itself will say so
        return None
    return start, len(range(start, stop, step))


def _data(value):
    """What is stored, as bytes: given as bytes, a byte's number, or anything with a buffer."""
    if type(value) is bytes:
        return value
    if type(value) is int:
        return bytes((value,)) if 0 <= value < 256 else b""
    try:
        return bytes(memoryview(value))
    except (TypeError, ValueError):
        return b""


def wrap_shared_memory(runtime, module):
    """SharedMemory's making, closing and unlinking; a ShareableList's items."""
    _wrap_memory(runtime, module.SharedMemory)
    _wrap_list(runtime, module.ShareableList)


def _wrap_memory(runtime, memory):
    enter, leave, fail, here = runtime.log.enter, runtime.log.leave, runtime.log.fail, runtime.sites.here
    channel_of = runtime.descriptors.channel_of
    initialise, make = memory.__init__, table.CODE["SharedMemory"]

    def __init__(self, *args, **kwargs):
        site = here()
        try:
            initialise(self, *args, **kwargs)
        except BaseException as error:
            fail(enter(make, -1, 0, 0, 0, _NONE, site, _asked(self, args, kwargs)), error)
            raise
        # recorded at its end: only now it is known what it leads to, and it waits for nobody
        ticket = enter(make, self._fd, channel_of(self._fd), 0, 0, self._size, site, _name(self))
        leave(ticket, extra=MADE if self._flags & os.O_CREAT else _NONE)

    memory.__init__ = like(initialise, __init__)

    def close(self, args, kwargs):
        if self._mmap is None:  # also called when it is freed
            return None
        return enter(table.CODE["SharedMemory.close"], self._fd, channel_of(self._fd), 0, 0, _NONE, here())

    def unlink(self, args, kwargs):
        code, fd = table.CODE["SharedMemory.unlink"], self._fd
        return enter(code, fd, channel_of(fd) if fd >= 0 else 0, 0, 0, _NONE, here(), _name(self))

    method(runtime, memory, "close", close)
    method(runtime, memory, "unlink", unlink)


def _asked(memory, args, kwargs):
    """The name of memory that isn't there: it has none yet."""
    name = args[0] if args else kwargs.get("name")
    return b"/" + name.encode("utf-8", "surrogateescape") if type(name) is str else _name(memory)


def _name(memory):
    return (memory._name or "").encode("utf-8", "surrogateescape")


def _wrap_list(runtime, shared):
    """An item's place in the memory, and its bytes there as they are after the call."""
    log, here, channel_of = runtime.log, runtime.sites.here, runtime.descriptors.channel_of

    def item(self, position):
        """(offset, size) of an item; None where there is none."""
        try:
            if position < 0:
                position += self._list_len
            begin, end = _bounds(self, position)
            return self._offset_data_start + begin, end - begin
        except (TypeError, IndexError, AttributeError):
            return None

    def around(name, op):
        original, kind = getattr(shared, name), table.CODE[op]

        def recorded(self, position, *value):
            place = item(self, position)
            if place is None:
                return original(self, position, *value)
            offset, size = place
            ticket = log.enter(kind, -1, channel_of(self.shm._fd), 0, offset, size, here())
            try:
                result = original(self, position, *value)
            except BaseException as error:
                log.fail(ticket, error)
                raise
            log.got(ticket, bytes(self.shm.buf[offset : offset + size]), size)
            return result

        setattr(shared, name, like(original, recorded))

    around("__getitem__", "ShareableList.get")
    around("__setitem__", "ShareableList.set")


def _bounds(shared, position):
    """Where an item's bytes begin and end. 3.8 keeps each item's length, later ones all offsets."""
    lengths = getattr(shared, "_allocated_bytes", None)
    if lengths is not None:
        begin = sum(lengths[:position])
        return begin, begin + lengths[position]
    offsets = shared._allocated_offsets
    return offsets[position], offsets[position + 1]


PATCHES = {"mmap": wrap_mmap, "multiprocessing.shared_memory": wrap_shared_memory}
