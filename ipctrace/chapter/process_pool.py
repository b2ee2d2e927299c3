"""A Pool of two processes shares out a function's calls.

At the end of its block the workers are terminated. The start method may be given.
"""

import multiprocessing
import sys


def square(number: int) -> int:
    return number * number


if __name__ == "__main__":
    if len(sys.argv) > 1:
        multiprocessing.set_start_method(sys.argv[1])
    with multiprocessing.Pool(2) as pool:
        print("Squares:", pool.map(square, range(8), chunksize=2))
        print("One more:", pool.apply_async(square, (9,)).get())
