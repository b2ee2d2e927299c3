"""`ipctrace fix`: what cures a program, by running it; and what is never called a cure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import CHAPTER, record, run

pytestmark = pytest.mark.chapter


def write(folder: Path, text: str, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def fix(folder: Path, program: str | Path, *options: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """Exit status, and what it prints as JSON."""
    command = [
        sys.executable,
        "-m",
        "ipctrace",
        "fix",
        "--json",
        "--tries",
        "1",
        "--duration",
        "6",
        *options,
        "--",
        str(program),
    ]
    status, out, err = run(command, folder, CHAPTER_SLEEP="0.02", **environment)
    assert out, err.decode()
    return status, json.loads(out)


def outcomes(found: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["status"] for each in found["remedies"]}


def living(token: str) -> list[str]:
    """Processes that carry a word in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and token.encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_the_chapters_deadlock_is_cured_four_ways_and_its_files_stay_as_they_are(tmp_path: Path) -> None:
    files = {name: (CHAPTER / name).read_bytes() for name in ("deadlock.py", "deadlock_child.py")}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    status, found = fix(tmp_path, "deadlock.py", FIX_TOKEN="four-ways")
    assert (status, found["verdict"], found["rule"]) == (0, "deadlock", "IPC101")
    assert outcomes(found) == {
        "flush": "cured", "line buffering": "cured", "-u": "cured", "pseudo-terminal": "cured",
        "open mode": "inapplicable", "socket pair": "hangs",
    }  # fmt: skip
    cured = [each for each in found["remedies"] if each["status"] == "cured"]
    assert all(each["duration"] > 0 and each["calls"] > found["calls"] for each in cured)
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
    assert living("four-ways") == []


def test_the_diff_applies_and_cures(tmp_path: Path) -> None:
    for name in ("deadlock.py", "deadlock_child.py"):
        (tmp_path / name).write_bytes((CHAPTER / name).read_bytes())
    command = [sys.executable, "-m", "ipctrace", "fix", "--tries", "1", "--diff", "deadlock.py"]
    status, diff, err = run(command, tmp_path, CHAPTER_SLEEP="0.02")
    assert (status, err) == (0, b"")
    assert diff.startswith(b"--- a/deadlock.py\n+++ b/deadlock.py\n")
    subprocess.run(["patch", "-p1", "-s"], input=diff, cwd=tmp_path, check=True)
    assert b", flush=True)" in (tmp_path / "deadlock.py").read_bytes()
    recorded = record(tmp_path, "deadlock.py", CHAPTER_SLEEP="0.02")
    assert (recorded.status, recorded.run.verdict.name) == (0, "completed")


def test_a_trace_that_hung_is_taken_in_place_of_a_run(tmp_path: Path) -> None:
    program = write(
        tmp_path, "import threading\nlock = threading.Lock()\nwith lock:\n    with lock:\n        print('in')\n"
    )
    recorded = record(tmp_path, program.name)
    assert recorded.status == 86
    assert f"try it    ipctrace fix -- {program.name}".replace("-- ", "") in recorded.errors.decode()
    command = [sys.executable, "-m", "ipctrace", "fix", "--trace", str(recorded.trace)]
    status, out, err = run(command, tmp_path)
    said = out.decode()
    assert status == 0, err
    assert re.search(r"RLock +cured .* held 3 of 3", said)
    assert "  +lock = threading.RLock()\n" in said
    assert re.search(r"\n  tried: completed in .*, 3 of 3 times\n", said)
    assert said.splitlines()[-1].startswith("  apply     ipctrace fix --diff --trace ")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run(command, elsewhere)[0] == 2


