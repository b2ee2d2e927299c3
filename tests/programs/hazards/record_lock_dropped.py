"""Closing any descriptor of a file drops all of the process's record locks on it."""

import fcntl
import os
import sys
import tempfile

with tempfile.NamedTemporaryFile("w+") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    if "--fixed" not in sys.argv:
        with open(file.name) as again:
            again.read()
    pid = os.fork()
    if pid == 0:
        with open(file.name, "r+") as mine:
            try:
                fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(1)
        os._exit(0)
    print(os.waitpid(pid, 0)[1])
    fcntl.lockf(file, fcntl.LOCK_UN)
