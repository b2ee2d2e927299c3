"""A timer's handler writes what the interrupted read waits for."""

import os
import signal

reading, writing = os.pipe()
signal.signal(signal.SIGALRM, lambda *_: os.write(writing, b"x"))
signal.setitimer(signal.ITIMER_REAL, 1.2)
os.read(reading, 1)
