"""IPC1xx: the program can't go on, because of how processes end, stop and spin."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Check, Context, finding, ids
from ..naming import sentence
from ..results import Finding


def wait_cycle(context: Context) -> Iterator[Finding]:
    """IPC109: a member waits for another's end that waits for it."""
    run = context.run
    for index, agent in zip(context.knot.core if context.knot else (), context.core, strict=True):
        if agent.reason != "child" or context.knot is None:
            continue
        others = [context.situation.agents[other] for other in context.knot.arcs[index]]
        if not others:
            continue
        other = others[0]
        call = run.events.op(agent.event) if agent.event is not None else "wait"
        needs = {"nodata": "to be written to", "noroom": "to be read from", "child": "to end"}.get(
            other.reason, "to act"
        )
        on = f" ({run.channel_name(other.channel)})" if other.channel is not None else ""
        yield finding(
            "IPC109",
            f"{sentence(context.the(agent))} waits in {call}{run.at_event(agent.event)} for "
            f"{context.the(other)} to end, which waits for {context.the(agent)} {needs}{on}.",
            f"Answer, or close what it waits for, before the wait{run.at_event(agent.event)}.",
            certainty=context.certainty,
            threads=ids(agent.thread, other.thread),
            channels=ids(other.channel),
            sites=ids(run.site_of(agent.event), run.site_of(other.event)),
            events=ids(agent.event, other.event),
        )


CHECKS: tuple[Check, ...] = (wait_cycle,)
