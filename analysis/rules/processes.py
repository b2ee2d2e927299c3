"""IPC1xx: the program can't go on, because of how processes and threads end, stop and spin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import standstill
from ..agents import Agent
from ..events import NEVER, NONE, number
from ..findings import Check, Context, finding, ids
from ..naming import listing, plural, sentence, signal_name, span
from ..results import Finding
from ..signals import Signal
from ..waits.processes import ASYNCIO_WAIT, feeds

STOPPING = (Signal.SIGSTOP, Signal.SIGTSTP, Signal.SIGTTIN, Signal.SIGTTOU)
# Signals that are sent to have somebody stop waiting; SIGCHLD and SIGWINCH, say, only tell.
WAKING = (Signal.SIGALRM, Signal.SIGVTALRM, Signal.SIGPROF, Signal.SIGINT, Signal.SIGTERM, Signal.SIGHUP,
          Signal.SIGQUIT, Signal.SIGUSR1, Signal.SIGUSR2)  # fmt: skip
FEED = "multiprocessing.Queue.feed"


def stopped(context: Context) -> Iterator[Finding]:
    """IPC123: a member is stopped by a signal; one finding a process."""
    run, agents = context.run, context.situation.agents
    for process in dict.fromkeys(agent.process for agent in context.dead if agent.stopped):
        members = {index for index, agent in enumerate(agents) if agent.process == process and agent.stopped}
        sent = _stop_sent(context, process)
        who = run.the_process(process)
        waiting = [
            agents[index] for index, others in (context.knot.arcs.items() if context.knot else ())
            if members & set(others) and agents[index].process != process
        ]  # fmt: skip
        told = [f"{context.the(each)} {run.waits_for(each.reason, each.channel)}{run.at_event(each.event)}"
                for each in waiting[:3]]  # fmt: skip
        behind = f"; {listing(told)}" if told else ""
        yield finding(
            "IPC123",
            f"{sentence(who)} is stopped{_stopped_by(context, process, sent)}, and nobody has continued it{behind}.",
            f"Continue {who}: os.kill(pid, signal.SIGCONT)"
            + (f" after the stop{run.at_event(sent)}" if sent is not None and run.site_of(sent) is not None else "")
            + ", or kill -CONT; a program in the background must not read its terminal (stdin=DEVNULL).",
            threads=ids(run.main_threads.get(process), *(agent.thread for agent in waiting)),
            channels=ids(*(agent.channel for agent in waiting)),
            sites=ids(run.site_of(sent), *(run.site_of(agent.event) for agent in waiting)),
            events=ids(sent, *(agent.event for agent in waiting)),
        )


def _stop_sent(context: Context, process: int) -> int | None:
    """The event that sent a process the signal that stopped it, if anybody in the run did."""
    events, pid = context.run.events, int(context.run.trace.processes["pid"].iloc[process])
    found = np.flatnonzero(events.is_kind("kill") & (events.size == pid) & np.isin(events.extra, STOPPING))
    return int(found[-1]) if len(found) else None


def _stopped_by(context: Context, process: int, sent: int | None) -> str:
    run = context.run
    if sent is None:
        return " by a signal that nobody in the run sent (a terminal, a debugger, kill -STOP)"
    sender = int(run.events.process[sent])
    who = "itself" if sender == process else run.the_process(sender)
    return f" by {signal_name(int(run.events.extra[sent]))}, sent by {who}{run.at_event(sent)}"


def feeder_join(context: Context) -> Iterator[Finding]:
    """IPC110: a process that has put on a queue is waited for, and its feeder waits for somebody to get."""
    run, events = context.run, context.run.events
    told: set[int] = set()
    # a feeder writes, or waits for its turn to
    feeding = [
        (agent, queue, _waits_for_end_of(context, agent)) for agent in context.dead
        if agent.call in ("write", "acquire") and agent.thread is not None and agent.event is not None
        and (queue := feeds(context.situation, agent.thread)) is not None
    ]  # fmt: skip
    # those first that another process waits for
    for agent, queue, joiner in sorted(feeding, key=lambda row: row[2] is None or row[2].process == row[0].process):
        if joiner is None or queue in told:
            continue
        told.add(queue)
        feed = NONE if agent.event is None else events.inside("work", agent.event)
        size = number(events.size[feed]) if feed != NONE else None
        puts = np.flatnonzero((events.channel == queue) & events.is_op("multiprocessing.Queue.put")
                              & (events.process == agent.process))  # fmt: skip
        fed = (events.thread == agent.thread) & events.is_op(FEED) & (events.exit != NEVER)
        left = max(len(puts) - int(fed.sum()), 1)
        put = int(puts[-1]) if len(puts) else None
        process, waiter = run.the_process(agent.process), context.the(joiner)
        amount = f" of {plural(size, 'byte')}" if size and left == 1 else ""
        reader = "it" if joiner.process != agent.process else "somebody"
        yield finding(
            "IPC110",
            f"{sentence(waiter)} waits{run.at_event(joiner.event)} for {process} to end before {reader} gets what "
            f"{process} has put on {run.channel_name(queue)}{run.at_event(put)}: {plural(left, 'item')}{amount} "
            f"{'is' if left == 1 else 'are'} still to be written, and the pipe is full.",
            f"Get everything from {run.channel_name(queue)} first, then join{run.at_event(joiner.event)}; or, where "
            f"it may be lost, cancel_join_thread() in {process}.",
            certainty=context.certainty,
            threads=ids(joiner.thread, agent.thread),
            channels=ids(agent.channel, queue),
            sites=ids(run.site_of(joiner.event), run.site_of(put), run.site_of(agent.event)),
            events=ids(joiner.event, put, agent.event),
        )


def _waits_for_end_of(context: Context, feeder: Agent) -> Agent | None:
    """Who in the knot waits for a feeder's process to end: another process, else its own main thread as it ends."""
    agents, knot = context.situation.agents, context.knot
    waiting = [agent for agent in context.dead if agent.call in ("wait", "join", "select")]
    others = [agent for agent in waiting if agent.process != feeder.process and knot and any(
        agents[other].process == feeder.process for other in knot.arcs[agent.index])]  # fmt: skip
    own = [agent for agent in waiting if agent.process == feeder.process and agent.call == "join"
           and agent.target == feeder.tid]  # fmt: skip
    return next(iter([agent for agent in others if agent.call == "wait"] or own or others), None)


