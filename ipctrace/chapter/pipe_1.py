"""A pipe from child to parent; nothing ends a message.

Neither side closes the end that it doesn't use.
"""

import os
import time

pause = float(os.environ.get("CHAPTER_SLEEP", "1"))  # tests make the sleeps shorter


def child(writing_end: int) -> None:
    k = 0
    while True:
        time.sleep(0.01)  # so that the parent reads one message before the next one comes
        time.sleep(k * pause)
        os.write(writing_end, f"Spam {k}".encode())
        k = (k + 1) % 5


def parent(reading_end: int) -> None:
    while True:
        message = os.read(reading_end, 32)  # blocks until data is there
        print(f"Parent {os.getpid()} got [{message!r}] at {time.time()}")


if __name__ == "__main__":
    reading_end, writing_end = os.pipe()
    if os.fork() == 0:
        child(writing_end)
    else:
        parent(reading_end)
