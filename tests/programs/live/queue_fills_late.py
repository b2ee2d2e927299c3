"""multiprocessing: a queue that is filled late, a pool that sleeps."""

import multiprocessing
import time


def fill(queue):
    time.sleep(1.2)
    queue.put(1)


if __name__ == "__main__":
    queue = multiprocessing.Queue()
    worker = multiprocessing.Process(target=fill, args=(queue,))
    worker.start()
    queue.get()
    worker.join()
    with multiprocessing.Pool(2) as pool:
        pool.map(time.sleep, [0.5, 0.5])
