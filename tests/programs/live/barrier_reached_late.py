"""Two wait at a barrier for a third, which first goes round a loop for a while; so for an event and a condition."""

import threading
import time

barrier, event, condition = threading.Barrier(3), threading.Event(), threading.Condition()
told = []


def early():
    with condition:
        condition.notify_all()
    barrier.wait()


def late():
    for _ in range(40):
        time.sleep(0.05)
    barrier.wait()
    for _ in range(40):
        time.sleep(0.05)
    event.set()
    for _ in range(40):
        time.sleep(0.05)
    with condition:
        told.append(True)
        condition.notify_all()


for work in (early, late):
    threading.Thread(target=work).start()
barrier.wait()
event.wait()
with condition:
    while not told:
        condition.wait()
