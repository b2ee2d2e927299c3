"""Latent IPC101: a run that completed only because a stream wasn't block-buffered where it would be elsewhere.

Python chooses a standard stream's buffering when it starts: line by line in a terminal, in blocks for a file or a pipe.
Here the run is thought through with blocks. Bytes that the program handed to such a stream and did not flush before a
read of its own would still be in the buffer at that read. If what the read then got was written by a peer only after
that peer had read these very bytes, neither would have gone on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..edits import flush_after
from ..events import NONE, number, rows_of
from ..findings import Context, finding, ids
from ..naming import plural
from ..results import Finding

# Why a stream isn't block-buffered, in the recorder's words, where the program itself did not ask for it.
LUCK = {"a terminal when Python started": "in a terminal", "PYTHONUNBUFFERED is set": "with PYTHONUNBUFFERED set"}


def latent_unflushed_buffer(context: Context) -> Iterator[Finding]:
    """IPC101, latent: the first such place of each stream."""
    run = context.run
    if run.trace.facts.get("ended") != "exit":
        return
    for row in rows_of(run.trace.streams):
        if row.mode != "r" and row.buffering != "block" and row.why in LUCK:
            yield from _first(context, row)


def _first(context: Context, stream: object) -> Iterator[Finding]:
    run, events = context.run, context.run.events
    number_, process = stream.stream, stream.process  # type: ignore[attr-defined]
    low, high = np.searchsorted(run.units.stream, [number_, number_ + 1])
    if low == high:
        return
    handed = run.units.event[low:high]
    threads = np.unique(events.thread[handed])
    flushes = np.flatnonzero(events.is_kind("flush") & (events.stream == number_))
    if len(threads) != 1 or (len(flushes) and (events.thread[flushes] != threads[0]).any()):
        return  # another thread may flush
    got = run.got[run.got["write"] != NONE].drop_duplicates("read")
    reads = got[(events.process[got["read"]] == process) & (events.thread[got["read"]] == threads[0])].sort_values(
        "read"
    )
    others = got[events.process[got["read"]] != process]
    size = int(stream.buffer_size) or 8192  # type: ignore[attr-defined]
    for read, answer in zip(reads["read"].tolist(), reads["write"].tolist(), strict=True):
        flushed = flushes[events.enter[flushes] < events.enter[read]]
        since = int(events.enter[flushed[-1]]) if len(flushed) else -1
        pending = [k for k in range(low, high) if since < events.enter[run.units.event[k]] < events.enter[read]]
        amount = sum(int(run.units.end[k] - run.units.start[k]) for k in pending)
        if not pending or amount >= size:
            continue
        accepts = set(run.units.event[pending].tolist())
        theirs = run.messages[run.messages["accept_event"].isin(accepts)]
        heard = others[
            others["message"].isin(theirs["message"]) & (events.thread[others["read"]] == events.thread[answer])
        ]
        if (events.exit[heard["read"]] <= events.enter[answer]).any():
            yield _latent(context, stream, pending, amount, int(read), int(heard["read"].iloc[0]))
            return


def _latent(context: Context, stream: object, pending: list[int], amount: int, read: int, heard: int) -> Finding:
    run, events = context.run, context.run.events
    process, luck = stream.process, LUCK[stream.why]  # type: ignore[attr-defined]
    site = number(events.site[run.units.event[pending[-1]]])
    peer = run.the_thread(int(events.thread[heard]))
    return finding(
        "IPC101",
        f"Completes {luck}, would hang where {run.stream_name(stream.stream)} is block-buffered (a file or a pipe): "  # type: ignore[attr-defined]
        f"{plural(amount, 'byte')} written{run.at(site)} are not flushed before {run.the_process(process)} waits"
        f"{run.at_event(read)} for the answer that {peer} gives only to them.",
        f"Flush{run.at(site)}: flush=True in the print, or a flush() after the write.",
        severity="warning",
        certainty="latent",
        threads=ids(int(events.thread[read]), int(events.thread[heard])),
        channels=ids(number(events.channel[heard]), number(events.channel[read])),
        sites=ids(site, run.site_of(read)),
        events=ids(int(run.units.event[pending[-1]]), read),
        edit=flush_after(run.trace, site),
    )


CHECKS = (latent_unflushed_buffer,)
