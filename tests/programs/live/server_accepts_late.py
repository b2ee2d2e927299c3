"""A connection waits in the listener's queue until the server, busy with something else, comes to accept it."""

import socket
import threading
import time

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    time.sleep(2)
    connection, _ = listener.accept()
    connection.sendall(b"late")
    connection.close()


server = threading.Thread(target=serve)
server.start()
client = socket.create_connection(listener.getsockname())
print(client.recv(4))
server.join()
