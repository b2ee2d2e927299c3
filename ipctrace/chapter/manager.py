"""A manager's process keeps a list and a lock for others.

Each call of a proxy is a message to the manager and its answer. The start method may be given.
"""

import multiprocessing
import sys


def child(shared, lock, number: int) -> None:
    with lock:
        shared.append(number)


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    with context.Manager() as manager:
        shared, lock = manager.list(), manager.Lock()
        processes = [context.Process(target=child, args=(shared, lock, number)) for number in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print("The manager's list:", sorted(shared))
