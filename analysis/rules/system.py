"""IPC2xx: data is at risk, in what the system does by rules of its own: to FIFOs, terminals, statuses and locks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from errno import ECHILD
from typing import Any

import numpy as np
import pandas as pd

from ..events import NEVER, NONE, Ints, groups, number, rows_of
from ..findings import Check, Context, finding, ids
from ..naming import plural, sentence
from ..results import Finding
from ..run import Run
from ..signals import Signal

WAY, TO_READ = 3, 0  # O_ACCMODE and O_RDONLY of open(2)
LINE = 4095  # bytes of a line that a terminal in canonical mode keeps: termios(3)


def fifo_early_eof(context: Context) -> Iterator[Finding]:
    """IPC210: end of file on a FIFO, the next writer after it, and nobody who has read any more."""
    run, events = context.run, context.run.events
    fifos = run.trace.channels.loc[run.trace.channels["kind"] == "fifo", "channel"]
    reads = np.flatnonzero(events.is_kind("read") & np.isin(events.channel, fifos) & (events.error == NONE))
    for channel in np.unique(events.channel[reads]).tolist():
        own = reads[events.channel[reads] == channel]
        ended = own[(events.result[own] == 0) & (events.size[own] != 0)]
        if not len(ended):
            continue
        came = own[events.result[own] > 0]
        final = ended[events.exit[ended] > events.exit[came].max(initial=-1)]
        if len(final):  # nothing was read any more after it
            yield from _next_writer(context, channel, int(final[0]))


def _next_writer(context: Context, channel: int, end: int) -> Iterator[Finding]:
    """The finding, if a writer came after the end of file and no reader did."""
    run, events = context.run, context.run.events
    time = int(events.exit[end])
    opens = np.flatnonzero(events.is_kind("open") & (events.channel == channel))
    writes = (events.size[opens] & WAY) != TO_READ
    spans = run.spans[(run.spans["channel"] == channel) & run.spans["process"].isin(run.unseen)]
    writers = [(int(events.exit[open_]), int(events.process[open_]), run.site_of(int(open_)))
               for open_ in opens[writes] if events.exit[open_] > time]  # fmt: skip
    writers += [(row.opened, row.process, None) for row in rows_of(spans)
                if "w" in row.access and row.opened > time]  # fmt: skip
    again = (events.enter[opens[~writes]] >= time).any() or (spans["access"].eq("r") & (spans["opened"] > time)).any()
    if again or not writers:
        return
    _, writer, opened_at = min(writers)
    reader = int(events.thread[end])
    gone = run.spans[
        (run.spans["channel"] == channel) & run.spans["access"].str.contains("w") & (run.spans["closed"] <= time)
    ]
    last = next(rows_of(gone.sort_values("closed").tail(1)), None)
    before = f"when {run.the_process(last.process)} had closed it and" if last is not None else "as"
    fifo = run.channel_name(channel)
    yield finding(
        "IPC210",
        f"{sentence(run.the_thread(reader))} got end of file on {fifo}{run.at_event(end)}, {before} "
        f"{run.the_process(writer)} had not opened it yet{run.at(opened_at)}: what comes after that isn't read.",
        f"Keep a write end open in the reader (os.open with O_RDWR), or open {fifo} again at end of file"
        f"{run.at_event(end)}.",
        threads=ids(reader, run.main_threads.get(writer)),
        channels=(channel,),
        sites=ids(run.site_of(end), opened_at),
        events=ids(end),
    )


def terminal_line_limit(context: Context) -> Iterator[Finding]:
    """IPC211: the longest line written to each pseudo-terminal that was in canonical mode and keeps no such line."""
    run, events = context.run, context.run.events
    terminals = run.trace.channels.loc[run.trace.channels["form"] == "pty", "channel"]
    written = np.flatnonzero(
        events.is_kind("write") & (events.extra > LINE) & np.isin(events.channel, terminals) & (events.result > 0)
    )
    for channel in np.unique(events.channel[written]).tolist():
        own = written[events.channel[written] == channel]
        longest = int(events.extra[own].max())
        write, follower = int(own[0]), number(run.trace.channels["peer"].iloc[channel])
        path = run.trace.channels["remote"].iloc[channel]
        name = path if isinstance(path, str) and path else run.channel_name(channel)
        writer = int(events.thread[write])
        yield finding(
            "IPC211",
            f"{sentence(run.the_thread(writer))} wrote a line of {plural(longest, 'byte')} to {name}"
            f"{run.at_event(write)}, which is in canonical mode and keeps {LINE:,} bytes of a line: "
            f"{plural(longest - LINE, 'byte')} of it are lost.",
            f"Write shorter lines{run.at_event(write)}, or put the terminal into raw mode first (tty.setraw), or use "
            "a pipe.",
            severity="error",
            threads=ids(writer),
            channels=ids(channel, follower),
            sites=ids(run.site_of(write)),
            events=ids(write),
        )


def status_lost(context: Context) -> Iterator[Finding]:
    """IPC213: a wait for a child that found none, as its status was collected elsewhere, or by nobody."""
    run, events = context.run, context.run.events
    waits = events.is_kind("wait")
    lost = np.flatnonzero(waits & (events.error == ECHILD) & (events.size > 0))
    got, children = defaultdict[tuple[int, int], list[int]](list), defaultdict[tuple[int, int], list[Any]](list)
    for event in np.flatnonzero(waits & (events.error == NONE) & (events.result > 0)).tolist() if len(lost) else []:
        got[int(events.process[event]), int(events.result[event])].append(event)
    for row in rows_of(run.trace.processes[run.trace.processes["parent"].notna()]) if len(lost) else []:
        children[row.parent, row.pid].append(row)
    handled = of_children(run)
    for wait in lost.tolist():
        asked = (int(events.process[wait]), int(events.size[wait]))
        child = next((row for row in children[asked][::-1] if row.started <= events.enter[wait]), None)
        if child is None:
            continue
        taker = next((event for event in got[asked] if events.exit[event] > child.started), None)
        if taker is None:
            yield from _ignored(context, handled, wait, child.process)
        elif (how := _taken(context, wait, taker)) is not None:
            yield _status(context, wait, child.process, *how)
    for call in np.flatnonzero(events.is_op("os.system") & (events.extra == -1) & (events.error == NONE)).tolist():
        yield from _ignored(context, handled, call, None)


def _taken(context: Context, wait: int, taker: int) -> tuple[str, str, int] | None:
    """What took a status before its wait: words, remedy, event; None where it was the same code that asks again."""
    run, events = context.run, context.run.events
    handler = events.inside("signal", taker)
    same = events.thread[taker] == events.thread[wait] and handler == NONE
    if same and (events.size[taker] == events.size[wait] or events.site[taker] == events.site[wait]):
        return None
    of = f" in {run.the_thread(int(events.thread[taker]))}" if events.thread[taker] != events.thread[wait] else ""
    where = " in a signal's handler" if handler != NONE else of
    return (
        f"the {events.op(taker)}{run.at_event(taker)}{where} had collected its status",
        f"Wait for children by their pids, in one place: {events.op(taker)}{run.at_event(taker)} takes any child's.",
        taker,
    )


def _ignored(context: Context, handled: Ints, wait: int, child: int | None) -> Iterator[Finding]:
    """A status that the system has thrown away, which it does where SIGCHLD is ignored."""
    run, events = context.run, context.run.events
    if run.trace.facts.get("dropped"):
        return  # who collected it may have been dropped
    ignoring = _ignoring(run, handled, int(events.process[wait]), int(events.enter[wait]))
    if ignoring is None:
        yield _status(context, wait, child, "nothing had kept its status: SIGCHLD was ignored as the program began",
                      "Set SIGCHLD to SIG_DFL before the child is started.", None)  # fmt: skip
    elif events.result[ignoring] == 1:
        yield _status(context, wait, child, f"SIGCHLD is ignored since{run.at_event(ignoring).removeprefix(' at')}, so "
                      "the system keeps no status", f"Leave SIGCHLD at SIG_DFL{run.at_event(ignoring)} in a program "
                      "that waits for children.", ignoring)  # fmt: skip


def of_children(run: Run) -> Ints:
    """The events that say what is to become of SIGCHLD."""
    events = run.events
    return np.flatnonzero(events.is_kind("handle") & (events.size == Signal.SIGCHLD) & (events.error == NONE))


def _ignoring(run: Run, handled: Ints, process: int | None, time: int) -> int | None:
    """What was last said of SIGCHLD in a process, or in the parent that it was forked from."""
    events = run.events
    while process is not None and len(handled):
        own = handled[(events.process[handled] == process) & (events.enter[handled] < time)]
        if len(own):
            return int(own[-1])
        row = run.trace.processes.iloc[process]
        process, time = number(row["parent"]), int(row["started"])
    return None


def ignores_children(run: Run, handled: Ints, process: int, time: int) -> bool:
    """Whether a process had told the system to ignore SIGCHLD: then its children's statuses are kept for nobody.
    `handled`: see `of_children`."""
    told = _ignoring(run, handled, process, time)
    return told is not None and run.events.result[told] == 1


def _status(context: Context, wait: int, child: int | None, why: str, remedy: str, other: int | None) -> Finding:
    run, events = context.run, context.run.events
    status = number(run.trace.processes["status"].iloc[child]) if child is not None else None
    ended = f", which ended with status {status}," if status is not None and status >= 0 else ""
    ended = f", which signal {-status} ended," if status is not None and status < 0 else ended
    name = f"process {events.size[wait]}{ended}" if child is not None else "its child"
    return finding(
        "IPC213",
        f"{sentence(run.the_thread(int(events.thread[wait])))} waited{run.at_event(wait)} for {name} and found none: "
        f"{why}.",
        remedy,
        threads=ids(int(events.thread[wait]), int(events.thread[other]) if other is not None else None),
        sites=ids(run.site_of(wait), run.site_of(other)),
        events=ids(wait, other),
    )


RECORD_LOCKS = ("fcntl.lockf", "os.lockf")


def lock_dropped(context: Context) -> Iterator[Finding]:
    """IPC214: a descriptor was closed while its process held a record lock on the same file by another one."""
    events = context.run.events
    done = (events.error == NONE) & (events.exit != NEVER)
    locks = np.flatnonzero(events.is_op(*RECORD_LOCKS) & done & (events.channel != NONE))
    if not len(locks):
        return
    locked = pd.DataFrame({"process": events.process[locks], "channel": events.channel[locks]})
    closes = np.flatnonzero(events.is_kind("close") & (events.outermost == np.arange(len(events)))
                            & np.isin(events.channel, locked["channel"].unique()))  # fmt: skip
    unlocks = np.flatnonzero(events.is_op(*(f"{op} unlock" for op in RECORD_LOCKS)) & done)
    for (process, channel), _ in groups(locked, ["process", "channel"]):
        mine, freed, closed = (
            rows[(events.process[rows] == process) & (events.channel[rows] == channel)]
            for rows in (locks, unlocks, closes)
        )
        yield from _dropped(context, mine, freed, closed)


def _dropped(context: Context, locks: Ints, unlocks: Ints, closes: Ints) -> Iterator[Finding]:
    """The first close that drops one of these locks of one process on one file, if the process counted on it after."""
    events = context.run.events
    for close in closes.tolist():
        before = locks[events.exit[locks] <= events.enter[close]]
        if not len(before):
            continue
        lock = int(before[-1])
        let_go = np.concatenate([unlocks, closes[events.fd[closes] == events.fd[lock]]])
        let_go = let_go[events.enter[let_go] >= events.exit[lock]]
        if events.fd[close] == events.fd[lock] or (events.enter[let_go] < events.enter[close]).any():
            continue
        end = int(events.enter[let_go].min(initial=NEVER))
        if (counted := _counted_on(context, lock, close, end)) is not None:
            yield _drop(context, lock, close, counted)
            return


def _counted_on(context: Context, lock: int, close: int, end: int) -> int | None:
    """What shows that a lock was meant to last after a close, until `end`: another process that got it, or the holder's
    own use of the file, or its unlock. Closing all at a process's end is no sign of it."""
    events = context.run.events
    after = (events.enter >= events.exit[close]) & (events.channel == events.channel[lock]) & (events.error == NONE)
    own = events.process == events.process[lock]
    used = events.is_kind("read", "write", "store") | events.is_op(*(f"{op} unlock" for op in RECORD_LOCKS))
    others = ~own & events.is_op(*RECORD_LOCKS) & (events.exit != NEVER)
    found = np.flatnonzero(after & (events.enter <= end) & (others | (own & used)))
    if len(found):
        return int(found[others[found]][0]) if others[found].any() else int(found[0])
    held = (events.exit > events.exit[close]) & (events.exit < end) & (events.channel == events.channel[lock]) & others
    waited = np.flatnonzero(held & (events.error == NONE))
    return int(waited[0]) if len(waited) else None


def _drop(context: Context, lock: int, close: int, sign: int) -> Finding:
    run, events = context.run, context.run.events
    file, holder = run.channel_name(int(events.channel[lock])), int(events.thread[lock])
    got = events.process[sign] != events.process[lock]
    other = f"; {run.the_thread(int(events.thread[sign]))} got it{run.at_event(sign)}" if got else ""
    return finding(
        "IPC214",
        f"{sentence(run.the_thread(holder))} lost its record lock on {file}, taken{run.at_event(lock)}, by closing "
        f"fd {events.fd[close]} of the same file{run.at_event(close)}{other}: closing any descriptor of a file drops "
        "all of a process's locks on it.",
        f"Open {file} once and keep it open as long as the lock, or use fcntl.flock{run.at_event(lock)}.",
        severity="error" if got else "warning",
        threads=ids(holder, int(events.thread[sign]) if got else None),
        channels=ids(int(events.channel[lock])),
        sites=ids(run.site_of(close), run.site_of(lock), run.site_of(sign)),
        events=ids(close, lock, sign),
    )


CHECKS: tuple[Check, ...] = (fifo_early_eof, terminal_line_limit, status_lost, lock_dropped)
