"""SIGCHLD is ignored, so a child's exit status is kept for nobody."""

import signal
import subprocess
import sys

if "--fixed" not in sys.argv:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(subprocess.call(["sh", "-c", "exit 3"]))
