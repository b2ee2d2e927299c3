"""IPC203, IPC204, IPC209: what a stream held back, when its program ended, forked, or started another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..events import NEVER, NONE, Ints, by_number, number, rows_of
from ..findings import Context, finding, ids
from ..naming import listing, plural
from ..results import Finding
from ..run import Run
from .evidence import births, forgotten, leads_away, moved, total


class Held(NamedTuple):
    """Bytes [start, end) of a stream, pending at some moment."""

    stream: int
    start: int
    end: int


def lost_buffer(context: Context) -> Iterator[Finding]:
    """IPC203: bytes that a program had written to a stream when it ended without flushing."""
    run = context.run
    lost = run.streams[(run.streams["lost"] > 0) & (run.streams["own"] > 0)]
    for row in rows_of(lost):
        reason = _ending(context, row.process, row.until)
        if reason is None or leads_away(run, number(row.now)):
            continue
        held = next((stuck for stuck in run.stuck if stuck.stream == row.stream), None)
        sites = [site for site, _ in held.pieces if site is not None] if held else []
        size = min(int(row.lost), int(row.own))
        yield finding(
            "IPC203",
            f"{plural(size, 'byte')} in {run.stream_name(row.stream)} were lost when {run.the_process(row.process)} "
            f"{reason[0]}{', written' + run.at(sites[-1]) if sites else ''}.",
            reason[1],
            severity="error",
            threads=ids(run.main_threads.get(row.process)),
            channels=ids(number(row.now)),
            sites=ids(*sites[::-1]),
            events=ids(reason[2]),
        )


def _ending(context: Context, process: int, until: int) -> tuple[str, str, int | None] | None:
    """How a program ended without flushing: in words, the remedy, and the event; None where it isn't known to have."""
    run, events = context.run, context.run.events
    own = np.flatnonzero((events.process == process) & (events.exit == NEVER))
    for event in own[::-1].tolist():
        kind = events.kind(event)
        if kind == "exit":
            place = run.at_event(event)
            return f"called os._exit{place}", f"Flush before os._exit{place}, or end by sys.exit.", event
        if kind == "exec" and until == events.enter[event]:
            place = run.at_event(event)
            return f"became another program{place}", f"Flush before the exec{place}.", event
    row = run.trace.processes.iloc[process]
    status, stopped = number(row["status"]), run.trace.facts.get("stopped")
    if status is not None and status < 0 and (stopped is None or until < stopped):
        return (
            f"was ended by signal {-status}",
            "Flush what must not be lost as it is written, or handle the signal.",
            None,
        )
    return None


# What was pending at a fork, and came out of both copies


def duplicated_buffer(context: Context) -> Iterator[Finding]:
    """IPC204: the bytes that a stream held at a fork left both copies of its buffer, for the same channel."""
    run, born, writes = context.run, births(context.run), _writes(context.run)
    copies: defaultdict[tuple[int, int], list[tuple[Held, int]]] = defaultdict(list)
    streams = run.trace.streams
    pending = streams[(streams["accepted"] > streams["reached"]) & (streams["mode"] != "r")]
    alike = defaultdict[tuple[int | None, int, str], list[Any]](list)
    for row in rows_of(streams if len(pending) else pending):
        alike[row.process, row.fd, row.name].append(row)
    parents = run.trace.processes["parent"].tolist()
    for row in rows_of(pending):
        before = [one for one in alike.get((number(parents[row.process]), row.fd, row.name), ())
                  if one.opened <= row.opened]  # fmt: skip
        if before:  # the parent's stream of which it is a copy
            original = before[-1].stream
            copies[original, row.accepted].append((Held(row.stream, row.reached, row.accepted), row.process))
    for (original, end), held in copies.items():
        start = min(copy.start for copy, _ in held)
        first, out = _went(run, writes, Held(original, start, end)), {}
        for copy, process in held:
            if (write := _went(run, writes, copy)) is not None:
                out[process] = write
        where = defaultdict(list)
        for process, write in out.items():
            where[int(run.events.channel[write])].append(process)
        for channel, children in where.items():
            again = first is not None and run.events.channel[first] == channel
            if len(children) + again > 1 and not leads_away(run, channel):
                yield _doubled(run, Held(original, start, end), children, out, born, first if again else None)


