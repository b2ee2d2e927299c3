"""Latent deadlocks: a run that completed, and would not with other messages, a smaller pipe or another buffering.

IPC101: a stream that wasn't block-buffered where it would be elsewhere. Python chooses a standard stream's buffering
when it starts: line by line in a terminal, in blocks for a file or a pipe. Here the run is thought through with blocks.
Bytes that the program handed to such a stream and did not flush before a read of its own would still be in the buffer
at that read. If what the read then got was written by a peer only after that peer had read these very bytes, neither
would have gone on. The same holds of a block-buffered stream that nobody flushes, whose buffer happened to be filled.

IPC104: bytes that lay in a pipe until a read that the program itself puts after the write (happens-before), however
long it takes: the run completed because the pipe held them. It is the send-send that "happened to be buffered" of MPI,
which MUST reports (Hilbrich et al., 2013); here the replay with a smaller capacity is a question to the vector clocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..edits import flush_after
from ..events import NEVER, NONE, Events, number, rows_of
from ..findings import Context, finding, ids
from ..naming import plural
from ..results import Finding
from ..timeline import Nodes

SMALLEST = 4096  # bytes of the smallest pipe that there is: one page (pipe(7): a user over the soft limit gets two)
CAPACITY = 65536  # bytes of a pipe whose size isn't known: pipe(7)
BUFFER = 8192  # bytes of a buffer whose size isn't known: io.DEFAULT_BUFFER_SIZE
ASKED = 20  # writes of a pipe that the clocks are asked about
# Why a stream isn't block-buffered, in the recorder's words, where the program itself did not ask for it.
LUCK = {"a terminal when Python started": "in a terminal", "PYTHONUNBUFFERED is set": "with PYTHONUNBUFFERED set"}


def latent_unflushed_buffer(context: Context) -> Iterator[Finding]:
    """IPC101, latent: the first such place of each stream."""
    run = context.run
    if run.trace.facts.get("ended") != "exit":
        return
    for row in rows_of(run.trace.streams):
        if row.mode != "r" and (row.buffering == "block" or row.why in LUCK):
            yield from _first(context, row)


def _first(context: Context, stream: object) -> Iterator[Finding]:
    run, events = context.run, context.run.events
    number_, process = stream.stream, stream.process  # type: ignore[attr-defined]
    low, high = np.searchsorted(run.units.stream, [number_, number_ + 1])
    if low == high:
        return
    handed = run.units.event[low:high]
    threads = np.unique(events.thread[handed])
    flushes = np.flatnonzero(events.is_kind("flush", "close") & (events.stream == number_))
    if len(threads) != 1 or (len(flushes) and (events.thread[flushes] != threads[0]).any()):
        return  # another thread may flush
    got = run.got[run.got["write"] != NONE].drop_duplicates("read")
    reads = got[(events.process[got["read"]] == process) & (events.thread[got["read"]] == threads[0])].sort_values(
        "read"
    )
    others = got[events.process[got["read"]] != process]
    size = int(stream.buffer_size) or BUFFER  # type: ignore[attr-defined]
    begun = events.enter[handed]  # in order: one thread handed them in
    sizes = np.append(0, np.cumsum(run.units.end[low:high] - run.units.start[low:high]))
    for read, answer in zip(reads["read"].tolist(), reads["write"].tolist(), strict=True):
        flushed = int(np.searchsorted(events.enter[flushes], events.enter[read]))
        since = int(events.enter[flushes[flushed - 1]]) if flushed else -1
        first, last = np.searchsorted(begun, since, "right"), np.searchsorted(begun, events.enter[read])
        pending, amount = range(low + first, low + last), int(sizes[last] - sizes[first])
        if not pending or (amount >= size) != (stream.buffering == "block"):  # type: ignore[attr-defined]
            continue
        accepts = set(handed[first:last].tolist())
        theirs = run.messages[run.messages["accept_event"].isin(accepts)]
        heard = others[
            others["message"].isin(theirs["message"]) & (events.thread[others["read"]] == events.thread[answer])
        ]
        if (events.exit[heard["read"]] <= events.enter[answer]).any() and not _looked_about(events, answer, heard):
            yield _latent(context, stream, pending, amount, int(read), int(heard["read"].iloc[0]))
            return


def _looked_about(events: Events, answer: int, heard: pd.DataFrame) -> bool:
    """Whether who answered had asked since it last heard what is ready: then it writes when there is room, as
    communicate() and every event loop do, and not because of what it has read."""
    last = int(events.exit[heard["read"]][events.exit[heard["read"]] <= events.enter[answer]].max())
    looks = events.is_kind("select") & (events.thread == events.thread[answer])
    return bool((looks & (events.enter >= last) & (events.enter <= events.enter[answer])).any())


def _latent(context: Context, stream: object, pending: range, amount: int, read: int, heard: int) -> Finding:
    run, events = context.run, context.run.events
    process, name = stream.process, run.stream_name(stream.stream)  # type: ignore[attr-defined]
    site = number(events.site[run.units.event[pending[-1]]])
    peer = run.the_thread(int(events.thread[heard]))
    if stream.buffering == "block":  # type: ignore[attr-defined]
        size = int(stream.buffer_size) or BUFFER  # type: ignore[attr-defined]
        luck = f"Completes because what is written fills the buffer of {name}, would hang with less than {size:,} bytes"
    else:
        luck = f"Completes {LUCK[stream.why]}, would hang where {name} is block-buffered (a file or a pipe)"  # type: ignore[attr-defined]
    return finding(
        "IPC101",
        f"{luck}: "
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


def latent_full_pipe(context: Context) -> Iterator[Finding]:
    """IPC104, latent: of each pipe the write after which most bytes had to wait for a read that comes only after it."""
    run = context.run
    if run.trace.facts.get("ended") != "exit":
        return
    channels = run.trace.channels
    pipes = channels.loc[channels["kind"].isin(["pipe", "fifo"]) & ~channels["outside"], "channel"]
    for pipe in pipes[~pipes.isin(run.mixed)].tolist():
        candidates = _waiting_bytes(run.events, pipe)
        writes = np.repeat([write for write, _, _ in candidates], [len(reads) for _, _, reads in candidates])
        reads = np.array([read for _, _, after in candidates for read in after], dtype="int64")
        if not len(reads):
            continue
        ends, begins = np.ones(len(writes), dtype=bool), np.zeros(len(reads), dtype=bool)
        later = run.causality.reaches(Nodes(writes.astype("int64"), ends), Nodes(reads, begins))
        only_later = {int(write) for write in writes} - {int(write) for write in writes[~later]}
        for write, level, after in candidates:
            if write in only_later:
                yield _held_by_the_pipe(context, pipe, write, level, min(after))
                break


def _waiting_bytes(events: Events, pipe: int) -> list[tuple[int, int, list[int]]]:
    """Writes that left `SMALLEST` bytes or more in a pipe, most first: (write, bytes, the next read of each reader)."""
    moved = np.flatnonzero((events.channel == pipe) & (events.result > 0) & (events.exit != NEVER))
    moved = moved[np.argsort(events.exit[moved], kind="stable")]
    writing = events.is_kind("write")[moved]
    writes, reads = moved[writing], moved[~writing & events.is_kind("read")[moved]]
    if not len(writes) or not len(reads):
        return []
    taken = np.append(0, np.cumsum(events.result[reads]))
    next_read = np.searchsorted(events.exit[reads], events.exit[writes], "right")
    level = np.cumsum(events.result[writes]) - taken[next_read]
    most: dict[int, int] = {}  # the next read → the write before it that left most
    for place in np.flatnonzero((level >= SMALLEST) & (next_read < len(reads))).tolist():
        known = most.get(int(next_read[place]))
        if known is None or level[place] > level[known]:
            most[int(next_read[place])] = place
    chosen = sorted(most.values(), key=lambda place: -int(level[place]))[:ASKED]
    threads = np.unique(events.thread[reads])
    found = []
    for place in chosen:
        after = reads[next_read[place] :]
        firsts = np.concatenate([after[events.thread[after] == thread][:1] for thread in threads])
        if (events.thread[firsts] != events.thread[writes[place]]).any():  # what one thread does alone it can count
            found.append((int(writes[place]), int(level[place]), firsts.tolist()))
    return found


def _held_by_the_pipe(context: Context, pipe: int, write: int, level: int, read: int) -> Finding:
    run, events = context.run, context.run.events
    writer, reader = int(events.thread[write]), int(events.thread[read])
    capacity = number(run.trace.channels["capacity"].iloc[pipe]) or CAPACITY
    name, left = run.channel_name(pipe), plural(level, "byte")
    waits = run.blocking[
        (run.blocking["thread"] == reader) & (run.blocking["end"] > events.exit[write])
        & (run.blocking["begin"] < events.enter[read]) & (run.blocking["reason"] != "sleep")
    ]  # fmt: skip
    row = next(rows_of(waits.sort_values("end", ascending=False)), None)
    first = f", which first {run.waited_for(row.reason, number(row.channel))}{run.at(number(row.site))}" if row else ""
    whom = f"{run.the_thread(reader)}{first}"
    return finding(
        "IPC104",
        f"Completes because {name} holds {capacity:,} bytes: {run.the_thread(writer)} leaves {left} in "
        f"it{run.at_event(write)} before they are read{run.at_event(read)} by {whom}. Hangs once that is more than "
        f"{capacity:,} bytes, or where pipes are smaller (8 KiB or 4 KiB for a user with many).",
        f"Read{run.at_event(read)} while it is being written: before the wait, by communicate(), or in a thread.",
        severity="warning",
        certainty="latent",
        threads=ids(writer, reader),
        channels=ids(pipe),
        sites=ids(run.site_of(write), run.site_of(read)),
        events=ids(write, read),
    )


CHECKS = (latent_unflushed_buffer, latent_full_pipe)
