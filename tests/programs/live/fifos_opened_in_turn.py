"""Two FIFOs with a process on either side, both waiting in open; a third comes late and frees them."""

import os
import pathlib
import tempfile
import time

folder = pathlib.Path(tempfile.mkdtemp())
for name in "ab":
    os.mkfifo(folder / name)
if os.fork() == 0:
    with open(folder / "a") as file:
        assert file.read() == "a"
    os._exit(0)
if os.fork() == 0:
    time.sleep(1.5)
    for name in "ab":
        with open(folder / name, "w") as file:
            file.write(name)
    os._exit(0)
with open(folder / "b") as file:
    assert file.read() == "b"
for _ in range(2):
    os.wait()
for name in "ab":
    (folder / name).unlink()
folder.rmdir()
