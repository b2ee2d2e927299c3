"""IPC118: who should have answered has ended, and what it took with it is still waited for.

A death is told where it explains the wait: it kept the awaited channel's other end until it ended (and end of file
doesn't come, since somebody else has that end too), or it had taken a piece of work and not answered. What ended as it
should, with all said, explains nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import standstill
from ..agents import Agent
from ..bystanders import settled
from ..events import NEVER, NONE, Flags, Ints, number, pick, whole
from ..findings import Check, Context, finding, ids
from ..naming import listing, sentence, signal_name, span
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
    ended = rows.loc[rows["ended"].notna() & (rows["ended"] < run.cut), "process"]
    ending = _Ending(context)
    found = [_of_process(context, process, ending) for process in ended.tolist()]
    mains = set(run.main_threads.values())
    alive = set(context.situation.alive)
    for event in np.flatnonzero(run.events.is_kind("uncaught")).tolist():
        thread, process = int(run.events.thread[event]), int(run.events.process[event])
        if thread not in mains and process in alive:
            how = f"was ended by an exception{_words(context, event)}"
            found.append(Death(process, thread, int(run.events.enter[event]), how, event, early=True))
    return sorted(found, key=lambda death: death.time)


class _Ending:
    """The last event of each kind that can tell how a process ended."""

    def __init__(self, context: Context) -> None:
        events = context.run.events
        self.pid, self.status, self.ended = (
            whole(context.run.trace.processes[name]) for name in ("pid", "status", "ended")
        )
        raised = np.flatnonzero(events.is_kind("uncaught"))
        raised = raised[np.isin(events.thread[raised], list(context.run.main_threads.values()))]
        left = np.flatnonzero(events.is_kind("exit") & (events.exit == NEVER))
        sent = np.flatnonzero(events.is_kind("kill"))
        self.raised: dict[int, int] = dict(zip(events.process[raised].tolist(), raised.tolist(), strict=True))
        self.left: dict[int, int] = dict(zip(events.process[left].tolist(), left.tolist(), strict=True))
        signals = zip(events.size[sent].tolist(), events.extra[sent].tolist(), strict=True)
        self.killed: dict[tuple[int, int], int] = dict(zip(signals, sent.tolist(), strict=True))  # pid and signal


def _of_process(context: Context, process: int, ending: _Ending) -> Death:
    run, events = context.run, context.run.events
    status, time = number(ending.status[process]), int(ending.ended[process])
    if status is not None and status < 0:
        event = ending.killed.get((int(ending.pid[process]), -status))
        sender = run.the_process(int(events.process[event])) if event is not None else ""
        by = f", sent by {sender}{run.at_event(event)}" if sender else ""
        return Death(process, None, time, f"was ended by {signal_name(-status)}{by}", event, early=True)
    if (event := ending.raised.get(process)) is not None:
        return Death(process, None, time, f"was ended by an exception{_words(context, event)}", event, early=True)
    if (event := ending.left.get(process)) is not None:
        how = f"ended by os._exit({'' if status is None else status}){run.at_event(event)}"
        return Death(process, None, time, how, event, early=bool(status))
    how = "ended" if not status else f"ended with status {status}"
    return Death(process, None, time, how, None, early=bool(status))


def _words(context: Context, event: int) -> str:
    words = " ".join(context.run.payloads[event].decode("utf-8", "replace").split())
    return f" ({words if len(words) <= LONGEST else words[: LONGEST - 1] + '…'})" if words else ""


def peer_gone(context: Context) -> Iterator[Finding]:
    """IPC118, of what can't go on: the first death that explains it, for each waiter that it explains."""
    told: set[tuple[int, int | None]] = set()
    core = {agent.index for agent in context.core}
    waiting = [*context.core, *(agent for agent in context.dead if agent.index not in core)]
    # nobody owes an answer to a join of a queue, but a task_done(), which `notices.lost_wakeup` counts; or its own put
    waiting = [
        agent for agent in waiting
        if not agent.why and agent.thread is not None
        and not call_of(context, agent).endswith(("Queue.join", "Queue.next"))
    ]  # fmt: skip
    gone = deaths(context) if waiting else []
    early = [death for death in gone if death.early]
    ends = _ends(context, waiting, gone)
    for agent in waiting:
        awaited = ends.get(agent.channel) if agent.call == "read" else None
        for death in awaited.kept if awaited is not None else early:
            if (death.process, death.thread) not in told and _explains(context, agent, awaited, death):
                told.add((death.process, death.thread))
                yield _told(context, agent, death)
                break


@dataclass(frozen=True, slots=True)
class Ends:
    """The write ends of a channel: the deaths of processes that held one until they ended, in order of time, the
    processes that have one yet, and those that have written."""

    kept: list[Death]
    left: set[int]
    writers: set[int]


def _ends(context: Context, waiting: list[Agent], gone: list[Death]) -> dict[int | None, Ends]:
    """Channel → its ends, of all that are read."""
    run, uses = context.run, context.situation.uses
    channels = {agent.channel for agent in waiting if agent.call == "read" and agent.channel is not None}
    far = {_far_end(context, channel): channel for channel in channels}
    spans = run.spans[run.spans["channel"].isin(far)]
    spans = spans[spans["access"].str.contains("w")]
    ended, closed = whole(run.trace.processes["ended"], NEVER), whole(spans["closed"], NEVER)
    kept, left = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
    for end, process, until in zip(spans["channel"].tolist(), spans["process"].tolist(), closed.tolist(), strict=True):
        if until >= ended[process]:
            kept[far[end]].add(process)
        if until == NEVER:
            left[far[end]].add(process)
    place = {death.process: place for place, death in enumerate(gone) if death.thread is None}
    process_of = run.trace.threads["process"].to_numpy()
    return {
        channel: Ends(
            [gone[at] for at in sorted(place[process] for process in kept[channel] if process in place)],
            left[channel],
            {int(process_of[user]) for user in uses.get((channel, "w"), ())},
        )
        for channel in channels
    }


