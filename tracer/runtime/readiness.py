"""Waiting for any of several ends: select.select, poll objects, epoll objects. What selectors has rests on them.

A record lists the ends that were waited for; the list is kept as text until what is registered changes. The types of
C can't be subclassed: stand-ins of the same names hold the originals and do nothing else, their descriptors included.
"""

from __future__ import annotations

from sys import _getframe

from . import table
from .calls import Call, first, install, like, program_frame

_NONE, _TIMED, _NONBLOCKING = table.NONE, table.TIMED, table.NONBLOCKING
_POLLIN, _POLLOUT = 1, 4
# <poll.h>, <sys/epoll.h>: IN PRI RDNORM RDBAND MSG RDHUP, and OUT WRNORM WRBAND
_READABLE, _WRITABLE = 0x1 | 0x2 | 0x40 | 0x80 | 0x400 | 0x2000, 0x4 | 0x100 | 0x200
_COLLECTIONS, _INTEGERS = (list, tuple, set, frozenset), {int}
_FDINFO = "/proc/self/fdinfo/%d"
_open = open


def limit(timeout, unit):
    """(size, flags) of a wait for `timeout` units of so many ns; None, or less than 0: for as long as it takes."""
    try:
        if timeout is None or timeout < 0:
            return _NONE, 0
        return int(timeout * unit), _TIMED if timeout else _NONBLOCKING
    except (TypeError, ValueError, OverflowError):
        return _NONE, _NONBLOCKING  # no time: the call will say so


def described(members):
    """What the log has for registered descriptors and their events: "r3 w4 rw7".

    With no events at all a hang-up is still reported, which is the other end's doing as being readable is.
    """
    return " ".join([
        ("r" if events & _READABLE or not events & _WRITABLE else "") + ("w" if events & _WRITABLE else "") + str(fd)
        for fd, events in members.items()
    ]).encode()  # fmt: skip


def looks_on():
    """Whether it is the event loop that looks what is ready before it goes on: it doesn't wait, and the program hasn't
    asked. asyncio does so before every step."""
    try:
        caller = program_frame(_getframe(3))  # asynchronous.py stands between the loop and its selector
    except ValueError:
        return False
    return caller is not None and caller.f_globals.get("__name__") == "asyncio.base_events"


class Select(Call):
    """select.select. Objects are asked only once for their descriptors: fileno() may be the program's code."""

    def __init__(self, original, op, runtime):
        super().__init__(original, op, runtime)
        self.last = [], b""  # what was waited for the last time, and its words: mostly it is the same again

    def __call__(self, *args, **kwargs):
        if kwargs or len(args) not in (3, 4):
            return self.original(*args, **kwargs)
        size, flags = limit(args[3] if len(args) == 4 else None, 1_000_000_000)
        if len(args) == 4 and args[3] is not None and size == _NONE:
            return self.original(*args)
        waited, numbers = [], []
        for members in args[:3]:
            members = _asked(members)
            if members is None:
                return self.original(*args)  # which says what is wrong with them
            waited.append(members)
            numbers.append([number for _, number in members] if members and type(members[0]) is tuple else members)
        known, text = self.last
        if known != numbers:
            text = self.text(*numbers)
            self.last = numbers, text
        ticket = self.enter(self.op, -1, 0, 0, 0, size, self.here(), text, flags, True)
        try:
            ready = self.original(*numbers, *args[3:])
        except BaseException as error:
            self.fail(ticket, error)
            raise
        self.leave(ticket, sum(map(len, ready)), next((number for part in ready for number in part), _NONE))
        return tuple([
            [member for member, number in members if number in part] if part and type(members[0]) is tuple else part
            for members, part in zip(waited, ready)  # noqa: B905 (3.8 has no strict)
        ])  # fmt: skip

    def text(self, reading, writing, exceptional):
        """What is waited for, in words."""
        events = dict.fromkeys((*reading, *exceptional), _POLLIN)
        for number in writing:
            events[number] = events.get(number, 0) | _POLLOUT
        return described(events)


def _plain(members):
    """Whether all are descriptors, and not objects that have one."""
    try:
        return type(members) in _COLLECTIONS and set(map(type, members)) <= _INTEGERS and min(members, default=0) >= 0
    except TypeError:
        return False


