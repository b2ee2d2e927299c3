"""IPC301: an end is left open where nobody uses it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import WRAPPED

from ..events import NONE, groups, number, rows_of
from ..findings import Context, finding, ids
from ..naming import listing, sentence
from ..results import Finding
from ..run import Run


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


CHECKS = (leaked_descriptor,)