def _explains(context: Context, agent: Agent, ends: Ends | None, death: Death) -> bool:
    if death.thread is not None:
        return _was_to_tell(context, agent, death)
    if death.process == agent.process:
        return False
    if ends is not None:
        return _missed(context, agent, ends, death)
    if agent.call == "connect":  # an accept that no child is left to answer
        mine = agent.process == context.run.trace.processes["parent"].iloc[death.process]
        return mine and death.early and (nobody_else(context, agent) or _alone_left(context, agent))
    waits_for_work = agent.call in ("await", "receive") and (
        agent.process == context.run.trace.processes["parent"].iloc[death.process] or _touched(context, agent, death)
    )
    return (
        waits_for_work
        and death.early
        and (taken(context, death) is not None or (_touched(context, agent, death) and _alone(context, agent)))
    )


def _missed(context: Context, agent: Agent, ends: Ends, death: Death) -> bool:
    """Whether what is left of the ends, one of which it held until it ended, will never be written to."""
    if reads_to_end(context.situation, agent):
        return False
    message = agent.event is not None and context.run.events.inside("receive", agent.event) != NONE
    wrote = agent.channel is not None and death.process in context.situation.wrote.get(agent.channel, ())
    others = ends.left - {agent.process}
    if others & ends.writers:  # somebody else who is there has written: the one that died may be missed by nobody
        return death.early and (wrote or taken(context, death) is not None)
    return death.early or message or not (wrote or others)  # no end of file ends a message


def _far_end(context: Context, channel: int) -> int:
    """The end that bytes for a channel are written at."""
    peer = number(context.run.trace.channels["peer"].iloc[channel])
    return channel if peer is None else peer


def taken(context: Context, death: Death) -> int | None:
    """The message that it had taken last, without any answer since; None: it owed nobody anything."""
    events, own = context.run.events, _own(context, death)
    got = own[(events.outermost[own] == own) & (events.exit[own] != NEVER) & (events.error[own] == NONE)]
    moved = events.among(got, "read", "take")
    moved = moved[(events.result[moved] > 0) & _between(context, moved)]
    took = max([*events.among(got, "receive").tolist(), *moved.tolist()], default=None)
    if took is None:
        return None
    answers = events.among(own[(events.enter[own] > events.enter[took]) & (events.exit[own] != NEVER)], *ANSWERS)
    wrote = events.among(answers, "write")
    return None if len(answers) > len(wrote) or _between(context, wrote).any() else took


def _own(context: Context, death: Death) -> Ints:
    """All events of what died, in order."""
    run = context.run
    if death.thread is not None:
        return run.of_thread(death.thread)
    threads = run.trace.threads.loc[run.trace.threads["process"] == death.process, "thread"].tolist()
    return np.sort(np.concatenate([np.zeros(0, dtype="int64"), *map(run.of_thread, threads)]))


def _between(context: Context, chosen: Ints) -> Flags:
    """Which of these events are about a channel between processes: no file, no terminal."""
    kinds = context.run.trace.channels["kind"].isin(["pipe", "fifo", "socket"]).to_numpy()
    found: Flags = pick(kinds.astype("int64"), context.run.events.channel[chosen], 0) > 0
    return found


def _touched(context: Context, agent: Agent, death: Death) -> bool:
    """Whether what died had to do with the object that is waited for."""
    if agent.channel is None or not context.situation.has_touched(agent.channel, death.process):
        return False
    return death.thread is None or death.thread in context.situation.touched(agent.channel, death.process)


def _was_to_tell(context: Context, agent: Agent, death: Death) -> bool:
    """Whether a thread that an exception ended is missed by one that waits for something within its process."""
    if agent.process != death.process or agent.call not in ("await", "receive", "send", "acquire"):
        return False
    return _touched(context, agent, death) or (_alone(context, agent) and not _conversed(context, death))


def _conversed(context: Context, death: Death) -> bool:
    """Whether a thread had something else to do: it wrote to somebody, and owed nobody an answer."""
    events = context.run.events
    wrote = events.among(_own(context, death), "write", "send")
    return bool(_between(context, wrote[events.result[wrote] > 0]).any()) and taken(context, death) is None


def _alone(context: Context, agent: Agent) -> bool:
    """Whether nobody else that lives has ever had to do with what an agent waits for."""
    situation, channel = context.situation, agent.channel
    return channel is None or not any(
        other.thread != agent.thread and situation.has_touched(channel, other.process)
        and other.thread in situation.touched(channel, other.process) for other in situation.placed
    )  # fmt: skip


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
    last = _of_process(context, series.processes[-1], _Ending(context))
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
        + (
            ": a process that isn't forked runs the main module anew, so what starts processes belongs under if "
            f'__name__ == "__main__"{run.at_event(agent.event)}'
            if anew
            else run.at(site)
        )
        + ".",
        certainty=context.certainty,
        threads=ids(agent.thread, run.main_threads.get(series.processes[-1])),
        channels=ids(agent.channel),
        sites=ids(run.site_of(agent.event), site),
        events=ids(agent.event, uncaught),
    )


CHECKS: tuple[Check, ...] = (peer_gone, respawned)
