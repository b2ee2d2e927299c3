"""A map that a fork shares, and a map of a file."""

import mmap
import os
import tempfile

if __name__ == "__main__":
    anonymous = mmap.mmap(-1, 64)
    with tempfile.TemporaryFile() as file:
        file.write(b"-" * 64)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 64)

        child = os.fork()
        if child == 0:
            anonymous[:4] = b"spam"
            mapped.seek(8)
            mapped.write(b"eggs")
            os._exit(0)

        os.waitpid(child, 0)
        print("The anonymous map:", anonymous.read(4))
        print("The file's map:", mapped[8:12])
        file.seek(8)
        print("The file itself:", file.read(4))
        mapped.close()
    anonymous.close()
