"""A block of memory and a list that two processes see.

The child finds them by their names. The start method may be given.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.shared_memory import ShareableList, SharedMemory


def child(name: str, list_name: str) -> None:
    memory = SharedMemory(name)
    shared: ShareableList[int] = ShareableList(name=list_name)
    assert memory.buf is not None
    memory.buf[:5] = bytes(memory.buf[:5]).upper()
    shared[0] = shared[0] + shared[1]
    shared.shm.close()
    memory.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        multiprocessing.set_start_method(sys.argv[1])
    memory = SharedMemory(create=True, size=16)
    shared = ShareableList([40, 2])
    assert memory.buf is not None
    memory.buf[:5] = b"hello"
    process = multiprocessing.Process(target=child, args=(memory.name, shared.shm.name))
    process.start()
    process.join()
    print("The memory:", bytes(memory.buf[:5]), "and the list:", shared[0], shared[1])
    for block in (memory, shared.shm):
        block.close()
        block.unlink()
