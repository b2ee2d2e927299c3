"""Locks on a file: two processes count in it by turns.

flock locks the open file, lockf a part of it for the process; both only for those who ask.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from typing import IO

pause = 0.05 * float(os.environ.get("CHAPTER_SLEEP", "1"))  # tests make the sleeps shorter


def count(name: str, lock: Callable[[IO[str]], None], unlock: Callable[[IO[str]], None]) -> None:
    for _ in range(3):
        with open(name, "r+") as file:
            lock(file)
            number = int(file.read())
            time.sleep(pause)  # without the lock, the other would read the same number now
            file.seek(0)
            file.write(str(number + 1))
            file.flush()
            unlock(file)


WAYS = {
    "flock": (lambda file: fcntl.flock(file, fcntl.LOCK_EX), lambda file: fcntl.flock(file, fcntl.LOCK_UN)),
    "lockf": (lambda file: fcntl.lockf(file, fcntl.LOCK_EX), lambda file: fcntl.lockf(file, fcntl.LOCK_UN)),
}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for way, (lock, unlock) in WAYS.items():
            name = os.path.join(folder, way)
            with open(name, "w") as file:
                file.write("0")
            pid = os.fork()
            count(name, lock, unlock)
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            with open(name) as file:
                print(f"{way}: counted to {file.read()}")
