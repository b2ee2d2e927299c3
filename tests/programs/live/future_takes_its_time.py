"""Futures of a thread pool and of a process pool that take their time."""

import concurrent.futures
import time


def slow():
    time.sleep(1)
    return 1


if __name__ == "__main__":
    for kind in (concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor):
        with kind(1) as pool:
            print(pool.submit(slow).result())
