"""An order of two writers: each child writes its part into one pipe, and the reader takes for granted who comes first.

The first mostly does: it has less to prepare.
"""

import os
import sys
import time


def child(words, preparation, pipe):
    pid = os.fork()
    if pid == 0:
        time.sleep(preparation)
        os.write(pipe, words)
        os._exit(0)
    return pid


def main():
    reading, writing = os.pipe()
    children = [child(b"head;", 0.0, writing), child(b"body;", 0.3, writing)]
    os.close(writing)
    text = b""
    while part := os.read(reading, 100):
        text += part
    for pid in children:
        os.waitpid(pid, 0)
    print(text.decode())
    return 0 if text.startswith(b"head;") else 1


if __name__ == "__main__":
    sys.exit(main())
