"""Traces that were recorded under other interpreters, and kept: read and analysed as if made here.

`tests/data` holds them redacted, as `Run.redacted` makes them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ipctrace.tracer.schema import FACTS

import ipctrace

DATA = Path(__file__).parent / "data"
KEPT = sorted(DATA.glob("*.ipctrace"))


@pytest.mark.parametrize("trace", KEPT, ids=lambda trace: trace.stem)
def test_says_what_became_of_it_and_under_what(trace: Path, tmp_path: Path) -> None:
    run = ipctrace.load(trace)
    program, interpreter = trace.stem.split("-", 1)
    expected = {"deadlock": ("deadlock", "IPC101"), "pipes": ("completed", None)}[program]
    assert (run.verdict.name, run.verdict.rule) == expected
    (known,) = run.facts["platform"]["interpreters"]
    assert known["implementation"].lower().startswith(interpreter.split("-")[0])
    assert known["buffer_size"] == 8192
    assert sorted(run.analysis.process_names.values()) == ["child", "parent"]
    pipes = run.channels[(run.channels.kind == "pipe") & (run.channels.messages > 0)]
    assert sorted(pipes.name) == ["pipe A", "pipe B"]
    assert run.report(tmp_path / "page.html").stat().st_size < 1_000_000


def test_they_are_compared_like_any_others() -> None:
    made = ipctrace.compare(
        [DATA / "deadlock-cpython-3.8.ipctrace", DATA / "deadlock-pypy-3.9.ipctrace"], ["3.8", "PyPy"]
    )
    facts = made.result.environment.set_index("fact")
    differing = facts[facts.differs].index
    assert any(fact.startswith("interpreter") for fact in differing)
    assert "platform: system" in facts.index and "platform: system" not in differing


def test_a_trace_of_an_earlier_schema_lacks_what_it_didnt_know(tmp_path: Path) -> None:
    """Schema 3 said less of the platform, and of its options."""
    old = tmp_path / "old.ipctrace"
    shutil.copytree(KEPT[0], old)
    facts = ipctrace.load(old).facts
    text = (old / "run.json").read_text("utf-8")
    told = json.loads(text)
    told["schema"] = 3
    told["platform"] = {name: told["platform"][name] for name in ("system", "release", "machine", "cores")}
    told["options"] = {
        name: told["options"][name] for name in told["options"] if name not in ("pipe_size", "start_method")
    }
    (old / "run.json").write_text(json.dumps(told), "utf-8")
    run = ipctrace.load(old)
    assert set(run.facts) == set(FACTS) == set(facts)
    assert run.verdict.name == "deadlock"
    assert run.redacted().facts["platform"]["system"] == facts["platform"]["system"]
