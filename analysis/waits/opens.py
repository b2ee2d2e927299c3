"""Waits for the other side of a FIFO or of a connection to turn up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..agents import Agent, Need
from ..bystanders import busy
from ..events import number
from . import names

if TYPE_CHECKING:
    from ..situation import Situation


def by_connection(situation: Situation, agent: Agent) -> Agent:
    """connect and accept: at a name in the file system that only the run knows, whoever could connect.

    A connect waits where as many as the listener's backlog wait already, for an accept; that isn't judged here.
    """
    listens = agent.event is not None and situation.events.op(agent.event) == "socket.accept"
    local = situation.trace.channels["local"].iloc[agent.channel] if agent.channel is not None else None
    if not listens or not isinstance(local, str) or not names.made_up_name(situation, local):
        return replace(agent, why="waits for somebody to connect, or to be accepted")
    return replace(agent, needs=(_anybody(situation, agent, "connect"),))


def by_name(situation: Situation, agent: Agent) -> Agent:
    """open of a FIFO, fifo(7): whoever can reach its name could open the other side."""
    if agent.channel is None or situation.trace.channels["kind"].iloc[agent.channel] != "fifo":
        return replace(agent, why="waits for something that ipctrace can't see")
    if not names.within_the_run(situation, agent.channel, agent.process):
        return replace(
            agent, why="waits for {channel}, whose other side ipctrace cannot see: somebody outside the run may open it"
        )
    return replace(agent, needs=(_anybody(situation, agent, "open"),))


def _anybody(situation: Situation, agent: Agent, deed: str) -> Need:
    """Whoever is live could; but hardly those that have long gone about something else."""
    return Need(situation.everyone, deed, agent.channel, meant=at_leisure(situation, agent))


def at_leisure(situation: Situation, agent: Agent) -> frozenset[int]:
    """An agent itself, and whoever has had nothing of its own to do since it waits."""
    free = situation.once(_but, situation.everyone, busy(situation, agent.since))
    return free if agent.index in free else free | {agent.index}


def _but(_: Situation, everyone: frozenset[int], some: frozenset[int]) -> frozenset[int]:
    return everyone - some


def opens_for_reading(situation: Situation, agent: Agent) -> bool:
    """Whether an open asks for the reading end."""
    flags = number(situation.events.size[agent.event]) if agent.event is not None else None
    return (flags or 0) & names.ACCESS == names.READ_ONLY
