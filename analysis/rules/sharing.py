"""IPC207, IPC208: one open file in the hands of several processes: its flags, its position, its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAGAIN

import numpy as np
import pandas as pd

from ..events import NEVER, NONE, Events, Flags, Ints, groups, number
from ..findings import Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding
from ..run import Run
from .evidence import births, descends, forgotten, moved, total

WAYS = {"r": "read", "w": "write"}
F_SETFL, O_NONBLOCK = 4, 0o4000  # of Linux: fcntl(2), open(2)
LONG = 100_000_000  # ns after which a read that got nothing has waited in vain
NAMES = {0: "standard input", 1: "standard output", 2: "standard error"}


def shared_description(context: Context) -> Iterator[Finding]:
    """IPC207."""
    yield from _unblocked(context.run)
    yield from (each for code, each in _moved_positions(context.run) if code == "IPC207")


# A flag


def _unblocked(run: Run) -> Iterator[Finding]:
    """O_NONBLOCK, set by one process, makes another's calls fail that share the open file."""
    events, born = run.events, births(run)
    changes = np.flatnonzero(_sets_nonblocking(events) & (events.channel != NONE))
    refused = np.flatnonzero((events.error == EAGAIN) & (events.channel != NONE) & events.is_kind("read", "write"))
    # a stream's raw write that finds no room returns None
    refused = np.append(refused, np.flatnonzero(events.is_op("raw.write") & (events.result == 0) & (events.size > 0)))
    told = set()
    for change in changes.tolist():
        channel, process = int(events.channel[change]), int(events.process[change])
        for event in np.sort(refused[(events.channel[refused] == channel) & (refused > change)]).tolist():
            other = int(events.process[event])
            if other == process or (channel, other) in told:
                continue
            own = changes[(events.process[changes] == other) & (events.channel[changes] == channel)]
            if len(own) or not _same_file(run, change, event):
                continue
            # given to it so, as it was born: that may be meant, but not for a stream
            given = other in born and events.exit[born[other]] > events.enter[change] and descends(run, other, process)
            if given and events.stream[event] == NONE:
                continue
            told.add((channel, other))
            yield _refused(run, change, event, born)


def _sets_nonblocking(events: Events) -> Flags:
    by_call = events.is_op("os.set_blocking") & (events.size == 0)
    flags = np.where(events.extra == NONE, 0, events.extra)
    by_flags = events.is_op("fcntl.fcntl") & (events.size == F_SETFL) & ((flags & O_NONBLOCK) != 0)
    found: Flags = (by_call | by_flags) & (events.error == NONE)
    return found


def _same_file(run: Run, change: int, event: int) -> bool:
    """Whether both calls were on one open file, which a fork or a dup has handed on.

    A pipe has one for either end, and each end of a connection is a channel. What was opened by name was inherited.
    """
    events, channel = run.events, int(run.events.channel[change])
    spans = run.spans[(run.spans["channel"] == channel)]
    mine, theirs = (
        spans[(spans["process"] == events.process[each]) & (spans["fd"] == events.fd[each])] for each in (change, event)
    )
    if not len(mine) or not len(theirs):
        return False
    if run.trace.channels["kind"].iloc[channel] in ("pipe", "socket"):
        return bool(mine["access"].iloc[-1] == theirs["access"].iloc[-1])
    return bool("inherited" in (mine["how"].iloc[-1], theirs["how"].iloc[-1]))


