"""What the catalogue knows of a rule."""

from __future__ import annotations

from dataclasses import dataclass

from ..results import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its code, which never changes its meaning, and everything that explains it.

    `summary` is one sentence; `explanation` a paragraph; `example` a short Python program that shows it ("" where none
    is short enough to be read at a glance); `shown_by` the evidence in a trace; `remedy` what to change; `see_also` the
    codes of rules that are near.
    """

    code: str
    name: str
    severity: Severity
    summary: str
    explanation: str
    example: str
    shown_by: str
    remedy: str
    see_also: tuple[str, ...] = ()
