"""A pseudo-terminal: the child believes in a person.

It finds its standard streams to be a terminal, and asks; the parent types and reads along.
"""

import os
import pty
import sys

PROGRAM = """
import sys
print("A terminal?", sys.stdin.isatty())
name = input("Your name: ")
print(f"Hello, {name}")
"""


def read_until(leader: int, wanted: bytes) -> bytes:
    output = b""
    while wanted not in output:
        output += os.read(leader, 1024)
    return output


def read_all(leader: int) -> bytes:
    output = b""
    try:
        while True:
            piece = os.read(leader, 1024)
            if not piece:
                return output
            output += piece
    except OSError:  # Linux says EIO when the last follower is closed
        return output


if __name__ == "__main__":
    pid, leader = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM])
    output = read_until(leader, b"Your name: ")
    os.write(leader, b"Spam\n")  # typed; the terminal echoes it
    output += read_all(leader)
    os.waitpid(pid, 0)
    os.close(leader)
    for line in output.decode().splitlines():
        print(f"Parent {os.getpid()} saw [{line}]")
