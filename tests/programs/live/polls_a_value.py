"""A process asks for a value in shared memory, which a worker brings up in small steps."""

import multiprocessing
import time


def work(value, done):
    for _ in range(300):
        time.sleep(0.01)
        value.value += 1
    done.value = 1


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    value, done = context.Value("i", 0, lock=False), context.Value("i", 0, lock=False)
    worker = context.Process(target=work, args=(value, done))
    worker.start()
    while not done.value:
        time.sleep(0.005)
    worker.join()
