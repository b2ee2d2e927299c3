"""A child is stopped, and continued after a while by a thread of its parent, which waits for its answer."""

import os
import signal
import threading
import time

reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(reader)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.write(writer, b"x")
    os._exit(0)
os.close(writer)


def wake() -> None:
    time.sleep(2)
    os.kill(pid, signal.SIGCONT)


threading.Thread(target=wake, daemon=True).start()
assert os.read(reader, 1) == b"x"
os.waitpid(pid, 0)
