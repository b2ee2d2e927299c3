"""A program waits for a file's lock that a tool holds."""

import fcntl
import subprocess
import tempfile
import time

with tempfile.NamedTemporaryFile() as file:
    tool = subprocess.Popen(["flock", file.name, "sleep", "1.5"])
    time.sleep(0.3)
    fcntl.flock(file, fcntl.LOCK_EX)
    tool.wait()
