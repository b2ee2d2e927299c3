"""The parent waits for a multiprocessing queue, a lock and a pool whose workers take their time."""

import multiprocessing
import time


def work(queue, lock):
    with lock:
        time.sleep(1)
        queue.put("done")


def slow(number):
    time.sleep(1)
    return number


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue, lock = context.Queue(), context.Lock()
    workers = [context.Process(target=work, args=(queue, lock)) for _ in range(2)]
    for worker in workers:
        worker.start()
    print(queue.get(), queue.get())
    for worker in workers:
        worker.join()
    with context.Pool(2) as pool:
        print(pool.map(slow, range(2)))
