"""Two threads wait for locks that a third one holds while it sleeps."""

import threading
import time

one, two = threading.Lock(), threading.RLock()


def hold():
    with one, two:
        time.sleep(1.5)


holder = threading.Thread(target=hold)
holder.start()
time.sleep(0.1)
waiters = [threading.Thread(target=lambda lock=lock: lock.acquire()) for lock in (one, two)]
for waiter in waiters:
    waiter.start()
for waiter in waiters:
    waiter.join()
holder.join()
