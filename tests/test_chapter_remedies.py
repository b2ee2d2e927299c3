"""The chapter's remedies for its deadlock: each is a program that completes, untraced and recorded."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.recorded import CHAPTER, record
from tests.test_chapter import DIALOGUE, each_interpreter, started

REMEDIES = ["flush", "print", "unbuffered", "modes", "command", "sockets", "terminal"]
each_remedy = pytest.mark.parametrize("remedy", REMEDIES)

# The same talk, but os.popen's pipe goes one way: the answers go where the output goes.
ONE_WAY = (
    r'Child (?P<child>\d+) of (?P<parent>\d+) got arg: "spam"\n'
    r"Child (?P=child) got: \[Hello 1 from parent (?P=parent)\]\n"
    r"Child (?P=child) got: \[Hello 2 from parent (?P=parent)\]\n"
)


@each_remedy
@each_interpreter
@pytest.mark.sample(10)
def test_with_the_remedy_the_two_talk_twice(python: str, remedy: str) -> None:
    with started(python, f"deadlock_{remedy}.py", subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    said = re.sub(r"(Child \d+ of .*\n)", r"", err.decode(), count=1)
    told = re.search(r"Child \d+ of .*\n", err.decode())
    assert (process.returncode, out) == (0, b"")
    assert told is not None and re.fullmatch(DIALOGUE, told[0] + said)


@each_interpreter
def test_a_pipe_that_goes_one_way_needs_no_flush(python: str) -> None:
    with started(python, "deadlock_popen.py", subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.fullmatch(ONE_WAY, (err + out).decode())


@pytest.mark.chapter
@pytest.mark.parametrize("remedy", [*REMEDIES, "popen"])
@pytest.mark.sample(3)
def test_recorded_it_completes_and_nothing_hangs_or_is_lost(remedy: str, tmp_path: Path) -> None:
    recorded = record(tmp_path, CHAPTER / f"deadlock_{remedy}.py", CHAPTER_SLEEP="0.02")
    run = recorded.run
    assert (recorded.status, run.verdict.name) == (0, "completed"), recorded.errors.decode()
    assert not [finding.message for finding in run.findings if finding.rule < "IPC2" or finding.severity == "error"]
