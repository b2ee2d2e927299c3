"""A socket's file stays where it was, and the next one can't be bound."""

import os
import socket
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "socket")
    for _ in range(2):
        server = socket.socket(socket.AF_UNIX)
        try:
            server.bind(path)
        except OSError as error:
            print(error)
        server.close()
        if "--fixed" in sys.argv:
            os.unlink(path)
