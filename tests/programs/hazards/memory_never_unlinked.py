"""Shared memory is made, used by a child, and left."""

import sys
from multiprocessing import Process, shared_memory


def use(name: str) -> None:
    memory = shared_memory.SharedMemory(name)
    memory.buf[0] = 1
    memory.close()


if __name__ == "__main__":
    memory = shared_memory.SharedMemory(create=True, size=10)
    child = Process(target=use, args=(memory.name,))
    child.start()
    child.join()
    memory.close()
    if "--fixed" in sys.argv:
        memory.unlink()
