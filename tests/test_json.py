"""The JSON form of an analysis has exactly the keys that are declared, and plain values."""

from __future__ import annotations

import json

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Analysis
from ipctrace.reports.json import FIELDS, VERSION, paths, to_json
from ipctrace.tracer.schema import Trace

from tests import builders

TRACES = {"deadlock": builders.deadlock_trace, "completed": builders.completed_trace}
DECLARED = {path.rstrip("?") for path in FIELDS}
NULLABLE = {path.rstrip("?") for path in FIELDS if path.endswith("?")}


@pytest.fixture(scope="module")
def deadlock() -> Analysis:
    analysis = analyze(builders.deadlock_trace())
    analysis.races = builders.race(analysis)
    return analysis


@pytest.mark.parametrize("trace", [make() for make in TRACES.values()], ids=list(TRACES))
def test_every_key_is_declared_and_every_value_plain(trace: Trace) -> None:
    document = to_json(analyze(trace))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(paths(document)) <= DECLARED


def test_every_declared_key_is_there(deadlock: Analysis) -> None:
    assert set(paths(to_json(deadlock))) == DECLARED


def test_only_what_may_be_null_is(deadlock: Analysis) -> None:
    def nulls(value: object, path: str = "") -> set[str]:
        if value is None:
            return {path}
        if isinstance(value, dict):
            return set().union(*(nulls(each, f"{path}.{key}" if path else key) for key, each in value.items()))
        if isinstance(value, list):
            return set().union(*(nulls(each, f"{path}[]") for each in value))
        return set()

    assert nulls(to_json(deadlock)) <= NULLABLE


def test_the_deadlock_says_what_matters(deadlock: Analysis) -> None:
    document = to_json(deadlock)
    assert (document["version"], document["verdict"], document["certainty"]) == (VERSION, "deadlock", "proven")
    first = document["findings"][0]
    assert (first["rule"], first["name"], first["severity"]) == ("IPC101", "unflushed-buffer", "error")
    assert (first["edit"]["line"], "flush=True" in first["edit"]["after"]) == (41, True)
    assert [(stuck["bytes"], stuck["sites"][0]["line"]) for stuck in document["stuck"]] == [(26, 41)]
    core = [waiter for waiter in document["waiting"] if waiter["role"] == "core"]
    assert {(waiter["name"], waiter["reason"], waiter["site"]["line"]) for waiter in core} == {
        ("parent", "nodata", 42),
        ("child", "nodata", 10),
    }
    assert sorted(waiter["for"] for waiter in core) == [[0], [1]]
