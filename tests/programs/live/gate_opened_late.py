"""A gate that the main thread locked is opened by a thread that goes round a loop first."""

import threading
import time

gate = threading.Lock()


def late():
    for _ in range(25):
        time.sleep(0.1)
    gate.release()


def through():
    with gate:
        pass


gate.acquire()
threading.Thread(target=late).start()
passing = threading.Thread(target=through)
passing.start()
passing.join()
