"""A program that needs all of its input is fed by a thread that takes its time; one that buffers ends in the end."""

from __future__ import annotations

import subprocess
import threading
import time


def feed(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin
    child.stdin.write(b"b\na\n")
    child.stdin.flush()
    time.sleep(1.5)
    child.stdin.close()


for command in (["sort"], ["sed", "p"]):
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    feeder = threading.Thread(target=feed, args=(child,))
    feeder.start()
    assert child.stdout
    assert child.stdout.readline() in (b"a\n", b"b\n")
    child.stdout.read()
    feeder.join()
    child.wait()
