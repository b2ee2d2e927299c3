"""What the kernel tells through netlink sockets: which socket is whose other end (sock_diag(7)), and, as it happens,
which processes come and go (its process event connector: to root, and from Linux 6.6 on to anybody).

Where it tells nothing (another system, a container, a sandbox), there is nothing, and no error.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

_SOCK_DIAG, _BY_FAMILY = 4, 20  # linux/netlink.h, linux/sock_diag.h
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_HEADER = "=IHHII"  # struct nlmsghdr: length, type, flags, sequence, port
_ERROR, _DONE = 2, 3
_ALL = 0xFFFFFFFF
_SHOW_PEER, _PEER = 4, 2  # linux/unix_diag.h: UDIAG_SHOW_PEER, UNIX_DIAG_PEER
_UNIX = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, _ALL, 0, _SHOW_PEER, _ALL, _ALL)  # struct unix_diag_req
_MAPPED = bytes(10) + b"\xff\xff"  # how IPv6 writes an address of IPv4: RFC 4291
_ANSWER = 1 << 16

_CONNECTOR, _PROCESSES = 11, 1  # NETLINK_CONNECTOR; linux/connector.h: CN_IDX_PROC, CN_VAL_PROC
_LISTEN, _IGNORE = 1, 2  # linux/cn_proc.h: PROC_CN_MCAST_LISTEN, _IGNORE
_KINDS = {0: "ready", 1: "fork", 2: "exec", 1 << 31: "exit"}
_EVENT_AT = 36  # behind struct nlmsghdr and struct cn_msg
_BUFFER = 1 << 20


def peers() -> dict[int, int]:
    """The inode of each connected Unix or TCP socket's other end, by its own, where both are on this machine."""
    found: dict[int, int] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
            kernel.settimeout(0.1)
            for answer in _dump(kernel, _UNIX):
                (inode,) = struct.unpack_from("=I", answer, 4)
                other = _attribute(answer[16:], _PEER)  # behind struct unix_diag_msg
                if other:
                    found[inode] = struct.unpack("=I", other)[0]
            ends: dict[tuple[bytes, bytes], int] = {}
            for family in (socket.AF_INET, socket.AF_INET6):
                request = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALL) + bytes(48)
                ends |= dict(_tcp(_dump(kernel, request)))
    except (OSError, AttributeError, struct.error):
        return found
    for (local, remote), inode in ends.items():
        if inode and ends.get((remote, local)):
            found[inode] = ends[remote, local]
    return found


def _dump(kernel: socket.socket, request: bytes) -> Iterator[bytes]:
    """What the kernel answers to a request for everything of a family."""
    kernel.send(struct.pack(_HEADER, 16 + len(request), _BY_FAMILY, _DUMP, 0, 0) + request)
    while True:
        answer = kernel.recv(_ANSWER)
        while len(answer) >= 16:
            length, kind, *_ = struct.unpack_from(_HEADER, answer)
            if kind in (_ERROR, _DONE) or length < 16:  # a family that this kernel wasn't built to tell of is an error
                return
            yield answer[16:length]
            answer = answer[(length + 3) & ~3 :]


def _attribute(attributes: bytes, wanted: int) -> bytes:
    """The value of one of a message's attributes (struct nlattr); empty if it isn't there."""
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == wanted:
            return attributes[4:length]
        attributes = attributes[max(4, (length + 3) & ~3) :]
    return b""


def _tcp(answers: Iterator[bytes]) -> Iterator[tuple[tuple[bytes, bytes], int]]:
    """((local, remote), inode) of each struct inet_diag_msg; an address is its bytes and its port's."""
    for answer in answers:
        family, local_port, remote_port = answer[0], answer[4:6], answer[6:8]
        addresses = [answer[8:24], answer[24:40]]
        local, remote = (
            address[:4] if family == socket.AF_INET else address.removeprefix(_MAPPED) for address in addresses
        )
        yield (local + local_port, remote + remote_port), struct.unpack_from("=I", answer, 68)[0]


class ProcessEvent(NamedTuple):
    """A process was forked, became another program, or ended; or the kernel is ready to tell. `time` is monotonic ns;
    `parent` is a fork's; `status`, the exit status or minus the signal, an end's."""

    kind: str
    time: int
    pid: int
    parent: int = 0
    status: int = 0


class ProcessEvents:
    """Every process of the machine that comes or goes, from now on; none where the kernel doesn't tell us.

    Some are lost where too many come at once: it is a help to who looks at /proc, and no replacement.
    """

    def __init__(self) -> None:
        self.told = False  # whether the kernel has agreed to tell us
        self._socket: socket.socket | None = None
        with suppress(OSError, AttributeError):
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_NETLINK, kind, _CONNECTOR)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, _PROCESSES))
            self._say(_LISTEN)
            return
        self.close()

    def _say(self, what: int) -> None:
        assert self._socket is not None
        message = struct.pack("=IIIIHHI", _PROCESSES, _PROCESSES, 0, 0, 4, 0, what)
        self._socket.send(struct.pack(_HEADER, 16 + len(message), _DONE, 0, 0, os.getpid()) + message)

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to read; -1 if there never is."""
        return -1 if self._socket is None else self._socket.fileno()

    def read(self) -> Iterator[ProcessEvent]:
        """What has happened since it was last asked, in order; threads that come and go are left out."""
        while self._socket is not None:
            try:
                message = self._socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: some were lost
                continue
            event = _process_event(message)
            if event is not None:
                self.told |= event.kind == "ready"
                yield event

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            with suppress(OSError):
                self._say(_IGNORE)  # before 6.6 the kernel doesn't count us out by itself
            self._socket.close()
        self._socket = None


def _process_event(message: bytes) -> ProcessEvent | None:
    """One struct proc_event; None for one that says nothing of a process."""
    if len(message) < _EVENT_AT + 40:
        return None
    code, _, time = struct.unpack_from("=IIQ", message, _EVENT_AT)
    kind, (first, second, third, fourth) = _KINDS.get(code), struct.unpack_from("=4I", message, _EVENT_AT + 16)
    if kind == "ready" and not first:  # an error otherwise
        return ProcessEvent(kind, time, 0)
    if kind == "fork" and third == fourth:  # parent's thread and process, child's thread and process
        return ProcessEvent(kind, time, third, parent=second)
    if kind == "exec":
        return ProcessEvent(kind, time, second)  # whichever thread execs becomes the process's only one
    if kind == "exit" and first == second:  # a thread and its process
        return ProcessEvent(kind, time, first, status=os.waitstatus_to_exitcode(third & 0xFFFF))
    return None
