"""A semaphore with no place is a signal: a thread that ticks for a while gives it, whoever waits takes it by a `with`."""

import threading
import time

ready = threading.Semaphore(0)


def give() -> None:
    for _ in range(25):
        time.sleep(0.1)
    ready.release()


threading.Thread(target=give).start()
with ready:
    print("ready")
