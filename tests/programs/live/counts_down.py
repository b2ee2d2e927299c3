"""A daemon counts down, and then sets the event that it never had to do with before."""

import threading
import time

done = threading.Event()


def count() -> None:
    for _ in range(30):
        time.sleep(0.1)
    done.set()


threading.Thread(target=count, daemon=True).start()
done.wait()
