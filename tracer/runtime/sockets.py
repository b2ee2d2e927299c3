"""Sockets: the methods of socket.socket, socketpair, dup, and the streams that makefile makes.

socket.socket is a class of Python's over one of C's, so its methods can be replaced on it: subclasses of the program's
go on working, and ssl.SSLSocket, which sends and receives in its own way, isn't touched: what it moves is ciphertext.

Every end of a connection is a channel of its own, by its inode. What is known of an end (addresses, the pid of whoever
connected) is said as soon as it is known; which two ends are one connection is found out later, from all of that. A
socket that the garbage collector closes is closed in C: no record tells of it. Nothing of ours rests on it: a
descriptor is asked anew for what it leads to whenever a new socket object has its number, and inodes of sockets are
given out in a row, so that none comes again soon.
"""

from __future__ import annotations

import errno
import sys
from _thread import get_ident
from time import monotonic_ns

from . import table
from .addresses import words
from .calls import install, like
from .descriptors import Duplicate
from .log import ours_raised
from .socketfiles import Files

_IS_CONNECTED = errno.EISCONN
_NONE, _ADDRESSED, _TIMED, _NONBLOCKING = table.NONE, table.ADDRESSED, table.TIMED, table.NONBLOCKING
# name, position of its flags, whether it fills buffers of the caller's
_READS = (
    ("recv", 1, False), ("recv_into", 2, True), ("recvfrom", 1, False), ("recvfrom_into", 2, True),
    ("recvmsg", 2, False), ("recvmsg_into", 2, True),
)  # fmt: skip
_FORMS = (
    ("AF_INET", "SOCK_STREAM", "tcp"), ("AF_INET6", "SOCK_STREAM", "tcp"), ("AF_INET", "SOCK_DGRAM", "udp"),
    ("AF_INET6", "SOCK_DGRAM", "udp"), ("AF_UNIX", "SOCK_STREAM", "unix-stream"),
    ("AF_UNIX", "SOCK_DGRAM", "unix-datagram"), ("AF_UNIX", "SOCK_SEQPACKET", "unix-seqpacket"),
)  # fmt: skip


