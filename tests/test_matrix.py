"""`ipctrace matrix`: real programs under real settings; resumed, interrupted, and with cells that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ipctrace.tracer import proc
from ipctrace.tracer.errors import IpctraceError

import ipctrace
from ipctrace import grid
from tests import recorded
from tests.sampled import sampled
from tests.target import clean_environment

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")

TALK = """
import os, sys
a, b = os.pipe(), os.pipe()
if os.fork() == 0:
    os.dup2(a[0], 0)
    os.write(b[1], sys.stdin.readline().encode())
    os._exit(0)
os.dup2(a[1], 1)
print("hello")
os.read(b[0], 99)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (tmp_path / "talk.py").write_text(TALK)
    (tmp_path / "words.py").write_text("import sys\nprint(sys.argv[1:])\n")
    return tmp_path


def verdicts(made: grid.Matrix) -> dict[str, str | None]:
    return {cell.combination.label(): cell.verdict for cell in made.cells}


def index(folder: str) -> dict[str, dict[str, object]]:
    return json.loads(Path(folder, grid.INDEX).read_text())["runs"]  # type: ignore[no-any-return]


def test_the_mode_that_hangs_is_found_and_each_run_has_its_report(here: Path) -> None:
    seen: list[grid.Progress] = []
    made = ipctrace.matrix(["talk.py"], buffering=["default", "line", "tty"], jobs=2, progress=seen.append)
    assert [cell.verdict for cell in made.cells] == ["deadlock", "completed", "completed"]
    assert made.sentences == ["talk.py hangs with buffering default; not with line or tty"]
    assert sorted(one.done for one in seen) == [0, 1, 2, 3] and {one.total for one in seen} == {3}
    page = made.report()
    assert page == Path("talk.matrix.html")
    text = page.read_text()
    for job in made.jobs:
        assert (here / "talk.matrix" / f"{job.name}.html").is_file()
        assert f'href="talk.matrix/{job.name}.html"' in text
    assert "talk.py hangs with buffering default" in repr(made)
    assert "<table" in made._repr_html_()


def test_programs_have_arguments_and_run_each_under_its_own_name(here: Path) -> None:
    made = grid.matrix(["words.py 'a b' c", ["words.py", "d"], "words.py"], buffering=["default", "none"])
    assert [cell.combination.program for cell in made.cells[::2]] == ["words.py 'a b' c", "words.py d", "words.py"]
    outputs = [(made.folder / f"{job.name}.out").read_text() for job in made.jobs[::2]]
    assert outputs == ["['a b', 'c']\n", "['d']\n", "[]\n"]


def test_the_same_again_records_nothing_and_what_changed_is_recorded_anew(here: Path) -> None:
    (here / "words.py").write_text("print(1)\n")
    programs, modes = ["talk.py", "words.py"], ["default"]
    first = grid.matrix(programs, buffering=modes)
    times = [first.trace(job).stat().st_mtime_ns for job in first.jobs]
    (here / "words.py").write_text("print(2)\n")
    again = grid.matrix(programs, buffering=modes)
    after = [again.trace(job).stat().st_mtime_ns for job in again.jobs]
    assert (after[0], after[1] > times[1]) == (times[0], True)
    assert (again.folder / f"{again.jobs[1].name}.out").read_text() == "2\n"
    fresh = grid.matrix(programs, buffering=modes, fresh=True)
    assert fresh.trace(fresh.jobs[0]).stat().st_mtime_ns > times[0]


def test_further_settings_join_those_that_are_there(here: Path) -> None:
    grid.matrix(["words.py"], buffering=["default"])
    made = grid.matrix(["words.py"], buffering=["none"])
    assert [cell.verdict for cell in made.cells] == ["completed"]
    assert len(index("words.matrix")) == 2


def test_one_that_fails_stops_no_other_and_is_tried_again(here: Path) -> None:
    (job, _) = grid.plan(["words.py"], ["default", "none"], (), (), (), 1, 9)
    blocked = here / "words.matrix" / f"{job.name}.ipctrace"
    grid.matrix(["words.py"], buffering=["line"])
    blocked.write_text("mine")
    made = grid.matrix(["words.py"], buffering=["default", "none"], duration=9)
    assert [cell.verdict for cell in made.cells] == [None, "completed"]
    assert "already there" in made.cells[0].problem
    assert blocked.read_text() == "mine"
    blocked.unlink()
    assert [cell.problem for cell in grid.matrix(["words.py"], buffering=["default", "none"], duration=9).cells] == [
        "",
        "",
    ]


