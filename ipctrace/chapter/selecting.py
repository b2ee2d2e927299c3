"""Waiting for several ends at once, in four ways."""

from __future__ import annotations

import os
import select
import selectors
import socket


def start_child() -> dict[int, str]:
    """A child that writes to a pipe and a socket; returns our ends of both."""
    reading_end, writing_end = os.pipe()
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        os.write(writing_end, b"from a pipe")
        theirs.sendall(b"from a socket")
        os._exit(0)
    os.close(writing_end)
    theirs.close()
    return {reading_end: "pipe", ours.detach(): "socket"}


def by_select(ends: dict[int, str]) -> int:
    ready, _, _ = select.select(list(ends), [], [])
    return ready[0]


def by_poll(ends: dict[int, str]) -> int:
    poller = select.poll()
    for fd in ends:
        poller.register(fd, select.POLLIN)
    return poller.poll()[0][0]


def by_epoll(ends: dict[int, str]) -> int:
    with select.epoll() as poller:
        for fd in ends:
            poller.register(fd, select.EPOLLIN)
        return poller.poll()[0][0]


def by_selectors(ends: dict[int, str]) -> int:
    with selectors.DefaultSelector() as selector:
        for fd in ends:
            selector.register(fd, selectors.EVENT_READ)
        return selector.select()[0][0].fd


if __name__ == "__main__":
    for way in (by_select, by_poll, by_epoll, by_selectors):
        ends = start_child()
        while ends:
            fd = way(ends)
            print(f"{way.__name__}: the {ends.pop(fd)} has [{os.read(fd, 32).decode()}]")
            os.close(fd)
        os.wait()
