"""All rules, by subject; a rule is a function from a `Context` to findings, its words are the catalogue's.

`FIRST` decides what explains a hang: of several rules that fit a knot, the one that says most about its cause. What
only ipctrace sees (bytes in a buffer, a lock's owner, a thread that a fork lost) goes before what the kernel sees as
well (a full pipe, an open end), and that before the bare shape of the graph.
"""

from __future__ import annotations

from ..findings import Check
from . import (
    buffers,
    channels,
    ends,
    gone,
    latent,
    leftovers,
    locks,
    messages,
    notices,
    output,
    ownerless,
    processes,
    sharing,
    streams,
    system,
    time,
    traffic,
    transfers,
    workers,
)

CHECKS: tuple[Check, ...] = (
    *processes.CHECKS,
    *gone.CHECKS,
    *locks.CHECKS,
    *ownerless.CHECKS,
    *workers.CHECKS,
    *notices.CHECKS,
    *buffers.CHECKS,
    *channels.CHECKS,
    *latent.CHECKS,
    *messages.CHECKS,
    *output.CHECKS,
    *transfers.CHECKS,
    *sharing.CHECKS,
    *ends.CHECKS,
    *streams.CHECKS,
    *system.CHECKS,
    *leftovers.CHECKS,
    *time.CHECKS,
    *traffic.CHECKS,
)

FIRST: tuple[str, ...] = (
    "IPC123",  # stopped: whatever else is so, nothing moves before it is continued
    "IPC112", "IPC114", "IPC115", "IPC116", "IPC124",  # who would let go can't, or isn't there
    "IPC111", "IPC113", "IPC120", "IPC121", "IPC110",  # a cycle with a lock, a loop, a pool or a feeder in it
    "IPC101", "IPC102", "IPC103",  # bytes in a buffer
    "IPC126", "IPC108", "IPC117",
    "IPC118", "IPC106", "IPC105", "IPC104",  # an end that stays open, a channel that is full
    "IPC119", "IPC109", "IPC122", "IPC107", "IPC125", "IPC199",  # the shape alone
)  # fmt: skip
