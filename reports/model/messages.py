"""The messages: a row each, as columns, and their payloads as one blob."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..columns import pack, squeeze
from ..run import Run
from .part import Part
from .passages import TO_UNSEEN, passages

PAYLOAD_BUDGET = 4 * 2**20  # bytes of payload in one page; past it most messages keep a shorter beginning, or none
WHOLE = 2000  # messages at either end of the run that keep theirs all the same, as do those that nobody read


def gaps(table: pd.DataFrame) -> pd.Series[Any]:
    """How far after the end of its channel's message before each begins: nearly always 0, where `first` itself is eight
    bytes a message. The page adds them up again (data.js)."""
    ends = (table["first"] + table["size"]).groupby(table["channel"])
    return table["first"] - ends.ffill().groupby(table["channel"]).shift(fill_value=0)


def messages(run: Run) -> Part:
    """The messages as columns `messages.…`, their payloads as one blob, and how many bytes of each the page keeps."""
    table = passages(run)
    payloads = [data if isinstance(data, bytes) else b"" for data in table["payload"]]
    limit = max(map(len, payloads), default=0)
    if sum(map(len, payloads)) > PAYLOAD_BUDGET:
        limit = min(limit, PAYLOAD_BUDGET // len(payloads))
    short = np.full(len(payloads), limit < max(map(len, payloads), default=0))
    short[:WHOLE] = short[-WHOLE:] = False
    short &= table["read"].notna().to_numpy()
    kept = [data[:limit] if cut else data for data, cut in zip(payloads, short.tolist(), strict=True)]
    columns = {
        "number": pack(table["message"] + 1, differences=True),  # as sentences count them
        "begin": pack(table["begin"], differences=True),
        "held": pack((table["written"] - table["begin"]).astype("Int64")),
        "transit": pack((table["read"] - table["written"]).astype("Int64")),
        "unread": pack((table["received"] - table["read"]).where(table["unseen"] != TO_UNSEEN).astype("Int64")),
        "size": pack(table["size"]),
        "gap": pack(gaps(table)),
        "channel": pack(table["channel"]),
        "writer": pack(table["writer"].astype("float64")),
        "reader": pack(table["reader"].astype("float64")),
        "unseen": pack(table["unseen"]),
        "accept_site": pack(table["accept_site"].fillna(table["write_site"])),
        "write_site": pack(table["write_site"]),
        "read_site": pack(table["read_site"]),
        "reads": pack(table["reads"]),
        "merged": pack(table["merged"]),
        "ambiguous": pack(table["ambiguous"]),
        "kept": pack([len(data) for data in kept]),
        "cut": pack([len(some) < len(data) for some, data in zip(kept, payloads, strict=True)]),  # by the page
    }
    return Part(
        {"payload_limit": limit, "payloads": (run.facts.get("options") or {}).get("payload")},
        {f"messages.{name}": column for name, column in columns.items()},
        {"payload": squeeze(b"".join(kept))},
    )
