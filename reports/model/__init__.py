"""The model that the page's script draws from: a small JSON object and the long tables as typed columns.

`build` is the one way from an `Analysis` to what assets/*.js reads: the parts of this folder, one after the other. What
is few (lanes, channels, sites, labels) is JSON; what may be a million rows (messages, waits, marks) is packed
(columns.py), with lanes, channels and sites as indices. Times are ns since the start of the recording. A missing value
is NaN in a column, null in the JSON.
"""

from __future__ import annotations

from ..run import Run
from .blame import blame
from .channels import channels
from .ends import ends
from .lanes import lanes
from .marks import marks
from .messages import messages
from .moment import moment
from .part import Part
from .pieces import pieces
from .processes import processes
from .races import races
from .texts import texts
from .waits import waits

__all__ = ["build"]

PARTS = (lanes, channels, processes, texts, waits, messages, ends, pieces, races, marks, moment, blame)


def build(run: Run) -> Part:
    """The whole model."""
    graph = run.graph
    whole = Part({
        "end": run.end,
        "formed": graph.formed if graph and any(waiter.role == "core" for waiter in graph.waiters) else None,
        "cut": graph.time if graph else run.end,
        "verdict": run.analysis.verdict.name,
    })  # fmt: skip
    for part in PARTS:
        made = part(run)
        whole.facts.update(made.facts)
        whole.columns.update(made.columns)
        whole.blobs.update(made.blobs)
    return whole
