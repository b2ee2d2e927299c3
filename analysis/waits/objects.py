"""What is the same of all waits on objects of Python's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipctrace.tracer.schema import OBJECTS

from ..agents import Agent, Need, others
from ..events import number

if TYPE_CHECKING:
    from ..situation import Situation


def by_object(situation: Situation, agent: Agent, deed: str) -> Agent:
    """Any other thread that can reach an object may act on it: what is wrongly counted as able makes no false proof."""
    if agent.channel is None:
        return replace(agent, why="waits for something that ipctrace can't see")
    channels = situation.trace.channels
    if channels["kind"].iloc[agent.channel] not in OBJECTS:
        return replace(agent, why="waits for {channel}, where ipctrace cannot see")
    shared = number(channels["process"].iloc[agent.channel]) is None
    reach = situation.everyone if shared else situation.members_of[agent.process]
    return replace(agent, needs=(Need(others(reach, agent.index), deed, agent.channel),))