def _writes(run: Run) -> Callable[[int], Ints]:
    """What gives what a stream wrote to its descriptor, in order."""
    events = run.events
    writes = np.flatnonzero((events.stream != NONE) & events.is_kind("write") & (events.result > 0))
    of_stream = by_number(events.stream[writes], len(run.trace.streams))
    return lambda stream: writes[of_stream(stream)]


def _went(run: Run, writes: Callable[[int], Ints], held: Held) -> int | None:
    """The write that carried the first of some pending bytes out of a stream."""
    events, own = run.events, writes(held.stream)
    over = (events.offset[own] < held.end) & (events.offset[own] + events.result[own] > held.start)
    return int(own[over][0]) if over.any() else None


def _put(run: Run, held: Held) -> list[int]:
    """Where the program handed a stream these bytes: sites, the last first."""
    units = run.units
    low, high = np.searchsorted(units.stream, [held.stream, held.stream + 1])
    over = np.arange(low, high)[(units.start[low:high] < held.end) & (units.end[low:high] > held.start)]
    return [site for event in units.event[over][::-1].tolist() if (site := run.site_of(event)) is not None]


def _doubled(
    run: Run, held: Held, children: list[int], out: dict[int, int], born: dict[int, int], first: int | None
) -> Finding:
    events = run.events
    writes = [*([first] if first is not None else []), *(out[child] for child in children)]
    sites, fork = _put(run, held), born.get(children[0])
    parent = int(run.trace.streams["process"].iloc[held.stream])
    who = listing([run.the_process(process) for process in dict.fromkeys(int(events.process[w]) for w in writes)])
    size, times = held.end - held.start, "twice" if len(writes) == 2 else f"{len(writes)} times"
    return finding(
        "IPC204",
        f"{plural(size, 'byte')} came out {times} on {run.channel_name(int(events.channel[writes[0]]))}: "
        f"{'it was' if size == 1 else 'they were'} pending in {run.stream_name(held.stream)} at the "
        f"fork{run.at_event(fork)}{', written' + run.at(sites[0]) if sites else ''}, and {who} flushed "
        f"{'a copy each' if len(writes) > 1 else 'them'}.",
        f"Flush {run.trace.streams['name'].iloc[held.stream]} before the fork{run.at_event(fork)}, or end the child "
        "by os._exit.",
        severity="error",
        threads=ids(run.main_threads.get(parent), *(run.main_threads.get(child) for child in children)),
        channels=ids(int(events.channel[writes[0]])),
        sites=ids(run.site_of(fork), *sites),
        events=ids(fork, *writes),
    )


# What was printed before a child was started, and came out after what the child wrote


def reordered_output(context: Context) -> Iterator[Finding]:
    """IPC209: a program printed into a buffer and then had another write to the same place, which came out first."""
    run, born, writes = context.run, births(context.run), _writes(context.run)
    writers, told = defaultdict[int, list[int]](list), set[tuple[int, int]]()
    for row in rows_of(run.trace.streams):
        if row.mode != "r" and len(writes(row.stream)):
            writers[row.process].append(row.stream)
    children = defaultdict[int | None, list[int]](list)
    for process, parent in enumerate(run.trace.processes["parent"].tolist()):
        children[number(parent)].append(process)
    for child, start in sorted(born.items(), key=lambda pair: pair[1]):
        for stream in writers.get(int(run.events.process[start]), ()):
            late = _late(run, stream, writes(stream), start)
            if late is None or (stream, late[1]) in told or leads_away(run, int(run.events.channel[late[1]])):
                continue
            ahead = _ahead(run, _kin(child, children), start, late[1])
            if ahead is not None:
                told.add((stream, late[1]))
                yield _overtaken(run, *late, start, child, ahead)


def _late(run: Run, stream: int, writes: Ints, start: int) -> tuple[Held, int] | None:
    """What the thread that started a child had put into a stream before, and the write that it left by afterwards."""
    events, units = run.events, run.units
    begun = int(events.enter[start])
    low, high = np.searchsorted(units.stream, [stream, stream + 1])
    own = np.arange(low, high)[events.enter[units.event[low:high]] < begun]
    ends = events.offset[writes] + events.result[writes]
    reached = max(
        int(ends[events.enter[writes] < begun].max(initial=0)), int(run.trace.streams["reached"].iloc[stream])
    )
    mine = own[(units.end[own] > reached) & (events.thread[units.event[own]] == events.thread[start])]
    after = writes[(events.enter[writes] >= begun) & (ends > reached)]
    # a copy that a fork made of the parent's bytes is no print of this process's
    if not len(mine) or not len(after):
        return None
    held = Held(stream, max(reached, int(units.start[mine[0]])), int(units.end[mine[-1]]))
    return held, int(after[0])


