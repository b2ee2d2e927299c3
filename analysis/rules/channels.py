"""IPC1xx: the program can't go on, because of who holds the ends of channels, and what they do with them.

Each rule looks at the knot's core and says what would untie it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ipctrace.tracer.schema import OBJECTS

from ..agents import Agent
from ..bystanders import bystanders
from ..events import NEVER, NONE, number
from ..findings import Context, finding, ids
from ..habits import habit
from ..naming import listing, plural, sentence
from ..results import Finding
from ..waits.channels import members, reads_to_end, taking
from ..waits.opens import opens_for_reading
from .buffers import awaited, buffered, names, receives

UNTIED_BY_READING = ("read", "select", "wait", "join", "receive")  # waits of a keeper that a close before would save


def pipe_full(context: Context) -> Iterator[Finding]:
    """IPC104."""
    run = context.run
    leaked = {agent.index for agent, _, _ in _leaked(context)}
    for agent in context.core:
        if agent.reason != "noroom" or agent.channel is None or agent.index in leaked:
            continue
        if run.trace.channels["kind"].iloc[agent.channel] in OBJECTS:
            continue  # a queue's put: it is known who takes, and `notices.lost_wakeup` tells of it
        peer = number(run.trace.channels["peer"].iloc[agent.channel])
        end = agent.channel if peer is None else peer
        readers = [run.the_process(process) for process in context.situation.holders(end, "r")]
        left = context.situation.left(end)
        amount = f"; {plural(left, 'byte')} wait to be read" if left else ""
        yield finding(
            "IPC104",
            f"{sentence(context.the(agent))} waits for room in {run.channel_name(agent.channel)}"
            f"{run.at_event(agent.event)}, which only {listing(readers) or 'nobody'} could empty{amount}.",
            f"Read {run.channel_name(agent.channel)} while it is being written: communicate(), a thread that drains "
            "it, select, or a file in its place.",
            certainty=context.certainty,
            threads=ids(agent.thread),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event)),
            events=ids(agent.event),
        )


# Ends that stay open


def missing_eof(context: Context) -> Iterator[Finding]:
    """IPC105: the waiter reads to the end, or has read all that was written by those who have finished; a copy is open.

    Where several wait for end of file, one of them is told: whose keeper holds an end that it needs least.
    """
    waits_for_stuck = {agent.index for agent, _ in awaited(context)}
    found: list[tuple[Agent, int, list[Any]]] = []
    for agent in context.core:
        if agent.index in waits_for_stuck or agent.call not in ("read", "select") or agent.why:
            continue
        for channel in receives(context, agent):
            keepers = _keepers(context, agent, channel)
            if keepers is not None:
                found.append((agent, channel, keepers))
                break
    rank = [_standard(keepers) for _, _, keepers in found]
    for (agent, channel, keepers), own in zip(found, rank, strict=True):
        if own == min(rank):
            yield _kept_open(context, agent, channel, keepers)


def _standard(keepers: list[Any]) -> bool:
    """Whether it is somebody's own standard output: open for as long as that program runs."""
    return bool(keepers) and all(row.fd < 3 and row.how == "inherited" for row in keepers)


def _keepers(context: Context, agent: Agent, channel: int) -> list[Any] | None:
    """The copies because of which no end of file comes (none: one is under way in a message); None: it isn't that."""
    situation = context.situation
    peer = number(context.run.trace.channels["peer"].iloc[channel])
    end, way = (channel, "w") if peer is None else (peer, "r")
    held = situation.copies(end, way)
    if end in situation.in_flight and not held:
        return []
    forgotten = bystanders(situation, end, way)
    # a FIFO opened for both ways is kept from ending on purpose: fifo(7)
    own = [
        row for row in held if row.process == agent.process and not row.used and (peer is not None or row.access == way)
    ]
    idle = [row for row in held if row.process in forgotten and row.process != agent.process]
    others = [row for row in held if row.process != agent.process and row.process not in forgotten]
    if idle and not others:
        return own + idle
    to_end = _wants_the_end(context, agent, channel)
    if own and not others and (to_end or _others_finished(context, agent, end, way)):
        return own
    if not to_end:
        return None
    if own:
        return own
    waiting = [row for row in others if _only_waits(context, row.process)]
    if _standard(waiting) and agent.process not in context.run.unseen and not reads_to_end(situation, agent):
        return None  # it would have to end, and is written to go on: they speak in turns
    return waiting if waiting and len(waiting) == len(others) else None


