"""The Python interpreters of this machine: found by name, version or path, or all that there are.

Looked for in the version managers' folders (pyenv, uv, conda), in the system's, and in PATH. What is found is asked for
its version, in isolated mode, once: a version manager's shim, or a program that only has the name, doesn't answer.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .errors import IpctraceError

OLDEST = (3, 8)  # what the in-target runtime runs on
_ASKED = "import sys; print(sys.implementation.name, *sys.version_info[:3])"
_PATIENCE = 20  # seconds that an interpreter has to say its version
_NAME = re.compile(r"(python|pypy)?(\d+(?:\.\d+)*)?$")
_EXECUTABLE = re.compile(r"(python|pypy)\d*(\.\d+)?(\.exe)?$")
_NAMES = {"cpython": "CPython", "pypy": "PyPy"}


class Interpreter(NamedTuple):
    """An interpreter: `name` for people (`CPython 3.13`), the language's version, and where it is."""

    kind: str
    version: tuple[int, int, int]
    path: str

    @property
    def name(self) -> str:
        return f"{_NAMES.get(self.kind, self.kind)} {self.version[0]}.{self.version[1]}"


def find(word: str) -> Interpreter:
    """The interpreter that a person names: a path, `python3.12`, `pypy3`, `3.12`, `3.12.1`; of several the newest.

    Raises IpctraceError where there is none, or one that is too old to be recorded.
    """
    if os.sep in word:
        found = [answer] if (answer := ask(word)) else []
    else:
        found = [each for each in _all() if _is_meant(word, each)]
        if not found and (path := _in_path(word)) and (answer := ask(path)):
            found = [answer]
    if not found:
        there = ", ".join(dict.fromkeys(each.name for each in every())) or "none"
        raise IpctraceError(
            f"there is no interpreter {word}",
            f"on this machine: {there}",
            "ipctrace matrix PROGRAM --python 3.12,pypy3",
        )
    newest = max(found, key=lambda each: each.version)
    if newest.version < OLDEST:
        why = f"{newest.path} is {newest.name}; the oldest is {'.'.join(map(str, OLDEST))}"
        raise IpctraceError(f"{word} is too old to be recorded", why)
    return newest


def every() -> list[Interpreter]:
    """One interpreter for each kind and minor version that can be recorded, the newest of it; newest first, CPython
    before others."""
    newest: dict[tuple[str, tuple[int, ...]], Interpreter] = {}
    for each in _all():
        key = each.kind, each.version[:2]
        if each.version >= OLDEST and (key not in newest or newest[key].version < each.version):
            newest[key] = each
    return sorted(newest.values(), key=lambda each: (each.kind != "cpython", [-part for part in each.version]))


@cache
def ask(path: str) -> Interpreter | None:
    """What an interpreter says of itself; None for what is none."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _ASKED], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=environment, timeout=_PATIENCE, check=True,
        )  # fmt: skip
        kind, major, minor, micro = done.stdout.decode().split()
        version = int(major), int(minor), int(micro)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(kind, version, path)


def _is_meant(word: str, each: Interpreter) -> bool:
    """Whether a name without a folder means this interpreter."""
    named = _NAME.match(word)
    if named is None or not word:
        return False
    kind, version = named[1] or "python", named[2] or ""
    wanted = tuple(map(int, version.split("."))) if version else ()
    return each.kind == {"python": "cpython", "pypy": "pypy"}[kind] and each.version[: len(wanted)] == wanted


@cache
def _all() -> tuple[Interpreter, ...]:
    """All interpreters that are found, each once."""
    paths = {os.path.realpath(path): path for path in reversed([*_candidates()])}
    with ThreadPoolExecutor(4) as pool:
        return tuple(each for each in pool.map(ask, paths.values()) if each is not None)


def _candidates() -> Iterator[str]:
    """What may be an interpreter, most wanted first."""
    yield sys.executable
    for folder in _folders():
        try:
            names = sorted(entry.name for entry in folder.iterdir() if _EXECUTABLE.match(entry.name))
        except OSError:
            continue
        yield from (str(folder / name) for name in names if os.access(folder / name, os.X_OK))


def _folders() -> Iterator[Path]:
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    conda = [Path(value) for name in ("CONDA_PREFIX", "CONDA_ROOT") if (value := os.environ.get(name))]
    conda += [home / name for name in ("miniconda3", "anaconda3", "miniforge3", "mambaforge")] + [Path("/opt/conda")]
    for root, pattern in ((pyenv, "versions/*/bin"), (uv, "*/bin"), *((each, "envs/*/bin") for each in conda)):
        yield from sorted(root.glob(pattern))
    yield from (each / "bin" for each in conda)
    yield from map(Path, ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"))
    yield from (Path(folder) for folder in os.get_exec_path() if folder and Path(folder) != pyenv / "shims")


def _in_path(word: str) -> str | None:
    """A command of another name that is an interpreter, too."""
    return shutil.which(word)
