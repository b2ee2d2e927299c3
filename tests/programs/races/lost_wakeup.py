"""A lost wake-up: a notice that nobody waits for yet is given to nobody, and whoever comes later waits for ever.

The waiter doesn't ask whether the work is done before it waits. It mostly waits by then: the work takes a while.
"""

import multiprocessing
import time


def worker(condition):
    time.sleep(0.3)  # the work
    with condition:
        condition.notify()
    print("worker: done", flush=True)


def main():
    condition = multiprocessing.Condition()
    process = multiprocessing.Process(target=worker, args=(condition,))
    process.start()
    with condition:
        condition.wait()
    process.join()
    print("main: told")


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    main()
