"""Waits to be told: conditions, events, barriers, futures, signals; and for an item of a queue or a place in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..agents import Agent
from .objects import by_object

if TYPE_CHECKING:
    from ..situation import Situation


def by_notice(situation: Situation, agent: Agent) -> Agent:
    """A condition's wait and its like: any other thread that can reach it may notify."""
    if agent.reason == "signal":
        return replace(agent, why="waits for a signal, which anybody may send")
    return by_object(situation, agent, "notify")


def by_item(situation: Situation, agent: Agent) -> Agent:
    """A queue's get or put: any other thread that can reach it may put or get."""
    return by_object(situation, agent, "put" if agent.call == "receive" else "take")
