"""asyncio tasks: agents within the thread that runs their loop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..agents import Agent

if TYPE_CHECKING:
    from ..situation import Situation


def agents_of(situation: Situation, process: int) -> Iterable[Agent]:
    """The tasks of a process that have begun and not ended, as placed agents; `index` is set by the situation."""
    return ()