def _others_finished(context: Context, agent: Agent, end: int, way: str) -> bool:
    """Whether another process held such an end once, and holds it no more; or there is nobody else to use it."""
    if agent.call == "select":
        return False
    spans = context.run.spans
    once = spans[(spans["channel"] == end) & spans["access"].str.contains(way) & (spans["process"] != agent.process)]
    threads = context.situation.threads_of[agent.process]
    return bool(once["closed"].notna().any()) or len(threads) == 1


def _wants_the_end(context: Context, agent: Agent, channel: int) -> bool:
    """Whether nothing but end of file ends a wait: a read() without a limit; or a program that can only answer then, or
    on whose own end or end of output somebody waits who holds the other end of its input."""
    if agent.process not in context.run.unseen:
        return reads_to_end(context.situation, agent) or _reads_on(context, agent, channel)
    if habit(str(context.run.trace.processes["program"].iloc[agent.process])) == "whole":
        return True
    keepers = set(context.situation.holders(channel, "w"))
    return any(
        other.process in keepers and (_waits_for_end(context, other, agent) or _reads_all_of(context, other, agent))
        for other in context.dead
    )


def _waits_for_end(context: Context, other: Agent, agent: Agent) -> bool:
    """Itself, or by way of a process in between that waits for it: a shell."""
    agents, seen, todo = context.situation.agents, {other.index}, [other]
    while todo:
        waiting = todo.pop()
        if waiting.call != "wait":
            continue
        if agent.index in waiting.enablers:
            return True
        todo += [agents[index] for index in waiting.enablers - seen]
        seen |= waiting.enablers
    return False


def _reads_on(context: Context, agent: Agent, channel: int) -> bool:
    """Whether a reader has come back to the place where it read before, has had all that was sent, and has given
    nothing to anybody since: a loop that only an end of file ends."""
    events = context.run.events
    if agent.thread is None or agent.event is None or agent.call != "read" or agent.loop is not None:
        return False
    above = taking(context.situation, agent)
    if above is not None and context.situation.left(channel) == 0 and _in_part(context, above):
        return False
    now = agent.event if above is None else above
    same = (events.table["op"] == events.table["op"].iloc[now]).to_numpy() & (events.size == events.size[now])
    own = (events.thread == agent.thread) & (events.site == events.site[now]) & (events.channel == channel)
    before = np.flatnonzero(own & same & (events.result > 0) & (events.exit != NEVER))
    if not len(before) or events.site[now] == NONE:
        return False
    gave = (events.process == agent.process) & events.is_kind("write", "send", "notify", "release")
    return not (gave & (events.enter > events.enter[before[0]])).any() and bool(_others(context, agent, channel))


def _in_part(context: Context, take: int) -> bool:
    """Whether the call of a stream that is under way has got some bytes already."""
    events = context.run.events
    return bool(((events.parent == take) & events.is_kind("read") & (events.result > 0)).any())


def _others(context: Context, agent: Agent, channel: int) -> set[int]:
    """Processes or threads that sent what was read, and now wait to receive in turn."""
    senders = context.situation.uses.get((channel, "w"), set())
    return {
        other.index for other in context.dead
        if other.thread in senders and other.index != agent.index and other.call in UNTIED_BY_READING
    }  # fmt: skip


def _reads_all_of(context: Context, other: Agent, agent: Agent) -> bool:
    channel = other.channel
    wanted = channel is not None and reads_to_end(context.situation, other)
    return wanted and agent.process in context.situation.holders(channel or 0, "w")


