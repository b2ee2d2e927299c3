"""The message races, and which messages were in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ipctrace.analysis.events import whole

from ..columns import pack
from ..run import Run
from .part import Part, mapped


def races(run: Run) -> Part:
    """Columns `races.…`, a row a race: receive (two receives raced, not two sends), channel, first and second (the
    neighbouring messages, by row), begin and end (when the calls began, ns), lanes and sites of both, count. Columns
    `raced.…`: message (by row, in order), race, second (it was the second of the two)."""
    table = run.analysis.races
    columns = table if len(table.columns) else pd.DataFrame(columns=[*NAMES], dtype="Int64")
    receive = (columns["kind"] == "receive").to_numpy(dtype=bool)
    sides = pd.concat([
        pd.DataFrame({"race": np.arange(len(columns)), "second": second, "event": columns[name], "receive": receive})
        for second, name in enumerate(("first", "second"))
    ])  # fmt: skip
    raced = sides.merge(_deeds(run), on=["event", "receive"]).sort_values(["message", "race"], kind="stable")
    # of several messages that one call moved, those next to the border were neighbours
    borders = raced.groupby(["second", "race"])["message"].agg(["min", "max"])

    def bordering(second: int, which: str) -> pd.Series:
        found = borders[which].xs(second) if second in borders.index.get_level_values(0) else pd.Series(dtype="Int64")
        return found.reindex(range(len(columns))).astype("Int64")

    enter = run.trace.events["enter"].to_numpy()
    packed = {
        "races.receive": receive, "races.channel": columns["channel"], "races.count": columns["count"],
        "races.first": bordering(0, "max"), "races.second": bordering(1, "min"),
        "races.begin": enter[whole(columns["first"])], "races.end": enter[whole(columns["second"])],
        "races.first_lane": mapped(columns["first_thread"], run.lane_of_thread),
        "races.second_lane": mapped(columns["second_thread"], run.lane_of_thread),
        "races.first_site": columns["first_site"], "races.second_site": columns["second_site"],
        "raced.message": raced["message"], "raced.race": raced["race"], "raced.second": raced["second"],
    }  # fmt: skip
    return Part({}, {name: pack(values) for name, values in packed.items()})


NAMES = ("kind", "channel", "first", "second", "first_thread", "second_thread", "first_site", "second_site", "count")


def _deeds(run: Run) -> pd.DataFrame:
    """Which event wrote or got (`receive`) which message: event, message (its row), receive. Those of races only."""
    raced = run.analysis.races
    events = set() if raced.empty else {*raced["first"].tolist(), *raced["second"].tolist()}
    messages, place = run.analysis.messages, run.message_rows
    found = []
    for receive, name in ((False, "write_event"), (True, "read_event")):
        for rows in (run.analysis.pieces, messages[messages["size"] == 0]):
            some = rows.loc[rows[name].isin(events), ["message", name]].drop_duplicates()
            message = place[some["message"].to_numpy(dtype="int64")]
            found.append(pd.DataFrame({"event": some[name].astype("int64"), "message": message, "receive": receive}))
    return pd.concat(found, ignore_index=True)
