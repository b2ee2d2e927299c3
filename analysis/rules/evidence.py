"""Facts of a run that several rules on data ask for."""

from __future__ import annotations

import numpy as np

from ..events import NEVER, Ints, number, rows_of
from ..run import Run

PIPE_BUF = 4096  # bytes up to which a write to a pipe is whole: pipe(7), on Linux


def births(run: Run) -> dict[int, int]:
    """Process → the event that brought it into being: its parent's fork, or the os.system around it."""
    events = run.events
    forks = np.flatnonzero(events.is_kind("fork") & (events.result > 0))
    by_pid = {(int(events.process[event]), int(events.result[event])): int(event) for event in forks}
    shells = np.flatnonzero(events.is_op("os.system"))
    found = {}
    for row in rows_of(run.trace.processes):
        parent = number(row.parent)
        if parent is None:
            continue
        event = by_pid.get((parent, row.pid))
        around = shells[(events.process[shells] == parent) & (events.enter[shells] <= row.started)]
        if event is None and len(around) and events.exit[around[-1]] >= row.started:
            event = int(around[-1])
        if event is not None:
            found[row.process] = event
    return found


def descends(run: Run, process: int, ancestor: int) -> bool:
    """Whether one process comes from another, over any number of births."""
    parents = run.trace.processes["parent"]
    above = number(parents.iloc[process])
    while above is not None and above != ancestor:
        above = number(parents.iloc[above])
    return above is not None


def moved(run: Run, channel: int, kind: str) -> Ints:
    """The reads or writes on a channel (of a socket: towards it) that moved bytes or still try to, ordered by enter."""
    lanes = run.lanes
    return np.flatnonzero(
        (lanes.channel == channel) & lanes.is_kind(kind) & ((lanes.result > 0) | (lanes.exit == NEVER))
    )


def total(run: Run, chosen: Ints) -> int:
    """Bytes that these events have moved for certain."""
    results = run.events.result[chosen]
    return int(results[results > 0].sum())


def settled(run: Run, event: int) -> bool:
    """Whether a call was over before ipctrace froze the program, if it did."""
    stopped = run.trace.facts.get("stopped")
    return bool(run.events.exit[event] != NEVER and (stopped is None or run.events.exit[event] <= stopped))


def forgotten(run: Run, channel: int) -> bool:
    """Whether not all that went through a channel is in the trace: bytes can't be balanced then."""
    row = run.trace.channels.iloc[channel]
    dropped = number(row["dropped_written"]) or number(row["dropped_read"])
    return bool(dropped or run.trace.facts.get("lost"))


def leads_away(run: Run, channel: int | None) -> bool:
    """Whether what goes there is thrown away: /dev/null."""
    return channel is None or run.trace.channels["kind"].iloc[channel] == "device"
