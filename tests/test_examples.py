"""The catalogue's examples are short programs that really show what they are about, when they are recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from ipctrace.analysis.catalogue import CATALOGUE

from .recorded import record

RUNNABLE = [f"IPC{code}" for code in range(201, 210)]


@pytest.mark.chapter
@pytest.mark.parametrize("code", RUNNABLE)
@pytest.mark.sample(4)
def test_an_example_shows_its_finding(code: str, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    program.write_text(CATALOGUE[code].example)
    run = record(tmp_path, program).run
    assert code in {finding.rule for finding in run.findings}
    assert not [finding.rule for finding in run.findings if finding.rule.startswith("IPC1")]
