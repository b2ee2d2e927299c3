"""A child has inherited a locked descriptor that it never uses; the lock goes as it ends."""

import fcntl
import os
import tempfile
import time

with tempfile.NamedTemporaryFile("w") as file:
    first = os.open(file.name, os.O_RDWR)
    fcntl.flock(first, fcntl.LOCK_EX)
    child = os.fork()
    if not child:
        for _ in range(25):
            time.sleep(0.1)
        os._exit(0)
    os.close(first)
    with open(file.name) as second:
        fcntl.flock(second, fcntl.LOCK_EX)
        print("locked")
    os.waitpid(child, 0)
