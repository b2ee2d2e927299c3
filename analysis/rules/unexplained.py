"""IPC199: what is proven, and no rule knows."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Context, finding, ids
from ..naming import listing
from ..results import Finding


def unexplained(context: Context) -> Iterator[Finding]:
    """IPC199: the knot stands, and no rule knows its like."""
    run, core = context.run, context.core
    waits = listing(
        [
            f"{context.the(agent)} {run.waits_for(agent.reason, agent.channel)}{run.at_event(agent.event)}"
            for agent in core
        ]
    )
    yield finding(
        "IPC199",
        f"None of these can go on: {waits}. No rule explains why.",
        "Look at the graph and the stacks: one of them has to act before it waits.",
        certainty=context.certainty,
        threads=ids(*(agent.thread for agent in core)),
        channels=ids(*(agent.channel for agent in core)),
        sites=ids(*(run.site_of(agent.event) for agent in core)),
        events=ids(*(agent.event for agent in core)),
    )
