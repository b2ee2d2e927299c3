"""IPC205, IPC206: writes that find nobody to read, and writes and reads that moved less than was asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from errno import EPIPE

import numpy as np

from ..events import NEVER, NONE, Events, Flags, number
from ..findings import Context, finding, ids
from ..naming import plural, sentence, span
from ..results import Finding
from ..run import Run
from .evidence import forgotten, moved, settled, total

SHUTDOWN = 120  # the exit status of an interpreter that could not flush its standard output
STDERR = 2
ONE_BY_ONE = ("os.write", "socket.send", "socket.sendto", "socket.sendmsg", "os.writev")
# Calls that return what they got, whatever that is: a stream's read goes on by itself.
READS = ("os.read", "socket.recv", "socket.recv_into", "os.readv")


# IPC205


def broken_pipe(context: Context) -> Iterator[Finding]:
    """IPC205: a write found no reader left, and the program ended by that, or left the stream as it was."""
    run, events = context.run, context.run.events
    failed = np.flatnonzero(events.is_kind("write") & (events.error == EPIPE) & (events.channel != NONE))
    failed = failed[[settled(run, event) for event in failed.tolist()]] if len(failed) else failed
    told = set()
    for event in failed.tolist():
        key = (int(events.process[event]), int(events.channel[event]))
        if key not in told:
            told.add(key)
            severity = _outcome(run, event)
            if severity is not None:
                yield _broken(run, event, severity)


def _outcome(run: Run, event: int) -> str | None:
    """error: the program ended by the failed write · info: it went on, with the end still open · None: it closed the
    end or led it elsewhere, as one does who expects this."""
    events, process = run.events, int(run.events.process[event])
    status = number(run.trace.processes["status"].iloc[process])
    own = np.flatnonzero((events.process == process) & (events.enter > events.enter[event]))
    # a traceback tells of it, by Python's hook or by whoever runs the program's function
    told = own[events.is_kind("uncaught")[own] | ((events.fd[own] == STDERR) & (status not in (0, None)))]
    if status == SHUTDOWN or any(b"BrokenPipe" in run.payloads[each] for each in told.tolist()):
        return "error"
    closes = own[events.is_kind("close")[own] & (events.fd[own] == events.fd[event])]
    leads = own[events.is_kind("duplicate")[own] & (events.result[own] == events.fd[event])]
    if len(closes) or len(leads):
        return None
    later = own[(events.thread[own] == events.thread[event]) & ~events.is_kind("flush", "uncaught", "exit")[own]]
    later = later[events.error[later] == NONE]
    if status and not len(later):
        return "error"
    return None if _in_library(run, event) else "info"


def _in_library(run: Run, event: int) -> bool:
    """Whether a call was made by Python's own library, with no line of the program above it: it knows what it does."""
    site = run.site_of(event)
    return site is None or "/lib/python" in str(run.trace.sites["file"].iloc[site])


def _broken(run: Run, event: int, severity: str) -> Finding:
    events, channel = run.events, int(run.events.channel[event])
    lane = int(run.lanes.channel[event])
    size = int(events.pending[event]) if events.pending[event] > 0 else int(events.size[event])
    shutdown = number(run.trace.processes["status"].iloc[events.process[event]]) == SHUTDOWN
    site, written = run.site_of(event), _accepted_at(run, event)
    who, gone = run.the_thread(int(events.thread[event])), _last_reader(run, lane, event)
    how = {"error": "and the program ended by that", "info": "and the program went on without them"}[severity]
    if shutdown:
        how = f"and Python ended with status {SHUTDOWN}"
    unread = total(run, moved(run, lane, "write")) - total(run, moved(run, lane, "read"))
    known = unread > 0 and lane not in run.mixed and not forgotten(run, channel)
    also = f" {plural(unread, 'byte')} written before {'was' if unread == 1 else 'were'} never read." if known else ""
    last = "at the end of the program" if site is None and shutdown else "there"
    return finding(
        "IPC205",
        f"{sentence(who)} wrote {plural(size, 'byte')} to {run.channel_name(channel)}{run.at(site)}"
        f"{f', printed{run.at(written)},' if written is not None and written != site else ''} when nobody could read "
        f"them any more{gone}: they are lost, {how}.{also}",
        f"Read {run.channel_name(channel)} to its end before closing it, or catch BrokenPipeError {last}"
        + (": flush in a try, and on the error os.dup2(os.open(os.devnull, os.O_WRONLY), "
           f"{events.fd[event]})." if events.stream[event] != NONE else f"{run.at(site)} and close the end."),
        severity=severity,
        threads=ids(int(events.thread[event])),
        channels=ids(channel),
        sites=ids(site, written),
        events=ids(event),
    )  # fmt: skip


