"""A FIFO between two processes: each opens its side.

Opening waits until the other side is opened too.
"""

import os
import tempfile
import time

pause = 0.3 * float(os.environ.get("CHAPTER_SLEEP", "1"))  # tests make the sleeps shorter


def child(name: str) -> None:
    time.sleep(pause)  # the parent waits in open() meanwhile
    with open(name, "w") as writing:
        for k in range(3):
            writing.write(f"Spam {k}\n")


def parent(name: str) -> None:
    with open(name) as reading:
        for line in reading:  # ends when the last writer has closed its side
            print(f"Parent {os.getpid()} got {line!r}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "fifo")
        os.mkfifo(name)
        pid = os.fork()
        if pid == 0:
            child(name)
            os._exit(0)
        parent(name)
        os.waitpid(pid, 0)
        os.unlink(name)
