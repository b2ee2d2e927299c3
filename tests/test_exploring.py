"""Looking for a schedule under which a program fails: what counts as a failure, and what is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ipctrace.analysis.outcome import Outcome, difference, masked
from ipctrace.tracer.errors import IpctraceError

import ipctrace
from ipctrace.exploring import failed

from .recorded import run
from .target import clean_environment

RACES = Path(__file__).parent / "programs" / "races"
FINE = Outcome("completed", None, "exit", 0, b"sum 12\n")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ipctrace", "explore", *arguments]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"verdict": "deadlock", "rule": "IPC111"}, "deadlock (IPC111)"),
        ({"status": 3}, "status 3"),
        ({"status": -11}, "it was ended by signal 11"),
        ({"ended": "duration"}, "it didn't end within the time limit"),
        ({"verdict": "crashed"}, "a process of it crashed"),
        ({"output": b"sum 11\n"}, "another output: “sum 11” where the first run had “sum 12”"),
    ],
)
def test_what_a_failure_is(changes: dict[str, object], said: str) -> None:
    assert failed(FINE._replace(**changes), FINE, "same") == said  # type: ignore[arg-type]


def test_another_output_may_be_no_failure() -> None:
    assert failed(FINE._replace(output=b"sum 11\n"), FINE, "any") == ""


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (b"I am 4711", b"I am 4712"),
        (b"<object at 0x7f0012345678>", b"<object at 0x7f0087654321>"),
        (b"took 0.123 s", b"took 12.5 s"[:5] + b"0.456 s"),
        (b"at 12:30:01", b"at 23:59:59"),
        (b"in /tmp/tmpabcd1234/x", b"in /tmp/tmpzyxw9876/x"),
    ],
)
def test_numbers_that_differ_by_nature_are_masked(one: bytes, two: bytes) -> None:
    pids = frozenset((b"4711", b"4712"))
    assert masked(one, pids) == masked(two, pids)


def test_other_numbers_are_not() -> None:
    assert difference(masked(b"a\nsum 1999\n", frozenset()), masked(b"a\nsum 2000\n", frozenset())) == (
        b"sum 1999",
        b"sum 2000",
    )


def test_nothing_is_found_where_nothing_is_wrong_and_nothing_is_left(tmp_path: Path) -> None:
    program = tmp_path / "fine.py"
    program.write_text("import os\nos.wait() if os.fork() else os._exit(0)\nprint('fine')\n")
    status, output, errors = run(command("--runs", "4", str(program)), tmp_path)
    assert (status, output) == (0, b"nothing found in 4 runs (seed 0)\n")
    assert errors.startswith(b"ipctrace: running ")
    assert [path.name for path in tmp_path.iterdir()] == ["fine.py"]


def test_what_was_found_is_kept_and_it_is_said_how_to_see_it_again(tmp_path: Path) -> None:
    status, output, _ = run(command("--runs", "30", str(RACES / "two_writers.py")), tmp_path)
    assert status == 1
    lines = output.decode().splitlines()
    assert lines[0].endswith(": status 1")
    assert lines[-1] == "  make it happen   ipctrace replay two_writers-found.ipctrace --enforce"
    assert [path.name for path in tmp_path.iterdir()] == ["two_writers-found.ipctrace"]
    status, output, errors = run(
        [sys.executable, "-m", "ipctrace", "replay", "two_writers-found.ipctrace", "--enforce"], tmp_path
    )
    assert (status, output) == (0, b"body;head;\n")
    assert b"the same verdict as recorded" in errors
    assert b"the same order as recorded" in errors


def test_a_program_that_fails_by_itself_is_found_at_once(tmp_path: Path) -> None:
    made = ipctrace.explore([sys.executable, "-c", "raise SystemExit(4)"], out=tmp_path / "found.ipctrace")
    assert made.runs == 1
    assert made.found is not None
    assert made.found.failure == "status 4"


def test_the_seed_draws_the_same(tmp_path: Path) -> None:
    program = str(RACES / "two_writers.py")
    made = [ipctrace.explore([program], runs=4, seed=5, out=tmp_path / "t.ipctrace", compare="any") for _ in range(2)]
    assert made[0].first is not None
    tried = [each.found and (each.found.number, each.found.tried) for each in made]
    assert tried[0] == tried[1]


def test_several_at_a_time_as_json(tmp_path: Path) -> None:
    status, output, errors = run(
        command("--runs", "20", "--jobs", "2", "--json", str(RACES / "check_then_act.py")), tmp_path
    )
    said = json.loads(output)
    assert (status, errors) == (1, b"")
    assert said["found"]["failure"] == "status 1"
    assert sum(said["verdicts"].values()) == said["runs"]
    assert ipctrace.load(tmp_path / said["trace"]).facts["order"]["mode"] == "explored"


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    program = tmp_path / "long.py"
    program.write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(600)\n")
    running = subprocess.Popen(
        command(str(program)), cwd=tmp_path, env=clean_environment(), stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (tmp_path / "begun").exists():
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    assert running.wait(60) == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "long.py"]
    assert not [process for process in Path("/proc").iterdir() if _runs(process, program)]


def _runs(process: Path, program: Path) -> bool:
    try:
        return str(program).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def test_what_is_no_trace_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(IpctraceError, match="already there"):
        ipctrace.explore([str(RACES / "two_writers.py")], out=tmp_path / "mine")


def test_what_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    status, _, errors = run(command("nowhere.py"), tmp_path)
    assert status == 2
    assert b"there is no program nowhere.py" in errors
