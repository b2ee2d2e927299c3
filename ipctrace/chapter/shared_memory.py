"""A block of memory and a list that two processes see.

The child finds them by their names. The start method may be given.
"""

import multiprocessing
import sys
from multiprocessing.shared_memory import ShareableList, SharedMemory


def child(name: str, list_name: str) -> None:
    memory, shared = SharedMemory(name), ShareableList(name=list_name)
    memory.buf[:5] = bytes(memory.buf[:5]).upper()
    shared[0] = shared[0] + 1
    shared.shm.close()
    memory.close()


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1] if len(sys.argv) > 1 else None)
    memory, shared = SharedMemory(create=True, size=16), ShareableList([41, "spam"])
    memory.buf[:5] = b"hello"
    process = context.Process(target=child, args=(memory.name, shared.shm.name))
    process.start()
    process.join()
    print("The memory:", bytes(memory.buf[:5]), "and the list:", list(shared))
    for block in (memory, shared.shm):
        block.close()
        block.unlink()