def _only_waits(context: Context, process: int) -> bool:
    """Whether a process holds an end while it waits for what it could get after a close: not for room or a lock."""
    own = [agent for agent in context.dead if agent.process == process]
    return bool(own) and all(agent.call in UNTIED_BY_READING for agent in own)


def _kept_open(context: Context, agent: Agent, channel: int, keepers: list[Any]) -> Finding:
    run = context.run
    evidence: dict[str, Any] = {
        "certainty": context.certainty,
        "channels": ids(channel),
        "events": ids(agent.event),
    }
    waiter, where = sentence(context.the(agent)), run.at_event(agent.event)
    begins = f"{waiter} waits for end of file on {run.channel_name(channel)}{where}"
    if not keepers:
        sent = _sent(context, channel)
        return finding(
            "IPC105",
            f"{begins}, which cannot come: a write end was sent along with a message{run.at_event(sent)}, and nobody "
            "has received it.",
            f"Receive the descriptor and close it, or close both ends of the socket that it was sent through"
            f"{run.at_event(sent)}.",
            threads=ids(agent.thread),
            sites=ids(run.site_of(agent.event), run.site_of(sent)),
            **evidence,
        )
    if number(run.trace.channels["peer"].iloc[channel]) is not None:
        end, close = "the other end", f"Shut down the writing side in {run.the_process(keepers[0].process)} "
        close += "(shutdown(socket.SHUT_WR)) when all is sent"
    else:
        end, close = "a write end", f"Close fd {keepers[0].fd} in {run.the_process(keepers[0].process)}, as soon as it "
        close += "isn't needed there"
    told = listing([f"{_holder(context, agent, row)} still holds {end}, {_which(context, row)}" for row in keepers[:2]])
    first = keepers[0]
    who = run.the_process(first.process)
    site = _given_at(context, first)
    away = first.process != agent.process and first.how == "inherited" and first.fd < 3
    inherited = first.process in bystanders(context.situation, channel, "w") and first.process != agent.process
    if inherited and away:
        remedy = f"Give {who} another output where it is started{run.at(site)} (>/dev/null, stdout=DEVNULL), or end it"
    elif inherited:
        remedy = f"Keep {who} from inheriting fd {first.fd}{run.at(site)}: close it there, or leave close_fds=True"
    else:
        remedy = close
    never = ", and never uses it" if inherited else ""
    waiting = [each.event for each in context.dead if each.process == first.process and each.event is not None]
    wait = waiting[0] if waiting and agent.event not in waiting else agent.event
    return finding(
        "IPC105",
        f"{begins}, which {'does not' if inherited else 'cannot'} come: {told}{never}.",
        f"{remedy}: before the wait{run.at_event(wait)}.",
        threads=ids(agent.thread, *(run.main_threads.get(row.process) for row in keepers)),
        sites=ids(run.site_of(agent.event), *(_given_at(context, row) for row in keepers)),
        **evidence,
    )


def _sent(context: Context, channel: int) -> int | None:
    """The event that sent an end along with a message."""
    events = context.run.events
    found = (events.is_kind("pass") & (events.channel == channel)).nonzero()[0]
    above = int(events.parent[found[-1]]) if len(found) else NONE
    return above if above >= 0 else None


def _holder(context: Context, agent: Agent, row: Any) -> str:
    who = context.run.the_process(row.process)
    return f"{who} itself" if row.process == agent.process else who


def _which(context: Context, row: Any) -> str:
    """fd 4, since the fork at pipes.py:12."""
    run, site = context.run, _given_at(context, row)
    parent = number(run.trace.processes["parent"].iloc[row.process])
    if row.how != "inherited":
        return f"fd {row.fd}" + (f", {row.how}{run.at(site)}" if site is not None else "")
    if site is not None:
        forked = run.trace.processes["how"].iloc[row.process] == "fork"
        return f"fd {row.fd}, since {'the fork' if forked else 'it was started'}{run.at(site)}"
    return f"fd {row.fd}" + (f", inherited from {run.the_process(parent)}" if parent is not None else "")


