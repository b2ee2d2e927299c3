"""A pipe's end goes to another process over a socket."""

import array
import os
import socket


def send_descriptor(sock: socket.socket, fd: int) -> None:
    sock.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


def receive_descriptor(sock: socket.socket) -> int:
    descriptors = array.array("i")
    _, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_LEN(descriptors.itemsize))
    descriptors.frombytes(ancillary[0][2])
    return descriptors[0]


if __name__ == "__main__":
    parents, childs = socket.socketpair()
    if os.fork() == 0:
        parents.close()
        fd = receive_descriptor(childs)  # a number of our own, for the same pipe
        os.write(fd, f"Spam from {os.getpid()}".encode())
        os._exit(0)
    childs.close()
    reading_end, writing_end = os.pipe()  # made after the fork: the child hasn't inherited it
    send_descriptor(parents, writing_end)
    os.close(writing_end)
    print(f"Parent {os.getpid()} got [{os.read(reading_end, 64).decode()}]")
    os.wait()
