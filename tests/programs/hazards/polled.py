"""A pipe is looked after every few milliseconds."""

import os
import select
import subprocess
import sys

child = subprocess.Popen(["sh", "-c", "sleep 2; echo late"], stdout=subprocess.PIPE)
assert child.stdout is not None
if "--fixed" in sys.argv:
    select.select([child.stdout], [], [])
else:
    while not select.select([child.stdout], [], [], 0.005)[0]:
        pass
print(os.read(child.stdout.fileno(), 10))
child.wait()
