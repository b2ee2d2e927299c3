"""Sockets as a replay plays them: no address is bound, nobody is connected to, nothing is waited for."""

from __future__ import annotations

from _struct import pack

from .calls import like


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
        return [(module.SOL_SOCKET, module.SCM_RIGHTS, pack("%di" % len(fds), *fds))]

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

    def bind(original):
        """Not made, but for a name in the file system, which the program may go on to look at."""

        def bind(self, address):
            event, _ = ask()
            if event is None:
                return original(self, address)
            if self.family == getattr(module, "AF_UNIX", -1) and address and address[:1] not in ("\0", b"\0"):
                try:
                    original(self, address)
                except OSError:  # its folder is gone, or it is there already
                    pass
            return None

        return bind

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
        ("sendmsg", sendmsg), ("connect", quiet), ("connect_ex", connect_ex), ("bind", bind), ("listen", quiet),
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