def _asked(members):
    """Descriptors, or pairs of an object and its descriptor; None for what select doesn't take."""
    if _plain(members):
        return [*members]
    try:
        members = iter(members)
    except TypeError:
        return None
    pairs = []
    for member in members:
        number = _number(member)
        if number is None:
            return None
        pairs.append((member, number))
    return pairs


def _number(member):
    """The descriptor of an object; None for what has none."""
    ask = getattr(member, "fileno", None)
    number = ask() if ask is not None else member
    return int(number) if isinstance(number, int) and number >= 0 else None


def _numbered(args, kwargs):
    """(arguments, descriptor): with the descriptor in the place of an object that has one; asked once, here."""
    fd = first(args, kwargs, "fd")
    if type(fd) is int:
        return args, fd
    number = _number(fd)
    if args and number is not None:
        args = (number, *args[1:])
    return args, number


class Registered:
    """What is registered with a poll or epoll object, and its words."""

    __slots__ = ("events", "known", "words")

    def __init__(self, known=True):
        self.events, self.words = {}, b""
        self.known = known  # whether all of it was registered here

    def add(self, fd, events):
        """Register, or register differently."""
        self.events[fd] = events if isinstance(events, int) else _POLLIN
        self.words = None

    def remove(self, fd):
        """Unregister."""
        self.events.pop(fd, None)
        self.words = None

    def text(self):
        """In words."""
        if self.words is None:
            self.words = described(self.events)
        return self.words


def stand_in(original, members):
    """A class that looks like a type of C's; `members` are its own."""
    made = type(original.__name__, (), {"__slots__": ("_ipctrace", "_ipctrace_registered", "__weakref__"), **members})
    made.__module__, made.__qualname__, made.__doc__ = original.__module__, original.__qualname__, original.__doc__
    return made


def shared(runtime, kind):
    """The methods that poll and epoll have in common, around those of C's type `kind`."""

    def register(self, *args, **kwargs):
        args, fd = _numbered(args, kwargs)
        result = self._ipctrace.register(*args, **kwargs)
        self._ipctrace_registered.add(fd, args[1] if len(args) > 1 else kwargs.get("eventmask", _POLLIN | _POLLOUT | 2))
        return result

    def modify(self, *args, **kwargs):
        args, fd = _numbered(args, kwargs)
        result = self._ipctrace.modify(*args, **kwargs)
        self._ipctrace_registered.add(fd, args[1] if len(args) > 1 else kwargs.get("eventmask", _POLLIN))
        return result

    def unregister(self, *args, **kwargs):
        args, fd = _numbered(args, kwargs)
        result = self._ipctrace.unregister(*args, **kwargs)
        self._ipctrace_registered.remove(fd)
        return result

    def __reduce_ex__(self, protocol):
        return self._ipctrace.__reduce_ex__(protocol)  # which says that it can't be pickled

    def __repr__(self):
        return "<select.%s object at %#x>" % (kind.__name__, id(self))

    for function in (register, modify, unregister):
        like(getattr(kind, function.__name__), function)
    return {
        "register": register, "modify": modify, "unregister": unregister, "__reduce_ex__": __reduce_ex__,
        "__repr__": __repr__,
    }  # fmt: skip


def waiting(runtime, kind, op, unit, fd_of):
    """The method poll: what it is asked for, how long, and what is ready."""
    enter, leave, fail, here = runtime.log.enter, runtime.log.leave, runtime.log.fail, runtime.sites.here
    channel_of = runtime.descriptors.channel_of

    def poll(self, *args, **kwargs):
        own, registered = self._ipctrace, self._ipctrace_registered
        size, flags = limit(args[0] if args else kwargs.get("timeout"), unit)
        if flags == _NONBLOCKING and ((registered.known and not registered.events) or looks_on()):
            return own.poll(*args, **kwargs)
        text = registered.text()
        fd = fd_of(own)
        if not registered.known:
            text, seen = _listed(fd)
            if not seen and not flags:
                flags = _TIMED  # waits for nobody knows what
        ticket = enter(op, fd, channel_of(fd) if fd >= 0 else 0, 0, 0, size, here(), text, flags, True)
        try:
            ready = own.poll(*args, **kwargs)
        except BaseException as error:
            fail(ticket, error)
            raise
        leave(ticket, len(ready), ready[0][0] if ready else _NONE)
        return ready

    return like(kind.poll, poll)


