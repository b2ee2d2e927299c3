"""The reader reads on for the end, and the writer, having sent all, takes its time to shut its half down."""

import os
import socket
import time

ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    got = b""
    while chunk := theirs.recv(1000):
        got += chunk
    theirs.sendall(got.upper())
    os._exit(0)
theirs.close()
ours.sendall(b"hello")
time.sleep(2)
ours.shutdown(socket.SHUT_WR)
assert ours.recv(100) == b"HELLO"
os.wait()
