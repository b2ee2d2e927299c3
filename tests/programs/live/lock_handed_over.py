"""A lock is handed on to a thread that ticks for a while and releases it, as others wait for it by a `with`."""

import threading
import time

busy = threading.Lock()


def work() -> None:
    for _ in range(25):
        time.sleep(0.1)
    busy.release()


def follow() -> None:
    with busy:
        print("then")


busy.acquire()
threading.Thread(target=work).start()
follower = threading.Thread(target=follow)
follower.start()
follower.join()
