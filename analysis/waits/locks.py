"""Waits for locks: threading's, multiprocessing's, those of files, of modules, of streams' buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..agents import Agent
from .objects import by_object

if TYPE_CHECKING:
    from ..situation import Situation


def by_owner(situation: Situation, agent: Agent) -> Agent:
    """An acquire: any other thread that can reach the lock may release it, whoever owns it."""
    return by_object(situation, agent, "release")
