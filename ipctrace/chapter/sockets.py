"""A TCP echo server and its client, two processes."""

from __future__ import annotations

import os
import socket


def serve(listener: socket.socket) -> None:
    connection, client = listener.accept()
    print(f"Server {os.getpid()} got a client from {client[0]}", flush=True)
    with connection:
        while True:
            message = connection.recv(1024)
            if not message:  # the client has closed its end
                break
            connection.sendall(message)


def ask(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        for k in range(3):
            connection.sendall(f"Spam {k}".encode())
            answer = connection.recv(1024)
            print(f"Client {os.getpid()} got [{answer.decode()}]", flush=True)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))  # port 0: one that is free
    address = listener.getsockname()
    if os.fork() == 0:
        listener.close()
        ask(address)
    else:
        serve(listener)
        listener.close()
        os.wait()
