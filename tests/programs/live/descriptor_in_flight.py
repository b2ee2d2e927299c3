"""The only write end is on its way through a socket."""

import os
import socket
import time

ours, theirs = socket.socketpair()
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    os.close(reading)
    time.sleep(1.2)
    _, (received,), _, _ = socket.recv_fds(theirs, 1, 1)
    os.write(received, b"x")
    os._exit(0)
socket.send_fds(ours, [b"x"], [writing])
os.close(writing)
os.read(reading, 1)
os.wait()
