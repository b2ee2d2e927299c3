"""Since when what lies in shared memory has been the same, which no call tells: stores into it are seen by nobody."""

from __future__ import annotations

import time
from pathlib import Path

from . import proc
from .tree import Tree

_APART = 0.5  # seconds between two readings
_FOLDER = "/dev/shm/"
_LARGEST = 1 << 20  # bytes; more isn't read


class Contents:
    """Reads the shared memory that a run's processes hold descriptors of, now and then.

    `unchanged`: (device, inode) → the moment (monotonic ns) since which all readings were equal. A change that was
    taken back between two readings isn't seen.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._due = 0.0
        self._read: dict[tuple[int, int], bytes] = {}
        self.unchanged: dict[tuple[int, int], int] = {}

    def step(self) -> None:
        """Read, if it is time to."""
        if time.monotonic() < self._due:
            return
        begin = time.monotonic_ns()
        seen: set[tuple[int, int]] = set()
        for pid in self._tree.alive:
            for fd, target in proc.links(pid):
                if target.startswith(_FOLDER):
                    self._compare(Path(f"/proc/{pid}/fd/{fd}"), seen)
        self._due = time.monotonic() + max(_APART, 30 * (time.monotonic_ns() - begin) / 1e9)

    def _compare(self, path: Path, seen: set[tuple[int, int]]) -> None:
        try:
            status = path.stat()
            key = status.st_dev, status.st_ino
            if key in seen or status.st_size > _LARGEST:
                return
            seen.add(key)
            with path.open("rb") as file:
                held = file.read(_LARGEST)
        except OSError:
            return
        if self._read.get(key) != held:
            self._read[key], self.unchanged[key] = held, time.monotonic_ns()