def retried_wait(context: Context) -> Iterator[Finding]:
    """IPC126: a signal came during a wait, its handler returned, and the call went back to waiting (PEP 475)."""
    run, events = context.run, context.run.events
    signals = np.flatnonzero(
        events.is_kind("signal") & (events.exit != NEVER) & (events.error == NONE) & np.isin(events.size, WAKING)
    )
    signalled = set(events.thread[signals].tolist())
    for agent in context.core:
        if agent.event is None or agent.thread not in signalled:
            continue
        came = signals[(events.thread[signals] == agent.thread) & (signals > agent.event)]
        armed = [(event, _meant_to_wake(context, agent, event)) for event in came.tolist()]
        sources = [(event, source) for event, source in armed if source is not None]
        if not sources:
            continue
        event, source = sources[-1]
        name = signal_name(int(events.size[event]))
        outer = events.op(int(events.outermost[agent.event]))
        how = "was armed" if events.kind(source) == "arm" else "was sent"
        waits = run.waits_for(agent.reason, agent.channel)
        yield finding(
            "IPC126",
            f"{name}, which {how}{run.at_event(source)}, came {span(int(events.enter[event]) - agent.since)} after "
            f"{context.the(agent)} began to wait{run.at_event(agent.event)}; its handler returned, and {outer} went "
            f"back to waiting: {context.the(agent)} {waits}.",
            f"Raise an exception in the handler of {name}, to be caught around the wait{run.at_event(agent.event)}; or "
            "give the wait a time-out of its own (select, settimeout, get(timeout=…)).",
            certainty=context.certainty,
            threads=ids(agent.thread),
            channels=ids(agent.channel),
            sites=ids(run.site_of(agent.event), run.site_of(source), run.site_of(_handled(context, event))),
            events=ids(agent.event, event, source),
        )


