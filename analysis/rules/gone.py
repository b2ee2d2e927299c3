"""IPC118: who should have answered has ended, and what it took with it is still waited for.

A death is told where it explains the wait: it kept the awaited channel's other end until it ended (and end of file
doesn't come, since somebody else has that end too), or it had taken a piece of work and not answered. What ended as it
should, with all said, explains nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import standstill
from ..agents import Agent
from ..bystanders import settled
from ..events import NEVER, NONE, Ints, number
from ..findings import Check, Context, finding, ids
from ..naming import listing, sentence, span
from ..results import Finding
from ..waits.channels import reads_to_end
from .waiting import call_of, nobody_else

LONGEST = 60  # characters of an exception that are shown
ANSWERS = ("send", "write", "notify", "release")


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a process or of one thread: when (ns), how in words, and the event that tells; `early`: not as a
    program ends that has done its work."""

    process: int
    thread: int | None
    time: int
    how: str
    event: int | None
    early: bool


def deaths(context: Context) -> list[Death]:
    """Processes that ended before the cut, and threads that an exception ended, in order of time."""
    run = context.run
    rows = run.trace.processes
    ended = rows[rows["ended"].notna() & (rows["ended"] < run.cut)]
    ending = _ending(context)
    found = [_of_process(context, int(process), ending) for process in ended["process"]]
    mains = set(run.main_threads.values())
    alive = set(context.situation.alive)
    for event in np.flatnonzero(run.events.is_kind("uncaught")).tolist():
        thread, process = int(run.events.thread[event]), int(run.events.process[event])
        if thread not in mains and process in alive:
            how = f"was ended by an exception{_words(context, event)}"
            found.append(Death(process, thread, int(run.events.enter[event]), how, event, early=True))
    return sorted(found, key=lambda death: death.time)


def _ending(context: Context) -> Ints:
    """The events that can tell how a process ended."""
    return np.flatnonzero(context.run.events.is_kind("exit", "uncaught", "kill"))


def _of_process(context: Context, process: int, ending: Ints) -> Death:
    run, events = context.run, context.run.events
    row = run.trace.processes.iloc[process]
    status, time = number(row["status"]), int(row["ended"])
    own = ending[events.process[ending] == process]
    left = [event for event in own.tolist() if events.kind(event) == "exit" and events.exit[event] == NEVER]
    main = run.main_threads.get(process, NONE)
    raised = [event for event in own.tolist() if events.kind(event) == "uncaught" and events.thread[event] == main]
    killed = ending[(events.size[ending] == int(row["pid"])) & (events.extra[ending] == -(status or 0))]
    if status is not None and status < 0:
        killed = [event for event in killed.tolist() if events.kind(event) == "kill"]
        event = killed[-1] if killed else None
        sender = run.the_process(int(events.process[event])) if event is not None else ""
        by = f", sent by {sender}{run.at_event(event)}" if sender else ""
        return Death(process, None, time, f"was ended by {_signal(-status)}{by}", event, early=True)
    if raised:
        event = raised[-1]
        return Death(process, None, time, f"was ended by an exception{_words(context, event)}", event, early=True)
    if left:
        event = left[-1]
        how = f"ended by os._exit({'' if status is None else status}){run.at_event(event)}"
        return Death(process, None, time, how, event, early=bool(status))
    how = "ended" if not status else f"ended with status {status}"
    return Death(process, None, time, how, None, early=bool(status))


def _words(context: Context, event: int) -> str:
    words = " ".join(context.run.payloads[event].decode("utf-8", "replace").split())
    return f" ({words if len(words) <= LONGEST else words[: LONGEST - 1] + '…'})" if words else ""


def _signal(value: int) -> str:
    try:
        return signal.Signals(value).name
    except ValueError:
        return f"signal {value}"


def peer_gone(context: Context) -> Iterator[Finding]:
    """IPC118, of what can't go on: the first death that explains it, for each waiter that it explains."""
    told: set[tuple[int, int | None]] = set()
    gone = deaths(context) if context.knot else []
    for agent in [*context.core, *(agent for agent in context.dead if agent not in context.core)]:
        for death in gone:
            if (death.process, death.thread) not in told and _explains(context, agent, death):
                told.add((death.process, death.thread))
                yield _told(context, agent, death)
                break


