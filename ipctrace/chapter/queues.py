"""A queue between threads: put, get, task_done, join."""

import queue
import threading

work: "queue.Queue[bytes | None]" = queue.Queue(maxsize=2)


def consume() -> None:
    while True:
        message = work.get()  # waits until there is something
        if message is None:
            return
        print(f"got {message!r}")
        work.task_done()


if __name__ == "__main__":
    consumer = threading.Thread(target=consume, name="consumer")
    consumer.start()
    for k in range(5):
        work.put(b"Spam %d" % k)  # waits while the queue is full
    work.join()  # until every message has been reported done
    work.put(None)
    consumer.join()
    print("all done")