def _accepted_at(run: Run, event: int) -> int | None:
    """Where the program handed a stream what this write of it carries."""
    events, stream = run.events, int(run.events.stream[event])
    if stream == NONE:
        return None
    low, high = np.searchsorted(run.units.stream, [stream, stream + 1])
    over = np.arange(low, high)[run.units.end[low:high] > events.offset[event]]
    return run.site_of(int(run.units.event[over[0]])) if len(over) else None


def _last_reader(run: Run, lane: int, event: int) -> str:
    """Who had closed the last reading end before a write, and how long before; "" where it isn't known."""
    ends = run.spans[(run.spans["channel"] == lane) & run.spans["access"].str.contains("r")]
    before = ends[ends["closed"].notna() & (ends["closed"] <= run.events.exit[event])]
    if not len(before):
        return ""
    row = before.iloc[int(np.argmax(before["closed"].to_numpy(dtype="int64")))]
    process, closed = int(row["process"]), int(row["closed"])
    ended = number(run.trace.processes["ended"].iloc[process])
    events = run.events
    done = np.flatnonzero(
        (events.process == process) & events.is_kind("close") & (events.fd == row["fd"]) & (events.exit == closed)
    )
    how = "ended" if ended is not None and ended <= closed else "closed its end"
    before_it = span(max(int(events.enter[event]) - closed, 0))
    return f" ({run.the_process(process)} {how}{run.at_event(int(done[0])) if len(done) else ''} {before_it} before)"


# IPC206


def short_io(context: Context) -> Iterator[Finding]:
    """IPC206: a write took a part of what it was given, or a read returned a part of a message, and the rest was never
    dealt with."""
    yield from _short_writes(context.run)
    yield from _short_reads(context.run)


def _short_writes(run: Run) -> Iterator[Finding]:
    """Nobody tried to write to the channel again, though the program went on and ended by itself."""
    events = run.events
    # without a buffer above it, a stream's write is as short as the system's
    bare = np.isin(events.stream, run.trace.streams.loc[run.trace.streams["layer"] == "raw", "stream"])
    alone = events.is_op(*ONE_BY_ONE) & (events.stream == NONE)
    partial = (events.result > 0) & (events.result < events.size) & (events.channel != NONE)
    alone = _outside(events, partial & alone, "send")
    short = alone | (partial & bare & events.is_kind("write"))
    writes = np.flatnonzero(events.is_kind("write") & (events.channel != NONE))
    writes = writes[np.isin(events.channel[writes], events.channel[short])]
    attempts, partly = defaultdict[tuple[int, int], list[int]](list), defaultdict[tuple[int, int], list[int]](list)
    for chosen, table in ((writes, attempts), (np.flatnonzero(short), partly)):
        keys = zip(events.process[chosen].tolist(), events.channel[chosen].tolist(), strict=True)
        for key, event in zip(keys, chosen.tolist(), strict=True):
            table[key].append(event)
    for (process, channel), cut in sorted(partly.items()):
        own = np.array(attempts[process, channel], dtype="int64")
        for event in cut:
            after = own[np.searchsorted(own, event, "right") :]
            if len(after) and not _begins_anew(run, event, int(after[0])):
                continue
            if not len(after) and not _ended_itself(run, int(process)):
                continue
            rest = int(events.size[event] - events.result[event])
            who, size = run.the_thread(int(events.thread[event])), plural(int(events.size[event]), "byte")
            name = run.channel_name(int(channel))
            yield finding(
                "IPC206",
                f"{sentence(who)} asked to write {size} to {name}{run.at_event(event)}, which "
                f"took {events.result[event]:,}: the other {rest:,} were never written.",
                f"Write what is left, too{run.at_event(event)}: a loop over what {events.op(event)} returns"
                + (", or sendall." if events.op(event).startswith("socket") else ", or a buffered stream."),
                severity="error",
                threads=ids(int(events.thread[event])),
                channels=ids(int(channel)),
                sites=ids(run.site_of(event)),
                events=ids(event),
            )
            break


