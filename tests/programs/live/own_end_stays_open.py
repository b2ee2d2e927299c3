"""Who holds a write end itself gets no end of file, but bytes: read1() takes what there is."""

import os
import time

reader, writer = os.pipe()
if os.fork() == 0:
    os.close(reader)
    time.sleep(1.5)
    os.write(writer, b"x")
    os._exit(0)
with os.fdopen(reader, "rb") as stream:
    assert stream.read1() == b"x"
    buffer = bytearray(1)
    if os.fork() == 0:
        time.sleep(1.5)
        os.write(writer, b"y")
        os._exit(0)
    assert stream.readinto(buffer) == 1
for _ in range(2):
    os.wait()
