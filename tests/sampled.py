"""Parameters of which some stand for all: the others are tried with -m slow."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], always: Collection[Any]) -> list[Any]:
    """All values as parameters, those that aren't among `always` marked as slow."""
    return [value if value in always else pytest.param(value, marks=pytest.mark.slow) for value in values]
