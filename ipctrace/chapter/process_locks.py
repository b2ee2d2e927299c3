"""Lock, Semaphore, Event, Condition, Barrier, Value.

Between processes. The Value is a number that they share. The start method may be given.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Condition, Event, Lock, Semaphore


def child(
    lock: Lock, places: Semaphore, ready: Event, condition: Condition, barrier: Barrier, total: Synchronized[int]
) -> None:
    with condition:
        total.value += 1
        condition.notify()
    ready.wait()
    with places:  # at most one at a time
        pass
    with lock:
        total.value += 10
    barrier.wait()  # until all three are here


if __name__ == "__main__":
    if len(sys.argv) > 1:
        multiprocessing.set_start_method(sys.argv[1])
    lock, places, ready = multiprocessing.Lock(), multiprocessing.Semaphore(1), multiprocessing.Event()
    condition, barrier, total = multiprocessing.Condition(), multiprocessing.Barrier(3), multiprocessing.Value("i")
    with condition:
        for name in ("first", "second"):
            things = (lock, places, ready, condition, barrier, total)
            multiprocessing.Process(target=child, args=things, name=name).start()
            condition.wait()  # until this child has said that it is there
    print("Children that are there:", total.value)
    ready.set()
    barrier.wait()
    print("What they added up:", total.value)
    for process in multiprocessing.active_children():
        process.join()
