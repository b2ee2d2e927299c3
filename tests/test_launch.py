"""Launch: the trace's folder is ours alone, and takes the runtime along."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ipctrace.tracer import launch
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.runtime.inject import LATER, MODULES


def test_an_earlier_trace_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "pipes.ipctrace"
    launch.prepare_output(out)
    (out / "run.json").write_text('{"schema": 1, "clock": 5}')
    (out / "events.parquet").write_bytes(b"old")
    launch.prepare_output(out)
    assert list(out.iterdir()) == []
    assert out.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["run.json", "other.txt"])
def test_a_foreign_folder_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(IpctraceError, match="already there"):
        launch.prepare_output(tmp_path)
    assert (tmp_path / name).exists()


def test_nor_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pipes.ipctrace"
    file.write_text("mine")
    with pytest.raises(IpctraceError, match="already there"):
        launch.prepare_output(file)
    assert file.read_text() == "mine"


def test_a_folder_that_cant_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(IpctraceError) as missing:
        launch.prepare_output(tmp_path / "no" / "pipes.ipctrace")
    assert "there is no folder" in missing.value.why
    (tmp_path / "file").write_text("")
    with pytest.raises(IpctraceError, match="can't be made"):
        launch.prepare_output(tmp_path / "file" / "pipes.ipctrace")


def test_the_live_folder_holds_the_runtime_and_its_bytecode(tmp_path: Path) -> None:
    live = launch.prepare_live(tmp_path)
    inject = live / "inject"
    assert live.stat().st_mode & 0o777 == 0o700
    assert (inject / "sitecustomize.py").exists()
    modules = {path.stem for path in (inject / "_ipctrace").glob("*.py")}
    assert {"__init__", "table"} <= modules
    assert "inject" not in modules
    assert modules == {*MODULES, *LATER}, "what is not listed there is not loaded"
    assert [path.name for path in (inject / "_ipctrace").glob("*.bytecode")] == [
        f"{sys.implementation.cache_tag}.bytecode"
    ]


def test_a_path_that_pythonpath_cant_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IpctraceError, match="can't be recorded to"):
        launch.prepare_live(tmp_path / f"a{os.pathsep}b")


def test_the_environment_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "mine")
    environment = launch.environment(tmp_path, "72", "line")
    assert environment["IPCTRACE_RUN"] == f"72:line:{tmp_path}"
    assert environment["PYTHONPATH"] == f"{tmp_path / 'inject'}{os.pathsep}mine"
    monkeypatch.setenv("PYTHONPATH", "")
    assert launch.environment(tmp_path, "72", "line")["PYTHONPATH"] == str(tmp_path / "inject")
