"""All rules, in one list, and the order of what they find: errors first, what explains the verdict before the rest.

A rule is a function from a `Context` to findings; the codes, names and severities are the catalogue's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .agents import Agent
from .catalogue import CATALOGUE
from .naming import the
from .results import Edit, Finding, WaitGraph
from .run import Run
from .situation import Situation
from .waiting import Knot, untied


@dataclass
class Context:
    """What a rule may ask: the run, the situation at the cut, and what is stuck there (None: nothing, or it ended)."""

    run: Run
    situation: Situation
    knot: Knot | None
    graph: WaitGraph | None

    @cached_property
    def core(self) -> list[Agent]:
        """The agents of the knot's core."""
        return [self.situation.agents[index] for index in self.knot.core] if self.knot else []

    @cached_property
    def dead(self) -> list[Agent]:
        """All agents that can't go on."""
        return [self.situation.agents[index] for index in sorted(self.knot.dead)] if self.knot else []

    def name(self, agent: Agent) -> str:
        """An agent's name."""
        return self.run.process_names[agent.process] if agent.thread is None else self.run.names[agent.thread]

    def the(self, agent: Agent) -> str:
        """An agent's name within a sentence."""
        return the(self.name(agent))

    def still_tied(self, found: Finding) -> int:
        """How many of the core couldn't go on though the waits that a finding is about ended; 0: it isn't known."""
        if self.knot is None or found.rule >= "IPC2":
            return 0
        agents = self.situation.agents
        events = set(found.events)
        about = [index for index in self.knot.dead if agents[index].event in events]
        return len(self.knot.core) - len(untied(self.knot, about)) if about else 0

    @property
    def certainty(self) -> Any:
        """How sure a finding about the knot is."""
        return "proven" if self.knot and self.knot.level == "proven" else "likely"


Check = Callable[[Context], Iterable[Finding]]


def finding(code: str, message: str, remedy: str, **more: Any) -> Finding:
    """A finding with its catalogue's name and severity."""
    rule = CATALOGUE[code]
    return Finding(code, rule.name, more.pop("severity", rule.severity), message, remedy, **more)


def ids(*values: int | None) -> tuple[int, ...]:
    """Ids without the empty ones, each once, in order."""
    return tuple(dict.fromkeys(int(value) for value in values if value is not None))


def find(context: Context) -> list[Finding]:
    """What all rules find, most important first.

    What keeps the program from going on comes first. Of several such the one is the cause whose remedy alone would
    untie the most of the knot (a repair that frees only who waits behind the knot is none), and of equal ones the first
    of `rules.FIRST`. Then errors, warnings, notes.
    """
    from . import rules
    from .rules.unexplained import unexplained

    found = [each for check in rules.CHECKS for each in check(context)]
    sure = context.knot is not None and context.knot.level in ("proven", "likely")
    if sure and not any(each.rule < "IPC2" and each.certainty != "latent" for each in found):
        found.extend(unexplained(context))
    weight = {"error": 0, "warning": 1, "info": 2}
    first = {code: place for place, code in enumerate(rules.FIRST)}
    return sorted(
        found,
        key=lambda each: (
            each.rule >= "IPC2", weight[each.severity], context.still_tied(each), first.get(each.rule, len(first))
        ),
    )  # fmt: skip


__all__ = ["Check", "Context", "Edit", "find", "finding", "ids"]
