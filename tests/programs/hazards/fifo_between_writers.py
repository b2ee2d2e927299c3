"""One writer of a FIFO has closed it before the next opens it: the reader gets end of file in between."""

import os
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)

    def write(words: bytes) -> int:
        pid = os.fork()
        if pid == 0:
            fd = os.open(fifo, os.O_WRONLY)
            os.write(fd, words)
            os._exit(0)
        return pid

    first = write(b"one\n")
    fd = os.open(fifo, os.O_RDWR if "--fixed" in sys.argv else os.O_RDONLY)
    got = os.read(fd, 100)
    os.waitpid(first, 0)
    if "--fixed" in sys.argv:
        second = write(b"two\n")
    else:
        got += os.read(fd, 100)
        second = write(b"two\n")
    os.waitpid(second, 0)
    if "--fixed" in sys.argv:
        got += os.read(fd, 100)
    print(got)
    os.close(fd)
