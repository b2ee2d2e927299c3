"""What recording costs: traced ÷ untraced time of some conversations, and the start-up of an interpreter.

    python tests/bench/overhead.py [REPEATS]

Each program times its own loop, so that start-up is apart. Traced and untraced runs alternate and the best of each
counts: what else the machine does slows both. Aims: 1.9 × for the pipe, 1.6 × for the conversations, 5 ms of start-up.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, from a checkout

from tests import target

PIPE = """
import os, time
up_read, up_write = os.pipe(); down_read, down_write = os.pipe()
N = 20_000
if os.fork() == 0:
    for _ in range(N): os.write(down_write, os.read(up_read, 64))
    os._exit(0)
started = time.perf_counter()
for _ in range(N): os.write(up_write, b'Spam' * 6); os.read(down_read, 64)
print(time.perf_counter() - started)
"""
POPEN = """
import subprocess, sys, time
echo = 'import sys\\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()'
child = subprocess.Popen([sys.executable, '-c', echo], stdin=-1, stdout=-1, text=True)
def talk(n):
    for k in range(n):
        child.stdin.write('line %d\\n' % k); child.stdin.flush(); child.stdout.readline()
talk(10)
started = time.perf_counter()
talk(10_000)
print(time.perf_counter() - started)
child.stdin.close(); child.wait()
"""
CONNECTION = """
import multiprocessing, time
def echo(connection):
    for _ in range(10_000): connection.send(connection.recv())
if __name__ == '__main__':
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context('fork').Process(target=echo, args=(theirs,)); child.start()
    started = time.perf_counter()
    for k in range(10_000): ours.send(k); ours.recv()
    print(time.perf_counter() - started)
    child.join()
"""
QUEUE = """
import multiprocessing, time
def fill(queue):
    for k in range(20_000): queue.put(k)
if __name__ == '__main__':
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    child = context.Process(target=fill, args=(queue,)); child.start()
    queue.get()
    started = time.perf_counter()
    for _ in range(19_999): queue.get()
    print(time.perf_counter() - started)
    child.join()
"""
LOCK = """
import multiprocessing, time
lock = multiprocessing.get_context('fork').Lock()
started = time.perf_counter()
for _ in range(50_000):
    with lock: pass
print(time.perf_counter() - started)
"""
SOCKET = """
import os, socket, time
ours, theirs = socket.socketpair()
N = 20_000
if os.fork() == 0:
    for _ in range(N): theirs.sendall(theirs.recv(64))
    os._exit(0)
started = time.perf_counter()
for _ in range(N): ours.sendall(b'Spam' * 6); ours.recv(64)
print(time.perf_counter() - started)
"""
LINES = """
import os, time
line = 'x' * 99 + '\\n'
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(reading)
    with os.fdopen(writing, 'w') as out:
        for _ in range(100_000): out.write(line)
    os._exit(0)
os.close(writing)
started = time.perf_counter()
with os.fdopen(reading) as lines:
    assert sum(map(len, lines)) == 10_000_000
print(time.perf_counter() - started)
"""
CONVERSATIONS = {
    "os.pipe ping-pong": PIPE,
    "text-mode Popen echo": POPEN,
    "multiprocessing.Pipe echo": CONNECTION,
    "multiprocessing.Queue stream": QUEUE,
    "multiprocessing.Lock alone": LOCK,
    "socket pair echo": SOCKET,
    "10 MB of lines through a pipe": LINES,
}


def conversation(text: str, live: Path | None) -> float:
    return float(target.run(text, live=live).stdout)


def start_up(live: Path | None) -> float:
    started = time.perf_counter()
    target.run("pass", live=live)
    return time.perf_counter() - started


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        live = Path(folder) / "live"
        for name, text in CONVERSATIONS.items():
            pairs = [(conversation(text, None), conversation(text, live)) for _ in range(repeats)]
            alone, traced = (min(times) for times in zip(*pairs, strict=True))
            print(f"{name:30} {traced / alone:5.2f} ×   ({alone * 1e3:7.1f} ms alone, {traced * 1e3:7.1f} ms traced)")
        pairs = [(start_up(None), start_up(live)) for _ in range(max(20, repeats))]
        alone, traced = (min(times) for times in zip(*pairs, strict=True))
        print(f"{'start-up of python -c pass':30} {(traced - alone) * 1e3:5.1f} ms more ({alone * 1e3:.1f} ms alone)")


if __name__ == "__main__":
    main()
