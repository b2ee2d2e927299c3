"""The findings that ipctrace knows, by code: names, severities, explanations, programs that show them."""

from __future__ import annotations

from . import delays, hangs, hazards, leftovers, locks
from .rule import Rule

CATALOGUE: dict[str, Rule] = {
    rule.code: rule
    for rule in sorted(
        (*hangs.RULES, *locks.RULES, *hazards.RULES, *leftovers.RULES, *delays.RULES), key=lambda rule: rule.code
    )
}

__all__ = ["CATALOGUE", "Rule"]
