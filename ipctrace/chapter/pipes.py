"""A talk with a program that has our pipes as its streams."""

import os
import sys
from pathlib import Path


def spawn(program: str, *args: str) -> None:
    """Start a program whose standard input is our standard output, and the other way round."""
    to_child_read, to_child_write = os.pipe()
    to_parent_read, to_parent_write = os.pipe()
    if os.fork() == 0:
        os.close(to_child_write)
        os.close(to_parent_read)
        os.dup2(to_child_read, 0)
        os.dup2(to_parent_write, 1)
        os.execvp(program, (program, *args))
    else:
        os.close(to_child_read)
        os.close(to_parent_write)
        os.dup2(to_parent_read, 0)
        os.dup2(to_child_write, 1)


if __name__ == "__main__":
    spawn(sys.executable, str(Path(__file__).absolute().with_name("pipes_test_child.py")), "spam")
    me = os.getpid()

    print(f"Hello 1 from parent {me}")
    sys.stdout.flush()
    answer = input()
    sys.stderr.write(f'Parent got: "{answer}"\n')

    print(f"Hello 2 from parent {me}")
    sys.stdout.flush()
    answer = sys.stdin.readline().rstrip("\n")
    sys.stderr.write(f'Parent got: "{answer}"\n')