def _meant_to_wake(context: Context, agent: Agent, event: int) -> int | None:
    """What sent a signal so that a wait should end: a timer that goes off once, or a kill by the run itself."""
    events = context.run.events
    number_, before = int(events.size[event]), events.enter <= events.enter[event]
    timers = np.flatnonzero(events.is_kind("arm") & (events.process == agent.process) & before & (events.size > 0))
    if len(timers) and number_ in (Signal.SIGALRM, Signal.SIGVTALRM, Signal.SIGPROF):
        return int(timers[-1]) if events.extra[timers[-1]] <= 0 else None
    pid = int(context.run.trace.processes["pid"].iloc[agent.process])
    kills = np.flatnonzero(events.is_kind("kill") & (events.size == pid) & (events.extra == number_) & before)
    return int(kills[-1]) if len(kills) else None


def _handled(context: Context, event: int) -> int | None:
    """Where the handler of a signal was set."""
    events = context.run.events
    found = np.flatnonzero(events.is_kind("handle") & (events.size == events.size[event]) & (events.extra == 1)
                           & (events.enter <= events.enter[event]))  # fmt: skip
    return int(found[-1]) if len(found) else None


def wait_cycle(context: Context) -> Iterator[Finding]:
    """IPC109: a member waits for the end of another, which waits too, in the end for the first."""
    run, agents = context.run, context.situation.agents
    for agent in _joining(context):
        if context.knot is None:
            continue
        others = [agents[other] for other in context.knot.arcs[agent.index]]
        if not others:
            continue
        other = others[0]
        if other.why and not other.stopped:
            continue  # it may end yet
        if agent.call == "join" and other.thread is not None and feeds(context.situation, other.thread) is not None:
            continue  # a queue's own thread, of which `feeder_join` tells
        call = run.events.op(agent.event) if agent.event is not None else "wait"
        if call == ASYNCIO_WAIT and other.process == agent.process:
            yield _untold(context, agent, other)
            continue
        helps = [agents[each] for each in context.knot.arcs.get(other.index, ())]
        by = (
            context.the(agent)
            if agent in helps
            else listing([context.the(each) for each in helps[:2]])
            if helps and len(helps) < 3
            else ""
        )
        yield finding(
            "IPC109",
            f"{sentence(context.the(agent))} waits in {call}{run.at_event(agent.event)} for "
            f"{context.the(other)} to end, which {_waits(context, other, by)}.",
            _first(context, agent, other),
            certainty=context.certainty,
            threads=ids(agent.thread, other.thread),
            channels=ids(other.channel),
            sites=ids(run.site_of(agent.event), run.site_of(other.event)),
            events=ids(agent.event, other.event),
        )


def _untold(context: Context, agent: Agent, loop: Agent) -> Finding:
    """A task waits for a child that has ended, which asyncio tells only once the child's pipes have come to their end;
    and it reads no more of a pipe than fits into its StreamReader, until somebody takes that."""
    run = context.run
    return finding(
        "IPC109",
        f"{sentence(context.the(agent))} waits in {ASYNCIO_WAIT}{run.at_event(agent.event)} for a process that has "
        "ended: asyncio tells of that only once what it wrote has been read to its end, and nobody reads it.",
        f"Read its output before the wait{run.at_event(agent.event)}, or while it lasts: await process.communicate().",
        certainty=context.certainty,
        threads=ids(agent.thread, loop.thread),
        sites=ids(run.site_of(agent.event), run.site_of(loop.event)),
        events=ids(agent.event, loop.event),
    )


