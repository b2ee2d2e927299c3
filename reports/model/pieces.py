"""The pieces of messages that were split or merged, and the calls that moved them. What one write carried and one read
got by itself has none: its row among the messages says it all."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ipctrace.analysis.events import NEVER, NONE, Flags, Ints, whole

from ..columns import pack
from ..run import Run
from .part import Part, mapped


def pieces(run: Run) -> Part:
    """Columns `pieces.…`, ordered by message (its row) and place in it: size, and write and read as numbers of calls,
    from 1 (0: none); columns `calls.…`, ordered by begin, and the `calls` that `calls.label` indexes."""
    table = run.analysis.pieces
    message, write, read = (whole(table[name]) for name in ("message", "write_event", "read_event"))
    row = run.message_rows[message]
    kept = np.flatnonzero(_odd(message, write, read))
    kept = kept[np.argsort(row[kept], kind="stable")]
    row, write, read = row[kept], write[kept], read[kept]
    moved = np.unique(np.concatenate([write[write != NONE], read[read != NONE]]))
    calls = run.trace.events.iloc[moved]
    enter, exit = whole(calls["enter"]), whole(calls["exit"], NEVER)
    labels, known = pd.factorize(run.calls(pd.Series(moved)))
    columns = {
        "pieces.message": pack(row, differences=True),
        "pieces.size": pack((table["end"] - table["begin"]).to_numpy()[kept]),
        "pieces.write": pack(_numbers(moved, write)),
        "pieces.read": pack(_numbers(moved, read)),
        "calls.begin": pack(enter, differences=True),
        "calls.length": pack(pd.Series(exit - enter, dtype="Int64").where(exit != NEVER)),
        "calls.lane": pack(mapped(calls["thread"], run.lane_of_thread)),
        "calls.site": pack(calls["site"]),
        "calls.label": pack(labels),
    }
    return Part({"calls": [str(label) for label in known]}, columns)


def _odd(message: Ints, write: Ints, read: Ints) -> Flags:
    """Which pieces are of a message that has several, or that shares a write or a read with another."""
    found = np.zeros(int(message.max(initial=-1)) + 1, dtype=bool)
    for by in (message, write, read):
        known = np.flatnonzero(by != NONE)
        several = np.bincount(by[known])[by[known]] > 1 if len(known) else known
        found[message[known[several]]] = True
    return found[message]


def _numbers(moved: Ints, events: Ints) -> Ints:
    """The place of each event among `moved`, from 1; 0: no event."""
    return np.where(events == NONE, 0, np.searchsorted(moved, events) + 1)
