"""Datagrams: whole messages, to whomever they are addressed."""

from __future__ import annotations

import os
import socket


def count(server: socket.socket, clients: int) -> None:
    for _ in range(2 * clients):
        message, client = server.recvfrom(64)  # one message, however long, and who sent it
        server.sendto(b"%d bytes" % len(message), client)


def ask(server: tuple[str, int], name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for message in (b"Spam", b"Spam and eggs"):
            client.sendto(message, server)
            answer, _ = client.recvfrom(64)
            print(f"Client {name} got [{answer.decode()}]", flush=True)


if __name__ == "__main__":
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        names = ("one", "two")
        for name in names:
            if os.fork() == 0:
                ask(server.getsockname(), name)
                os._exit(0)
        count(server, len(names))
        for _ in names:
            os.wait()
