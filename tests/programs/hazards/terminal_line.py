"""A long line is typed into a terminal that another program reads."""

import os
import subprocess
import sys
import tty

leader, follower = os.openpty()
if "--fixed" in sys.argv:
    tty.setraw(follower)
reader = subprocess.Popen(["head", "-c", "4000"], stdin=follower, stdout=subprocess.PIPE)
for piece in (b"x" * 3000, b"y" * 3000 + b"\n"):
    os.write(leader, piece)
print(len(reader.communicate()[0]))
