"""IPC1xx: the program can't go on, because of what lies in pipes, sockets and buffers, or doesn't.

Each rule looks at the knot's core and says what would untie it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..agents import Agent
from ..edits import flush_after
from ..events import NONE, number, rows_of
from ..findings import Context, finding, ids
from ..naming import listing, plural, sentence
from ..results import Finding, Stuck


def awaited(context: Context) -> list[tuple[Agent, Stuck]]:
    """Who in the knot waits for bytes that lie in the buffer of a stream whose own process can't go on either."""
    stuck = context.graph.stuck if context.graph else ()
    dead = {agent.process for agent in context.dead}
    live = {
        agent.process
        for index, agent in enumerate(context.situation.agents)
        if context.knot and index not in context.knot.dead and agent.thread is not None and _uses(context, agent, stuck)
    }
    return [
        (agent, held)
        for agent in context.dead
        for held in stuck
        if agent.call == "read" and agent.channel == held.channel and held.process in dead - live
    ]


def _uses(context: Context, agent: Agent, stuck: tuple[Stuck, ...]) -> bool:
    """Whether a live thread has written to one of these channels, and so might flush."""
    users = context.situation.uses
    return any(held.channel is not None and agent.thread in users.get((held.channel, "w"), ()) for held in stuck)


def unflushed_buffer(context: Context) -> Iterator[Finding]:
    """IPC101."""
    for agent, held in awaited(context):
        run = context.run
        sites = [site for site, _ in held.pieces if site is not None]
        writer = run.main_threads.get(held.process)
        edit = flush_after(run.trace, sites[-1] if sites else None)
        where = f", put there by the write at {run.place(sites[-1])}" if sites else ""
        yield finding(
            "IPC101",
            f"{plural(held.size, 'byte')} wait in {run.stream_name(held.stream)}{where}: "
            f"{context.the(agent)} waits for them on {run.channel_name(held.channel)}, and "
            f"{run.the_process(held.process)} waits too, so nobody flushes.",
            (f"Flush at {run.place(sites[-1])}: " if sites else "Flush after the write: ")
            + "flush=True in the print, or a flush() after the write; or line-buffer the stream "
            "(reconfigure(line_buffering=True)), or run Python with -u.",
            certainty=context.certainty,
            threads=ids(agent.thread, writer),
            channels=ids(held.channel),
            sites=ids(*sites[::-1], run.site_of(agent.event)),
            events=ids(agent.event),
            edit=edit,
        )


def pipe_full(context: Context) -> Iterator[Finding]:
    """IPC104."""
    run = context.run
    for agent in context.core:
        if agent.reason != "noroom" or agent.channel is None:
            continue
        readers = [run.the_process(process) for process in context.situation.holders(agent.channel, "r")]
        left = context.situation.left(agent.channel)
        amount = f"; {plural(left, 'byte')} wait to be read" if left else ""
        yield finding(
            "IPC104",
            f"{sentence(context.the(agent))} waits for room in {run.channel_name(agent.channel)}"
            f"{run.at_event(agent.event)}, which only {listing(readers)} could empty{amount}.",
            f"Read {run.channel_name(agent.channel)} while it is being written: communicate(), a thread that drains "
            "it, select, or a file in its place.",
            certainty=context.certainty,
            threads=ids(agent.thread),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event)),
            events=ids(agent.event),
        )


def missing_eof(context: Context) -> Iterator[Finding]:
    """IPC105: the waiter reads to the end, or what keeps the pipe open is an end of its own that it never wrote to."""
    run = context.run
    waits_for_stuck = {id(agent) for agent, _ in awaited(context)}
    for agent in context.core:
        if agent.call != "read" or agent.channel is None or id(agent) in waits_for_stuck:
            continue
        held = run.held[(run.held["channel"] == agent.channel) & run.held["access"].str.contains("w")]
        own = held[(held["process"] == agent.process) & ~held["used"]]
        writers = set(held["process"].tolist()) - {agent.process}
        if not (_reads_to_end(context, agent) or (len(own) and not writers and agent.thread is not None)):
            continue
        if not len(held):
            continue
        keeper = own if len(own) else held
        row = next(rows_of(keeper))
        who = run.the_process(row.process)
        itself = f"{who} itself" if row.process == agent.process else who
        site = number(row.site)
        since = f", {'since the fork' if row.how == 'inherited' else row.how}{run.at(site)}" if site is not None else ""
        yield finding(
            "IPC105",
            f"{sentence(context.the(agent))} waits for end of file on {run.channel_name(agent.channel)}, which cannot "
            f"come: {itself} still holds a write end, fd {row.fd}{since}.",
            f"Close fd {row.fd} in {who}, as soon as it isn't needed there: before the read"
            f"{run.at_event(agent.event)}.",
            certainty=context.certainty,
            threads=ids(agent.thread, run.main_threads.get(row.process)),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), site),
            events=ids(agent.event),
        )


