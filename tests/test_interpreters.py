"""Interpreters: found by name, version and path; what isn't one, or is too old, is refused with what there is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ipctrace.tracer import interpreters
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.interpreters import Interpreter, every, find


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Interpreter]:
    """A machine with these interpreters."""
    there = [
        Interpreter("cpython", (3, 11, 2), "/usr/bin/python3.11"),
        Interpreter("cpython", (3, 11, 7), "/home/me/.pyenv/versions/3.11.7/bin/python"),
        Interpreter("cpython", (3, 13, 0), "/opt/conda/bin/python"),
        Interpreter("pypy", (3, 10, 1), "/usr/bin/pypy3"),
        Interpreter("cpython", (3, 7, 16), "/usr/bin/python3.7"),
    ]
    monkeypatch.setattr(interpreters, "_all", lambda: tuple(there))
    return there


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("3.11", "/home/me/.pyenv/versions/3.11.7/bin/python"),
        ("3.11.2", "/usr/bin/python3.11"),
        ("python3.13", "/opt/conda/bin/python"),
        ("python", "/opt/conda/bin/python"),
        ("3", "/opt/conda/bin/python"),
        ("pypy3", "/usr/bin/pypy3"),
        ("pypy3.10", "/usr/bin/pypy3"),
    ],
)
def test_a_name_or_a_version_means_the_newest_of_it(word: str, path: str, machine: list[Interpreter]) -> None:
    assert find(word).path == path


def test_all_are_the_newest_of_each_version_that_can_be_recorded(machine: list[Interpreter]) -> None:
    assert [each.name for each in every()] == ["CPython 3.13", "CPython 3.11", "PyPy 3.10"]
    assert every()[1].version == (3, 11, 7)


@pytest.mark.parametrize("word", ["3.99", "ruby", "pypy2", "/no/such/python", "3.1"])
def test_what_is_not_there_is_refused_with_what_is(word: str, machine: list[Interpreter]) -> None:
    with pytest.raises(IpctraceError) as refused:
        find(word)
    assert "CPython 3.13, CPython 3.11, PyPy 3.10" in refused.value.why


def test_what_is_too_old_is_refused(machine: list[Interpreter]) -> None:
    with pytest.raises(IpctraceError, match=r"3\.7 is too old"):
        find("3.7")


def test_a_path_is_asked_and_what_is_no_interpreter_says_nothing(tmp_path: Path) -> None:
    assert find(sys.executable).version == sys.version_info[:3]
    assert interpreters.ask("/bin/sh") is None
    shim = tmp_path / "python3"
    shim.write_text("#!/bin/sh\necho 'no version is set' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.ask(str(shim)) is None


def test_folders_of_version_managers_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("pyenv/versions/3.12.1/bin", "uv/cpython-3.12/bin", "conda/bin", "conda/envs/x/bin", "pyenv/shims"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "python3").symlink_to(sys.executable)
        (tmp_path / folder / "python3-config").symlink_to("/bin/sh")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    monkeypatch.setenv("PATH", str(tmp_path / "pyenv/shims"))
    found = [os.path.relpath(path, tmp_path) for path in interpreters._candidates() if path.startswith(str(tmp_path))]
    assert found == [
        "pyenv/versions/3.12.1/bin/python3", "uv/cpython-3.12/bin/python3", "conda/envs/x/bin/python3", "conda/bin/python3",
    ]  # fmt: skip
