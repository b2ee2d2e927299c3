"""The deadlock's remedy: the mode of opening a stream.

Over the descriptors lie streams of our own: the output is line-buffered (buffering=1), the input has no buffer at all
(buffering=0, which only bytes can have).
"""

import os
import sys
from pathlib import Path

from deadlock import spawn

if __name__ == "__main__":
    spawn(sys.executable, str(Path(__file__).absolute().with_name("deadlock_child.py")), "spam")
    me = os.getpid()
    to_child = os.fdopen(1, "w", 1, closefd=False)
    from_child = os.fdopen(0, "rb", 0, closefd=False)

    for number in (1, 2):
        to_child.write(f"Hello {number} from parent {me}\n")
        answer = from_child.readline().decode().rstrip("\n")
        sys.stderr.write(f'Parent got: "{answer}"\n')
