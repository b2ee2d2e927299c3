"""A child that waits for its own pipe is ended by a timer of the parent's, which waits for it."""

import os
import signal
import threading
import time

reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(reader, 1)
    os._exit(0)
os.close(writer)


def kill() -> None:
    time.sleep(2.5)
    os.kill(pid, signal.SIGKILL)


threading.Thread(target=kill).start()
assert os.waitpid(pid, 0)[1] == signal.SIGKILL