def _refused(run: Run, change: int, event: int, born: dict[int, int]) -> Finding:
    events, channel = run.events, int(run.events.channel[event])
    kind = events.kind(event)
    other, process = int(events.process[event]), int(events.process[change])
    stream = number(events.stream[event])
    lost = 0 if stream is None else int(run.streams["lost"].iloc[stream] or run.streams["held"].iloc[stream])
    gone = f" {plural(lost, 'byte')} of it never left." if lost else ""
    what = "found no room" if kind == "write" else "found nothing to read"
    later = born.get(other if descends(run, other, process) else process)
    return finding(
        "IPC207",
        f"{sentence(run.the_process(process))} made {run.channel_name(channel)} non-blocking{run.at_event(change)}, "
        f"and so for {run.the_process(other)}, which shares the open file: its {kind}{run.at_event(event)} {what} and "
        f"failed in place of waiting.{gone}",
        f"Set it back before the other uses it: os.set_blocking({events.fd[change]}, True) after it was"
        f" changed{run.at_event(change)}; or give {run.the_process(process)} a pipe of its own.",
        severity="error" if lost else "warning",
        threads=ids(int(events.thread[event]), int(events.thread[change])),
        channels=ids(channel),
        sites=ids(run.site_of(change), run.site_of(event), run.site_of(later)),
        events=ids(change, event),
    )


# A position


def _moved_positions(run: Run) -> Iterator[tuple[str, Finding]]:
    """A plain file that several processes read by one position: each goes on where another left off.

    Of standard input that is somebody else's input taken (IPC208), of other files a shared offset (IPC207).
    """
    events = run.events
    files = set(run.trace.channels.loc[run.trace.channels["kind"] == "file", "channel"].tolist())
    reads = np.flatnonzero(events.is_kind("read") & (events.extra != NONE) & (events.result >= 0))
    reads = reads[np.isin(events.channel[reads], list(files)) & ~events.is_op("os.pread", "os.preadv")[reads]]
    for channel, rows in groups(run.events.table.iloc[reads], "channel"):
        if rows["process"].nunique() > 1:
            own = rows["event"].to_numpy(dtype="int64")
            yield from _taken_in_turn(run, int(channel), own)
        else:
            yield from _skipped(run, int(channel), rows["event"].to_numpy(dtype="int64"))


def _start(events: Events, read: int) -> int:
    return int(events.extra[read] - events.result[read])


def _taken_in_turn(run: Run, channel: int, reads: Ints) -> Iterator[tuple[str, Finding]]:
    """One process reads, another goes on from there, and the first finds itself further on, or at the end."""
    events = run.events
    for one, two in zip(reads[:-1].tolist(), reads[1:].tolist(), strict=True):
        mine, theirs = int(events.process[two]), int(events.process[one])
        position = int(events.extra[one])
        if mine == theirs or events.result[one] == 0 or _start(events, two) != position or not position:
            continue
        before = reads[(reads < one) & (events.process[reads] == mine)]
        moved_on = len(before) and events.extra[before[-1]] != position
        robbed = events.result[two] == 0 and not len(before)
        if (moved_on or robbed) and _inherits(run, one, two):
            taken = position - int(events.extra[before[-1]]) if len(before) else position
            yield _moved_on(run, channel, two, listing([run.the_process(theirs)]), taken, one)
            return


def _inherits(run: Run, one: int, two: int) -> bool:
    """Whether one of two reads, in different processes, was by a descriptor that its process never opened itself."""
    events = run.events
    return any(
        not (
            events.is_kind("open") & (events.process == events.process[read]) & (events.result == events.fd[read])
        ).any()
        for read in (one, two)
    )


def _skipped(run: Run, channel: int, reads: Ints) -> Iterator[tuple[str, Finding]]:
    """Standard input is a file whose position moved between two reads, while a child that isn't traced had it."""
    events = run.events
    for one, two in zip(reads[:-1].tolist(), reads[1:].tolist(), strict=True):
        gap = _start(events, two) - int(events.extra[one])
        if gap <= 0 or events.fd[two] != 0 or events.fd[one] != 0:
            continue
        takers = _unseen_children(run, int(events.process[two]), int(events.exit[one]), int(events.enter[two]))
        if takers:
            yield _moved_on(run, channel, two, listing([run.the_process(each) for each in takers]), gap, None, takers)
            return


