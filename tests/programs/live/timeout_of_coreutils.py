"""timeout(1) ends a cat that waits for the end of its input, which only who waits for timeout could give."""

import subprocess

child = subprocess.Popen(["timeout", "2.5", "cat"], stdin=subprocess.PIPE)
assert child.wait() == 124