def _reads_to_end(context: Context, agent: Agent) -> bool:
    """Whether the outermost call around the wait is a read() without a limit."""
    if agent.event is None:
        return False
    events = context.run.events
    above = int(events.parent[agent.event])
    return (
        above != NONE and events.op(above) == "stream.read" and (events.size[above] == NONE or events.size[above] < 0)
    )


def short_frame(context: Context) -> Iterator[Finding]:
    """IPC108: a reader got a part of a line, or of as many bytes as it wants, and waits for the rest."""
    run, events = context.run, context.run.events
    for agent in context.core:
        took = _taking(context, agent)
        if took is None or agent.event is None:
            continue
        read = np.flatnonzero((events.parent == took) & events.is_kind("read") & (events.result > 0))
        came = int(events.result[read].sum())
        if not came or _reads_to_end(context, agent):
            continue
        last = run.got[run.got["read"] == read[-1]]["write"]
        site = run.site_of(int(last.iloc[-1])) if len(last) and last.iloc[-1] != NONE else None
        size = number(events.size[took])
        rest = f"all {size:,} bytes" if events.op(took) == "stream.read" and size else "the rest of a line"
        yield finding(
            "IPC108",
            f"{sentence(context.the(agent))} waits for {rest} on {run.channel_name(agent.channel)}"
            f"{run.at_event(agent.event)}: {plural(came, 'byte')} have come, written{run.at(site)}, and who wrote them "
            "waits too.",
            f"Send what ends the message (a newline, all of its bytes){run.at(site)}; or read1().",
            certainty=context.certainty,
            threads=ids(agent.thread),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), site),
            events=ids(agent.event, int(read[-1])),
        )


def _taking(context: Context, agent: Agent) -> int | None:
    """The stream call that an agent's read is made for."""
    if agent.event is None or agent.call != "read":
        return None
    above = int(context.run.events.enclosing("take")[agent.event])
    return above if above != NONE else None


def mutual_receive(context: Context) -> Iterator[Finding]:
    """IPC107: all of the core wait to receive, and nobody has bytes pending anywhere."""
    core = context.core
    stuck = {held.channel for held in (context.graph.stuck if context.graph else ())}
    reading = all(agent.call == "read" and agent.thread is not None for agent in core)
    seen = all(agent.process not in context.run.unseen for agent in core)
    if len(core) < 2 or not (reading and seen) or any(agent.channel in stuck for agent in core):
        return
    if any(_reads_to_end(context, agent) for agent in core) or any(True for _ in short_frame(context)):
        return
    names = [context.the(agent) for agent in core]
    sites = [context.run.site_of(agent.event) for agent in core]
    places = listing([f"{context.the(a)}{context.run.at(s)}" for a, s in zip(core, sites, strict=True)])
    yield finding(
        "IPC107",
        f"{sentence(listing(names))} all wait to receive, and nothing is on its way: {places}; every pipe and "
        "every buffer between them is empty.",
        f"Settle who speaks first: let one of them write before it reads{context.run.at(sites[0])}.",
        certainty=context.certainty,
        threads=ids(*(agent.thread for agent in core)),
        channels=ids(*(agent.channel for agent in core)),
        sites=ids(*sites),
        events=ids(*(agent.event for agent in core)),
    )


CHECKS = (unflushed_buffer, pipe_full, missing_eof, short_frame, mutual_receive)
