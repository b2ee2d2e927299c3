"""IPC301: an end is left open where nobody uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import WRAPPED

from ..events import NEVER, NONE, groups, number, whole
from ..findings import Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding
from ..run import Run

STANDARD = 2  # descriptors up to this one are inherited by all
OTHER = {"r": "w", "w": "r"}


def leaked_descriptor(context: Context) -> Iterator[Finding]:
    """IPC301: an end that a process kept to its end without ever using it, while another process used it."""
    run = context.run
    kept = _kept_unused(run)
    if not len(kept):
        return
    # the same ends of several pipes, kept by the same processes, are one finding
    alike: defaultdict[tuple[str, tuple[int, ...]], list[int]] = defaultdict(list)
    for (channel, access), rows in groups(kept, ["channel", "access"]):
        alike[str(access), tuple(sorted(set(rows["process"].tolist())))].append(int(channel))
    for (access, holders), channels in alike.items():
        row = kept[kept["channel"] == channels[0]].iloc[0]
        yield _leak(run, channels, access, list(holders), row, _users(run, channels[0]))


def _kept_unused(run: Run) -> pd.DataFrame:
    """Rows of `Run.spans`: ends of pipes kept by a process that moved no byte there, where another process did, and
    while an end of the other kind was open that it matters to."""
    spans, channels = run.spans, run.trace.channels
    pipes = set(channels.loc[(channels["kind"] == "pipe") & ~channels["outside"], "channel"]) - _internal(run)
    users = _users(run)
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


def _users(run: Run, channel: int | None = None) -> pd.DataFrame:
    """Which processes moved bytes where (or on one channel): channel, access, process; each once."""
    events = run.events
    moved = (events.channel != NONE) if channel is None else (events.channel == channel)
    moved &= events.is_kind("read", "take", "write", "accept")
    table = {"channel": events.channel[moved], "reads": events.is_kind("read", "take")[moved]}
    users = pd.DataFrame(table | {"process": events.process[moved]}).drop_duplicates(ignore_index=True)
    return users.assign(access=np.where(users["reads"], "r", "w"))[["channel", "access", "process"]]


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
    run: Run, channels: list[int], access: str, holders: list[int], row: pd.Series, users: pd.DataFrame
) -> Finding:
    which = "write" if access == "w" else "read"
    fd, user = int(row["fd"]), int(users.loc[users["access"] == access, "process"].min())
    site = _given_at(run, holders[0], number(row["site"]))
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


def _given_at(run: Run, process: int, site: int | None) -> int | None:
    """Where the end came to be in two processes: the fork, of this process or by it."""
    events = run.events
    forks = np.flatnonzero(events.is_kind("fork") & (events.process == process))
    return run.site_of(int(forks[0])) if len(forks) else site


CHECKS = (leaked_descriptor,)
