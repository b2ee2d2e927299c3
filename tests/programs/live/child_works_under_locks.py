"""A child holds locks of multiprocessing and of a file while it works for a time."""

import fcntl
import multiprocessing
import tempfile
import time


def work(lock, again, path, told):
    with lock, again, open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        told.set()
        time.sleep(1.5)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    lock, again, told = context.Lock(), context.RLock(), context.Event()
    with tempfile.NamedTemporaryFile() as file:
        child = context.Process(target=work, args=(lock, again, file.name, told))
        child.start()
        told.wait()
        with open(file.name, "w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
        with again, lock:
            pass
        child.join()
