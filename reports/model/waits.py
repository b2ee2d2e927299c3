"""The waits: a row an interval, as columns."""

from __future__ import annotations

import pandas as pd
from ipctrace.tracer.schema import REASONS

from ..columns import pack
from ..run import Run
from .part import Part, mapped, reason_numbers

LABELS = 2000  # different labels of waits, past which the arguments are left out


def waits(run: Run) -> Part:
    """The blocking table as columns `waits.…`, and the `labels` that `waits.label` indexes."""
    table = run.analysis.blocking.sort_values("begin", kind="stable")
    outer = pd.Series(run.outermost[table["event"].to_numpy(dtype="int64")])
    labels = run.calls(outer)
    codes, known = pd.factorize(labels)
    if len(known) > LABELS:
        codes, known = pd.factorize(run.calls(outer, arguments=False))
    columns = {
        "begin": pack(table["begin"], differences=True),
        "length": pack(table["end"].astype("int64") - table["begin"].astype("int64")),
        "open": pack(table["open"]),
        "reason": pack(reason_numbers(table["reason"])),
        "lane": pack(mapped(table["thread"], run.lane_of_thread)),
        "by": pack(mapped(run.waited_for, run.lane_of_thread).iloc[table.index]),
        "channel": pack(table["channel"]),
        "site": pack(table["site"]),
        "label": pack(codes),
    }
    told = {"labels": [str(label) for label in known], "reasons": {"run": "running", **REASONS, "unseen": "not traced"}}
    return Part(told, {f"waits.{name}": column for name, column in columns.items()})
