"""A child whose standard streams lead to files.

As a shell does it for `child < in > out`.
"""

import os
import sys
import tempfile

PROGRAM = "print(input().upper()); print(input()[::-1])"


def child(source: str, target: str) -> None:
    reading = os.open(source, os.O_RDONLY)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(reading, 0)  # 0 and 1 lead to the files from now on, across exec
    os.dup2(writing, 1)
    os.close(reading)
    os.close(writing)
    os.execv(sys.executable, [sys.executable, "-c", PROGRAM])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in"), os.path.join(folder, "out")
        with open(source, "w") as file:
            file.write("Hello\nWorld\n")
        pid = os.fork()
        if pid == 0:
            child(source, target)
        os.waitpid(pid, 0)
        with open(target) as file:
            for line in file:
                print(f"Parent {os.getpid()} got [{line.rstrip()}]")
        # The parent's own output can go to a file for a while, and back
        sys.stdout.flush()
        kept = os.dup(1)
        aside = os.open(os.path.join(folder, "aside"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(aside, 1)
        print("not seen", flush=True)
        os.dup2(kept, 1)
        os.close(aside)
        os.close(kept)
        print(f"Parent {os.getpid()} is back")
