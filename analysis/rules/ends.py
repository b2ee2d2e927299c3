"""IPC301: an end is left open where nobody uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import WRAPPED

from ..events import NEVER, NONE, number, rows_of, whole
from ..findings import Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding
from ..run import Run

STANDARD = 2  # descriptors up to this one are inherited by all
OTHER = {"r": "w", "w": "r"}


def leaked_descriptor(context: Context) -> Iterator[Finding]:
    """IPC301: an end that a process kept to its end without ever using it, while another process used it."""
    run = context.run
    users = _users(run)
    kept = _kept_unused(run, users)
    holders, first = defaultdict[tuple[int, str], set[int]](set), dict[tuple[int, str], Any]()
    for row in rows_of(kept):
        holders[row.channel, row.access].add(row.process)
        first.setdefault((row.channel, row.access), row)
    # the same ends of several pipes, kept by the same processes, are one finding
    alike = defaultdict[tuple[str, tuple[int, ...]], list[int]](list)
    for (channel, access), processes in sorted(holders.items()):
        alike[access, tuple(sorted(processes))].append(channel)
    user, forked = users.groupby(["channel", "access"])["process"].min().to_dict(), _forked(run)
    for (access, keepers), channels in alike.items():
        row = first[channels[0], access]
        site = forked.get(keepers[0], number(row.site))
        yield _leak(run, channels, access, list(keepers), row.fd, user[channels[0], access], site)


def _kept_unused(run: Run, users: pd.DataFrame) -> pd.DataFrame:
    """Rows of `Run.spans`: ends of pipes kept by a process that moved no byte there, where another process did, and
    while an end of the other kind was open that it matters to. `users`: see `_users`."""
    spans, channels = run.spans, run.trace.channels
    pipes = set(channels.loc[(channels["kind"] == "pipe") & ~channels["outside"], "channel"]) - _internal(run)
    # a pipe that one process uses for itself (to wake a thread of its own) has no end of file to wait for
    by_channel = users.groupby("channel")["process"].nunique()
    pipes &= set(by_channel.index[by_channel > 1].tolist())
    spans = spans[spans["channel"].isin(pipes)]
    ended = whole(run.trace.processes["ended"], NEVER)[spans["process"].to_numpy(dtype="int64")]
    kept = spans[whole(spans["closed"], NEVER) >= ended]
    used = pd.MultiIndex.from_frame(users)
    ends = pd.MultiIndex.from_frame(kept[["channel", "access", "process"]])
    used_at_all = pd.MultiIndex.from_frame(users[["channel", "access"]].drop_duplicates())
    matters = pd.MultiIndex.from_frame(kept.assign(access=kept["access"].map(OTHER))[["channel", "access"]])
    pairs = pd.MultiIndex.from_frame(kept[["channel", "access"]])
    chosen = ~ends.isin(used) & pairs.isin(used_at_all) & pairs.isin(matters)
    chosen &= (~kept["process"].isin(run.unseen) & (kept["fd"] > STANDARD)).to_numpy()
    unused: pd.DataFrame = kept[chosen].drop_duplicates(["channel", "access", "process"])
    return unused


def _users(run: Run) -> pd.DataFrame:
    """Which processes moved bytes where: channel, access, process; each once."""
    events, processes = run.events, len(run.trace.processes)
    taken = events.is_kind("read", "take")
    moved = np.flatnonzero((events.channel != NONE) & (taken | events.is_kind("write", "accept")))
    known = pd.unique((events.channel[moved] * processes + events.process[moved]) * 2 + taken[moved])
    channel, process = np.divmod(known // 2, max(processes, 1))
    return pd.DataFrame({"channel": channel, "access": np.where(known % 2, "r", "w"), "process": process})


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


def _leak(
    run: Run, channels: list[int], access: str, holders: list[int], fd: int, user: int, site: int | None
) -> Finding:
    which = "write" if access == "w" else "read"
    names = listing([run.the_process(process) for process in holders])
    effect = "its reader never gets end of file" if access == "w" else "its writer never gets a broken pipe"
    more = f" and {plural(len(channels) - 1, 'other pipe')}" if len(channels) > 1 else ""
    keeps, uses = ("keeps", "uses") if len(holders) == 1 else ("keep", "use")
    return finding(
        "IPC301",
        f"{sentence(names)} {keeps} the {which} end of {run.channel_name(channels[0])}{more} open (fd {fd}) and never "
        f"{uses} it; {run.the_process(user)} does. While it is open, {effect}.",
        f"Close fd {fd} in {names} right after the fork{run.at(site)}.",
        threads=ids(*(run.main_threads.get(process) for process in holders)),
        channels=ids(*channels),
        sites=ids(site),
    )


def _forked(run: Run) -> dict[int, int | None]:
    """Process → where it first forked: there the ends that it has came to be in two processes."""
    forks = np.flatnonzero(run.events.is_kind("fork"))
    processes, first = np.unique(run.events.process[forks], return_index=True)
    return {int(process): run.site_of(int(fork)) for process, fork in zip(processes, forks[first], strict=True)}


CHECKS = (leaked_descriptor,)
