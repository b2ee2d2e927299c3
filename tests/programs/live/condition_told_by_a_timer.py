"""Everything waits for a condition, an event and a barrier, and threading.Timer sets them off."""

import threading

condition, event, barrier = threading.Condition(), threading.Event(), threading.Barrier(2)


def tell():
    with condition:
        condition.notify_all()
    event.set()
    barrier.wait()


threading.Timer(1.5, tell).start()
with condition:
    condition.wait()
event.wait()
barrier.wait()
