"""Waits for bytes or room on pipes, FIFOs and sockets, and for any of several ends to become ready."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from ..agents import Agent, Need
from ..bystanders import bystanders, settled
from ..events import number
from . import names

if TYPE_CHECKING:
    from ..situation import Situation

Agents = frozenset[int]
DEED = {"read": "write", "write": "read"}  # what ends a wait of a kind: the other


def by_channel(situation: Situation, agent: Agent) -> Agent:
    """A read or write: who holds the other end could write, read or close it, if that is within the run for certain."""
    if agent.channel is None:
        return replace(agent, why="waits for something unknown")
    row = situation.trace.channels.iloc[agent.channel]
    end, way, why = other_end(situation, agent, row)
    if why:
        return replace(agent, why=why)
    if agent.call == "read" and situation.left(agent.channel):
        return replace(agent, why="has bytes to read on {channel}", ready=True)
    if reads_to_end(situation, agent) and row["kind"] in ("pipe", "fifo"):
        return _until_all_close(situation, agent, end)
    return _until_one_acts(situation, agent, end, way)


def other_end(situation: Situation, agent: Agent, row: pd.Series) -> tuple[int, str, str]:
    """The end that somebody has to use for a read or write to go on: its channel, which way bytes go through it there,
    and, where the outside could use it too, why ipctrace can't see who might."""
    channel = number(row["channel"])
    assert channel is not None
    way = "w" if agent.call == "read" else "r"
    if row["kind"] == "socket":
        peer = number(row["peer"])
        datagrams = row["form"] == "udp" or (row["form"] == "unix-datagram" and bool(_text(row["local"])))
        if peer is None or row["outside"] or datagrams:
            return channel, way, "waits for {channel}, whose other end ipctrace cannot see"
        return peer, "r", _abroad(situation, peer, "r")
    if row["kind"] not in ("pipe", "fifo"):
        return channel, way, "waits for {channel}, where ipctrace cannot see"
    if row["outside"]:
        return channel, way, "waits for {channel}, which came from outside the run"
    if row["kind"] == "fifo" and not names.within_the_run(situation, channel, agent.process):
        return (
            channel,
            way,
            "waits for {channel}, whose other side ipctrace cannot see: somebody outside the run may open it",
        )
    return channel, way, _abroad(situation, channel, way)


def _abroad(situation: Situation, channel: int, way: str) -> str:
    """Why somebody outside the run may hold an end too; "": nobody."""
    if situation.strangers(channel, way):
        return "waits for {channel}, which a process outside the run holds too"
    if receivers(situation, channel) is None:
        return "waits for {channel}, whose other end was passed on"
    return ""


def reads_to_end(situation: Situation, agent: Agent) -> bool:
    """Whether a read goes on until there is nothing more to come: a stream's read() without a limit around it."""
    if agent.event is None or agent.call != "read":
        return False
    events = situation.events
    above = taking(situation, agent)
    return above is not None and events.op(above) == "stream.read" and bool(events.size[above] < 0)


def taking(situation: Situation, agent: Agent) -> int | None:
    """The call of a stream (readline, read) that an agent's read is made for."""
    events, above = situation.events, agent.event
    while above is not None and above >= 0:
        if events.kind(above) == "take":
            return above
        above = int(events.parent[above])
    return None


def receivers(situation: Situation, channel: int) -> Agents | None:
    """Who could take an end of a channel out of the socket in which it is under way; None: somebody who can't be seen.

    unix(7): a descriptor that was sent is held by the message until that is received, or the socket closed.
    """
    found: Agents = frozenset()
    for carrier in situation.in_flight.get(channel, ()):
        peer = number(situation.trace.channels["peer"].iloc[carrier]) if carrier is not None else None
        holders = situation.holders(peer, "r") if peer is not None else []
        if peer is None or situation.strangers(peer, "r") or peer in situation.passed or not holders:
            return None
        found = found.union(*(situation.threads_of[process] for process in holders))
    return found


def _until_one_acts(situation: Situation, agent: Agent, end: int, way: str) -> Agent:
    """The one need: whoever holds the other end acts, or lets go of it."""
    holders = situation.holders(end, way)
    flight = receivers(situation, end) or frozenset()
    if (not holders and not flight) or any(not situation.threads_of[process] for process in holders):
        return replace(agent, why="waits for {channel}, whose other end nobody can be seen to hold")
    held = flight.union(*(situation.threads_of[process] for process in holders))
    able = held
    if situation.trace.channels["kind"].iloc[end] == "fifo":  # whoever is live could open its name again
        able = frozenset(range(len(situation.placed)))
        if set(holders) <= {agent.process}:  # and somebody else has to
            busy = {index for index in able - {agent.index} if settled(situation, index, agent.since)}
            return replace(agent, needs=(Need(able, DEED[agent.call], agent.channel, meant=able - busy),))
    forgetful = bystanders(situation, end, way)
    seen = _chosen(situation, agent, held, touched=False)
    meant = _chosen(situation, agent, held, touched=True)
    if forgetful and meant is not None:
        meant = meant.difference(*(situation.threads_of[process] for process in forgetful))
    return replace(agent, needs=(Need(able, DEED[agent.call], agent.channel, seen=seen, meant=meant),))


