"""An alarm's handler returns, the read goes back to waiting, and the answer comes all the same."""

import os
import signal
import time

ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(reader)
    time.sleep(2.5)
    os.write(writer, b"x")
    os._exit(0)
os.close(writer)
signal.setitimer(signal.ITIMER_REAL, 0.3)
assert os.read(reader, 1) == b"x" and ticks
os.wait()
