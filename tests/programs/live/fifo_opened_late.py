"""Whoever knows a FIFO's path may open its other side."""

import os
import pathlib
import tempfile
import time

fifo = pathlib.Path(tempfile.mkdtemp()) / "fifo"
os.mkfifo(fifo)
if os.fork() == 0:
    time.sleep(1.2)
    with open(fifo, "w") as file:
        file.write("x")
    os._exit(0)
with open(fifo) as file:
    assert file.read() == "x"
os.wait()
fifo.unlink()
fifo.parent.rmdir()
