"""Children end, and nobody waits for them."""

import os
import sys
import time

pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    pids.append(pid)
time.sleep(1.5)
if "--fixed" in sys.argv:
    for pid in pids:
        os.waitpid(pid, 0)
