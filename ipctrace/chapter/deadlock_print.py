"""The deadlock's remedy: print(..., flush=True).

The flush stands in the print that needs it, so neither of the two lines can be moved without the other.
"""

import os
import sys
from pathlib import Path

from deadlock import spawn

if __name__ == "__main__":
    spawn(sys.executable, str(Path(__file__).absolute().with_name("deadlock_child.py")), "spam")
    me = os.getpid()

    print(f"Hello 1 from parent {me}", flush=True)
    answer = input()
    sys.stderr.write(f'Parent got: "{answer}"\n')

    print(f"Hello 2 from parent {me}", flush=True)
    answer = sys.stdin.readline().rstrip("\n")
    sys.stderr.write(f'Parent got: "{answer}"\n')
