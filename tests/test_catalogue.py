"""The catalogue explains every code, and what it shows is Python."""

from __future__ import annotations

import ast
import re

import pytest
from ipctrace.analysis.catalogue import CATALOGUE, Rule
from ipctrace.reports.ink import Ink
from ipctrace.reports.rulebook import explanation, listing

CODES = [*range(101, 127), 199, *range(201, 218), *range(301, 306), *range(401, 407)]
SEVERITIES = {"1": "error", "2": "warning", "3": "warning", "4": "info"}
every_rule = pytest.mark.parametrize("rule", CATALOGUE.values(), ids=list(CATALOGUE))


def test_every_code_is_there_once_and_in_order() -> None:
    assert list(CATALOGUE) == [f"IPC{code}" for code in CODES]
    assert all(code == rule.code for code, rule in CATALOGUE.items())
    assert len({rule.name for rule in CATALOGUE.values()}) == len(CODES)


@every_rule
def test_a_rule_says_what_is_so_what_shows_it_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+|zombie|orphan|polling|stopped|livelock", rule.name)
    assert rule.severity == SEVERITIES[rule.code[3]]
    assert re.fullmatch(r"[A-Z].*\.", rule.summary)
    assert re.fullmatch(r"[A-Z\"\w.].*\.", rule.explanation)
    assert rule.shown_by and rule.remedy


@every_rule
def test_its_program_is_python_and_fits_a_terminal(rule: Rule) -> None:
    ast.parse(rule.example)
    assert all(len(line) <= 76 for line in rule.example.splitlines())


@every_rule
def test_what_it_refers_to_is_there(rule: Rule) -> None:
    assert set(rule.see_also) <= set(CATALOGUE) - {rule.code}


@every_rule
def test_its_explanation_fits_a_terminal(rule: Rule) -> None:
    lines = list(explanation(rule, Ink()))
    assert lines[0].startswith(f"{rule.code} {rule.name} ") and lines[0].endswith(f" {rule.severity}")
    assert max(map(len, lines)) <= 80


def test_the_list_names_every_rule() -> None:
    text = "\n".join(listing(Ink()))
    assert re.findall(r"^  (IPC\d+) ", text, re.MULTILINE) == list(CATALOGUE)
    assert max(map(len, text.splitlines())) <= 80
