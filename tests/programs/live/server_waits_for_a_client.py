"""A server waits in accept for a client that comes late, and the client for an answer."""

import os
import socket
import time

with socket.create_server(("127.0.0.1", 0)) as server:
    child = os.fork()
    if child == 0:
        time.sleep(1.2)
        with socket.create_connection(server.getsockname()) as client:
            client.recv(10)
        os._exit(0)
    connection, _ = server.accept()
    time.sleep(1.2)
    connection.sendall(b"answer")
    connection.close()
    os.waitpid(child, 0)
