"""Thousands of questions, each asked when the one before has been answered."""

import os
import sys

QUESTIONS = 20_000
BATCH = 100 if "--fixed" in sys.argv else 1
down, up = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.close(down[1])
    while True:
        data = os.read(down[0], 8 * BATCH)
        if not data:
            break
        os.write(up[1], data)
    os._exit(0)
os.close(down[0])
os.close(up[1])
for _ in range(0, QUESTIONS, BATCH):
    os.write(down[1], b"question" * BATCH)
    left = 8 * BATCH
    while left:
        left -= len(os.read(up[0], left))
os.close(down[1])
os.waitpid(pid, 0)