def _begins_anew(run: Run, event: int, after: int) -> bool:
    """Whether the next write is the same message from its beginning, or the next one like it, and not the rest.

    It is as long as the short one, which the rest can't be, and begins as that does; bytes that repeat themselves tell
    nothing.
    """
    events, one, two = run.events, run.payloads[event], run.payloads[after]
    repeats = any(one[shift:] == one[:-shift] for shift in range(1, len(one) // 2 + 1))
    return bool(events.size[after] == events.size[event] and len(one) > 8 and one == two and not repeats)


def _ended_itself(run: Run, process: int) -> bool:
    """Whether a process came to its end by itself, and no signal ended it."""
    row, stopped = run.trace.processes.iloc[process], run.trace.facts.get("stopped")
    ended, status = number(row["ended"]), number(row["status"])
    return ended is not None and status is not None and status >= 0 and (stopped is None or ended < stopped)


def _outside(events: Events, flags: Flags, *kinds: str) -> Flags:
    """Those of the events that are flagged around which there is none of these kinds."""
    chosen = np.flatnonzero(flags)
    for kind in kinds:
        chosen = chosen[events.enclosing(kind, chosen) == NONE]
    found = np.zeros(len(events), dtype=bool)
    found[chosen] = True
    return found


def _short_reads(run: Run) -> Iterator[Finding]:
    """A read that wanted the whole of a message, got a part of it, and was the channel's last."""
    events, lane = run.events, run.lanes.channel
    short = events.is_op(*READS) & (events.result > 0) & (events.result < events.size) & (events.channel != NONE)
    short = _outside(events, short & (events.stream == NONE), "receive", "take")
    reads = np.flatnonzero(events.is_kind("read") & (events.channel != NONE))
    hidden = run.mixed | run.one_sided
    last: dict[int, int] = dict(zip(events.channel[reads].tolist(), reads.tolist(), strict=True))
    read, write_of, got = (run.got[name].to_numpy(dtype="int64") for name in ("read", "write", "size"))
    ends = np.isin(read, list(last.values()))
    written = dict(zip(read[ends].tolist(), write_of[ends].tolist(), strict=True))  # the last that each of them got
    known = write_of != NONE
    arrived = np.bincount(write_of[known], got[known], len(events))
    for channel, event in last.items():
        write = written.get(event, NONE)
        if not short[event] or write == NONE or channel in hidden:
            continue
        size = int(events.size[write] if events.exit[write] == NEVER else events.result[write])
        if arrived[write] >= size or events.size[event] < size or lane[write] != channel:
            continue
        if forgotten(run, channel) or not _ended_itself(run, int(events.process[event])):
            continue
        who, sender = (run.the_thread(int(events.thread[each])) for each in (event, write))
        yield finding(
            "IPC206",
            f"{sentence(who)} got {events.result[event]:,} of the {size:,} bytes that {sender} wrote to "
            f"{run.channel_name(channel)}{run.at_event(write)}, though it asked for {events.size[event]:,}"
            f"{run.at_event(event)}, and never read the rest.",
            f"Read until the whole message is there{run.at_event(event)}: a loop, or read(n) of a buffered stream.",
            severity="error",
            threads=ids(int(events.thread[event]), int(events.thread[write])),
            channels=ids(channel),
            sites=ids(run.site_of(event), run.site_of(write)),
            events=ids(event, write),
        )


CHECKS = (broken_pipe, short_io)