def _until_all_close(situation: Situation, agent: Agent, end: int) -> Agent:
    """A need a process that holds a write end: each has to close it, or to end.

    An end under way in a message would have to be closed as well, but whoever leaves it out calls nobody stuck for it.
    """
    holders = situation.holders(end, "w")
    if not holders or any(not situation.threads_of[process] for process in holders):
        return replace(agent, why="waits for {channel}, whose other end nobody can be seen to hold")
    forgetful = bystanders(situation, end, "w")
    needs = []
    for process in holders:
        able = situation.threads_of[process]
        meant = frozenset() if process in forgetful else _chosen(situation, agent, able, touched=True)
        seen = _chosen(situation, agent, able, touched=False)
        needs.append(Need(able, "close", agent.channel, seen=seen, meant=meant))
    return replace(agent, needs=tuple(needs))


def _chosen(situation: Situation, agent: Agent, able: Agents, touched: bool) -> Agents | None:
    """In those processes in which some thread has used the end, only the threads that have; with `touched`, where
    nobody has used it only those that had to do with the channel at all."""
    if situation.forgotten(agent.channel) or agent.channel is None:
        return None
    users, owners = users_of(situation, agent), situation.trace.threads["process"]
    of_process: dict[int, set[int]] = {}
    for other in able:
        of_process.setdefault(situation.placed[other].process, set()).add(other)
    kept: set[int] = set()
    for process, threads in of_process.items():
        own = {user for user in users if owners.iloc[user] == process}
        if touched and not own:  # nobody has, and who has nothing else to do might as well
            own = situation.touched(agent.channel, process)
            kept |= {other for other in threads if _has_time(situation, other, agent.since)}
        used = {other for other in threads if situation.placed[other].thread in own}
        kept |= used or threads
    return frozenset(kept)


def _has_time(situation: Situation, index: int, since: int) -> bool:
    """Whether an agent waits, and doesn't go round a loop of its own."""
    agent = situation.placed[index]
    return agent.loop is None and not agent.why and not settled(situation, index, since)


def users_of(situation: Situation, agent: Agent) -> set[int]:
    """Threads that have moved bytes through the end that an agent's wait is about."""
    if agent.channel is None or agent.call not in ("read", "write"):
        return set()
    return situation.uses.get((agent.channel, "w" if agent.call == "read" else "r"), set())


def members(situation: Situation, agent: Agent) -> list[Agent]:
    """A select's members, each as the agent would be if it waited for this one alone; a peek has one: its socket."""
    rows = situation.members(agent.event)
    if not rows and agent.channel is not None:
        return [replace(agent, call="read")]
    return [
        replace(agent, call=call, channel=situation.channel_of(agent.process, member.fd))
        for member in rows
        for way, call in (("r", "read"), ("w", "write"))
        if way in member.access
    ]


def by_members(situation: Situation, agent: Agent) -> Agent:
    """A select: any of its members could become ready."""
    single = [by_channel(situation, one) for one in members(situation, agent)]
    for one in single:
        if one.needs is None:
            return replace(agent, why=one.why, channel=one.channel, ready=one.ready)
    if not single:
        return replace(agent, why="waits for ends that can't be seen")
    needs = [need for one in single for need in one.needs or ()]
    own = situation.threads_of[agent.process]
    wakers = frozenset[int]()
    if any(need.able <= own for need in needs):  # an end of its own, by which another thread wakes it: a loop's
        wakers = frozenset(other for other in own if not settled(situation, other, agent.since))
    return replace(
        agent,
        needs=(
            Need(
                _union(need.able for need in needs),
                "ready",
                seen=_union(need.able if need.seen is None else need.seen for need in needs),
                meant=_union(_meant(need) for need in needs) | wakers,
            ),
        ),
    )


def _meant(need: Need) -> Agents:
    likely = need.able if need.seen is None else need.seen
    return likely if need.meant is None else need.meant


def _union(some: Iterable[Agents]) -> Agents:
    return frozenset().union(*some)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
