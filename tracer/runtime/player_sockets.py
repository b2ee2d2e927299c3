"""Sockets and readiness as a replay plays them: no address is bound, nobody is connected to, nothing is waited for."""

from __future__ import annotations

import array

from .calls import like

_IN, _OUT = 1, 4


def address_of(text):
    """An address as the socket module has it, from the words that addresses.py made of it."""
    if not text:
        return ""
    if text.startswith("@"):
        return b"\0" + text[1:].encode("utf-8", "surrogateescape")
    if text.startswith("["):
        host, _, port = text[1:].rpartition("]:")
        return host, int(port), 0, 0
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and "/" not in text:
        return host, int(port)
    return text


def replace_socket(system, module):
    """The methods of socket.socket, before the recorder wraps them."""
    owner, answer, player = module.socket, system.answer, system.player
    locals_, remotes = player.script["local"], player.script["remote"]

    def put(name, make):
        original = getattr(owner, name, None)
        if original is not None:
            setattr(owner, name, like(original, make(original)))

    def ask():
        try:
            return answer()
        except KeyboardInterrupt:
            raise module.timeout("timed out") from None

    def source(self, event):
        return address_of(event.address) if event.address else None if self.type == module.SOCK_STREAM else ""

    def recv(original):
        def recv(self, *args):
            event, data = ask()
            return original(self, *args) if event is None else data

        return recv

    def recv_into(original):
        def recv_into(self, buffer, *args):
            event, data = ask()
            return original(self, buffer, *args) if event is None else _fill([buffer], data)

        return recv_into

    def recvfrom(original):
        def recvfrom(self, *args):
            event, data = ask()
            return original(self, *args) if event is None else (data, source(self, event))

        return recvfrom

    def recvfrom_into(original):
        def recvfrom_into(self, buffer, *args):
            event, data = ask()
            if event is None:
                return original(self, buffer, *args)
            return _fill([buffer], data), source(self, event)

        return recvfrom_into

    def came(event):
        """The descriptors that came along."""
        if not event.received:
            return []
        fds = []
        for recorded, kind, access in event.received:
            fd = system.stand_in(kind, 1 if access == "w" else 0)
            player.stands(fd, recorded)
            fds.append(fd)
        return [(module.SOL_SOCKET, module.SCM_RIGHTS, array.array("i", fds).tobytes())]

    def recvmsg(original):
        def recvmsg(self, *args):
            event, data = ask()
            return original(self, *args) if event is None else (data, came(event), 0, source(self, event))

        return recvmsg

    def recvmsg_into(original):
        def recvmsg_into(self, buffers, *args):
            event, data = ask()
            if event is None:
                return original(self, buffers, *args)
            return _fill(buffers, data), came(event), 0, source(self, event)

        return recvmsg_into

    def send(original):
        def send(self, data, *args):
            event, whole = ask()
            return original(self, data, *args) if event is None else system.written(event, whole, _size([data]))

        return send

    def sendmsg(original):
        def sendmsg(self, buffers, *args):
            event, whole = ask()
            return original(self, buffers, *args) if event is None else system.written(event, whole, _size(buffers))

        return sendmsg

    def quiet(original):
        def call(self, *args):
            event, _ = ask()
            return original(self, *args) if event is None else None

        return call

    def connect_ex(original):
        def connect_ex(self, *args):
            tape = player.mine()
            event = tape.current if tape is not None else None
            if event is None:
                return original(self, *args)
            tape.current = None
            return event.error or 0

        return connect_ex

    def accept(original):
        def _accept(self):
            event, _ = ask()
            if event is None:
                return original(self)
            made = owner.__mro__[1](self.family, self.type, self.proto)
            fd = made.detach()
            player.stands(fd, event.result)
            return fd, address_of(event.address) if event.address else ""

        return _accept

    def named(table):
        def made(original):
            def name(self):
                fd = self.fileno()
                text = player.address(table, player.alias.get(fd, fd))
                return original(self) if text is None else address_of(text)

            return name

        return made

    for name, make in (
        ("recv", recv), ("recv_into", recv_into), ("recvfrom", recvfrom), ("recvfrom_into", recvfrom_into),
        ("recvmsg", recvmsg), ("recvmsg_into", recvmsg_into), ("send", send), ("sendall", quiet), ("sendto", send),
        ("sendmsg", sendmsg), ("connect", quiet), ("connect_ex", connect_ex), ("bind", quiet), ("listen", quiet),
        ("shutdown", quiet), ("_accept", accept), ("getsockname", named(locals_)), ("getpeername", named(remotes)),
    ):  # fmt: skip
        put(name, make)


