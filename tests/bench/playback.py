"""How long `ipctrace replay` takes to its first picture, to the analysed run, and for a step back.

    python -m tests.bench.playback [--trace FOLDER …] [EVENTS …]          (by default 1e5 1e6)

The command runs on a terminal of its own (80x24), which is read as a terminal would; a step is the time from the key to
the last byte of the picture that it brings. The starts are also told in starts of an empty Python, which says more than
seconds on a busy machine. What is aimed at: of 10⁶ events the first picture within 1 s, a step back within 100 ms.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from ipctrace.tracer import store

from tests.bench.analysis import make

STEPS = 20
FIRST, BACK = 1.0, 0.1  # seconds: what is aimed at
_QUIET = 0.05  # seconds without a byte, after which a picture is whole


class Watched:
    """The command on its terminal."""

    def __init__(self, trace: Path) -> None:
        self.leader, follower = pty.openpty()
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.begun = time.perf_counter()
        command = [sys.executable, "-m", "ipctrace", "replay", str(trace), "--speed", "1"]
        environment = os.environ | {"TERM": "xterm"}
        self.process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
        )
        os.close(follower)

    def until(self, pattern: bytes) -> float:
        """Seconds since the start at which this was written."""
        seen = b""
        while not re.search(pattern, seen):
            seen = (seen + os.read(self.leader, 65536))[-4096:]
        return time.perf_counter() - self.begun

    def processor(self) -> float:
        """Seconds of processors that it has had: on a busy machine they say more."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def press(self, key: bytes) -> float:
        """Seconds from a key to the last byte of its picture."""
        begun = last = time.perf_counter()
        os.write(self.leader, key)
        patience = 10.0
        while select.select([self.leader], [], [], patience)[0]:
            os.read(self.leader, 65536)
            last, patience = time.perf_counter(), _QUIET
        return last - begun

    def close(self) -> None:
        os.write(self.leader, b"q")
        self.process.wait(30)
        os.close(self.leader)


def empty_start() -> float:
    """Seconds that an empty Python takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return time.perf_counter() - begun


def measure(trace: Path, events: int) -> None:
    first, whole = [], 0.0
    for repeat in range(3):
        watched = Watched(trace)
        first.append((watched.until(rb" of [0-9.]+ s "), watched.processor(), empty_start()))
        if repeat == 2:
            whole, used = watched.until(rb"event [0-9,]+ of|completed|deadlock|stalled|crashed"), watched.processor()
            watched.press(b"\x1b[F")
            steps = [watched.press(b"\x1b[D") for _ in range(STEPS)]
        watched.close()
    best, processor, unit = min(first)
    print(f"{events:,} events")
    starts = f"{best / unit:6.1f} empty starts   {processor:.2f} s CPU"
    print(f"  first picture {best:8.2f} s   {starts}   aimed at {FIRST:g} s: {_held(best, FIRST)}")
    print(f"  analysed      {whole:8.2f} s   {whole / unit:6.1f} empty starts   {used:.2f} s CPU")
    middle, slowest = statistics.median(steps), max(steps)
    print(
        f"  step back     {middle:8.4f} s   slowest of {STEPS} {slowest:.4f} s   aimed at {BACK:g} s: {_held(middle, BACK)}"
    )


def _held(value: float, most: float) -> str:
    return "held" if value <= most else "NOT HELD"


def traces(given: argparse.Namespace, scratch: Path) -> Iterator[tuple[Path, int]]:
    for folder in given.trace:
        yield folder, len(store.load(folder).events)
    for size in given.sizes:
        folder = scratch / f"{size}.ipctrace"
        subprocess.run([sys.executable, "-m", "tests.bench.playback", "--make", str(folder), str(size)], check=True)
        yield folder, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=lambda text: int(float(text)), metavar="EVENTS")
    parser.add_argument("--trace", type=Path, action="append", default=[], metavar="FOLDER", help="a trace to play")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    given = parser.parse_args()
    if given.make:
        store.save(make(given.sizes[0]), given.make)
        return
    if not (given.sizes or given.trace):
        given.sizes = [10**5, 10**6]
    with tempfile.TemporaryDirectory() as scratch:
        for trace, events in traces(given, Path(scratch)):
            measure(trace, events)


if __name__ == "__main__":
    main()
