"""Lock, Semaphore, Event, Condition, Barrier between processes.

And a Value, a number that they share. The start method may be given.
"""

import multiprocessing
import sys


def child(lock, places, ready, condition, barrier, total) -> None:
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
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    lock, places, ready = context.Lock(), context.Semaphore(1), context.Event()
    condition, barrier, total = context.Condition(), context.Barrier(3), context.Value("i", 0)
    with condition:
        for name in ("first", "second"):
            context.Process(target=child, args=(lock, places, ready, condition, barrier, total), name=name).start()
            condition.wait()  # until this child has said that it is there
    print("Children that are there:", total.value)
    ready.set()
    barrier.wait()
    print("What they added up:", total.value)
    for process in multiprocessing.active_children():
        process.join()
