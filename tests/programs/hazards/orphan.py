"""A process goes on after the program has ended."""

import subprocess
import sys

child = subprocess.Popen(["sleep", "100"])
if "--fixed" in sys.argv:
    child.kill()
    child.wait()
