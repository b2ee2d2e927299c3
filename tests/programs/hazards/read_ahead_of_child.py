"""A process reads a line of standard input by a buffered stream; its child, which shares it, gets nothing more."""

import os
import subprocess
import sys

reader, writer = os.pipe()
os.write(writer, b"head\none\ntwo\n")
os.close(writer)
with open(reader, "rb", 0 if "--fixed" in sys.argv else -1) as lines:
    print(lines.readline(), flush=True)
    subprocess.run([sys.executable, "-c", "import sys; print(sys.stdin.read())"], stdin=reader)
