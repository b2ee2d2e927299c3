"""IPC1xx: what somebody waits for has been written, or has been read, and lies in a buffer of user space."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..agents import Agent
from ..edits import flush_after
from ..events import NEVER, NONE, Ints, number, rows_of
from ..findings import Context, finding, ids
from ..habits import at_once, habit
from ..naming import listing, plural, sentence
from ..results import Finding, Stuck
from ..waits.channels import members, reads_to_end, taking


def receives(context: Context, agent: Agent) -> list[int]:
    """The channels from which an agent waits to read: of a select, all of which it waits to read from."""
    single = members(context.situation, agent) if agent.call == "select" else [agent]
    return [one.channel for one in single if one.call == "read" and one.channel is not None]


def awaited(context: Context) -> list[tuple[Agent, Stuck]]:
    """Who in the knot waits for bytes that lie in the buffer of a stream whose own process can't go on either."""
    stuck = context.graph.stuck if context.graph else ()
    if not stuck:
        return []
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
        if held.channel is not None and held.process in dead - live and held.channel in receives(context, agent)
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


def foreign_buffer(context: Context) -> Iterator[Finding]:
    """IPC102: of a program that isn't traced and that is known to buffer, or of which nothing is known."""
    run, situation = context.run, context.situation
    told = set()
    for agent in context.dead:
        if agent.process in run.unseen or reads_to_end(situation, agent):
            continue
        for channel in receives(context, agent):
            chain = _pipeline(context, channel)
            keeper = next((one for one in reversed(chain) if _habit(context, one) in ("buffers", None)), None)
            if keeper is None or any(_habit(context, one) == "whole" for one in chain) or keeper.process in told:
                continue
            source = chain[-1].channel
            size = int(situation.moved["w"][source]) if source is not None else 0
            if not size or _answered(context, channel, source):
                continue
            told.add(keeper.process)
            program = str(run.trace.processes["program"].iloc[keeper.process])
            writes = np.flatnonzero((run.lanes.channel == source) & run.events.is_kind("write"))
            site = run.site_of(int(writes[-1]))
            yield finding(
                "IPC102",
                f"{sentence(run.the_process(keeper.process))} was given {plural(size, 'byte')}, written{run.at(site)}, "
                f"and keeps its answer in its own buffer while it waits for more; {context.the(agent)} waits for that "
                f"answer on {run.channel_name(channel)}{run.at_event(agent.event)}.",
                f"Have {program} write each line at once: {at_once(program)}; or give it a terminal (pty.openpty) in "
                f"place of the pipe; or close its input before the read{run.at_event(agent.event)}.",
                certainty=context.certainty,
                threads=ids(agent.thread, keeper.thread),
                channels=ids(channel, keeper.channel),
                sites=ids(run.site_of(agent.event), site),
                events=ids(agent.event),
            )


def _habit(context: Context, agent: Agent) -> str | None:
    return habit(str(context.run.trace.processes["program"].iloc[agent.process]))


def _pipeline(context: Context, channel: int) -> list[Agent]:
    """The programs that aren't traced and that stand one behind the other before a channel: who writes it first. Each
    waits to read what the next one writes, the last what a traced one does."""
    found: list[Agent] = []
    while True:
        writers = set(context.situation.holders(channel, "w"))
        behind = [
            agent
            for agent in context.dead
            if agent.process in writers & context.run.unseen and agent.call == "read" and agent.channel is not None
        ]
        if len(behind) != 1 or behind[0] in found:
            return found
        found += behind
        assert behind[0].channel is not None
        channel = behind[0].channel


def _answered(context: Context, channel: int, source: int | None) -> bool:
    """Whether bytes came out of a pipeline after the last that went in."""
    lanes, events = context.run.lanes, context.run.events
    read = (lanes.channel == channel) & events.is_kind("read") & (events.result > 0)
    written = (lanes.channel == source) & events.is_kind("write") & (events.result > 0)
    return bool(events.exit[read].max(initial=NONE) > events.enter[written].max(initial=NONE))


def unread(context: Context, stream: int) -> int:
    """Bytes that a stream has read and not yet given to its program, as far as that can be counted: a text stream gives
    characters, which are only bytes where all that was read is ASCII."""
    run, events = context.run, context.run.events
    own = events.stream == stream
    read = np.flatnonzero(own & events.is_kind("read") & (events.result > 0))
    given = events.result[own & events.is_kind("take") & (events.result > 0)].sum()
    kept = b"".join(run.payloads[event] for event in read.tolist())
    if run.trace.streams["layer"].iloc[stream] == "text" and not kept.isascii():
        return 0
    lines = kept.count(b"\r\n") if run.trace.streams["layer"].iloc[stream] == "text" else 0
    return max(int(events.result[read].sum() - given) - lines, 0)