def outlived_output(context: Context) -> Iterator[Finding]:
    """IPC109 too: closing a stream waits for a child that has given up its output and lives on."""
    found = standstill.outlived(context.situation) if _at_standstill(context) else None
    if found is None:
        return
    run, agent = context.run, found.agent
    name, who = run.the_process(found.process), context.the(agent)
    channel = number(run.events.channel[found.close])
    yield finding(
        "IPC109",
        f"{sentence(who)} closes {run.channel_name(channel)}{run.at_event(agent.event)}, which waits for {name} "
        f"to end: {name} has closed its own end and sleeps on, and holds nothing by which anybody could hear from it.",
        f"Use subprocess.Popen, read to the end and don't wait for {name}{run.at_event(agent.event)}: no with, no "
        "os.popen(); or have it end, or be ended, with its output.",
        certainty=context.certainty,
        threads=ids(agent.thread, run.main_threads.get(found.process)),
        channels=ids(channel),
        sites=ids(run.site_of(agent.event)),
        events=ids(agent.event, found.close),
    )


def _at_standstill(context: Context) -> bool:
    return context.knot is not None and context.knot.level == "stalled"


def livelock(context: Context) -> Iterator[Finding]:
    """IPC125: threads ask again and again for what only one another could change."""
    loops = standstill.spinning(context.situation) if _at_standstill(context) else {}
    if not loops or context.knot is None or not set(loops) & set(context.knot.core):
        return
    run = context.run
    agents = [context.situation.agents[index] for index in loops]
    told = [f"{context.the(agent)}{run.at(_place(context, loop))} ({loop.rounds:,} rounds)"
            for agent, loop in zip(agents, loops.values(), strict=True)]  # fmt: skip
    ops = sorted({run.events.op(event) for loop in loops.values() for event in loop.calls})
    sites = [_place(context, loop) for loop in loops.values()]
    yield finding(
        "IPC125",
        f"{sentence(listing(told))} {'go' if len(told) > 1 else 'goes'} round a loop of {listing(ops[:3])} that finds "
        f"nothing new for {span(run.cut - max(loop.since for loop in loops.values()))}: each asks for what only "
        "another of those that wait could change.",
        f"Let one of them act before it asks{run.at(sites[0])}; and wait for an Event, a Condition or a queue in place "
        "of asking.",
        threads=ids(*(agent.thread for agent in agents)),
        channels=ids(*(number(run.events.channel[event]) for loop in loops.values() for event in loop.calls)),
        sites=ids(*sites),
        events=ids(*(loop.calls[-1] for loop in loops.values())),
        certainty=context.certainty,
    )


def _place(context: Context, loop: standstill.Loop) -> int | None:
    return context.run.site_of(loop.calls[-1])


def _joining(context: Context) -> list[Agent]:
    """Who waits for an end: members of the core, or else whoever waits for the one that nobody is left to tell."""
    core, knot = context.core, context.knot
    if knot is None or len(core) != 1 or core[0].call not in ("receive", "await"):
        return [agent for agent in core if agent.reason == "child"]
    return [agent for agent in context.dead if agent.reason == "child" and core[0].index in knot.arcs[agent.index]]


def _waits(context: Context, other: Agent, by: str) -> str:
    """What the one that should end waits for, and from whom; `by` is empty where nobody can be named."""
    run, only = context.run, f"only {by}" if by else "nobody else"
    if other.stopped:
        return "is stopped"
    if other.reason == "child":
        return f"waits for {by or 'another'} to end{run.at_event(other.event)}"
    deed = {"noroom": f", which {only} could empty", "nodata": f", where {only} could put anything"}.get(
        other.reason, f" that {only} could end"
    )
    return f"{run.waits_for(other.reason, other.channel)}{run.at_event(other.event)}{deed}"


def _first(context: Context, agent: Agent, other: Agent) -> str:
    """What to do before the wait for an end, so that the other comes to its own."""
    run, name = context.run, context.run.channel_name(other.channel)
    place = run.at_event(agent.event) or " at the end of the program"
    if other.call == "read":
        return f"Close {name}, or write what is waited for, before the wait{place}."
    if other.call == "write":
        return f"Empty {name} before the wait{place}, or while it lasts: communicate(), or a thread that reads it."
    if other.call == "receive":
        return f"Put a last item on {name} that means the end before the wait{place}; or make its getter a daemon."
    return f"Let {context.the(other)} go on before the wait{place}: give back or tell what it waits for."


CHECKS: tuple[Check, ...] = (stopped, feeder_join, retried_wait, wait_cycle, outlived_output, livelock)
