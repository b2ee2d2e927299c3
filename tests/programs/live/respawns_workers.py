"""Workers that fail are replaced, and in the end one answers."""

import multiprocessing
import os
import time


def work(queue, attempt):
    time.sleep(0.3)
    if attempt < 6:
        os._exit(1)
    queue.put(attempt)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    for attempt in range(7):
        worker = context.Process(target=work, args=(queue, attempt))
        worker.start()
        worker.join()
    assert queue.get() == 6