def _listed(fd):
    """What the system says is registered with an epoll descriptor that was made elsewhere: (text, whether it said).

    proc_pid_fdinfo(5).
    """
    try:
        with _open(_FDINFO % fd, "rb", 0) as file:
            lines = [line.split() for line in file.read().splitlines()]
        return described({int(parts[1]): int(parts[3], 16) for parts in lines if parts[:1] == [b"tfd:"]}), True
    except (OSError, ValueError, IndexError):
        return b"", False


class Poll(Call):
    """select.poll: a function that makes an object."""

    def __init__(self, original, runtime):
        super().__init__(original, 0, runtime)
        kind = type(original())

        def __new__(cls, *args, **kwargs):
            return kind(*args, **kwargs)  # which says that none is made so

        self.made = stand_in(kind, {
            **shared(runtime, kind), "__new__": __new__,
            "poll": waiting(runtime, kind, table.CODE["poll.poll"], 1_000_000, lambda own: -1),
        })  # fmt: skip

    def __call__(self, *args, **kwargs):
        own = self.original(*args, **kwargs)
        made = object.__new__(self.made)
        made._ipctrace, made._ipctrace_registered = own, Registered()
        return made


def epoll_of(runtime, kind):
    """The stand-in for select.epoll. It is recorded as opened when something is registered with it: to see whether
    there is epoll at all, selectors makes one and closes it."""
    enter, leave, fail, here = runtime.log.enter, runtime.log.leave, runtime.log.fail, runtime.sites.here
    descriptors, op, closing = runtime.descriptors, table.CODE["epoll"], table.CODE["os.close"]

    def number_of(own):
        return -1 if own.closed else own.fileno()

    members = shared(runtime, kind)
    register = members["register"]

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        self._ipctrace, self._ipctrace_registered = kind(*args, **kwargs), Registered()
        descriptors.gone(self._ipctrace.fileno())
        return self

    def fromfd(cls, *args, **kwargs):
        self = object.__new__(cls)
        self._ipctrace, self._ipctrace_registered = kind.fromfd(*args, **kwargs), Registered(known=False)
        return self

    def register_(self, *args, **kwargs):
        result = register(self, *args, **kwargs)
        if self._ipctrace_registered.known and len(self._ipctrace_registered.events) == 1:
            fd = self._ipctrace.fileno()
            leave(enter(op, -1, descriptors.channel_of(fd), 0, 0, _NONE, here()), fd)
        return result

    def close(self):
        own, registered = self._ipctrace, self._ipctrace_registered
        if own.closed or (registered.known and registered.words == b""):
            return own.close()
        fd = own.fileno()
        ticket = enter(closing, fd, descriptors.channel_of(fd), 0, 0, _NONE, here())
        descriptors.gone(fd)
        try:
            result = own.close()
        except BaseException as error:
            fail(ticket, error)
            raise
        leave(ticket)
        return result

    def fileno(self):
        return self._ipctrace.fileno()

    def __enter__(self):
        self._ipctrace.__enter__()
        return self

    def __exit__(self, *args):
        return close(self)

    members["register"] = like(kind.register, register_)
    for function in (close, fileno, __enter__, __exit__):
        if hasattr(kind, function.__name__):
            members[function.__name__] = like(getattr(kind, function.__name__), function)
    return stand_in(kind, {
        **members, "__new__": __new__, "fromfd": classmethod(like(kind.fromfd, fromfd)),
        "closed": property(lambda self: self._ipctrace.closed, doc=kind.closed.__doc__),
        "poll": waiting(runtime, kind, table.CODE["epoll.poll"], 1_000_000_000, number_of),
    })  # fmt: skip


def wrap_select(runtime, module):
    """Wrap the module select."""
    install(Select(module.select, table.CODE["select.select"], runtime), "select", module)
    if hasattr(module, "poll"):
        install(Poll(module.poll, runtime), "poll", module)
    if hasattr(module, "epoll"):
        module.epoll = epoll_of(runtime, module.epoll)


PATCHES = {"select": wrap_select}
