"""The Python interpreters that this machine has, for tests that run programs under each of them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
NAMES = {f"CPython {version}": f"python{version}" for version in VERSIONS} | {"PyPy": "pypy3"}


def _find(name: str) -> str | None:
    """In the version manager's folder, else in PATH; never one of its shims, which may be switched off."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    managed = sorted(root.glob(f"versions/*/bin/{name}"))
    if managed:
        return str(managed[-1])
    if sys.implementation.name == "cpython" and name == f"python{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if not folder.startswith(str(root))]
    return shutil.which(name, path=os.pathsep.join(folders))


FOUND = {name: _find(command) for name, command in NAMES.items()}

BETWEEN = ("CPython 3.9", "CPython 3.10", "CPython 3.12")  # what differs shows in those around them: run with -m slow


def _marks(name: str, path: str | None) -> list[pytest.MarkDecorator]:
    absent = [] if path else [pytest.mark.skip(reason=f"{name} is not on this machine")]
    return [*absent, *([pytest.mark.slow] if name in BETWEEN else [])]


# A parameter a known interpreter; those that are absent are skipped by name.
EACH = [pytest.param(path, id=name, marks=_marks(name, path)) for name, path in FOUND.items()]
# The same where only the newest is always tried; the others with -m slow.
NEWEST = [
    pytest.param(path, id=name, marks=[*_marks(name, path), *([] if name == "CPython 3.13" else [pytest.mark.slow])])
    for name, path in FOUND.items()
]
