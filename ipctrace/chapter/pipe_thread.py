"""The same pipe between two threads of one process."""

import os
import threading
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
        message = os.read(reading_end, 32)  # blocks this thread until data is there
        print(f"Parent {os.getpid()} got [{message!r}] at {time.time()}")


if __name__ == "__main__":
    reading_end, writing_end = os.pipe()
    threading.Thread(target=child, args=(writing_end,), name="child", daemon=True).start()
    parent(reading_end)
