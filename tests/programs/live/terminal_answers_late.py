"""A program reads from a pseudo-terminal whose other end another process answers late."""

import os
import pty
import time

leader, follower = pty.openpty()
child = os.fork()
if child == 0:
    time.sleep(1.5)
    os.write(leader, b"line\n")
    time.sleep(0.2)
    os._exit(0)
print(os.read(follower, 100))
os.waitpid(child, 0)