def test_a_run_has_its_own_time_limit(here: Path) -> None:
    (here / "slow.py").write_text("import sys, time\nif not sys.argv[1:]: time.sleep(1000)\n")
    made = grid.matrix(["slow.py", "slow.py quick"], buffering=["default"], duration=1)
    assert [cell.verdict for cell in made.cells] == ["interrupted", "completed"]


def test_pipes_and_start_methods_are_axes_too(here: Path) -> None:
    (here / "full.py").write_text(
        "import multiprocessing, os\nif __name__ == '__main__':\n"
        "    r, w = os.pipe()\n    os.write(w, b'x' * 9000)\n    print(multiprocessing.get_start_method())\n"
    )
    made = grid.matrix(
        ["full.py"], buffering=["default"], pipe_size=["default", "4KiB"], start_method=["fork", "spawn"]
    )
    hangs = {(c.combination.start_method, c.combination.pipe_size): c.verdict for c in made.cells}
    assert hangs == {
        ("fork", "default"): "completed", ("spawn", "default"): "completed",
        ("fork", "4KiB"): "deadlock", ("spawn", "4KiB"): "deadlock",
    }  # fmt: skip
    assert [(made.folder / f"{job.name}.out").read_text() for job in made.jobs[:3:2]] == ["fork\n", "spawn\n"]
    assert made.sentences == ["full.py hangs with pipes of 4KiB; not with default"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"buffering": ["lines"]}, "'lines' is no value for --buffering"),
        ({"start_method": ["thread"]}, "'thread' is no value for --start-method"),
        ({"python": ["3.99"]}, "there is no interpreter 3.99"),
        ({"pipe_size": ["big"]}, "big is no size for a pipe"),
    ],
)
def test_a_mistake_is_said_before_anything_runs(options: dict[str, list[str]], what: str, here: Path) -> None:
    with pytest.raises(IpctraceError, match=what):
        grid.matrix(["words.py"], **options)  # type: ignore[arg-type]
    assert not (here / "words.matrix").exists()


def test_a_folder_of_somebody_elses_is_left_alone(here: Path) -> None:
    (here / "words.matrix").mkdir()
    (here / "words.matrix" / "index.json").write_text("[]")
    with pytest.raises(IpctraceError, match="already there"):
        grid.matrix(["words.py"], fresh=True)
    assert (here / "words.matrix" / "index.json").read_text() == "[]"


@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM], [signal.SIGINT]))
def test_an_interrupted_matrix_leaves_nothing_running_and_goes_on_later(number: int, here: Path) -> None:
    (here / "slow.py").write_text(
        "import os, sys, time\nopen('pids', 'a').write(f'{os.getpid()}\\n')\n"
        "if not os.path.exists('quick'): time.sleep(1000)\n"
    )
    command = [sys.executable, "-m", "ipctrace", "matrix", "words.py", "slow.py", "--buffering", "default,none"]
    command += ["--python", sys.executable, "--no-report"]
    process = subprocess.Popen(command, env=clean_environment(), stderr=subprocess.PIPE, text=True)
    while not Path("pids").exists() or not Path("pids").read_text().endswith("\n"):
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "the same command goes on with words+slow.matrix" in said
    pids = [int(pid) for pid in Path("pids").read_text().split()]
    assert not [pid for pid in pids if proc.read_stat(pid)]
    assert len(index("words+slow.matrix")) == 2
    Path("quick").touch()
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done
    assert done.stdout.startswith("words.py hangs in none of 2 settings\n")


def test_the_command_prints_the_table_or_json(here: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ipctrace",
        "matrix",
        "talk.py",
        "--buffering",
        "default,tty",
        "--python",
        sys.executable,
    ]
    status, output, errors = recorded.run(command, here)
    assert (status, errors) == (0, b"")
    assert output.decode().splitlines()[0] == "talk.py hangs with buffering default; not with tty"
    assert output.decode().splitlines()[-1] == "  look      talk.matrix.html"
    status, output, _ = recorded.run([*command, "--json", "--no-report"], here)
    assert [cell["verdict"] for cell in json.loads(output)["cells"]] == ["deadlock", "completed"]
    assert "PYTHONUNBUFFERED" not in os.environ
