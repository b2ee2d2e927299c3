"""The deadlock's remedy: sockets, with file objects.

One pair of sockets is both pipes, and sockets work between machines too. What is read and written are file objects over
it, which have buffers as any other: that ours sends each line is what cures, not that it is a socket. makefile("w", 1)
wouldn't: there 1 is the size of the buffer under a text layer that keeps its lines all the same.
"""

import os
import socket
import sys
from pathlib import Path

if __name__ == "__main__":
    child = str(Path(__file__).absolute().with_name("deadlock_child.py"))
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        os.dup2(theirs.fileno(), 0)
        os.dup2(theirs.fileno(), 1)
        os.execv(sys.executable, [sys.executable, child, "spam"])
    theirs.close()
    me = os.getpid()
    to_child, from_child = ours.makefile("w"), ours.makefile("r")
    to_child.reconfigure(line_buffering=True)

    for number in (1, 2):
        to_child.write(f"Hello {number} from parent {me}\n")
        answer = from_child.readline().rstrip("\n")
        sys.stderr.write(f'Parent got: "{answer}"\n')
    os.wait()
