"""A shared lock on a file is no obstacle to another; one that was made exclusive by its own descriptor neither."""

import fcntl
import os
import tempfile
import time

with tempfile.NamedTemporaryFile() as file:
    one = os.open(file.name, os.O_RDONLY)
    fcntl.flock(one, fcntl.LOCK_SH)
    if os.fork() == 0:
        two = os.open(file.name, os.O_RDONLY)
        fcntl.flock(two, fcntl.LOCK_SH)
        time.sleep(1.5)
        os._exit(0)
    time.sleep(0.2)
    fcntl.flock(one, fcntl.LOCK_EX)
    os.wait()
