"""Unix sockets: a pair, and a server that has a path."""

import os
import socket
import socketserver
import tempfile


class Upper(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


def pair() -> None:
    parents, childs = socket.socketpair()
    if os.fork() == 0:
        parents.close()
        childs.sendall(childs.recv(32)[::-1])
        os._exit(0)
    childs.close()
    parents.sendall(b"maps")
    print(f"The other end of the pair says {parents.recv(32).decode()}", flush=True)
    parents.close()
    os.wait()


def serve() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/upper"
        with socketserver.UnixStreamServer(path, Upper) as server:
            if os.fork() == 0:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
                    with client.makefile("rw") as file:
                        file.write("spam\neggs\n")
                        file.flush()  # it would stay in the file's buffer
                        print("The server says", file.readline() + file.readline(), end="", flush=True)
                os._exit(0)
            server.handle_request()
            os.wait()


if __name__ == "__main__":
    pair()
    serve()