def _explains(context: Context, agent: Agent, death: Death) -> bool:
    if agent.why or agent.thread is None or (death.process == agent.process and death.thread is None):
        return False
    if call_of(context, agent).endswith(("Queue.join", "Queue.next")):
        return False  # nobody owes it an answer, but a task_done(), which `notices.lost_wakeup` counts; or its own put
    if death.thread is not None:
        return _was_to_tell(context, agent, death)
    if agent.call == "read" and agent.channel is not None:
        return _kept_the_end(context, agent, death)
    if agent.call == "connect":  # an accept that no child is left to answer
        mine = agent.process == context.run.trace.processes["parent"].iloc[death.process]
        return mine and death.early and (nobody_else(context, agent) or _alone_left(context, agent))
    waits_for_work = agent.call in ("await", "receive") and (
        agent.process == context.run.trace.processes["parent"].iloc[death.process] or _touched(context, agent, death)
    )
    return waits_for_work and death.early and (
        taken(context, death) is not None or (_touched(context, agent, death) and _alone(context, agent))
    )


def _kept_the_end(context: Context, agent: Agent, death: Death) -> bool:
    """Whether it held the awaited end until it ended, and what is left of the ends will never be written to."""
    run, events = context.run, context.run.events
    channel = agent.channel
    assert channel is not None
    held = context.situation.write_ends(_far_end(context, channel))
    ended = int(run.trace.processes["ended"].iloc[death.process])
    own = held[held["process"] == death.process]
    if not (own["closed"].isna() | (own["closed"] >= ended)).any() or reads_to_end(context.situation, agent):
        return False
    wrote = death.process in context.situation.wrote.get(channel, ())
    whole = agent.event is not None and events.enclosing("receive")[agent.event] != NONE  # nothing ends at end of file
    others = set(held[held["closed"].isna()]["process"].tolist()) - {agent.process}
    writers = {int(run.trace.threads["process"].iloc[user]) for user in context.situation.uses.get((channel, "w"), ())}
    if others & writers:  # somebody else who is there has written: the one that died may be missed by nobody
        return death.early and (wrote or taken(context, death) is not None)
    return death.early or whole or not (wrote or others)


def _far_end(context: Context, channel: int) -> int:
    """The end that bytes for a channel are written at."""
    peer = number(context.run.trace.channels["peer"].iloc[channel])
    return channel if peer is None else peer


def taken(context: Context, death: Death) -> int | None:
    """The message that it had taken last, without any answer since; None: it owed nobody anything."""
    events = context.run.events
    own = events.thread == death.thread if death.thread is not None else events.process == death.process
    outer = events.outermost == np.arange(len(events))
    got = events.is_kind("receive") | (events.is_kind("read", "take") & (events.result > 0) & _between(context))
    took = np.flatnonzero(own & outer & got & (events.exit != NEVER) & (events.error == NONE))
    if not len(took):
        return None
    answered = own & events.is_kind(*ANSWERS) & (events.enter > events.enter[took[-1]]) & (events.exit != NEVER)
    return None if (answered & (_between(context) | ~events.is_kind("write"))).any() else int(took[-1])


def _between(context: Context) -> np.ndarray:
    """Which events are about a channel between processes: no file, no terminal."""
    kinds = context.run.trace.channels["kind"].isin(["pipe", "fifo", "socket"]).to_numpy()
    channels = context.run.events.channel
    found: np.ndarray = np.where(channels >= 0, kinds[np.maximum(channels, 0)] if len(kinds) else False, False)
    return found


def _touched(context: Context, agent: Agent, death: Death) -> bool:
    """Whether what died had to do with the object that is waited for."""
    events = context.run.events
    own = events.thread == death.thread if death.thread is not None else events.process == death.process
    return agent.channel is not None and bool((own & (events.channel == agent.channel)).any())


def _was_to_tell(context: Context, agent: Agent, death: Death) -> bool:
    """Whether a thread that an exception ended is missed by one that waits for something within its process."""
    if agent.process != death.process or agent.call not in ("await", "receive", "send", "acquire"):
        return False
    return _touched(context, agent, death) or (_alone(context, agent) and not _conversed(context, death))


