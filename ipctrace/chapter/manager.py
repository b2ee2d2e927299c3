"""A manager's process keeps a list and a lock for others.

Each call of a proxy is a message to the manager and its answer. The start method may be given.
"""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import AbstractContextManager
from multiprocessing.managers import ListProxy


def child(shared: ListProxy[int], lock: AbstractContextManager[bool], number: int) -> None:
    with lock:
        shared.append(number)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        multiprocessing.set_start_method(sys.argv[1])
    with multiprocessing.Manager() as manager:
        shared, lock = manager.list(), manager.Lock()
        processes = [multiprocessing.Process(target=child, args=(shared, lock, number)) for number in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print("The manager's list:", sorted(shared))
