"""The deadlock's remedy: os.popen, a pipe in one direction.

The child's answers go where our output goes: we wait for none of them, so there is no cycle.
"""

import os
import shlex
import sys
from pathlib import Path

if __name__ == "__main__":
    child = str(Path(__file__).absolute().with_name("deadlock_child.py"))
    me = os.getpid()
    with os.popen(f"exec {shlex.quote(sys.executable)} {shlex.quote(child)} spam", "w") as to_child:
        for number in (1, 2):
            to_child.write(f"Hello {number} from parent {me}\n")