def _conversed(context: Context, death: Death) -> bool:
    """Whether a thread had something else to do: it wrote to somebody, and owed nobody an answer."""
    events = context.run.events
    wrote = (events.thread == death.thread) & events.is_kind("write", "send") & _between(context)
    return bool((wrote & (events.result > 0)).any()) and taken(context, death) is None


def _alone(context: Context, agent: Agent) -> bool:
    """Whether nobody else that lives has ever had to do with what an agent waits for."""
    events = context.run.events
    users = set(events.thread[events.channel == agent.channel].tolist()) - {agent.thread}
    return not any(other.thread in users for other in context.situation.placed)


def _alone_left(context: Context, agent: Agent) -> bool:
    """Whether all that live besides an agent have long gone about something else."""
    return all(
        other.index == agent.index or settled(context.situation, other.index, agent.since)
        for other in context.situation.placed
    )


def _told(context: Context, agent: Agent, death: Death) -> Finding:
    run, events = context.run, context.run.events
    who = run.the_process(death.process) if death.thread is None else run.the_thread(death.thread)
    took = taken(context, death)
    work = ""
    if took is not None:
        work = f", with what it had taken from {run.channel_name(number(events.channel[took]))}{run.at_event(took)}"
    thread = death.thread if death.thread is not None else run.main_threads.get(death.process)
    watch = (
        f"Catch the exception in {who} and tell of it"
        if death.thread is not None
        else f"Watch {who} as well (its sentinel, exitcode or waitpid; ProcessPoolExecutor does)"
    )
    return finding(
        "IPC118",
        f"{sentence(who)} {death.how} after {span(death.time)}{work}: {context.the(agent)} "
        f"{run.waits_for(agent.reason, agent.channel)}{run.at_event(agent.event)}, and nobody else will answer"
        f"{_keepers(context, agent)}.",
        f"{watch} while waiting{run.at_event(agent.event)}, or give the wait a time-out.",
        certainty=context.certainty,
        threads=ids(agent.thread, thread),
        channels=ids(agent.channel, number(events.channel[took]) if took is not None else None),
        sites=ids(run.site_of(agent.event), run.site_of(death.event), run.site_of(took)),
        events=ids(agent.event, death.event, took),
    )


def _keepers(context: Context, agent: Agent) -> str:
    """Who keeps the awaited channel open."""
    if agent.call != "read" or agent.channel is None:
        return ""
    holders = context.situation.holders(_far_end(context, agent.channel), "w")
    names = ["itself" if process == agent.process else context.run.the_process(process) for process in holders]
    return f"; it stays open in {listing(names)}" if 0 < len(names) < 4 else ""


def respawned(context: Context) -> Iterator[Finding]:
    """IPC118 too: worker after worker ends before it has taken any work."""
    knot = context.knot
    series = standstill.respawned(context.situation) if knot is not None and knot.level == "stalled" else None
    if series is None or knot is None or series.agent.index not in knot.dead:
        return
    run, agent = context.run, series.agent
    last = _of_process(context, series.processes[-1], _ending(context))
    uncaught = last.event if last.event is not None and run.events.kind(last.event) == "uncaught" else None
    words = f" by an exception{_words(context, uncaught)}" if uncaught is not None else ""
    started = np.flatnonzero(run.events.is_kind("start", "fork") & (run.events.process == agent.process))
    site = next((run.site_of(int(event)) for event in started if run.site_of(int(event)) is not None), None)
    anew = context.run.trace.processes["how"].iloc[series.processes[-1]] != "fork"
    yield finding(
        "IPC118",
        f"{len(series.processes)} workers of {run.the_process(agent.process)} have ended one after the other{words}, "
        f"with status {series.status}, before they took any work: {context.the(agent)} "
        f"{run.waits_for(agent.reason, agent.channel)}{run.at_event(agent.event)}, and none of them will answer.",
        "Mend what ends them as they start"
        + (": a process that isn't forked runs the main module anew, so what starts processes belongs under if "
           f"__name__ == \"__main__\"{run.at_event(agent.event)}" if anew else run.at(site)) + ".",
        certainty=context.certainty,
        threads=ids(agent.thread, run.main_threads.get(series.processes[-1])),
        channels=ids(agent.channel),
        sites=ids(run.site_of(agent.event), site),
        events=ids(agent.event, uncaught),
    )


CHECKS: tuple[Check, ...] = (peer_gone, respawned)
