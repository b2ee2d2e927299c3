"""A living child will send the signal whose handler writes."""

import os
import signal
import time

reading, writing = os.pipe()
signal.signal(signal.SIGUSR1, lambda *_: os.write(writing, b"x"))
if os.fork() == 0:
    os.close(reading)
    os.close(writing)
    time.sleep(1.2)
    os.kill(os.getppid(), signal.SIGUSR1)
    os._exit(0)
os.read(reading, 1)
os.wait()
