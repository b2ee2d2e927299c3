"""When each read and write of a byte stream took effect: a moment between its begin and its end.

Begin and end leave it open where calls overlap; the bytes often don't. A read that got less than it asked for took all
that was there: so every write of which it got a byte had taken effect, and every later one had not (POSIX, read():
"shall return the number of bytes … less than nbyte … if fewer than nbyte bytes are immediately available"). A read that
got all that it asked for says only the first. From this follows one line of them on each channel, and from the line
the moments: a write's as early as it can be, a read's as late (Herlihy and Wing's linearization points).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .events import NONE, Flags, Ints, rows_as_one, whole

if TYPE_CHECKING:
    from .run import Run


def effects(run: Run) -> dict[int, int]:
    """Event → when it took effect (ns), of the writes and the short reads of byte streams whose bytes were matched."""
    line = _line(run)
    begin, end = run.events.enter[line["event"]], run.events.exit[line["event"]]
    found: dict[int, int] = {}
    for rows in line.groupby("channel").indices.values():
        moments = _moments(begin[rows], end[rows], line["reads"].to_numpy()[rows])
        found.update(zip(line["event"].to_numpy()[rows].tolist(), moments.tolist(), strict=True))
    return found | _fed(run)


def _fed(run: Run) -> dict[int, int]:
    """The same of items put into a multiprocessing.Queue: where its feeder began to wait for the next one, it had fed
    all that were in the buffer, so that a put that had begun by then had not put its item there."""
    events, found = run.events, dict[int, int]()
    puts, feeds, waits = (
        np.flatnonzero(events.is_op(f"multiprocessing.Queue.{name}") & (events.error == NONE))
        for name in ("put", "feed", "next")
    )
    buffer = rows_as_one(events.channel, events.process)  # each process that puts has one of its own
    for one in np.unique(buffer[waits]).tolist():
        put, feed, wait = (each[buffer[each] == one] for each in (puts, feeds, waits))
        put = put[np.argsort(events.exit[put], kind="stable")]
        begun = events.enter[wait]
        fed = np.searchsorted(events.enter[feed], begun)
        put, begun = put[fed[fed < len(put)]], begun[fed < len(put)]
        late = (events.enter[put] < begun) & (begun < events.exit[put])
        found.update(zip(put[late].tolist(), (begun[late] + 1).tolist(), strict=True))
    return found


def _line(run: Run) -> pd.DataFrame:
    """Those events in the order in which they took effect, channel by channel: event, channel, reads."""
    events, pieces = run.events, run.pieces
    of = whole(pieces["message"])
    first = whole(run.messages["first"])[of]
    table = pd.DataFrame({
        "channel": run.messages["channel"].to_numpy()[of], "write": whole(pieces["write_event"]),
        "read": whole(pieces["read_event"]), "start": first + whole(pieces["begin"]),
        "end": first + whole(pieces["end"]),
    })[first != NONE]  # fmt: skip
    writes = table[table["write"] != NONE].groupby("write").agg(channel=("channel", "first"), place=("start", "min"))
    reads = table[table["read"] != NONE].groupby("read").agg(channel=("channel", "first"), place=("end", "max"))
    taken = reads.index.to_numpy(dtype="int64")
    short = reads.loc[events.result[taken] < events.size[taken]]
    line = pd.concat([writes.assign(reads=False), short.assign(reads=True)]).rename_axis("event").reset_index()
    order = ["channel", "place", "reads"]
    ordered: pd.DataFrame = line.sort_values(order, ascending=[True, True, False], kind="stable")
    return ordered


def _moments(begin: Ints, end: Ints, reads: Flags) -> Ints:
    """The moments of events in a line, one after the other, each within its begin and end if the line allows it."""
    step = np.arange(len(begin))  # ns: each comes after the one before it
    latest = np.minimum.accumulate((end - step)[::-1])[::-1] + step
    moments = np.maximum.accumulate(np.where(reads, latest, begin) - step) + step
    return np.clip(moments, begin, end)
