"""Runs `PROGRAM [ARGUMENT…]` as __main__, surrounded by bystanders that have nothing to do with it.

A thread that ticks, a thread that logs to a file, two threads that talk over a pipe of their own, a child that answers
over pipes and a child that sleeps: whatever is wrong with the program is as wrong as without them.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time


def tick() -> None:
    while True:
        time.sleep(0.05)


def log() -> None:
    with tempfile.TemporaryFile("w") as file:
        while True:
            print(time.time(), file=file, flush=True)
            time.sleep(0.1)


def send(fd: int) -> None:
    while True:
        os.write(fd, b"ping\n")
        time.sleep(0.1)


def receive(fd: int) -> None:
    while os.read(fd, 100):
        pass


def converse(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin and child.stdout
    while True:
        child.stdin.write(b"question\n")
        child.stdin.flush()
        child.stdout.readline()
        time.sleep(0.1)


ANSWERS = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def main() -> None:
    reader, writer = os.pipe()
    answers = subprocess.Popen([sys.executable, "-c", ANSWERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sleeps = subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for does in (tick, log, lambda: send(writer), lambda: receive(reader), lambda: converse(answers)):
        threading.Thread(target=does, daemon=True).start()
    sys.argv = sys.argv[1:]
    sys.modules["__main__"].__file__ = sys.argv[0]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        for child in (answers, sleeps):
            child.kill()
            child.wait()


if __name__ == "__main__":
    main()
