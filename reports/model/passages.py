"""The ways of the messages: when each was handed over, left its writer, reached its reader, and was handed out."""

from __future__ import annotations

import pandas as pd

from ..run import Run
from .part import mapped

FROM_UNSEEN, TO_UNSEEN = 1, 2  # of `unseen`: who wrote it isn't traced, or who read it


def passages(run: Run) -> pd.DataFrame:
    """`Analysis.messages` ordered by `begin` (ns; when it was handed over, as far as it is known: never empty), with
    lanes in place of threads as `writer` and `reader`.

    Where one side isn't traced, the time of the other stands for both, and `unseen` says so. `first` of what never left
    is where it would have come: behind all that did.
    """
    table = run.analysis.messages
    writer, reader = (mapped(table[who], run.lane_of_thread) for who in ("writer", "reader"))
    from_unseen = table["writer"].isna() & table["written"].isna() & table["read"].notna()
    unread = table["written"].notna() & table["read"].isna()
    lanes = {channel: run.unseen(channel, "r") for channel in table.loc[unread, "channel"].unique()}
    to_unseen = unread & table["channel"].isin([channel for channel, (name, _) in lanes.items() if name])
    reader = reader.where(~to_unseen, table["channel"].map({channel: lane for channel, (_, lane) in lanes.items()}))
    writers = {channel: run.unseen(channel, "w")[1] for channel in table.loc[from_unseen, "channel"].unique()}
    writer = writer.where(~from_unseen, table["channel"].map(writers))
    table = table.assign(
        writer=writer, reader=reader, unseen=from_unseen * FROM_UNSEEN + to_unseen * TO_UNSEEN,
        written=table["written"].where(~from_unseen, table["read"]),
        read=table["read"].where(~to_unseen, table["written"]), begin=run.message_begins,
    )  # fmt: skip
    never = table["written"].isna()
    carried = table["channel"].map({row["channel"]: row["written"] or 0 for row in run.channels})
    before = table["size"].where(never, 0).groupby(table["channel"]).cumsum() - table["size"]
    table = table.assign(first=table["first"].where(~(never & table["first"].isna()), carried + before))
    return table.iloc[run.message_begins.argsort(kind="stable").to_numpy()]