def _given_at(context: Context, row: Any) -> int | None:
    """Where a process came by an end; of one that it was born with, where it was started."""
    if number(row.site) is not None or row.how != "inherited":
        return number(row.site)
    pid, events = context.run.trace.processes["pid"].iloc[row.process], context.run.events
    born = (events.is_kind("fork") & (events.result == pid)).nonzero()[0]
    return context.run.site_of(int(born[-1])) if len(born) else None


def leaked_reader(context: Context) -> Iterator[Finding]:
    """IPC106: its reader has gone, and what keeps the pipe open is an end that nobody reads."""
    run = context.run
    for agent, gone, keepers in _leaked(context):
        assert agent.channel is not None
        row = keepers[0]
        who, site = run.the_process(row.process), number(row.site)
        holder = _holder(context, agent, row)
        yield finding(
            "IPC106",
            f"{sentence(context.the(agent))} waits for room in {run.channel_name(agent.channel)}"
            f"{run.at_event(agent.event)} and isn't told that {run.the_process(gone)}, its reader, has gone: {holder} "
            f"still holds a read end, {_which(context, row)}, and never reads it.",
            f"Close fd {row.fd} in {who}{run.at(site)} once the reader has it: the writer then gets a broken pipe "
            "(SIGPIPE) and ends.",
            certainty=context.certainty,
            threads=ids(agent.thread, run.main_threads.get(row.process)),
            channels=ids(agent.channel),
            sites=ids(site, run.site_of(agent.event)),
            events=ids(agent.event),
        )


def _leaked(context: Context) -> list[tuple[Agent, int, list[Any]]]:
    """Writers that wait for room, each with the process that read once and has gone, and the ends that nobody reads."""
    run, found = context.run, []
    for agent in context.core:
        if agent.call != "write" or agent.channel is None or agent.why:
            continue
        if run.trace.channels["kind"].iloc[agent.channel] not in ("pipe", "fifo"):
            continue
        held = context.situation.copies(agent.channel, "r")
        holders = {row.process for row in held} | {agent.process}
        spans = run.spans[(run.spans["channel"] == agent.channel) & run.spans["access"].str.contains("r")]
        gone = spans[
            ~spans["process"].isin(holders) & (spans["used"] | (spans["process"].isin(run.unseen) & (spans["fd"] == 0)))
        ]
        reading = any(row.used or row.process in run.unseen - {agent.process} for row in held)
        if len(gone) and held and not reading:
            found.append((agent, int(gone["process"].iloc[-1]), held))
    return found


# The shape of the knot


def mutual_receive(context: Context) -> Iterator[Finding]:
    """IPC107: all of the core wait to receive, and nobody has bytes pending anywhere."""
    core, run = context.core, context.run
    if len(core) < 2 or not all(_listens(context, agent) for agent in core):
        return
    if any(reads_to_end(context.situation, agent) for agent in core) or buffered(context):
        return
    if any(True for _ in missing_eof(context)):
        return
    sites = [run.site_of(agent.event) for agent in core]
    shown = [f"{context.the(a)}{run.at(s)}" for a, s in zip(core, sites, strict=True)]
    places = listing(shown[:4] if len(shown) <= 4 else [*shown[:3], f"{len(shown) - 3} more"])
    first = next((site for site in sites if site is not None), None)
    yield finding(
        "IPC107",
        f"{sentence(names(context, core))} all wait to receive, and nothing is on its way: {places}; every pipe and "
        "every buffer between them is empty.",
        f"Settle who speaks first: let one of them write before it reads{run.at(first)}.",
        certainty=context.certainty,
        threads=ids(*(agent.thread for agent in core)),
        channels=ids(*(channel for agent in core for channel in receives(context, agent))),
        sites=ids(*sites),
        events=ids(*(agent.event for agent in core)),
    )


