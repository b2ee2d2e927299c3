"""A thread waits for a lock below Python's threading, which another thread releases late."""

import _thread
import threading

lock = _thread.allocate_lock()
lock.acquire()
event = threading.Event()


def wait():
    lock.acquire()
    event.set()


threading.Thread(target=wait).start()
threading.Timer(1.5, lock.release).start()
event.wait()
