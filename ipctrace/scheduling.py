"""Between what the analysis says of a run's order and what the gate in a new run is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .analysis.contests import Contest
from .analysis.relaxed import Place, Relaxed
from .tracer.replay.schedule import Chance, Key, Part, Schedule
from .tracer.runtime import table

_PATIENCE = 2.0  # seconds without a step anywhere, beside the longest that the record has
_TURNED = 0.3  # seconds without a step in which an operation is held for another one to come before it, likewise


def key(place: Place) -> Key:
    """A place as the gate knows it, but for its number."""
    return table.CODE[place.op], place.file, place.function, place.line


def enforced(order: Relaxed, facts: dict[str, Any], sleep: bool = True, strict: bool = False) -> Schedule:
    """The schedule that holds a run to a recorded order. `facts`: the record's; what it drew by chance of pipes and
    reads is drawn again. Without `sleep` only those sleeps are slept that never ended."""
    parts: dict[str, Part] = {}
    for step in order.steps:
        part = parts.setdefault(step.place.lineage, Part(step.unit, {}))
        part.steps.setdefault(key(step.place), {})[step.place.number] = step.begin, step.end, step.needs
    slots = {name: slot for slot, name in enumerate(order.names)}
    for place in order.asleep if not sleep else ():
        part = parts.setdefault(place.lineage, Part(slots[place.lineage], {}))
        part.steps.setdefault(key(place), {})[place.number] = 0, 0, ()
    for last in order.killed:
        part = parts.get(last.place.lineage, Part(last.unit, {}))
        parts[last.place.lineage] = part._replace(last=(key(last.place), last.place.number, last.killed))
    told = facts.get("order") or {}
    chance = None
    if told.get("pipe") or told.get("split"):
        chance = Chance(told["seed"], pipe=told["pipe"], split=told["split"])
    return Schedule("enforced", parts, _PATIENCE + 3 * order.quiet / 1e9, sleep, strict, chance)


def turned(contests: Iterable[Contest], quiet: int, chance: Chance | None = None) -> Schedule:
    """The schedule under which the first of two operations waits for the second, as long as something else moves.
    `quiet`: the longest time (ns) in which nothing moved, when it wasn't held."""
    parts: dict[str, Part] = {}
    slots: dict[str, int] = {}

    def part(place: Place) -> Part:
        slot = slots.setdefault(place.lineage, len(slots))
        return parts.setdefault(place.lineage, Part(slot, {}))

    for contest in contests:
        first, second = part(contest.first), part(contest.second)
        second.steps.setdefault(key(contest.second), {})[contest.second.number] = 1, 2, ()
        first.steps.setdefault(key(contest.first), {})[contest.first.number] = 0, 0, ((second.slot, 2),)
    return Schedule("explored", parts, _TURNED + 2 * quiet / 1e9, chance=chance)
