"""Threads wait for a module that another one imports slowly; a child of a fork has locks that its thread gives back."""

import os
import sys
import tempfile
import threading

with tempfile.TemporaryDirectory() as folder:
    sys.path.insert(0, folder)
    with open(folder + "/slow_module.py", "w") as file:
        file.write("import time\ntime.sleep(1.5)\n")

    def load():
        import slow_module  # noqa: F401

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
lock = threading.Lock()
lock.acquire()
if os.fork() == 0:
    threading.Timer(1.5, lock.release).start()
    lock.acquire()
    os._exit(0)
os.wait()
