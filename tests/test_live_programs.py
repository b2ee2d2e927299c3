"""One false alarm on a live program is a serious bug: programs in which nothing moves for more than a second, and that
can go on all the same, each by another way. They end by themselves, and no look in between calls them deadlocked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ipctrace
from tests.target import clean_environment

PROGRAMS = sorted((Path(__file__).parent / "programs" / "live").glob("*.py"))


@pytest.mark.chapter
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
@pytest.mark.sample(20)
def test_a_program_that_can_go_on_is_never_called_deadlocked(program: Path, tmp_path: Path) -> None:
    trace = tmp_path / "run.ipctrace"
    command = [sys.executable, "-m", "ipctrace", "record", "--no-report", "--out", str(trace), str(program)]
    outside = subprocess.Popen(["sh", "-c", "sleep 2; echo late"], stdout=subprocess.PIPE)
    done = subprocess.run(
        command, stdin=outside.stdout, capture_output=True, env=clean_environment(), timeout=100, check=False
    )
    outside.communicate()
    assert done.returncode == 0, done.stderr.decode()
    run = ipctrace.load(trace)
    assert run.verdict.name == "completed"
    assert not [finding.rule for finding in run.findings if finding.rule.startswith("IPC1")]
