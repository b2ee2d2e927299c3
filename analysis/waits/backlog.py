"""Connections that nobody has accepted yet: the system makes them, and their other end lies in the listener's queue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..agents import Agent, Need
from ..events import NONE, number

if TYPE_CHECKING:
    from ..situation import Situation

ANYWHERE = ("0.0.0.0", "[::]", "::")  # a listener bound to these takes what comes to any address


def unaccepted(situation: Situation, agent: Agent) -> list[int]:
    """The listening sockets in whose queue the other end of what an agent reads lies; none where that isn't certain."""
    incomplete = situation.trace.facts.get("dropped") or situation.trace.facts.get("lost")
    if agent.call != "read" or agent.channel is None or incomplete:
        return []
    row = situation.trace.channels.iloc[agent.channel]
    if row["kind"] != "socket" or row["form"] != "tcp" or number(row["peer"]) is not None or row["outside"]:
        return []
    local, remote = row["local"], row["remote"]
    if not isinstance(local, str) or not isinstance(remote, str):
        return []
    events = situation.events
    accepts = np.flatnonzero(events.is_op("socket.accept") & (events.error == NONE))
    if (events.table["address"].iloc[accepts] == local).any():
        return []
    found = listeners(situation, remote)
    return found if all(_within(situation, listener) for listener in found) else []


def listeners(situation: Situation, address: str) -> list[int]:
    """The sockets of the run that listen at an address."""
    channels, events = situation.trace.channels, situation.events
    host, _, port = address.rpartition(":")
    listened = set(events.channel[events.is_kind("listen")].tolist())
    names = {f"{name}:{port}" for name in (host, *ANYWHERE)}
    return [
        channel for channel in channels.loc[channels["local"].isin(names), "channel"].tolist() if channel in listened
    ]


def _within(situation: Situation, listener: int) -> bool:
    """Whether only traced processes of the run can accept there."""
    holders = situation.holders(listener, "r")
    abroad = listener in situation.run.mixed or listener in situation.passed or situation.strangers(listener, "r")
    seen = all(process not in situation.run.unseen and situation.threads_of[process] for process in holders)
    return bool(holders) and seen and not abroad and not situation.trace.channels["outside"].iloc[listener]


def by_backlog(situation: Situation, agent: Agent) -> Agent | None:
    """A read of such a connection: whoever holds the listening socket would have to accept it, or close that socket."""
    found = unaccepted(situation, agent)
    if not found:
        return None
    processes = {process for listener in found for process in situation.holders(listener, "r")}
    able = frozenset().union(*(situation.threads_of[process] for process in processes))
    accepts = np.isin(situation.events.channel, found) & situation.events.is_op("socket.accept")
    accepted = set(situation.events.thread[accepts].tolist())
    seen = frozenset(index for index in able if situation.placed[index].thread in accepted)
    return replace(agent, needs=(Need(able, "open", agent.channel, seen=seen or None),)) if able else None
