"""The deadlock's remedy: flush before every blocking read.

deadlock.py and its child as they are, but for the two flushes: what has been printed is on its way before we wait.
"""

import os
import sys
from pathlib import Path

from deadlock import spawn

if __name__ == "__main__":
    spawn(sys.executable, str(Path(__file__).absolute().with_name("deadlock_child.py")), "spam")
    me = os.getpid()

    print(f"Hello 1 from parent {me}")
    sys.stdout.flush()
    answer = input()
    sys.stderr.write(f'Parent got: "{answer}"\n')

    print(f"Hello 2 from parent {me}")
    sys.stdout.flush()
    answer = sys.stdin.readline().rstrip("\n")
    sys.stderr.write(f'Parent got: "{answer}"\n')
