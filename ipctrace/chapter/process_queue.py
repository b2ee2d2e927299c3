"""Work goes to a process by a Queue, results come back.

A Queue's put returns at once: a thread, its feeder, writes the pipe. The start method may be given.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.queues import JoinableQueue, Queue


def worker(tasks: JoinableQueue[int | None], results: Queue[tuple[int, int]]) -> None:
    while True:
        number = tasks.get()
        if number is None:
            tasks.task_done()
            break
        results.put((number, number * number))
        tasks.task_done()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        multiprocessing.set_start_method(sys.argv[1])
    tasks: JoinableQueue[int | None] = multiprocessing.JoinableQueue()
    results: Queue[tuple[int, int]] = multiprocessing.Queue(maxsize=10)
    process = multiprocessing.Process(target=worker, args=(tasks, results), name="worker")
    process.start()

    for number in range(3):
        tasks.put(number)
    tasks.put(None)
    tasks.join()  # until every task is done

    print("Squares:", sorted(results.get() for _ in range(3)))
    process.join()