def read_ahead(context: Context) -> Iterator[Finding]:
    """IPC103: in a reader's own buffer, behind a select or an os.read; or in its forebear's."""
    run = context.run
    readers = defaultdict[int, list[Any]](list)
    for row in rows_of(run.streams[run.streams["now"].notna() & (run.streams["mode"] != "w")]):
        readers[row.now].append(row)
    for agent in context.dead:
        own = taking(context.situation, agent)
        through = None if own is None else number(run.events.stream[own])
        for channel in receives(context, agent):
            for row in readers.get(channel, []):
                related = row.process == agent.process or row.process in _forebears(context, agent.process)
                size = unread(context, row.stream) if related and row.stream != through else 0
                if not size:
                    continue
                last = _last(run.events.is_kind("read") & (run.events.stream == row.stream))
                site = run.site_of(last)
                how = "looks at the descriptor alone" if agent.call == "select" else "finds the descriptor empty"
                yield finding(
                    "IPC103",
                    f"{plural(size, 'byte')} of {run.channel_name(channel)} already lie in the read buffer of "
                    f"{run.stream_name(row.stream)}, since the read{run.at(site)}; {context.the(agent)}, which waits "
                    f"for them{run.at_event(agent.event)}, {how}.",
                    "Read at one level only: os.read on the descriptor, or a stream without a buffer (buffering=0)"
                    f"{run.at(site)}; or empty the stream's buffer before the wait{run.at_event(agent.event)}.",
                    certainty=context.certainty,
                    threads=ids(agent.thread, run.main_threads.get(row.process)),
                    channels=ids(channel),
                    sites=ids(run.site_of(agent.event), site),
                    events=ids(agent.event, last),
                )


def _forebears(context: Context, process: int) -> set[int]:
    parents = context.run.trace.processes["parent"]
    found: set[int] = set()
    above = number(parents.iloc[process])
    while above is not None:
        found.add(above)
        above = number(parents.iloc[above])
    return found


def _last(chosen: np.ndarray) -> int | None:
    found = np.flatnonzero(chosen)
    return int(found[-1]) if len(found) else None


def short_frame(context: Context) -> Iterator[Finding]:
    """IPC108: a reader got a part of a line, or of as many bytes as it wants, and waits for the rest."""
    run, events = context.run, context.run.events
    waiting = Counter(agent.process for agent in context.dead)
    for agent in context.core:
        if not _sender_waits(context, agent, waiting) or reads_to_end(context.situation, agent):
            continue
        read, wanted = _begun(context, agent) if agent.loop is None else _begun_by_loop(context, agent)
        came = int(events.result[read].sum())
        if not came:
            continue
        last = run.got[run.got["read"] == read[-1]]["write"]
        site = run.site_of(int(last.iloc[-1])) if len(last) and last.iloc[-1] != NONE else None
        rest = f"all {wanted:,} bytes" if wanted else "the rest of a line"
        yield finding(
            "IPC108",
            f"{sentence(context.the(agent))} waits for {rest} on {run.channel_name(agent.channel)}"
            f"{run.at_event(agent.event)}: {plural(came, 'byte')} have come, written{run.at(site)}, and who wrote them "
            "waits too.",
            f"Send what ends the message (a newline, all of its bytes){run.at(site)}; or read what is there: read1(), "
            f"os.read{run.at_event(agent.event)}.",
            certainty=context.certainty,
            threads=ids(agent.thread),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), site),
            events=ids(agent.event, int(read[-1])),
        )


def _sender_waits(context: Context, agent: Agent, waiting: Counter[int]) -> bool:
    """Whether somebody else in the knot holds the other end, and so may have written what came. `waiting`: how many of
    a process are in the knot."""
    if agent.channel is None:
        return False
    peer = number(context.run.trace.channels["peer"].iloc[agent.channel])
    holders = context.situation.holders(*((agent.channel, "w") if peer is None else (peer, "r")))
    return any(waiting[process] > (process == agent.process) for process in holders)


def _begun_by_loop(context: Context, agent: Agent) -> tuple[Ints, int | None]:
    """The same of a task: what its loop has read for it since it was last given something."""
    events = context.run.events
    own = events.channel == agent.channel
    given = np.flatnonzero(own & events.is_kind("take") & (events.exit != NEVER))
    since = int(events.exit[given[-1]]) if len(given) else NONE
    read = np.flatnonzero(own & events.is_kind("read") & (events.result > 0) & (events.enter > since))
    op = events.op(agent.event) if agent.event is not None else ""
    if not op.endswith((".readline", ".readuntil", ".readexactly")):
        return read[:0], None
    return read, number(events.size[agent.event]) if op.endswith(".readexactly") else None


def _begun(context: Context, agent: Agent) -> tuple[Ints, int | None]:
    """The reads that have brought a part of what a reader waits for, and how many bytes that is (None: a line)."""
    events = context.run.events
    nothing = np.zeros(0, dtype="int64")
    took = taking(context.situation, agent)
    if took is not None:
        own = context.run.of_thread(int(events.thread[took]))
        read = events.among(own[events.parent[own] == took], "read")
        read = read[events.result[read] > 0]
        return read, number(events.size[took]) if events.op(took) in ("stream.read", "stream.readinto") else None
    if agent.event is None or agent.thread is None or agent.call != "read":
        return nothing, None
    # a loop that asks each time for what is missing
    own = context.run.of_thread(agent.thread)
    own = own[events.channel[own] == agent.channel]
    found: list[int] = []
    missing = int(events.size[agent.event])
    for event in own[own < agent.event][::-1].tolist():
        if (
            events.kind(event) != "read"
            or events.result[event] <= 0
            or events.size[event] - events.result[event] != missing
        ):
            break
        found.insert(0, event)
        missing = int(events.size[event])
    return np.array(found, dtype="int64"), missing


def buffered(context: Context) -> bool:
    """Whether any of these rules explains the knot."""
    checks = (unflushed_buffer, foreign_buffer, read_ahead, short_frame)
    return any(True for check in checks for _ in check(context))


def names(context: Context, agents: list[Agent]) -> str:
    """Agents' names within a sentence."""
    return listing(list(dict.fromkeys(context.the(agent) for agent in agents)))


CHECKS = (unflushed_buffer, foreign_buffer, read_ahead, short_frame)
