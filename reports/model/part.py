"""What every part of the model gives, and the arrays that turn ids into lanes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..columns import Packed


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
