"""A feeder thread has nothing to write, and consumers nothing to read, until the parent has slept enough."""

import multiprocessing
import time


def consume(queue, done):
    while queue.get() is not None:
        queue.task_done()
    queue.task_done()
    done.wait()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue, done = context.JoinableQueue(), context.Event()
    queue.put(1)
    workers = [context.Process(target=consume, args=(queue, done)) for _ in range(2)]
    for worker in workers:
        worker.start()
    time.sleep(2)
    for _ in workers:
        queue.put(None)
    queue.join()
    time.sleep(1.5)
    done.set()
    for worker in workers:
        worker.join()
