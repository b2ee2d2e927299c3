"""The lines of source around the places that a trace speaks of, so that it can be read where the program isn't."""

from __future__ import annotations

import io
import os
import tokenize
from collections.abc import Mapping
from pathlib import Path

AROUND = 8  # lines before and after each place
_LARGEST = 4 << 20  # bytes: beyond that it isn't source that somebody wrote


class Sources:
    """Collects wanted lines, then reads each file once. What isn't there, or isn't text, has no lines.

    `substitutes` are texts that ran in the place of files, by real path.
    """

    def __init__(self, substitutes: Mapping[str, str] | None = None) -> None:
        self._substitutes = substitutes or {}
        self._wanted: dict[str, set[int]] = {}
        self._folders: dict[str, str] = {}

    def folder(self, file: str, folder: str) -> None:
        """A relative `file` lies in `folder`: the working directory of the process that named it first."""
        self._folders.setdefault(file, folder)

    def want(self, file: str, first: int, last: int) -> None:
        """Ask for lines `first` to `last` and those around them."""
        self._wanted.setdefault(file, set()).update(range(max(1, first - AROUND), last + AROUND + 1))

    def columns(self) -> dict[str, list[object]]:
        """Columns of the table `sources`, by file in the order of asking, then by line."""
        files: list[object] = []
        numbers: list[object] = []
        texts: list[object] = []
        for file, wanted in self._wanted.items():
            path = Path(self._folders.get(file, ""), file)
            text = self._substitutes.get(os.path.realpath(path)) if self._substitutes else None
            lines = lines_of(path) if text is None else _split(text)
            for line in sorted(wanted):
                if line <= len(lines):
                    files.append(file)
                    numbers.append(line)
                    texts.append(lines[line - 1])
        return {"file": files, "line": numbers, "text": texts}


def lines_of(path: Path) -> list[str]:
    """The lines of a source file, decoded as Python would; none if it can't be read or isn't text."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return []
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except (OSError, SyntaxError, ValueError):
        return []
    return [] if b"\0" in data else _split(data.decode(encoding, "replace"))


def _split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")
