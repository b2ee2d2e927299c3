"""The order of the messages in the page: by when they were handed over."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ipctrace.analysis.events import Ints, optional, pick, whole

from ..run import Run


def begins(run: Run) -> pd.Series:
    """When each message was handed over, ns; where only that is known, when its write returned, or began, or its read
    returned."""
    table = run.analysis.messages
    tried = optional(pick(whole(run.trace.events["enter"]), whole(table["write_event"])))
    known = table["accepted"].fillna(table["written"]).fillna(pd.Series(tried)).fillna(table["read"])
    return known.fillna(0).astype("int64")


def places(run: Run) -> Ints:
    """The row that each message has in the page: they lie in order of their begins."""
    order = begins(run).argsort(kind="stable").to_numpy()
    found = np.empty(len(order), dtype="int64")
    found[order] = np.arange(len(order))
    return found
