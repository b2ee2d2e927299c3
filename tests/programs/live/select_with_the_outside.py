"""A select waits for a pipe that nobody writes to, and for the standard input, which does come."""

import os
import select
import subprocess
import sys

if len(sys.argv) > 1:
    reading, writing = os.pipe()
    print(len(select.select([reading, 0], [], [])[0]))
else:
    child = subprocess.Popen([sys.executable, __file__, "child"], stdin=subprocess.PIPE)
    subprocess.run(["sleep", "1.5"])
    child.communicate(b"there")