def _listens(context: Context, agent: Agent) -> bool:
    """Whether an agent waits to receive and nothing else, from channels into which nobody has put anything that isn't
    read; of a program that isn't traced, that nothing was ever given."""
    situation, stuck = context.situation, {held.channel for held in (context.graph.stuck if context.graph else ())}
    if agent.call not in ("read", "select") or agent.why:
        return False
    single = members(situation, agent) if agent.call == "select" else [agent]
    if any(one.call != "read" or one.channel is None or one.channel in stuck for one in single):
        return False
    if agent.process not in context.run.unseen:
        return agent.thread is not None
    return agent.channel is not None and (
        habit(str(context.run.trace.processes["program"].iloc[agent.process])) == "passes"
        or (not situation.moved["w"][agent.channel] and not _untraced_writers(context, agent.channel))
    )


def _untraced_writers(context: Context, channel: int) -> set[int]:
    return set(context.situation.holders(channel, "w")) & context.run.unseen


def or_knot(context: Context) -> Iterator[Finding]:
    """IPC122: a select whose ends all depend on others of the knot, where no rule knows more."""
    run, situation = context.run, context.situation
    if buffered(context):
        return
    if any(True for check in (pipe_full, missing_eof, leaked_reader, fifo_open) for _ in check(context)):
        return
    for agent in context.core:
        if agent.call != "select" or agent.why or agent.thread is None:
            continue
        others: dict[int, set[int]] = {}
        for one in members(situation, agent):
            if one.channel is None:
                continue
            peer = number(run.trace.channels["peer"].iloc[one.channel])
            end, way = (one.channel, "w" if one.call == "read" else "r") if peer is None else (peer, "r")
            others[one.channel] = set(situation.holders(end, way)) - {agent.process}
        open_ways = [channel for channel, processes in others.items() if processes]
        if len(open_ways) < 2:
            continue
        waiting = sorted({process for channel in open_ways for process in others[channel]})
        each = [
            f"{context.the(other)} waits{run.at_event(other.event)}"
            for other in context.dead
            if other.process in waiting
        ]
        shown = listing(each[:3] + ([f"{len(each) - 3} more wait"] if len(each) > 3 else []))
        yield finding(
            "IPC122",
            f"{sentence(context.the(agent))} waits for any of {len(open_ways)} ends{run.at_event(agent.event)}, and "
            f"none can become ready: {shown}, each in the end for {context.the(agent)}.",
            f"Let {context.the(agent)} send what the others wait for before it waits{run.at_event(agent.event)}; any "
            "one of them that goes on frees the rest.",
            certainty=context.certainty,
            threads=ids(agent.thread, *(other.thread for other in context.dead if other.process in waiting)),
            channels=ids(*open_ways),
            sites=ids(run.site_of(agent.event)),
            events=ids(agent.event),
        )


def fifo_open(context: Context) -> Iterator[Finding]:
    """IPC117: all that open a FIFO in the knot, in one finding: who comes second depends on who comes first."""
    run = context.run
    opening = [agent for agent in context.core if agent.call == "open" and agent.channel is not None and not agent.why]
    if not opening:
        return
    told = [
        f"{context.the(agent)} waits{run.at_event(agent.event)} for somebody to open {run.channel_name(agent.channel)} "
        f"for {'writing' if opens_for_reading(context.situation, agent) else 'reading'}"
        for agent in opening[:2]
    ]
    others = [agent for agent in context.core if agent not in opening]
    waits = "who could do so waits, too" if len(opening) > 1 else "nobody who is left does"
    if others:
        first = others[0]
        waits = f"{context.the(first)} {run.waits_for(first.reason, first.channel)}{run.at_event(first.event)}"
    yield finding(
        "IPC117",
        f"{sentence(' and '.join(told))}: {waits}.",
        f"Open FIFOs in the same order on both sides{run.at_event(opening[-1].event)}, or open with os.O_RDWR or "
        "os.O_NONBLOCK, which don't wait for the other side.",
        certainty=context.certainty,
        threads=ids(*(agent.thread for agent in opening)),
        channels=ids(*(agent.channel for agent in opening)),
        sites=ids(*(run.site_of(agent.event) for agent in opening)),
        events=ids(*(agent.event for agent in opening)),
    )


CHECKS = (pipe_full, missing_eof, leaked_reader, mutual_receive, or_knot, fifo_open)
