"""Pairs of operations that could have come the other way round: where it is worth to make them.

Of two that conflict (analysis/relaxed.py) the earlier one is to wait until the later one has been made. Left out are
those where that can't be: whatever the program itself puts in order, by forks, ends, joins and messages. An order that
came about by a lock or a notice counts as no order: who was first there was first by luck.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .causality import Causality
from .events import Flags
from .lineage import lineages
from .relaxed import AWAITS, GETS, GIVES, LOOKS, SEES, Operation, Place, Thing, operations, places_of, shared
from .timeline import Nodes

if TYPE_CHECKING:
    from .run import Run

_LUCK = ("lock", "notice", "place", "barrier")  # kinds of edges
_NEVER = ("release", "close")  # to do these later or earlier changes nothing by itself
_BEFORE = 8  # operations of one thread that are tried with each later one of another
_MOST = 5000
# What is worth turning round; what gets something has to wait for who gives it anyway.
_TURNED = {(GIVES, GIVES), (GIVES, LOOKS), (GIVES, SEES), (LOOKS, GIVES), (GETS, GETS), (GIVES, AWAITS), (SEES, GIVES),
           (GETS, GIVES), (GETS, LOOKS), (LOOKS, GETS)}  # fmt: skip


class Contest(NamedTuple):
    """Two operations, `first` before `second` as it was; either is a place, and so means something in any run."""

    first: Place
    second: Place


def contests(run: Run) -> list[Contest]:
    """The pairs of a run, each two places in the source once, in order of time; of at most 5,000 operations' pairs."""
    family = lineages(run)
    chosen = shared(operations(run, family))
    pairs = _pairs(run, chosen)
    if not pairs:
        return []
    free = _unordered(run, pairs)
    places = places_of(run, family, sorted({each.event for pair in pairs for each in pair}))
    seen, found = set(), []
    for (first, second), possible in zip(pairs, free.tolist(), strict=True):
        contest = Contest(places[first.event], places[second.event])
        if possible and contest not in seen:
            seen.add(contest)
            found.append(contest)
    return found


def _pairs(run: Run, chosen: list[Operation]) -> list[tuple[Operation, Operation]]:
    """Each operation with the last few of each other thread before it on the same thing."""
    found: list[tuple[Operation, Operation]] = []
    on: dict[Thing, dict[int, list[Operation]]] = {}
    for operation in chosen:
        if run.events.kind(operation.event) in _NEVER:
            continue
        for thing in operation.things:
            for unit, earlier in on.setdefault(thing, {}).items():
                if unit != operation.unit:
                    found += [(each, operation) for each in earlier if (each.role, operation.role) in _TURNED]
            own = on[thing].setdefault(operation.unit, [])
            own.append(operation)
            del own[:-_BEFORE]
        if len(found) > _MOST:
            break
    return found


def _unordered(run: Run, pairs: list[tuple[Operation, Operation]]) -> Flags:
    """Which pairs the program itself doesn't put in order."""
    first, second = (np.array([pair[side].event for pair in pairs]) for side in (0, 1))
    begins = np.zeros(len(first), dtype=bool)
    hard = copy(run)
    hard.__dict__["edges"] = run.edges[~run.edges["kind"].isin(_LUCK)]
    marked = Nodes(second, begins)
    return ~Causality(hard, marked).reaches(Nodes(first, begins), marked)