def _unseen_children(run: Run, process: int, since: int, until: int) -> list[int]:
    """Untraced descendants of a process that lived between two moments."""
    rows = run.trace.processes
    ended = rows["ended"].fillna(NEVER)
    lived = rows[(rows["started"] < until) & (ended > since)]["process"].tolist()
    return [each for each in lived if each in run.unseen and descends(run, each, process)]


def _moved_on(
    run: Run, channel: int, read: int, taker: str, taken: int, by: int | None, takers: list[int] | None = None
) -> tuple[str, Finding]:
    events, process, fd = run.events, int(run.events.process[read]), int(run.events.fd[read])
    code = "IPC208" if fd == 0 else "IPC207"
    reader = run.the_thread(int(events.thread[read]))
    got = "end of file" if events.result[read] == 0 else f"byte {_start(events, read):,}"
    start = births(run).get(int(events.process[by]) if by is not None else (takers or [process])[0])
    name = run.channel_name(channel)
    remedy = (
        f"Give the child an input of its own{run.at_event(start)}: stdin=subprocess.DEVNULL."
        if code == "IPC208"
        else f"Open {name} anew in each process, or read it with os.pread, which has no position{run.at_event(read)}."
    )
    what = f"{taker} took {plural(taken, 'byte')} of {name}" + (run.at_event(by) if by is not None else "")
    return code, finding(
        code,
        f"{sentence(what)} through the open file that it shares with {reader}, which is at {got} when it reads"
        f"{run.at_event(read)}.",
        remedy,
        threads=ids(int(events.thread[read]), None if by is None else int(events.thread[by])),
        channels=ids(channel),
        sites=ids(run.site_of(read), run.site_of(start), run.site_of(by)),
        events=ids(read, by, start),
    )


# The bytes


def stolen_input(context: Context) -> Iterator[Finding]:
    """IPC208."""
    run = context.run
    yield from (each for code, each in _moved_positions(run) if code == "IPC208")
    events, kinds = run.events, run.trace.channels["kind"]
    carriers = kinds.index[kinds.isin(["pipe", "fifo", "socket", "tty"])].to_numpy()
    reads = np.flatnonzero(events.is_kind("read") & (events.error == NONE) & np.isin(events.channel, carriers))
    table = pd.DataFrame({"event": reads, "channel": events.channel[reads], "process": events.process[reads]})
    if not run.unseen:  # then only what several processes have read can have been taken from one
        table = table[table.groupby("channel")["process"].transform("nunique") > 1]
    for channel, rows in groups(table, "channel"):
        own = rows["event"].to_numpy(dtype="int64")
        if not forgotten(run, int(channel)):
            yield from _eaten(run, int(channel), own) or _parted(run, int(channel), own)


def _eaten(run: Run, channel: int, reads: Ints) -> list[Finding]:
    """A reader got end of file, or nothing, though less was read than had been written, and a child had its input."""
    events, row = run.events, run.trace.channels.iloc[channel]
    if row["outside"] or (row["kind"] == "socket" and number(row["peer"]) is None) or row["kind"] == "tty":
        return []
    in_vain = reads[(events.result[reads] == 0) | (events.exit[reads] == NEVER)].tolist()
    if not run.unseen or not in_vain:
        return []
    writes, taken = moved(run, channel, "write"), total(run, reads)
    for read in in_vain:
        until = min(int(events.exit[read]), run.cut)
        if events.size[read] == 0 or (events.exit[read] == NEVER and until - events.enter[read] < LONG):
            continue
        missing = total(run, writes[events.exit[writes] <= events.enter[read]]) - taken
        if missing <= 0:  # nearly always: who could have taken it costs more to say
            continue
        process = int(events.process[read])
        since = events.exit[reads[(reads < read) & (events.process[reads] == process)]].max(initial=0)
        takers = [each for each in _unseen_children(run, process, int(since), until) if _could_read(run, each, channel)]
        if takers:
            return [_took(run, channel, read, takers, missing)]
    return []


