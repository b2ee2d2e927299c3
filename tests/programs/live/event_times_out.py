"""The writer waits in a way that is not recorded, with a time-out."""

import os
import threading

reading, writing = os.pipe()
never = threading.Event()


def late():
    never.wait(1.2)
    os.write(writing, b"x")


threading.Thread(target=late).start()
os.read(reading, 1)
