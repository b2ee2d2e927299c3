"""Waits for bytes or room on pipes, FIFOs and sockets, and for any of several ends to become ready."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ..agents import Agent, Need
from ..bystanders import busy, bystanders
from ..events import number
from . import names

if TYPE_CHECKING:
    from ..situation import Situation

Agents = frozenset[int]
Ends = tuple[tuple[str, int | None], ...]  # read or write, and on what
DEED = {"read": "write", "write": "read"}  # what ends a wait of a kind: the other

ANY = -1


class Wait(NamedTuple):
    """All that counts of a wait on a channel: of many threads it may be the same.

    process  who waits at a FIFO: its name counts; else ANY
    busy    the agents that have had something else to do ever since it began
    itself  who waits, if that is one of them
    """

    call: str
    channel: int
    process: int
    to_end: bool
    busy: frozenset[int]
    itself: int | None


class Judged(NamedTuple):
    """What comes of it: an agent's `needs`, `why` and `ready`."""

    needs: tuple[Need, ...] | None = None
    why: str = ""
    ready: bool = False


def by_channel(situation: Situation, agent: Agent) -> Agent:
    """A read or write: who holds the other end could write, read or close it, if that is within the run for certain."""
    if agent.channel is None:
        return replace(agent, why="waits for something unknown")
    judged = situation.once(_judged, _wait(situation, agent, agent.call, agent.channel))
    return replace(agent, needs=judged.needs, why=judged.why or agent.why, ready=judged.ready or agent.ready)


def _wait(situation: Situation, agent: Agent, call: str, channel: int) -> Wait:
    """An agent's wait on a channel."""
    occupied = busy(situation, agent.since)
    to_end = call == "read" and reads_to_end(situation, agent)
    named = situation.trace.channels["kind"].iloc[channel] == "fifo"
    itself = agent.index if agent.index in occupied else None
    return Wait(call, channel, agent.process if named else ANY, to_end, occupied, itself)


def _judged(situation: Situation, wait: Wait) -> Judged:
    row = situation.trace.channels.iloc[wait.channel]
    end, way, why = other_end(situation, wait, row)
    if why:
        return Judged(why=why)
    if wait.call == "read" and situation.left(wait.channel):
        return Judged(why="has bytes to read on {channel}", ready=True)
    if wait.to_end and row["kind"] in ("pipe", "fifo"):
        return _until_all_close(situation, wait, end)
    return _until_one_acts(situation, wait, end, way)


def other_end(situation: Situation, agent: Agent | Wait, row: pd.Series) -> tuple[int, str, str]:
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


def _until_one_acts(situation: Situation, wait: Wait, end: int, way: str) -> Judged:
    """The one need: whoever holds the other end acts, or lets go of it."""
    holders = situation.holders(end, way)
    flight = receivers(situation, end) or frozenset()
    if (not holders and not flight) or any(not situation.threads_of[process] for process in holders):
        return Judged(why="waits for {channel}, whose other end nobody can be seen to hold")
    held = flight.union(*(situation.threads_of[process] for process in holders))
    able = held
    if situation.trace.channels["kind"].iloc[end] == "fifo":  # whoever is live could open its name again
        able = situation.everyone
        if set(holders) <= {wait.process}:  # and somebody else has to
            return Judged((Need(able, DEED[wait.call], wait.channel, meant=able - (wait.busy - {wait.itself})),))
    forgetful = bystanders(situation, end, way)
    seen = _chosen(situation, wait, held, touched=False)
    meant = _chosen(situation, wait, held, touched=True)
    if forgetful and meant is not None:
        meant = meant.difference(*(situation.threads_of[process] for process in forgetful))
    return Judged((Need(able, DEED[wait.call], wait.channel, seen=seen, meant=meant),))


def _until_all_close(situation: Situation, wait: Wait, end: int) -> Judged:
    """A need a process that holds a write end: each has to close it, or to end.

    An end under way in a message would have to be closed as well, but whoever leaves it out calls nobody stuck for it.
    """
    holders = situation.holders(end, "w")
    if not holders or any(not situation.threads_of[process] for process in holders):
        return Judged(why="waits for {channel}, whose other end nobody can be seen to hold")
    forgetful = bystanders(situation, end, "w")
    needs = []
    for process in holders:
        able = situation.threads_of[process]
        meant = frozenset() if process in forgetful else _chosen(situation, wait, able, touched=True)
        seen = _chosen(situation, wait, able, touched=False)
        needs.append(Need(able, "close", wait.channel, seen=seen, meant=meant))
    return Judged(tuple(needs))


