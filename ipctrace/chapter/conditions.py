"""Condition, Event, Semaphore, Barrier: threads wait."""

import threading

ready = threading.Event()
filled = threading.Condition()
places = threading.BoundedSemaphore(2)
everybody = threading.Barrier(3)
basket: "list[str]" = []


def worker(name: str) -> None:
    ready.wait()  # until the main thread says so
    with places:  # two at a time
        print(f"{name} has a place")
    with filled:
        while not basket:
            filled.wait()  # gives the lock back while it waits
        print(f"{name} takes {basket.pop()}")
    everybody.wait()  # until all three are here


if __name__ == "__main__":
    threads = [threading.Thread(target=worker, args=(name,), name=name) for name in ("Anna", "Ben")]
    for thread in threads:
        thread.start()
    ready.set()
    with filled:
        basket.extend(["an apple", "a pear"])
        filled.notify_all()
    everybody.wait()
    for thread in threads:
        thread.join()
    print("Everybody was there")
