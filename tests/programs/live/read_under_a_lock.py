"""The reader of a pipe holds a lock that another thread wants; who writes the pipe is a child, and doesn't need it."""

import os
import threading
import time

reader, writer = os.pipe()
if os.fork() == 0:
    time.sleep(1.7)
    os.write(writer, b"x")
    os._exit(0)
lock = threading.Lock()


def wants():
    with lock:
        pass


with lock:
    thread = threading.Thread(target=wants)
    thread.start()
    os.read(reader, 1)
thread.join()
os.wait()
