"""A child that waits for its own pipe is ended by a shell that sleeps first."""

import os
import signal
import subprocess

reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(reader, 1)
    os._exit(0)
shell = subprocess.Popen(["sh", "-c", f"sleep 2.5; kill {pid}"])
assert os.waitpid(pid, 0)[1] == signal.SIGTERM
shell.wait()
