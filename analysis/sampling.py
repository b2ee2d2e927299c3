"""When processes that aren't traced waited, as far as they were seen from outside.

Between two samples alike between which a thread was never given a processor, it waited in the same call all the time.
What it did between others nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .events import NEVER, NONE, optional, pick, whole
from .timeline import Timeline

if TYPE_CHECKING:
    from .run import Run

# System call → the reason for which a thread stays in it.
CALLS = {
    "read": "nodata", "readv": "nodata", "recvfrom": "nodata", "recvmsg": "nodata", "pread64": "nodata",
    "write": "noroom", "writev": "noroom", "sendto": "noroom", "sendmsg": "noroom", "splice": "noroom",
    "wait4": "child", "waitid": "child", "futex": "lock", "flock": "lock", "openat": "peer", "open": "peer",
    "accept": "peer", "accept4": "peer", "connect": "peer", "nanosleep": "sleep", "clock_nanosleep": "sleep",
    "poll": "ready", "ppoll": "ready", "select": "ready", "pselect6": "ready", "epoll_wait": "ready",
    "epoll_pwait": "ready", "pause": "signal", "rt_sigsuspend": "signal", "rt_sigtimedwait": "signal",
}  # fmt: skip


def waits(run: Run) -> pd.DataFrame:
    """A row an interval in which a thread that isn't traced was seen to wait, by process, thread and begin.

    Columns: process, tid, begin, end (ns; the cut where it never ended), open (bool), syscall, reason (a token of
    schema.REASONS), fd?, channel? (what fd led to).
    """
    table = run.trace.samples.sort_values(["process", "tid", "time"], kind="stable", ignore_index=True)
    alike = np.ones(len(table), dtype=bool)
    for name in ("process", "tid", "fd", "pid", "runs"):
        values = whole(table[name])
        alike[1:] &= values[1:] == values[:-1]
    calls = table["syscall"].where(table["syscall"].notna(), "").to_numpy(dtype=object)
    alike[1:] &= calls[1:] == calls[:-1]
    alike[:1] = False
    first = np.flatnonzero(~alike)
    last = np.append(first[1:], len(table))[: len(first)] - 1
    time = whole(table["time"])
    asleep = table["state"].isin(["S", "D"]).to_numpy()[first] & table["syscall"].isin(CALLS).to_numpy()[first]
    kept = asleep & (time[last] > time[first]) & (whole(table["runs"])[first] != NONE)
    first, last = first[kept], last[kept]
    process, fd = whole(table["process"])[first], whole(table["fd"])[first]
    newest = pd.Series(time).groupby([table["process"], table["tid"]]).transform("max").to_numpy()
    ended = whole(run.trace.processes["ended"], NEVER)
    opened = (time[last] == newest[last]) & (pick(ended, process, NEVER) > run.cut)
    held = run.trace.descriptors
    width = int(max(whole(held["fd"], 0).max(initial=0), fd.max(initial=0))) + 1
    ends = Timeline(whole(held["process"]) * width + whole(held["fd"]), whole(held["time"]), time[last])
    end = ends.last(process * width + np.maximum(fd, 0), time[last], "right")
    channel = np.where(fd >= 0, pick(whole(held["channel"]), end), NONE)
    syscall = table["syscall"].iloc[first].reset_index(drop=True)
    return pd.DataFrame(
        {
            "process": process,
            "tid": whole(table["tid"])[first],
            "begin": time[first],
            "end": np.where(opened, run.cut, time[last]),
            "open": opened,
            "syscall": syscall,
            "reason": syscall.map(CALLS).astype("str"),
            "fd": optional(fd),
            "channel": optional(channel),
        }
    )
