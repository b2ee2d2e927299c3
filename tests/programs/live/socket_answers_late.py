"""A file object over a socket waits for a child that sleeps."""

import os
import socket
import time

ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    time.sleep(1.2)
    theirs.send(b"x")
    os._exit(0)
theirs.close()
with ours.makefile("rb") as file:
    assert file.read(1) == b"x"
os.wait()