def _ahead(run: Run, kin: set[int], start: int, write: int) -> str | None:
    """How much a child, or one that it started (`kin`), had written to the same channel by then, in words; None: it
    isn't known to have.

    Of one that isn't traced the channel tells: it held bytes, or a file had grown, by more than all others had written.
    """
    events, channel = run.events, int(run.events.channel[write])
    begun, until = int(events.enter[start]), int(events.enter[write])
    puts = np.flatnonzero((events.channel == channel) & events.is_kind("write") & (events.result > 0))
    # a copy of the buffer that a fork made is another matter: IPC204
    copies = run.trace.streams.loc[run.trace.streams["accepted"] > run.trace.streams["reached"], "stream"]
    theirs = puts[np.isin(events.process[puts], list(kin)) & (events.exit[puts] <= until)]
    theirs = theirs[~np.isin(events.stream[theirs], copies)]
    if len(theirs):
        return f"{plural(total(run, theirs), 'byte')}{run.at_event(int(theirs[0]))}"
    if not kin & run.unseen or forgotten(run, channel):
        return None
    grown = _grown(run, channel, puts, begun, until, write)
    return plural(grown, "byte") if grown > 0 else None


def _kin(process: int, children: dict[int | None, list[int]]) -> set[int]:
    """A process and all that come from it."""
    found, todo = {process}, [process]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found


def _grown(run: Run, channel: int, puts: Ints, begun: int, until: int, write: int) -> int:
    """Bytes that nobody traced wrote to a channel between two moments."""
    events = run.events
    if run.trace.channels["kind"].iloc[channel] == "file":
        before = puts[(events.exit[puts] <= until) & (events.extra[puts] != NONE)]
        if not len(before) or events.extra[write] == NONE:
            return 0
        return int(events.extra[write] - events.result[write]) - int(events.extra[before].max())
    reads = moved(run, channel, "read")
    reads = reads[events.exit[reads] != NEVER]

    def alien(time: int) -> int:
        taken = total(run, reads[events.exit[reads] <= time])
        return taken - total(run, puts[events.enter[puts] < time])

    by_time = max(alien(until), 0) - max(alien(begun), 0)
    return by_time if by_time > 0 else _before(run, reads, puts, write)


def _before(run: Run, reads: Ints, puts: Ints, write: int) -> int:
    """Bytes of nobody traced that a channel's reader got before those of a write, as far as kept bytes show it."""
    events, payloads = run.events, run.payloads
    earlier = total(run, puts[events.exit[puts] <= events.enter[write]])
    mark, position = payloads[write], 0
    if total(run, reads) <= total(run, puts) or len(mark) < 2:
        return 0
    for read in reads.tolist():
        kept = payloads[read]
        at = kept.find(mark[: max(len(kept) // 2, 2)], max(earlier - position, 0))
        if at >= 0:
            return int(position + at - earlier)
        position += int(events.result[read])
    return 0


def _overtaken(run: Run, held: Held, write: int, start: int, child: int, ahead: str) -> Finding:
    events, channel = run.events, int(run.events.channel[write])
    sites = _put(run, held)
    name = run.trace.streams["name"].iloc[held.stream]
    return finding(
        "IPC209",
        f"What {run.the_thread(int(events.thread[write]))} printed first{run.at(sites[-1] if sites else None)} came "
        f"out later: {plural(held.end - held.start, 'byte')} lay in {name} while {run.the_process(child)}, started"
        f"{run.at_event(start)}, wrote {ahead} to {run.channel_name(channel)}.",
        f"Flush {name} before the child is started{run.at_event(start)}: print(…, flush=True), or {name}.flush().",
        threads=ids(int(events.thread[write]), run.main_threads.get(child)),
        channels=ids(channel),
        sites=ids(*sites[::-1], run.site_of(start)),
        events=ids(start, write),
    )


CHECKS = (lost_buffer, duplicated_buffer, reordered_output)
