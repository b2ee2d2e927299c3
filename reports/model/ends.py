"""The two ends of each message: what handed it over and what got it, as far as it came."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ipctrace.analysis.datagrams import PACKETS
from ipctrace.analysis.events import NONE, optional, pick, whole

from ..columns import pack
from ..run import Run
from .part import Part, mapped


def ends(run: Run) -> Part:
    """More columns `messages.…`, the `ops` that handed messages over and the calls that `receives` them (`messages.op`,
    `messages.receive`; 0 is not known), and the channels of `datagrams`."""
    table, events = run.analysis.messages, run.trace.events
    table = table.iloc[np.argsort(run.message_rows)]
    receive = whole(table["receive_event"])
    got = receive != NONE
    by, calls = pd.factorize(run.calls(pd.Series(run.outermost[receive[got]]), arguments=False))
    receives = np.zeros(len(table), dtype="int64")
    receives[got] = by + 1
    ops = table["op"].astype("category").cat.remove_unused_categories()
    receivers = pd.Series(pick(whole(events["thread"]), receive))
    channels = run.trace.channels
    columns = {
        "lost": table["lost"],
        "leaving": table["written"].isna() & table["write_event"].notna(),  # its write has not returned
        "op": ops.cat.codes.astype("int64") + 1,
        "receive": receives,
        "receiver": mapped(receivers, run.lane_of_thread),
        "receive_site": pd.Series(optional(pick(whole(events["site"]), receive))),
    }
    return Part(
        {
            "ops": ["", *map(str, ops.cat.categories)], "receives": ["", *map(str, calls)],
            "datagrams": channels.loc[channels["form"].isin(PACKETS), "channel"].tolist(),
        },
        {f"messages.{name}": pack(column) for name, column in columns.items()},
    )  # fmt: skip