class Sockets:
    """Wraps the methods of one class; what they need of it is at hand, not looked up."""

    def __init__(self, runtime, module):
        self.runtime, self.module = runtime, module
        self.log, self.here = runtime.log, runtime.sites.here
        self.descriptors, self.addresses = runtime.descriptors, runtime.addresses
        self.ends = runtime.descriptors.sockets
        self.owner = owner = module.socket
        base = owner.__mro__[1]  # C's class: what a subclass may have overridden isn't asked
        self.fileno, self.gettimeout = base.fileno, base.gettimeout
        self.getsockname, self.getpeername, self.getsockopt = base.getsockname, base.getpeername, base.getsockopt
        self.family, self.type = base.family.__get__, base.type.__get__
        native = sys.modules["_socket"]

        def constant(name, default=0):
            return int(getattr(native, name, default))

        self.forms = {(constant(family, -1), constant(kind, -1)): form for family, kind, form in _FORMS}
        self.local_family, self.level = constant("AF_UNIX", -1), constant("SOL_SOCKET")
        self.rights = constant("SCM_RIGHTS", -1)
        self.datagram, self.internet = constant("SOCK_DGRAM"), (constant("AF_INET"), constant("AF_INET6", -1))
        self.peek, self.at_once = constant("MSG_PEEK"), constant("MSG_DONTWAIT")
        self.errors = constant("MSG_ERRQUEUE")
        self.credentials = constant("SO_PEERCRED", -1)
        self.limits = {constant("SO_RCVTIMEO", -1), constant("SO_SNDTIMEO", -1)} - {-1}
        self.limited = set()  # channels with a time-out that the system keeps, not Python: SO_RCVTIMEO
        self.unmet = {}  # channel → when its connect began (NONE: no connect): of which more will be known later
        self.lent = runtime.streams.lent

    # What a socket leads to, and what is known of that

    def arrive(self, sock, flags=0):
        """(descriptor, channel, flags of the record) of a socket that is used."""
        fd = self.fileno(sock)
        number = self.ends.get(fd) or self.find(sock, fd)
        if self.unmet and number in self.unmet:
            self.describe(sock, number)
        timeout = self.gettimeout(sock)
        if timeout is None:  # as Python does it: the flag only tells where there is no time-out
            return fd, number, _NONBLOCKING if flags & self.at_once else _TIMED if number in self.limited else 0
        return fd, number, _TIMED if timeout else _NONBLOCKING

    def find(self, sock, fd):
        """The channel of a socket that wasn't made here: inherited, received, or made from a number."""
        number = self.descriptors.channel_of(fd) if fd >= 0 else 0
        if number:
            self.ends[fd] = number
            self.limited.discard(number)
            for limit in self.limits:
                try:
                    if any(self.getsockopt(sock, self.level, limit, 16)):
                        self.limited.add(number)
                except OSError as error:
                    if not ours_raised(error):
                        raise
            self.describe(sock, number)
        return number

    def hold(self, fd):
        """The channel of a descriptor that is new to this process; sockets are made not inheritable (PEP 446)."""
        self.descriptors.gone(fd)
        number = self.descriptors.channel_of(fd)
        if number:
            self.ends[fd] = number
            self.log.define(table.DESCRIPTOR, "rw", 0, fd=fd, channel=number)
        return number

    def form(self, sock):
        """The form of an end, as table.ENDPOINT has it."""
        return self.forms.get((self.family(sock), self.type(sock)), "other")

    def describe(self, sock, number, since=_NONE, remote=""):
        """Say what is known of an end. `since`: when its connect began; `remote`: what the program called its peer."""
        local, pid, connected = self.named(self.getsockname, sock) or "", "", False
        asked = self.named(self.getpeername, sock)
        if asked is not None:
            remote, connected = asked or remote, True
            if self.family(sock) == self.local_family:
                pid = self.peer(sock)
        if connected or remote:
            since = self.unmet.pop(number, since)
        elif local and self.type(sock) == self.datagram:
            self.unmet.pop(number, None)
        if local or remote or pid:
            self.addresses.endpoint(number, self.form(sock), local, remote, pid, since=since)

    def named(self, ask, sock):
        """An address in words; "" for none; None where there can't be one: of a peer, when it isn't connected."""
        try:
            address = ask(sock)
        except OSError as error:
            if not ours_raised(error):
                raise
            return None
        if isinstance(address, tuple) and len(address) in (2, 4) and not address[1]:
            return ""  # port 0: not bound yet
        return words(address)

    def peer(self, sock):
        """The pid of whoever connected, or listened: unix(7)."""
        try:
            return int.from_bytes(self.getsockopt(sock, self.level, self.credentials, 12)[:4], sys.byteorder)
        except OSError as error:
            if not ours_raised(error):
                raise
            return ""

    # Wrapping

    def put(self, name, function):
        """Put a function in the place of a method."""
        setattr(self.owner, name, like(getattr(self.owner, name), function))

    def wrap(self):
        """Replace the methods of socket.socket and the functions of the module."""
        for name, flags_at, fills in _READS:
            if hasattr(self.owner, name):
                self.put(name, self.reading(name, flags_at, fills))
        self.put("send", self.writing("send"))
        self.put("sendall", self.writing("sendall"))
        self.put("sendto", self.sendto())
        if hasattr(self.owner, "sendmsg"):
            self.put("sendmsg", self.sendmsg())
        for name in ("connect", "connect_ex"):
            self.put(name, self.connecting(name))
        for name in ("bind", "listen", "shutdown"):
            self.put(name, self.plain(name))
        self.put("__init__", self.making())
        self.put("_accept", self.accepting())
        self.put("accept", self.accepted())
        self.put("_real_close", self.closing())
        self.put("setsockopt", self.setsockopt())
        duplicate = Duplicate(self.module.dup, table.CODE["socket.dup"], self.runtime)
        install(duplicate, "dup", self.module, sys.modules["_socket"])
        if hasattr(self.module, "socketpair"):
            self.module.socketpair = like(self.module.socketpair, self.pairing(self.module.socketpair))

    def making(self):
        """A new socket object. A number that it was made from isn't new to the process."""
        original, op = self.owner.__init__, table.CODE["socket.socket"]
        enter, leave, fileno, ends = self.log.enter, self.log.leave, self.fileno, self.ends

        def __init__(self_, *args, **kwargs):
            original(self_, *args, **kwargs)
            fd = fileno(self_)
            ends.pop(fd, None)
            if fd >= 0 and (args[3] if len(args) > 3 else kwargs.get("fileno")) is None:
                site = self.here()
                number = self.hold(fd)
                leave(enter(op, -1, number, 0, 0, _NONE, site), fd)
                if self.type(self_) == self.datagram and self.family(self_) in self.internet:
                    self.unmet[number] = _NONE  # gets its name when it sends

        return __init__

    def closing(self):
        """The close that is one: a file made of the socket may keep it open beyond close()."""
        original, op = self.owner._real_close, table.CODE["socket.close"]
        enter, leave, fail, fileno = self.log.enter, self.log.leave, self.log.fail, self.fileno

        def _real_close(self_, *args, **kwargs):
            fd = fileno(self_)
            if fd < 0:
                return original(self_, *args, **kwargs)
            number = self.ends.get(fd) or self.descriptors.channel_of(fd)
            ticket = enter(op, fd, number, 0, 0, _NONE, self.here())
            # before the call: another thread may be given the number as soon as it is free
            self.descriptors.forget(fd)
            self.unmet.pop(number, None)
            self.limited.discard(number)
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket)
            return result

        return _real_close

    def setsockopt(self):
        """Only of interest where a time-out is set that Python doesn't know of."""
        original, limits = self.owner.setsockopt, self.limits

        def setsockopt(self_, *args):
            result = original(self_, *args)
            if len(args) == 3 and args[1] in limits and args[0] == self.level:
                self.ends.pop(self.fileno(self_), None)  # so that it is looked at anew
            return result

        return setsockopt

    def reading(self, name, flags_at, fills):
        """recv and its kin: the bytes, or how many, or either in a tuple with an address and ancillary data."""
        original, op = getattr(self.owner, name), table.CODE["socket." + name]
        enter, got, fail, here = self.log.enter, self.log.got, self.log.fail, self.here
        arrive, lent, unusual = self.arrive, self.lent, self.peek | self.errors
        several = name == "recvmsg_into"

        def recorded(self_, *args, **kwargs):
            try:
                flags = args[flags_at] if len(args) > flags_at else kwargs.get("flags", 0) if kwargs else 0
                special = flags & unusual
                buffers = None
                if not fills:
                    size = args[0]
                elif several:
                    if type(args[0]) not in (list, tuple):
                        args = (list(iter(args[0])), *args[1:])  # an iterator can be gone through only once
                    buffers = args[0]
                    size = _size(buffers)
                else:
                    buffers = args[0] if args else kwargs["buffer"]
                    size = (args[1] if len(args) > 1 else kwargs.get("nbytes", 0)) or memoryview(buffers).nbytes
            except (LookupError, TypeError):
                return original(self_, *args, **kwargs)  # which says what is wrong with them
            if special:
                return self.peeking(original, special, self_, args, kwargs)
            fd, number, mode = arrive(self_, flags)
            account = lent.get(get_ident()) if lent else None
            if account is None or account.fd != fd:
                ticket = enter(op, fd, number, 0, 0, size, here(), b"", mode)
            else:
                ticket = enter(op, fd, number, account.number, 0, size, account.site, b"", mode)
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            data = result
            if type(result) is tuple:
                data = result[0]
                if len(result) == 4 and result[1]:
                    self.received(result[1])
                if result[-1]:
                    self.log.address(ticket, self.addresses.number(words(result[-1])))
            if fills:
                got(ticket, self.filled(buffers, data), data)
            else:
                got(ticket, data, len(data))
            return result

        return recorded

    def peeking(self, original, special, sock, args, kwargs):
        """A look at what is there takes nothing away: it is a wait until there is something. The other unusual read is
        that of the system's notices of errors, which are nobody's bytes and never waited for."""
        if special & self.errors:
            return original(sock, *args, **kwargs)
        fd, number, mode = self.arrive(sock, args[-1])
        members, timeout = b"r%d" % fd, self.gettimeout(sock)
        size = _NONE if timeout is None else int(timeout * 1_000_000_000)
        ticket = self.log.enter(table.CODE["socket.peek"], fd, number, 0, 0, size, self.here(), members, mode, True)
        try:
            result = original(sock, *args, **kwargs)
        except BaseException as error:
            self.log.fail(ticket, error)
            raise
        self.log.leave(ticket, 1, fd)
        return result

    def filled(self, buffers, count):
        """The first `count` bytes of one buffer or several, as far as they are kept."""
        if not self.log.full:
            count = min(count, self.log.payload)
        try:
            if type(buffers) not in (list, tuple):
                return bytes(memoryview(buffers).cast("B")[:count])
            data = b""
            for buffer in buffers:
                data += bytes(memoryview(buffer).cast("B")[: count - len(data)])
            return data
        except (TypeError, ValueError, BufferError):
            return b""

    def writing(self, name):
        """send, and sendall: one record, the loop is C's."""
        original, op = getattr(self.owner, name), table.CODE["socket." + name]
        enter, leave, fail, here, arrive, lent = (
            self.log.enter, self.log.leave, self.log.fail, self.here, self.arrive, self.lent,
        )  # fmt: skip

        def recorded(self_, *args, **kwargs):
            try:
                data = args[0]
                size = len(data) if type(data) is bytes else memoryview(data).nbytes
                flags = args[1] & self.at_once if len(args) > 1 else 0
            except (IndexError, TypeError):
                return original(self_, *args, **kwargs)
            fd, number, mode = arrive(self_, flags)
            account = lent.get(get_ident()) if lent else None
            kept = data if type(data) is bytes else self.filled(data, size)
            if account is None or account.fd != fd:
                account = None
                ticket = enter(op, fd, number, 0, 0, size, here(), kept, mode)
            else:
                ticket = enter(op, fd, number, account.number, account.reached, size, account.site, kept, mode)
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            if account is None:
                leave(ticket, size if result is None else result)
            else:
                account.reached += result
                leave(ticket, result, _NONE, account.accepted - account.reached)
            return result

        return recorded

    def sendto(self):
        """sendto: to whom, too."""
        original, op = self.owner.sendto, table.CODE["socket.sendto"]
        enter, leave, fail = self.log.enter, self.log.leave, self.log.fail

        def sendto(self_, *args, **kwargs):
            try:
                data = args[0]
                size = len(data) if type(data) is bytes else memoryview(data).nbytes
                flags = args[1] & self.at_once if len(args) > 2 else 0
            except (IndexError, TypeError):
                return original(self_, *args, **kwargs)
            fd, number, mode = self.arrive(self_, flags)
            address = self.addresses.number(words(args[-1]) if len(args) > 1 else "")
            kept = data if type(data) is bytes else self.filled(data, size)
            mode |= _ADDRESSED if address else 0
            ticket = enter(op, fd, number, 0, address, size, self.here(), kept, mode)
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            leave(ticket, result)
            return result

        return sendto

    def sendmsg(self):
        """sendmsg: several buffers, an address perhaps, and perhaps descriptors."""
        original, op = self.owner.sendmsg, table.CODE["socket.sendmsg"]
        enter, leave, fail = self.log.enter, self.log.leave, self.log.fail

        def sendmsg(self_, *args, **kwargs):
            try:
                for place in range(min(len(args), 2)):
                    if type(args[place]) not in (list, tuple):  # an iterator can be gone through only once
                        args = (*args[:place], list(iter(args[place])), *args[place + 1 :])
                size = _size(args[0])
                flags = args[2] & self.at_once if len(args) > 2 else 0
            except (IndexError, TypeError):
                return original(self_, *args, **kwargs)
            fd, number, mode = self.arrive(self_, flags)
            address = self.addresses.number(words(args[3]) if len(args) > 3 else "")
            kept = self.filled(args[0], size)
            mode |= _ADDRESSED if address else 0
            ticket = enter(op, fd, number, 0, address, size, self.here(), kept, mode)
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            if len(args) > 1 and args[1]:
                self.passed(args[1])
            leave(ticket, result)
            return result

        return sendmsg

    def numbers(self, ancillary):
        """The descriptors that are in ancillary data: unix(7), SCM_RIGHTS."""
        for level, kind, data in ancillary:
            if level == self.level and kind == self.rights:
                data = bytes(data)
                for place in range(0, len(data) - 3, 4):
                    yield int.from_bytes(data[place : place + 4], sys.byteorder, signed=True)

    def passed(self, ancillary):
        """Descriptors went along; within the sendmsg."""
        enter, leave, op = self.log.enter, self.log.leave, table.CODE["descriptor passed"]
        for fd in self.numbers(ancillary):
            leave(enter(op, fd, self.descriptors.channel_of(fd), 0, 0, _NONE, self.here()))

    def received(self, ancillary):
        """Descriptors came along; within the recvmsg."""
        enter, leave, op = self.log.enter, self.log.leave, table.CODE["descriptor received"]
        for fd in self.numbers(ancillary):
            self.descriptors.gone(fd)
            leave(enter(op, -1, self.descriptors.channel_of(fd), 0, 0, _NONE, self.here()), fd)
            self.descriptors.held(fd)

    def connecting(self, name):
        """connect, connect_ex: that of a datagram socket only notes the address."""
        original, op = getattr(self.owner, name), table.CODE["socket." + name]
        enter, leave, fail = self.log.enter, self.log.leave, self.log.fail

        def recorded(self_, *args, **kwargs):
            fd, number, mode = self.arrive(self_)
            if self.type(self_) == self.datagram:
                mode = _NONBLOCKING
            text = words(args[0]) if args else ""
            address = self.addresses.number(text)
            since = monotonic_ns()
            ticket = enter(op, fd, number, 0, address, _NONE, self.here(), b"", mode | (_ADDRESSED if address else 0))
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                if isinstance(error, (BlockingIOError, InterruptedError)):
                    self.unmet[number] = since
                raise
            if result:  # connect_ex's error
                fail(ticket, OSError(result, ""))
                if result != _IS_CONNECTED:
                    self.unmet.setdefault(number, since)
                    return result
            else:
                leave(ticket, result if name == "connect_ex" else _NONE)
            self.describe(self_, number, since, text)
            return result

        return recorded

    def plain(self, name):
        """bind, listen, shutdown."""
        original, op = getattr(self.owner, name), table.CODE["socket." + name]
        enter, leave, fail = self.log.enter, self.log.leave, self.log.fail
        binds, names = name == "bind", name != "shutdown"

        def recorded(self_, *args, **kwargs):
            fd, number, _ = self.arrive(self_)
            address = self.addresses.number(words(args[0])) if binds and args else 0
            size = args[0] if args and not binds and isinstance(args[0], int) else _NONE
            ticket = enter(op, fd, number, 0, address, size, self.here(), b"", _ADDRESSED if address else 0)
            try:
                result = original(self_, *args, **kwargs)
            except BaseException as error:
                fail(ticket, error)
                raise
            if binds:  # by now the system has chosen a port, or an abstract name
                self.log.address(ticket, self.addresses.number(self.named(self.getsockname, self_)))
            leave(ticket)
            if names:
                self.describe(self_, number)
            return result

        return recorded

    def accepting(self):
        """_accept, under accept: it waits. Its result is a number, which can't be asked for addresses."""
        original, op = self.owner._accept, table.CODE["socket.accept"]
        enter, leave, fail = self.log.enter, self.log.leave, self.log.fail

        def _accept(self_, *args):
            fd, number, mode = self.arrive(self_)
            ticket = enter(op, fd, number, 0, 0, _NONE, self.here(), b"", mode)
            try:
                result = original(self_, *args)
            except BaseException as error:
                fail(ticket, error)
                raise
            self.descriptors.gone(result[0])
            self.log.address(ticket, self.addresses.number(words(result[1])))
            leave(ticket, result[0])
            return result

        return _accept

    def accepted(self):
        """accept: here the new end has a socket, which can be asked. The record is _accept's."""
        original = self.owner.accept

        def accept(self_):
            result = original(self_)
            sock, address = result
            self.describe(sock, self.hold(self.fileno(sock)), remote=words(address))
            return result

        return accept

    def pairing(self, original):
        """socketpair: each end knows the other."""
        enter, leave, op = self.log.enter, self.log.leave, table.CODE["socket.socketpair"]

        def socketpair(*args, **kwargs):
            site = self.here()
            pair = original(*args, **kwargs)
            one, other = pair
            numbers = self.hold(self.fileno(one)), self.hold(self.fileno(other))
            self.addresses.endpoint(numbers[0], self.form(one), peer=numbers[1])
            self.addresses.endpoint(numbers[1], self.form(other), peer=numbers[0])
            leave(enter(op, self.fileno(one), numbers[0], 0, 0, _NONE, site), self.fileno(other))
            return pair

        return socketpair


def _size(buffers):
    """Bytes of several buffers."""
    return sum(memoryview(buffer).nbytes for buffer in buffers)


def wrap_socket(runtime, module):
    """Wrap the module socket."""
    Sockets(runtime, module).wrap()
    Files(runtime, module).wrap()


PATCHES = {"socket": wrap_socket}