def _fill(buffers, data):
    begin = 0
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        piece = data[begin : begin + len(view)]
        view[: len(piece)] = piece
        begin += len(piece)
    return begin


def _size(buffers):
    return sum(memoryview(buffer).nbytes for buffer in buffers)


def ready_ends(system, wanted, timeout):
    """[(descriptor, events)] that are ready, of a mapping descriptor → events: as recorded; or, where nobody wrote down
    that it was looked, what this thread reads or writes next. `timeout`: seconds, None for no limit."""
    player = system.player
    event, _ = system.answer()
    stands = {player.alias.get(fd, fd): fd for fd in wanted}
    if event is not None:
        found = [
            (stands[fd], _IN if "r" in access and wanted[stands[fd]] & ~_OUT else _OUT)
            for fd, access in event.ready if fd in stands
        ]  # fmt: skip
        if not found and timeout and player.clock() < event.exit + timeout * 1e9:
            player.wait(timeout)  # its time is over: an event loop asks the clock
        return found
    event = player.infer(stands, timeout)
    if event is None:
        return []
    return [(stands[event.fd], _OUT if event.call == "write" else _IN)]


def replace_select(system, module):
    """select, poll and epoll."""
    original = module.select

    def select(reading, writing, exceptional, timeout=None, /):
        wanted = {fd: _IN for fd in reading}
        for fd in writing:
            wanted[fd] = wanted.get(fd, 0) | _OUT
        found = ready_ends(system, wanted, timeout)
        return (
            [fd for fd in reading if (fd, _IN) in found],
            [fd for fd in writing if (fd, _OUT) in found],
            [],
        )

    module.select = like(original, select)
    if hasattr(module, "poll"):
        make = module.poll
        kind = _poller(system, type(make()), make, 1000)

        def poll():
            return kind()

        module.poll = like(make, poll)
    if hasattr(module, "epoll"):
        module.epoll = _poller(system, module.epoll, module.epoll, 1)


def _poller(system, original, make, unit):
    """A class in the place of C's: it registers there, so that its errors are theirs, and doesn't wait."""

    class Poller:
        def __init__(self, *args, **kwargs):
            self._own, self._wanted = make(*args, **kwargs), {}

        @classmethod
        def fromfd(cls, *args):
            self = object.__new__(cls)
            self._own, self._wanted = original.fromfd(*args), {}
            return self

        def register(self, fd, eventmask=_IN | 2 | _OUT):
            number = fd if isinstance(fd, int) else fd.fileno()
            result = self._own.register(number, eventmask)
            self._wanted[number] = eventmask
            return result

        def modify(self, fd, eventmask):
            number = fd if isinstance(fd, int) else fd.fileno()
            result = self._own.modify(number, eventmask)
            self._wanted[number] = eventmask
            return result

        def unregister(self, fd):
            number = fd if isinstance(fd, int) else fd.fileno()
            self._wanted.pop(number, None)
            return self._own.unregister(number)

        def poll(self, timeout=None, maxevents=-1):
            return ready_ends(system, self._wanted, None if timeout is None or timeout < 0 else timeout / unit)

        def close(self):
            return self._own.close()

        def fileno(self):
            return self._own.fileno()

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.close()

        @property
        def closed(self):
            """True if the epoll handler is closed"""
            return self._own.closed

    Poller.__name__, Poller.__qualname__ = original.__name__, original.__qualname__
    Poller.__module__, Poller.__doc__ = original.__module__, original.__doc__
    return Poller
