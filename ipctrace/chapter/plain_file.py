"""A plain file that one process writes and another reads.

The writer gives the file its name only when it is complete, so that nobody reads half of it.
"""

import os
import tempfile


def writer(name: str) -> None:
    with open(name + ".new", "w") as file:
        for k in range(3):
            file.write(f"Spam {k}\n")
    os.rename(name + ".new", name)  # whole or not at all


def reader(name: str) -> None:
    with open(name) as file:
        for line in file:
            print(f"Parent {os.getpid()} read {line!r}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "messages.txt")
        pid = os.fork()
        if pid == 0:
            writer(name)
            os._exit(0)
        os.waitpid(pid, 0)  # a file says nothing of who writes it: wait for the writer to end
        reader(name)
