"""Running a program of a trace again: which traces are taken, what must still be there, what is shown; the options."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ipctrace.tracer import store
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.lives import program_file

from ipctrace import cli, replaying
from ipctrace.run import Run
from tests import builders


def run(folder: Path, command: list[str], cwd: Path) -> Run:
    trace = builders.deadlock_trace()
    trace.facts |= {"command": command, "cwd": str(cwd)}
    store.save(trace, folder)
    return replaying.own(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "ask.py").write_text("")
    return tmp_path / "a.ipctrace"


@pytest.fixture
def here(folder: Path) -> Path:
    return folder.parent / "here"


def test_a_program_that_is_still_there_is_run_where_it_ran(folder: Path, here: Path) -> None:
    found = replaying.checked(run(folder, [sys.executable, "-u", "ask.py", "1"], here))
    assert found == ([sys.executable, "-u", "ask.py", "1"], here)


def test_another_interpreter_may_run_it(folder: Path, here: Path) -> None:
    found = replaying.checked(run(folder, [sys.executable, "ask.py"], here), python="python3")
    assert Path(found.command[0]).name == "python3"


def test_of_another_process_its_own_command_line_is_taken(folder: Path, here: Path) -> None:
    whole = run(folder, [sys.executable, "ask.py"], here)
    whole.processes.at[1, "argv"] = [sys.executable, "ask.py", "child"]
    whole.processes.loc[1, "cwd"] = str(here)
    assert replaying.checked(whole, 1).command[1:] == ["ask.py", "child"]


@pytest.mark.parametrize(
    ("command", "cwd", "missing"),
    [
        (["/no/such/python3", "ask.py"], "here", "the command /no/such/python3"),
        (["no-such-command"], "here", "the command no-such-command"),
        ([sys.executable, "gone.py"], "here", "gone.py"),
        ([sys.executable, "ask.py"], "gone", "the folder "),
    ],
)
def test_what_is_gone_is_named(folder: Path, command: list[str], cwd: str, missing: str) -> None:
    with pytest.raises(IpctraceError, match=missing) as error:
        replaying.checked(run(folder, command, folder.parent / cwd))
    assert error.value.what.endswith("is not there")


def test_somebody_elses_trace_is_refused(folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder, [sys.executable, "ask.py"], here)
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(IpctraceError, match="is not yours"):
        replaying.own(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_single_file_of_somebody_elses_is_enough(folder: Path, here: Path) -> None:
    run(folder, [sys.executable, "ask.py"], here)
    os.chown(folder / "events.parquet", 12345, -1)
    with pytest.raises(IpctraceError, match="is not yours") as error:
        replaying.own(folder)
    assert "events.parquet belongs to user 12345" in error.value.why


def test_the_command_is_shown_and_cannot_paint_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    replaying.announce(replaying.Program(["python", "a b.py", "\x1b[2J"], Path("/tmp")))
    assert capsys.readouterr() == ("", "ipctrace: running python 'a b.py' '\\x1b[2J' in /tmp\n")


@pytest.mark.parametrize(
    ("argv", "file"),
    [
        (["python3", "-X", "dev", "-u", "a/b.py", "c.py"], "a/b.py"),
        (["/usr/bin/python3.11", "-m", "json.tool", "x.py"], None),
        (["pypy3", "-c", "pass", "x.py"], None),
        (["python3"], None),
        (["cat", "x.py"], None),
        ([], None),
    ],
)
def test_a_pythons_file_is_found_in_its_command_line(argv: list[str], file: str | None) -> None:
    assert program_file(argv) == file


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--process child --enforce", "--process and --enforce don't go together"),
        ("--strict", "--strict is of no use without --enforce"),
        ("--no-sleep --process child", "--no-sleep is of no use without --enforce"),
        ("--chunks", "--chunks is of no use without --process"),
        ("--enforce --pdb", "--pdb is of no use without --process"),
        ("--time", "--time is of no use without --process"),
        ("--process child --speed 2", "--speed doesn't go with --process"),
        ("--enforce --from 1", "--from doesn't go with --enforce"),
        ("--speed never", "never is no speed"),
        ("--speed 0", "0 is no speed"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["replay", "a.ipctrace", *options.split()]) == 2
    assert said in capsys.readouterr().err
