"""Pools of threads and of processes do pieces of work."""

import concurrent.futures
import os


def square(number: int) -> int:
    return number * number


if __name__ == "__main__":
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(square, k) for k in range(4)]
        done = concurrent.futures.as_completed(futures)  # in the order in which they end
        print("threads:", sorted(future.result() for future in done))
    with concurrent.futures.ProcessPoolExecutor(2) as processes:
        print("processes:", list(processes.map(square, range(4))), "asked by", os.getpid())
