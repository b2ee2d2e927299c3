"""Parent and child wait for each other; another process, which has nothing to do with their pipes, ends the child."""

import os
import signal
import time

down, up = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.close(down[1])
    os.close(up[0])
    os.read(down[0], 1)
    os._exit(0)
watchdog = os.fork()
if watchdog == 0:
    for fd in (*down, *up):
        os.close(fd)
    time.sleep(2.5)
    os.kill(pid, signal.SIGTERM)
    os._exit(0)
os.close(down[0])
os.close(up[1])
assert os.read(up[0], 1) == b""
os.waitpid(watchdog, 0)
assert os.waitpid(pid, 0)[1] == signal.SIGTERM
