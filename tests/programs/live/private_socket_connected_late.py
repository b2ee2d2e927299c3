"""A server at a name that only its own child knows waits for that child."""

import os
import pathlib
import socket
import tempfile
import time

folder = pathlib.Path(tempfile.mkdtemp())
server = socket.socket(socket.AF_UNIX)
server.bind(str(folder / "server"))
server.listen()
if os.fork() == 0:
    time.sleep(1.5)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "server"))
        client.sendall(b"x")
    os._exit(0)
connection, _ = server.accept()
assert connection.recv(10) == b"x"
os.wait()
(folder / "server").unlink()
folder.rmdir()