def _could_read(run: Run, process: int, channel: int) -> bool:
    """Whether an untraced process may have had the reading end: it was seen with it, or never seen with anything."""
    spans = run.spans[run.spans["process"] == process]
    return not len(spans) or bool(((spans["channel"] == channel) & spans["access"].str.contains("r")).any())


def _took(run: Run, channel: int, read: int, takers: list[int], missing: int) -> Finding:
    events, process = run.events, int(run.events.process[read])
    start = births(run).get(takers[0])
    who, reader = listing([run.the_process(each) for each in takers]), run.the_thread(int(events.thread[read]))
    given = f"{run.possessive(process)} {NAMES.get(int(events.fd[read]), f'fd {events.fd[read]}')}"
    ends = "got end of file" if events.result[read] == 0 else "waits for them"
    return finding(
        "IPC208",
        f"{sentence(who)}, started{run.at_event(start)} with {given}, took "
        f"{plural(missing, 'byte')} from {run.channel_name(channel)}: {reader} {ends}{run.at_event(read)}.",
        f"Give the child an input of its own{run.at_event(start)}: stdin=subprocess.DEVNULL.",
        threads=ids(int(events.thread[read]), *(run.main_threads.get(each) for each in takers)),
        channels=ids(channel),
        sites=ids(run.site_of(start), run.site_of(read)),
        events=ids(start, read),
    )


def _parted(run: Run, channel: int, reads: Ints) -> list[Finding]:
    """Several processes read by turns: what one wrote at once went to two of them, again and again, or one of them took
    all that was left of it to the end. To hand the rest on to another, once, is no theft."""
    events = run.events
    got = reads[events.result[reads] > 0]
    turns = got[np.append(False, events.process[got[1:]] != events.process[got[:-1]])] if len(got) else got
    if not len(turns):
        return []
    first, mine = int(turns[0]), int(events.process[got[0]])
    other = int(events.process[first])
    again = reads[(events.process[reads] == mine) & (events.enter[reads] >= events.exit[first])]
    if not len(again):
        return []
    pieces = run.got[run.got["read"].isin(got) & (run.got["write"] != NONE)]
    readers = pieces.assign(process=events.process[pieces["read"].to_numpy(dtype="int64")])
    parted = int((readers.groupby("write")["process"].nunique() > 1).sum())
    left_out = events.result[again[0]] == 0 or events.exit[again[0]] == NEVER
    to_the_end = reads[(events.process[reads] == other) & (events.result[reads] == 0)]
    to_the_end = to_the_end[events.enter[to_the_end] < events.exit[again[0]]]
    if not (parted > 1 or (left_out and (parted or len(to_the_end)))):
        return []
    return [_by_turns(run, channel, first, int(again[0]), total(run, got[events.process[got] == other]))]


def _by_turns(run: Run, channel: int, first: int, again: int, taken: int) -> Finding:
    events = run.events
    other, mine = int(events.process[first]), int(events.process[again])
    start = births(run).get(other)
    one, two = run.the_process(other), run.the_process(mine)
    left = ", which then got end of file" if events.result[again] == 0 else ""
    return finding(
        "IPC208",
        f"{sentence(one)} took {plural(taken, 'byte')} from {run.channel_name(channel)}{run.at_event(first)} that "
        f"{two} reads as well{run.at_event(again)}{left}: bytes go to whoever reads first.",
        f"Let one process read and hand out, or give {one} an input of its own{run.at_event(start)}: "
        "stdin=subprocess.DEVNULL.",
        threads=ids(int(events.thread[again]), int(events.thread[first])),
        channels=ids(channel),
        sites=ids(run.site_of(first), run.site_of(again), run.site_of(start)),
        events=ids(first, again, start),
    )


CHECKS = (shared_description, stolen_input)
