"""What the kernel tells through netlink sockets, to anybody: which socket is whose other end (sock_diag(7)).

Where it tells nothing (another system, a sandbox), there is nothing, and no error.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG, _BY_FAMILY = 4, 20  # linux/netlink.h, linux/sock_diag.h
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_HEADER = "=IHHII"  # struct nlmsghdr: length, type, flags, sequence, port
_ERROR, _DONE = 2, 3
_ALL = 0xFFFFFFFF
_SHOW_PEER, _PEER = 4, 2  # linux/unix_diag.h: UDIAG_SHOW_PEER, UNIX_DIAG_PEER
_UNIX = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, _ALL, 0, _SHOW_PEER, _ALL, _ALL)  # struct unix_diag_req
_MAPPED = bytes(10) + b"\xff\xff"  # how IPv6 writes an address of IPv4: RFC 4291
_ANSWER = 1 << 16


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
