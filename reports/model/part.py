"""What every part of the model gives, how ids become lanes, and how long lists of facts travel."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.analysis.events import Ints
from ipctrace.tracer.schema import REASONS

from ..columns import Packed, squeeze

TOKENS = ("run", *REASONS)  # the page's numbers of reasons index these
LONG = 1000  # rows, from which a list of the facts is packed


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the model: what is few as JSON (`facts`), what may be a million rows as packed columns by name
    (`messages.size`), and gzipped bytes by name (`blobs`)."""

    facts: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Packed] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)


def mapped(values: pd.Series[Any], table: dict[int, int]) -> pd.Series[Any]:
    """Each id through the table; what is missing, or not in it, is missing. By array: there may be a million."""
    lookup = np.full(max(table, default=0) + 2, np.nan)
    lookup[list(table)] = list(table.values())
    ids = values.to_numpy(dtype="float64", na_value=np.nan)
    known = (ids >= 0) & (ids < len(lookup))
    return pd.Series(np.where(known, lookup[np.where(known, ids, 0).astype("int64")], np.nan))


def reason_numbers(reasons: pd.Series[Any]) -> Ints:
    """Each reason as its place in TOKENS."""
    return pd.Index(TOKENS).get_indexer(pd.Index(reasons)).astype("int64")


def shorten(part: Part) -> Part:
    """The same part with its long lists of rows (lanes, channels, streams, … of a run that has thousands) as blobs:
    JSON by columns, `{"name": [a, b], …}`, gzipped. `long` names them; assets/base.js puts them back."""
    long = {
        name: rows
        for name, rows in part.facts.items()
        if isinstance(rows, list) and len(rows) >= LONG and isinstance(rows[0], dict)
    }
    blobs = {}
    for name, rows in long.items():
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        blobs[f"list-{name}"] = squeeze(json.dumps(columns, separators=(",", ":")).encode())
    facts = {name: value for name, value in part.facts.items() if name not in long}
    return Part(facts | {"long": list(long)}, part.columns, part.blobs | blobs)
