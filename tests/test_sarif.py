"""SARIF 2.1.0: what a code host gets annotates the lines, whatever the findings are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.sarif import to_sarif
from sarif_pydantic import Sarif

from .builders import TraceBuilder, completed_trace, deadlock_trace, lucky_trace


def log(trace: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(to_sarif(analyze(trace), "1.0")))
    Sarif.model_validate(document)
    return document


@pytest.mark.parametrize("trace", [deadlock_trace(), lucky_trace(), completed_trace()])
def test_every_run_makes_a_valid_log(trace: Any) -> None:
    [run] = log(trace)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [each["ruleId"] for each in run["results"]]
    assert {result["level"] for result in run["results"]} <= {"error", "warning", "note"}
    assert run["columnKind"] == "unicodeCodePoints"


def test_a_finding_points_at_its_line_and_mends_it() -> None:
    [run] = log(deadlock_trace())["runs"]
    result = run["results"][0]
    [place] = result["locations"]
    where = place["physicalLocation"]
    assert result["ruleId"] == "IPC101" and result["level"] == "error"
    assert where["region"]["startLine"] == 41 and where["artifactLocation"]["uri"].endswith("deadlock.py")
    [change] = result["fixes"][0]["artifactChanges"]
    [replacement] = change["replacements"]
    assert "flush=True" in replacement["insertedContent"]["text"]
    assert replacement["deletedRegion"]["startLine"] == 41 and replacement["deletedRegion"]["startColumn"] == 1


def test_columns_are_characters_and_paths_are_relative_to_where_it_ran() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    line = '    größer = print("a", file=out)'
    site = build.site("/work/dir with space/a.py", 3, line, 'print("a", file=out)')
    stream = build.stream(build.process_of(parent), "out", build.pipe(parent).writer)
    build.accept(parent, stream, b"x" * 10, site=site)
    build.exit(parent, 0, at_once=True)
    [run] = log(build.trace(cwd="/work"))["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "dir%20with%20space/a.py", "uriBaseId": "SRCROOT"}
    assert run["originalUriBaseIds"]["SRCROOT"]["uri"] == "file:///work/"
    region = place["region"]
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == 'print("a", file=out)'


def test_the_same_finding_has_the_same_fingerprint_in_another_run() -> None:
    def prints(trace: Any) -> list[str]:
        return [result["partialFingerprints"]["ipctrace/v1"] for result in log(trace)["runs"][0]["results"]]

    assert prints(deadlock_trace()) == prints(deadlock_trace()) and len(set(prints(deadlock_trace()))) > 0


def test_the_command_prints_one_document(tmp_path: Path) -> None:
    from ipctrace.tracer import store

    store.save(deadlock_trace(), tmp_path / "a.ipctrace")
    command = [sys.executable, "-m", "ipctrace", "analyze", str(tmp_path / "a.ipctrace")]
    printed = subprocess.run([*command, "--sarif"], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed)["version"] == "2.1.0"
    both = subprocess.run([*command, "--sarif", "--json"], capture_output=True, text=True)
    assert both.returncode == 2 and "each is a document" in both.stderr
