"""Bytes are decoded read by read, and a read ends within a character."""

import codecs
import os
import sys

reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(writer, "ä€ö".encode() * 3)
    os._exit(0)
os.close(writer)
decoder = codecs.getincrementaldecoder("utf-8")()
try:
    for _ in range(5):
        data = os.read(reader, 5)
        text = decoder.decode(data) if "--fixed" in sys.argv else data.decode()
except UnicodeDecodeError:
    text = "?"
print(ascii(text))
os.waitpid(pid, 0)
