"""A semaphore that one took is given back by another, late."""

import threading
import time

places = threading.Semaphore(1)
places.acquire()


def late():
    for _ in range(25):
        time.sleep(0.1)
    places.release()


threading.Thread(target=late).start()
places.acquire()
