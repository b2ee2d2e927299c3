"""All workers of a pool wait at a gate, with other work behind them, and a thread outside of the pool opens it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

gate = threading.Event()


def open_late() -> None:
    time.sleep(2)
    gate.set()


threading.Thread(target=open_late).start()
with ThreadPoolExecutor(2) as pool:
    pool.submit(gate.wait)
    pool.submit(gate.wait)
    print(pool.submit(str, 1).result())
