"""The same pipe with lines, and the unused ends closed."""

import os
import time

pause = float(os.environ.get("CHAPTER_SLEEP", "1"))  # tests make the sleeps shorter


def child(writing_end: int) -> None:
    k = 0
    while True:
        time.sleep(k * pause)
        os.write(writing_end, f"Spam {k}\n".encode())
        k = (k + 1) % 5


def parent(reading_end: int) -> None:
    messages = os.fdopen(reading_end)
    while True:
        message = messages.readline().rstrip("\n")  # blocks until a whole line is there
        print(f"Parent {os.getpid()} got [{message}] at {time.time()}")


if __name__ == "__main__":
    reading_end, writing_end = os.pipe()
    if os.fork() == 0:
        os.close(reading_end)
        child(writing_end)
    else:
        os.close(writing_end)
        parent(reading_end)