# What each program hangs by, and what must be among the cures.
CURED = {
    "a child's flush, then another of the parent's": (
        """
import os
r, w = os.pipe(); r2, w2 = os.pipe()
if os.fork() == 0:
    os.close(w); os.close(r2)
    out, inp = os.fdopen(w2, "w"), os.fdopen(r)
    out.write("hello\\n")
    assert inp.readline() == "order\\n"
    os._exit(0)
os.close(r); os.close(w2)
out, inp = os.fdopen(w, "w"), os.fdopen(r2)
out.write("order\\n")
assert inp.readline() == "hello\\n"
os.wait()
""",
        {"flush", "open mode"},
    ),
    "an end that the reader holds itself": (
        "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    os.write(w, b'x'); os._exit(0)\n"
        "while os.read(r, 9):\n    pass\nos.wait()\n",
        {"close the end"},
    ),
    "an end that a sleeping child inherited": (
        "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    os.read(os.pipe()[0], 1)\n    os._exit(0)\n"
        "os.close(w)\nos.read(r, 9)\n",
        set(),
    ),
    "a wait before the output is read": (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', \"print('x' * 200_000)\"], stdout=subprocess.PIPE)\n"
        "code = p.wait()\ntext = p.stdout.read()\nassert (code, len(text)) == (0, 200_001)\n",
        {"larger pipe"},
    ),
    "a wait as a statement, with the read behind it": (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', \"print('x' * 2_000_000)\"], stdout=subprocess.PIPE)\n"
        "p.wait()\ntext = p.stdout.read()\nassert len(text) == 2_000_001\n",
        {"communicate"},
    ),
    "too much for cat": (
        "import subprocess\n"
        "p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdin.write(b'x' * 1_000_000)\np.stdin.close()\ntext = p.stdout.read()\n"
        "assert len(text) == 1_000_000 and p.wait() == 0\n",
        {"communicate"},
    ),
    "locks taken in two orders, by two functions": (
        """
import threading
a, b, met = threading.Lock(), threading.Lock(), threading.Barrier(2)
def one():
    with a:
        try: met.wait(1)
        except threading.BrokenBarrierError: pass
        with b: print("one")
def two():
    with b:
        try: met.wait(1)
        except threading.BrokenBarrierError: pass
        with a: print("two")
threads = [threading.Thread(target=each) for each in (one, two)]
for each in threads: each.start()
for each in threads: each.join()
""",
        {"lock order"},
    ),
    "a join before the queue is drained": (
        """
import multiprocessing
def work(queue):
    queue.put("x" * 1_000_000)
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    for each in [process]:
        each.join()
    assert len(queue.get()) == 1_000_000
""",
        {"drain, then join"},
    ),
    "a line that never ends": (
        "import os\nr, w = os.pipe()\nback, forth = os.pipe()\nif os.fork() == 0:\n    os.close(w); os.close(back)\n"
        "    asked = os.fdopen(r); asked.readline()\n    os.write(forth, b'y')\n    os._exit(0)\n"
        "os.close(r); os.close(forth)\nos.write(w, b'who?')\nassert os.read(back, 1) == b'y'\nos.wait()\n",
        {"newline", "read what is there"},
    ),
    "a socket whose other side waits for the end": (
        """
import os, socket
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    data = b""
    while piece := theirs.recv(100): data += piece
    theirs.sendall(data.upper())
    os._exit(0)
theirs.close()
ours.sendall(b"spam")
assert ours.recv(100) == b"SPAM"
os.wait()
""",
        {"shutdown"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CURED)
@pytest.mark.sample(4)
def test_what_cures_is_found(name: str, tmp_path: Path) -> None:
    text, wanted = CURED[name]
    status, found = fix(tmp_path, write(tmp_path, text).name)
    assert found["verdict"] in ("deadlock", "stalled"), found
    cured = {each["name"] for each in found["remedies"] if each["status"] == "cured"}
    assert wanted <= cured, found
    assert (status == 0) == bool(cured)


# What completes with the change that is tried, and yet is no cure.
NO_CURE = {
    "bytes that were lost": (  # flushed at one side only the child gets on, and takes its answer along
        "import os\nr, w = os.pipe(); r2, w2 = os.pipe()\nif os.fork() == 0:\n    os.close(w); os.close(r2)\n"
        "    out, inp = os.fdopen(w2, 'w'), os.fdopen(r)\n    exec(\"out.write('hello\\\\n')\")\n    inp.readline()\n    os._exit(0)\n"
        "os.close(r); os.close(w2)\nout, inp = os.fdopen(w, 'w'), os.fdopen(r2)\nout.write('order\\n')\ninp.readline()\nos.wait()\n",
        "flush",
    ),
    "an exit status that is not that of a healthy run": (
        "import threading\nlock = threading.Lock()\nwith lock:\n    with lock:\n        raise SystemExit(3)\n",
        "RLock",
    ),
    "an exception behind the wait": (
        "import threading\nlock = threading.Lock()\nwith lock:\n    with lock:\n        1 / 0\n",
        "RLock",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_CURE)
@pytest.mark.sample(1)
def test_a_run_that_completes_otherwise_than_a_healthy_one_is_no_cure(name: str, tmp_path: Path) -> None:
    text, remedy = NO_CURE[name]
    _, found = fix(tmp_path, write(tmp_path, text).name)
    outcome = next(each for each in found["remedies"] if each["name"] == remedy)
    assert outcome["status"] == "damaged", found
    assert outcome["why"]


def test_where_nothing_listed_fits_it_says_why(tmp_path: Path) -> None:
    program = write(tmp_path, "import os\nr, w = os.pipe()\nimport signal\nsignal.pause()\n")
    status, found = fix(tmp_path, program.name, "--duration", "2")
    assert (status, found["cured"]) == (1, False)
    assert found["unlisted"]


def test_a_program_that_does_not_hang_has_nothing_to_cure(tmp_path: Path) -> None:
    program = write(tmp_path, "print('done')\n")
    status, out, _ = run([sys.executable, "-m", "ipctrace", "fix", program.name], tmp_path)
    assert status == 1
    assert out.decode().startswith("completed: program.py did not hang, so there is nothing to cure")


def test_each_run_reads_the_same_input(tmp_path: Path) -> None:
    program = write(tmp_path, "import sys, threading\ntext = sys.stdin.read()\nlock = threading.Lock()\n"
                              "with lock:\n    with lock:\n        assert text == 'spam\\n', text\n")  # fmt: skip
    (tmp_path / "input").write_text("eggs\nspam\n")
    command = [sys.executable, "-m", "ipctrace", "fix", "--json", "--tries", "2", program.name]
    with (tmp_path / "input").open("rb") as stream:
        os.lseek(stream.fileno(), len("eggs\n"), os.SEEK_SET)
        done = subprocess.run(command, cwd=tmp_path, stdin=stream, capture_output=True, timeout=120)
    assert outcomes(json.loads(done.stdout)) == {"RLock": "cured"}


@pytest.mark.parametrize("arguments", [[], ["--trace", "x.ipctrace", "pipes.py"], ["--trace", "no.ipctrace"]])
def test_a_mistake_ends_with_2(arguments: list[str], tmp_path: Path) -> None:
    status, out, err = run([sys.executable, "-m", "ipctrace", "fix", *arguments], tmp_path)
    assert (status, out) == (2, b"")
    assert err.startswith(b"ipctrace: ")


def test_a_program_that_completes_by_luck_needs_a_cure_that_holds_ten_times(tmp_path: Path) -> None:
    """It hangs in the first run, and in no other: whatever is tried seems to cure it."""
    program = write(
        tmp_path,
        "import pathlib, threading\nlock = threading.Lock()\nseen = pathlib.Path('seen')\n"
        "with lock:\n    if not seen.exists():\n        seen.touch()\n        with lock:\n            pass\n",
    )
    _, found = fix(tmp_path, program.name)
    assert (found["hangs"], found["runs"]) == (1, 3)
    assert [each["tries"] for each in found["remedies"]] == [10]
