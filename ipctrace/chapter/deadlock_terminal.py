"""The deadlock's remedy: a pseudo-terminal for the child.

A program that finds a terminal buffers by lines, whatever language it is written in; so the child needn't be changed.
We write to the terminal's leader by ourselves, with os.write, which has no buffer.
"""

import os
import pty
import sys
import termios
from pathlib import Path


def line_of(leader: int) -> str:
    """What is shown up to the end of a line."""
    shown = b""
    while not shown.endswith(b"\n"):
        shown += os.read(leader, 1)
    return shown.decode().rstrip("\r\n")


if __name__ == "__main__":
    child = str(Path(__file__).absolute().with_name("deadlock_child.py"))
    errors = os.dup(2)
    leader, follower = pty.openpty()
    settings = termios.tcgetattr(follower)
    settings[3] &= ~termios.ECHO  # or we would read what we say
    termios.tcsetattr(follower, termios.TCSANOW, settings)
    pid = os.fork()
    if pid == 0:
        os.close(leader)
        os.dup2(follower, 0)
        os.dup2(follower, 1)
        os.dup2(errors, 2)
        os.execv(sys.executable, [sys.executable, child, "spam"])
    os.close(follower)
    me = os.getpid()

    for number in (1, 2):
        os.write(leader, f"Hello {number} from parent {me}\n".encode())
        sys.stderr.write(f'Parent got: "{line_of(leader)}"\n')
    os.waitpid(pid, 0)
