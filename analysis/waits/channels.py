"""Waits for bytes or room on pipes and sockets, and for any of several ends to become ready."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from ..agents import Agent, Need
from ..events import number, rows_of

if TYPE_CHECKING:
    from ..situation import Situation


def by_channel(situation: Situation, agent: Agent) -> Agent:
    """A read or write: who holds the other end could write, read or close it, if that is within the run for certain."""
    if agent.channel is None:
        return replace(agent, why="waits for something unknown")
    row = situation.trace.channels.iloc[agent.channel]
    if row["kind"] == "socket":
        return _by_connection(situation, agent, row)
    if row["kind"] != "pipe":
        return replace(agent, why="waits for {channel}, where ipctrace cannot see")
    if row["outside"]:
        return replace(agent, why="waits for {channel}, which came from outside the run")
    way = "w" if agent.call == "read" else "r"
    if situation.strangers(agent.channel, way):
        return replace(agent, why="waits for {channel}, which a process outside the run holds too")
    return _held(situation, agent, agent.channel, way)


def _by_connection(situation: Situation, agent: Agent, row: pd.Series) -> Agent:
    peer = number(row["peer"])
    if peer is None or row["outside"] or row["form"] in ("udp", "unix-datagram"):
        return replace(agent, why="waits for {channel}, whose other end ipctrace cannot see")
    if peer in situation.passed:
        return replace(agent, why="waits for {channel}, whose other end was passed on")
    return _held(situation, agent, peer, "r")


def _held(situation: Situation, agent: Agent, end: int, way: str) -> Agent:
    """The need for what whoever holds an end could do with it."""
    holders = situation.holders(end, way)
    if not holders or any(not situation.threads_of[process] for process in holders):
        return replace(agent, why="waits for {channel}, whose other end nobody can be seen to hold")
    if agent.call == "read" and agent.channel is not None and situation.left(agent.channel):
        return replace(agent, why="has bytes to read on {channel}", ready=True)
    able = frozenset().union(*(situation.threads_of[process] for process in holders))
    return replace(
        agent,
        needs=(
            Need(
                able,
                "write" if agent.call == "read" else "read",
                agent.channel,
                seen=_chosen(situation, agent, able, touched=False),
                meant=_chosen(situation, agent, able, touched=True),
            ),
        ),
    )


def _chosen(situation: Situation, agent: Agent, able: frozenset[int], touched: bool) -> frozenset[int] | None:
    """In those processes in which some thread has used the end, only the threads that have; with `touched`, where
    nobody has used it only those that had to do with the channel at all."""
    if situation.forgotten(agent.channel) or agent.channel is None:
        return None
    users, owners = users_of(situation, agent), situation.trace.threads["process"]
    kept: set[int] = set()
    for process in {situation.placed[other].process for other in able}:
        threads = {other for other in able if situation.placed[other].process == process}
        own = {user for user in users if owners.iloc[user] == process}
        if touched and not own:
            own = situation.touched(agent.channel, process)
        used = {other for other in threads if situation.placed[other].thread in own}
        kept |= used or threads
    return frozenset(kept)


def users_of(situation: Situation, agent: Agent) -> set[int]:
    """Threads that have moved bytes through the end that an agent's wait is about."""
    if agent.channel is None or agent.call not in ("read", "write"):
        return set()
    return situation.uses.get((agent.channel, "w" if agent.call == "read" else "r"), set())


def by_members(situation: Situation, agent: Agent) -> Agent:
    """A select: any of its members could become ready."""
    members = situation.trace.members[situation.trace.members["event"] == agent.event]
    able: frozenset[int] = frozenset()
    for member in rows_of(members):
        channel = situation.channel_of(agent.process, member.fd)
        for way, call in (("r", "read"), ("w", "write")):
            if way not in member.access:
                continue
            one = by_channel(situation, replace(agent, call=call, channel=channel))
            if one.needs is None:
                return replace(agent, why=one.why, channel=channel, ready=one.ready)
            able |= one.enablers
    return replace(agent, needs=(Need(able, "ready"),))
