"""A thread that has never touched the pipe will write to it."""

import os
import threading
import time

reading, writing = os.pipe()


def late():
    time.sleep(1.2)
    os.write(writing, b"x")


threading.Thread(target=late).start()
os.read(reading, 1)
