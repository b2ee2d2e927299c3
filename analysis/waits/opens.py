"""Waits for the other side of a FIFO or of a connection to turn up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..agents import Agent

if TYPE_CHECKING:
    from ..situation import Situation


def by_connection(situation: Situation, agent: Agent) -> Agent:
    """connect and accept."""
    return replace(agent, why="waits for somebody to connect, or to be accepted")


def by_name(situation: Situation, agent: Agent) -> Agent:
    """open of a FIFO: whoever can reach its name could open the other side."""
    return replace(agent, why="waits for something that ipctrace can't see")
