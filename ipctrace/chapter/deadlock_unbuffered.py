"""The deadlock's remedy: python -u, nothing else changed.

With -u the standard streams have no buffer. It isn't handed on to children; the variable PYTHONUNBUFFERED=1 is.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    program = str(Path(__file__).absolute().with_name("deadlock.py"))
    os.execv(sys.executable, [sys.executable, "-u", program])
