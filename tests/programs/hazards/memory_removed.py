"""A process that only attached to shared memory ends, and its resource tracker removes it from under its maker."""

import subprocess
import sys
import time
from multiprocessing import shared_memory

ATTACH = """
import sys
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(sys.argv[1])
if "--fixed" in sys.argv: resource_tracker.unregister(memory._name, "shared_memory")
memory.close()
"""
memory = shared_memory.SharedMemory(create=True, size=10)
subprocess.run([sys.executable, "-c", ATTACH, memory.name, *sys.argv[1:]], stderr=subprocess.DEVNULL)
time.sleep(2)  # the tracker ends after its last user
memory.buf[0] = 1
memory.close()
try:
    memory.unlink()
except FileNotFoundError:
    print("gone")
