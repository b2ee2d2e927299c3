"""A child may use the end that it inherited long after whoever else wrote has ended."""

import os
import time

reader, writer = os.pipe()
if os.fork() == 0:
    os.write(writer, b"a")
    os._exit(0)
if os.fork() == 0:
    time.sleep(1.5)
    os.write(writer, b"b")
    os._exit(0)
os.close(writer)
received = b""
while piece := os.read(reader, 10):
    received += piece
assert received == b"ab"
for _ in range(2):
    os.wait()
