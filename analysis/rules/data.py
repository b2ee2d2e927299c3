"""IPC2xx: data is at risk; IPC3xx: something is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import WRAPPED

from ..events import NEVER, NONE, groups, number, rows_of
from ..findings import Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding
from ..run import Run


def merged_messages(context: Context) -> Iterator[Finding]:
    """IPC201: a read of the program's own (no stream finds boundaries for it) got several writes without a boundary."""
    run, events = context.run, context.run.events
    merged = run.got[run.got["merged"] & (run.got["write"] != NONE)]
    merged = merged[(events.enclosing("take")[merged["read"]] == NONE) & (events.stream[merged["read"]] == NONE)]
    writes = np.unique(merged["write"])
    unmarked = {int(write) for write in writes if not _marks_boundary(context, int(write))}
    merged = merged[merged["write"].isin(unmarked)].drop_duplicates(["read", "write"])
    merged = merged[merged.groupby("read")["write"].transform("nunique") > 1]
    if not len(merged):
        return
    merged = merged.assign(channel=events.channel[merged["read"]])
    for channel, rows in groups(merged, "channel"):
        read = int(rows["read"].iloc[0])
        parts = rows[rows["read"] == read]["write"].tolist()
        senders = listing(sorted({run.the_thread(int(events.thread[write])) for write in parts}))
        reads = rows["read"].nunique()
        yield finding(
            "IPC201",
            f"{sentence(run.the_thread(events.thread[read]))} got the bytes of {len(parts)} writes of {senders} in one "
            f"read{run.at_event(read)} on {run.channel_name(int(channel))}, and nothing in them says where one ends"
            + (f" ({plural(reads, 'such read')} in this run)." if reads > 1 else "."),
            f"Mark where a message ends: a newline and readline(), or a length before it{run.at_event(int(parts[0]))}.",
            threads=ids(int(events.thread[read]), *(int(events.thread[write]) for write in parts)),
            channels=ids(int(channel)),
            sites=ids(run.site_of(read), *(run.site_of(int(write)) for write in parts)),
            events=ids(read, *(int(write) for write in parts)),
        )


def _marks_boundary(context: Context, write: int) -> bool:
    """Whether a write ends a line, as far as its bytes were kept; what wasn't kept isn't held against it."""
    kept = context.run.payloads[write]
    return bool(len(kept) < context.run.events.result[write] or kept.endswith(b"\n"))


def lost_buffer(context: Context) -> Iterator[Finding]:
    """IPC203: bytes that a program had written to a stream when it ended without flushing."""
    run = context.run
    lost = run.streams[(run.streams["lost"] > 0) & (run.streams["own"] > 0)]
    for row in rows_of(lost):
        reason = _ending(context, row.process, row.until)
        if reason is None:
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


def leaked_descriptor(context: Context) -> Iterator[Finding]:
    """IPC301: an end that a process kept to its end without ever using it, while another process used it."""
    run = context.run
    pipes = set(
        run.trace.channels.loc[(run.trace.channels["kind"] == "pipe") & ~run.trace.channels["outside"], "channel"]
    )
    spans = run.spans[run.spans["channel"].isin(pipes - _internal(run))]
    ended = run.trace.processes["ended"].reindex(spans["process"]).to_numpy()
    for (channel, access), rows in groups(spans.assign(ended=ended), ["channel", "access"]):
        users = {
            run.trace.threads["process"].iloc[thread] for thread in context.situation.uses.get((channel, access), set())
        }
        if not users:
            continue
        kept = rows["closed"].isna() | (rows["closed"] >= rows["ended"]).fillna(False)
        holders = rows[kept & ~rows["process"].isin(users | run.unseen)].drop_duplicates("process")
        if len(holders):
            yield _leak(context, int(channel), str(access), holders, int(min(users)))


def _internal(run: Run) -> set[int]:
    """The pipes of multiprocessing's own machinery: all ends of a queue's stay open by design, as those of its helper
    processes do; nobody waits for their end of file."""
    events = run.events
    moved = np.flatnonzero(events.is_kind("read", "write") & (events.channel != NONE))
    queue = events.is_op(*(op for op in WRAPPED if op.startswith("multiprocessing.Queue")))
    within, above = np.zeros(len(moved), dtype=bool), events.parent[moved]
    while len(nested := np.flatnonzero(above != NONE)):
        within[nested] |= queue[above[nested]]
        above[nested] = events.parent[above[nested]]
    helper = run.trace.processes["name"].isin(["resource_tracker", "forkserver"]).to_numpy()[events.process[moved]]
    return set(events.channel[moved[within | helper]].tolist())


def _leak(context: Context, channel: int, access: str, holders: pd.DataFrame, user: int) -> Finding:
    run = context.run
    which = "write" if access == "w" else "read"
    row = next(rows_of(holders))
    site = _given_at(context, row.process, number(row.site))
    names = listing([run.the_process(process) for process in holders["process"].tolist()])
    effect = "its reader never gets end of file" if access == "w" else "its writer never gets a broken pipe"
    keeps = "keeps" if len(holders) == 1 else "keep"
    return finding(
        "IPC301",
        f"{sentence(names)} {keeps} the {which} end of {run.channel_name(channel)} open (fd {row.fd}) and never "
        f"{'uses' if len(holders) == 1 else 'use'} it; {run.the_process(user)} does. While it is open, {effect}.",
        f"Close fd {row.fd} in {names} right after the fork{run.at(site)}.",
        threads=ids(*(run.main_threads.get(process) for process in holders["process"].tolist())),
        channels=(channel,),
        sites=ids(site),
    )


def _given_at(context: Context, process: int, site: int | None) -> int | None:
    """Where the end came to be in two processes: the fork, of this process or by it."""
    run, events = context.run, context.run.events
    forks = np.flatnonzero(events.is_kind("fork") & (events.process == process))
    return run.site_of(int(forks[0])) if len(forks) else site


CHECKS = (merged_messages, lost_buffer, leaked_descriptor)
