"""Threads add to one number, and a lock keeps order."""

import threading

total = 0
lock = threading.Lock()


def add(times: int) -> None:
    global total
    for _ in range(times):
        with lock:  # waits while another thread is between here and the end of the block
            total += 1


if __name__ == "__main__":
    threads = [threading.Thread(target=add, args=(100,), name=f"adder {k}") for k in range(4)]
    with lock:  # nobody can add before all have started
        for thread in threads:
            thread.start()
        print(f"All have started, the total is {total}")
    for thread in threads:
        thread.join()
    print(f"All have ended, the total is {total}")