def _chosen(situation: Situation, wait: Wait, able: Agents, touched: bool) -> Agents | None:
    """In those processes in which some thread has used the end, only the threads that have; with `touched`, where
    nobody has used it only those that had to do with the channel at all."""
    if situation.forgotten(wait.channel):
        return None
    owners = situation.trace.threads["process"]
    users: dict[int, set[int]] = {}
    for user in users_of(situation, wait):
        users.setdefault(int(owners.iloc[user]), set()).add(user)
    kept: set[int] = set()
    for process in {situation.placed[other].process for other in able}:
        threads, own = able & situation.threads_of[process], users.get(process, set())
        if touched and not own:  # nobody has, and who has nothing else to do might as well
            own = situation.touched(wait.channel, process)
            kept |= {other for other in threads - wait.busy if _waits(situation.placed[other])}
        used = {other for other in threads if situation.placed[other].thread in own}
        kept |= used or threads
    return frozenset(kept)


def _waits(agent: Agent) -> bool:
    return agent.loop is None and not agent.why


def users_of(situation: Situation, agent: Agent | Wait) -> set[int]:
    """Threads that have moved bytes through the end that an agent's wait is about."""
    if agent.channel is None or agent.call not in ("read", "write"):
        return set()
    return situation.uses.get((agent.channel, "w" if agent.call == "read" else "r"), set())


def members(situation: Situation, agent: Agent) -> list[Agent]:
    """A select's members, each as the agent would be if it waited for this one alone; a peek has one: its socket."""
    return [replace(agent, call=call, channel=channel) for call, channel in _ends(situation, agent)]


def _ends(situation: Situation, agent: Agent) -> Ends:
    """What a select waits for: kinds of calls that wouldn't wait, and their channels."""
    rows = situation.members(agent.event)
    if not rows and agent.channel is not None:
        return (("read", agent.channel),)
    return situation.once(_leading_to, agent.process, rows)


def _leading_to(situation: Situation, process: int, rows: tuple[tuple[int, str], ...]) -> Ends:
    """A write end of which somebody asks whether it can be read, as asyncio does, tells that its readers have gone
    (poll(2), POLLERR): like a write, that is theirs to end."""
    found = (
        ("write" if (process, fd) in situation.sources_only else call, situation.channel_of(process, fd))
        for fd, access in rows
        for way, call in (("r", "read"), ("w", "write"))
        if way in access
    )
    return tuple(dict.fromkeys(found))


def by_members(situation: Situation, agent: Agent) -> Agent:
    """A select: any of its members could become ready."""
    ends = _ends(situation, agent)
    occupied = busy(situation, agent.since)
    itself = agent.index if agent.index in occupied else None
    to_end = reads_to_end(situation, replace(agent, call="read"))
    channel, judged = situation.once(_any_of, ends, agent.process, to_end, occupied, itself)
    if judged.needs is None:
        return replace(agent, why=judged.why, channel=channel, ready=judged.ready or agent.ready)
    return replace(agent, needs=judged.needs)


def _any_of(
    situation: Situation, ends: Ends, process: int, to_end: bool, occupied: Agents, itself: int | None
) -> tuple[int | None, Judged]:
    """A wait for any of several ends, and the one because of which it isn't known who could end it."""
    needs: list[Need] = []
    for call, channel in ends:
        if channel is None:
            return None, Judged(why="waits for something unknown")
        judged = situation.once(_judged, Wait(call, channel, process, to_end and call == "read", occupied, itself))
        if judged.needs is None:
            return channel, judged
        needs += judged.needs
    if not ends:
        return None, Judged(why="waits for ends that can't be seen")
    own = situation.threads_of[process]
    wakers = frozenset[int]()
    if any(need.able <= own for need in needs):  # an end of its own, by which another thread wakes it: a loop's
        wakers = own - occupied
    able = _union(need.able for need in needs)
    seen = _union(need.able if need.seen is None else need.seen for need in needs)
    return None, Judged((Need(able, "ready", seen=seen, meant=_union(_meant(need) for need in needs) | wakers),))


def _meant(need: Need) -> Set[int]:
    likely = need.able if need.seen is None else need.seen
    return likely if need.meant is None else need.meant


def _union(some: Iterable[Set[int]]) -> Agents:
    return frozenset().union(*some)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
