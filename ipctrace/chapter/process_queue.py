"""Work goes to a process by a Queue, results come back.

A Queue's put returns at once: a thread, its feeder, writes the pipe. The start method may be given.
"""

import multiprocessing
import sys


def worker(tasks, results) -> None:
    while True:
        number = tasks.get()
        if number is None:
            tasks.task_done()
            break
        results.put((number, number * number))
        tasks.task_done()


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    tasks, results = context.JoinableQueue(), context.Queue(maxsize=10)
    process = context.Process(target=worker, args=(tasks, results), name="worker")
    process.start()

    for number in range(3):
        tasks.put(number)
    tasks.put(None)
    tasks.join()  # until every task is done

    print("Squares:", sorted(results.get() for _ in range(3)))
    process.join()
