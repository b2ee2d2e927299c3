"""What became of the run, in a sentence and an explanation. The wording's rules: who waits for whom, then why it can't
end, with the number and the place; no code, no blame, nothing that would fit any program; at most 34 words.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .agents import Agent
from .events import number, rows_of
from .findings import Context
from .naming import listing, plural, sentence, signal_name, span, the
from .results import Finding, Stuck, Verdict
from .rules.buffers import awaited
from .signals import Signal
from .waiting import Knot

# Signals by which programs end one another on purpose, as by any that they were seen to send. Only the recorded program
# itself crashes by one of these.
ON_PURPOSE = {Signal.SIGTERM, Signal.SIGINT, Signal.SIGHUP, Signal.SIGPIPE}
LONGEST = 60  # characters of an exception that are shown
QUIET = 1_000_000_000  # ns that nothing has moved until a run that was stopped counts as stalled
BUFFERED_WHY = {
    "not a terminal when Python started": "because it was not a terminal when Python started",
    "open()'s default": "which is open()'s default for a pipe",
    "asked for by open()": "as the call of open() asks",
    "ipctrace --buffering block": "as ipctrace --buffering block asks",
}


def verdict(context: Context, found: list[Finding]) -> Verdict:
    """The verdict on a run."""
    run, knot = context.run, context.knot
    ended = run.trace.facts.get("ended")
    if ended in ("exit", "signal"):
        return _crashed(context) or _completed(context, found)
    if knot is not None and knot.level in ("proven", "likely"):
        return _deadlock(context, knot, found)
    if knot is not None and (ended == "deadlock" or run.cut - knot.formed >= QUIET):
        return _stalled(context, knot, found)
    return _interrupted(context)


# Runs that ended


def _crashed(context: Context) -> Verdict | None:
    """The first process that a signal ended, or an exception that nothing handled."""
    run = context.run
    for row in rows_of(run.trace.processes):
        cause = _cause(context, row)
        if cause is None or number(row.ended) is None:
            continue
        own = run.blocking[(run.blocking["thread"] == run.main_threads.get(row.process)) & run.blocking["open"]]
        doing = ""
        if len(own):
            last = own.iloc[-1]
            waited = run.waited_for(last["reason"], number(last["channel"]))
            doing = f" It {waited}{run.at(number(last['site']))} as it ended."
        lived = span(int(row.ended - row.started))
        events = plural(int((run.events.process == row.process).sum()), "event")
        return Verdict(
            "crashed",
            "certain",
            f"{sentence(run.the_process(row.process))} was ended by {cause} after {lived}.",
            f"Its {events} up to then are in the trace.{doing}{_status(context)}",
        )
    return None


def _cause(context: Context, row: Any) -> str | None:
    """What ended a process before its time, in words."""
    events, status = context.run.events, number(row.status)
    if status is not None and status < 0:
        sent = events.is_kind("kill") & (events.size == row.pid) & (events.extra == -status)
        if row.process and (-status in ON_PURPOSE or not row.traced or sent.any()):
            return None
        return signal_name(-status)
    main = context.run.main_threads.get(row.process, -1)  # another thread's ends that thread alone
    for event in np.flatnonzero(events.is_kind("uncaught") & (events.thread == main)).tolist():
        words = context.run.payloads[event].decode("utf-8", "replace").strip().split("\n")[0]
        if not words.startswith("KeyboardInterrupt"):
            shown = words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
            return f"an exception that nothing handled{f' ({shown})' if shown else ''}"
    return None


def _status(context: Context) -> str:
    status = number(context.run.trace.facts.get("status"))
    return f" The program's exit status is {status}." if status else ""


def _completed(context: Context, found: list[Finding]) -> Verdict:
    run = context.run
    latent = next((each for each in found if each.certainty == "latent"), None)
    status = number(run.trace.facts.get("status"))
    how = "Completed" if not status else f"Ended with status {status}"
    because = [_lost(context), _longest(context)]
    left = run.trace.facts.get("left") or []
    if left:
        because.append(
            f"{plural(len(left), 'process')} still ran as the program ended, and "
            f"{'was' if len(left) == 1 else 'were'} stopped."
        )
    if latent is not None:
        because.insert(0, latent.message)
    return Verdict(
        "completed",
        "certain",
        f"{how} in {span(run.cut)}: {_traffic(context)}.",
        " ".join(filter(None, because)),
        latent.rule if latent else None,
    )


def _traffic(context: Context) -> str:
    """6 messages over 3 pipes, none lost, none held back for more than 0.3 s."""
    messages = context.run.messages
    if not len(messages):
        return "no bytes passed between processes or threads"
    kinds = context.run.trace.channels["kind"].iloc[messages["channel"].unique()].value_counts()
    over = listing([plural(int(count), str(kind)) for kind, count in kinds.items()])
    told = [f"{plural(len(messages), 'message')} over {over}"]
    never = int((messages["written"].isna() & messages["writer"].notna()).sum())
    told.append(f"{never} never sent" if never else "none lost")
    held = messages["written"] - messages["accepted"]
    if held.notna().any():
        told.append(f"none held back for more than {span(max(int(held.max()), 1000))}")
    return ", ".join(told)


def _lost(context: Context) -> str:
    lost = context.run.streams[context.run.streams["lost"] > 0]
    return f"{plural(int(lost['lost'].sum()), 'byte')} never left a buffer." if len(lost) else ""


def _longest(context: Context) -> str:
    """Who waited for longest, and where."""
    run = context.run
    waits = run.blocking[run.blocking["reason"] != "sleep"]
    if not len(waits):
        return "No thread waited for another."
    lengths = (waits["end"] - waits["begin"]).to_numpy()
    row = waits.iloc[int(lengths.argmax())]
    by = None if row["open"] else number(row["by"])
    waited = run.waited_for(row["reason"], number(row["channel"]))
    ended = f", until {run.the_thread(by)} {'ended' if row['reason'] == 'child' else 'acted'}" if by is not None else ""
    place = run.at(number(row["site"]))
    return f"The longest wait: {run.the_thread(row['thread'])} {waited} for {span(int(lengths.max()))}{place}{ended}."


# Runs that hang


def _deadlock(context: Context, knot: Knot, found: list[Finding]) -> Verdict:
    rule = next((each for each in found if each.rule < "IPC2" and each.certainty != "latent"), None)
    headline, because = _explained(context, rule)
    if knot.level == "likely":
        names = listing([context.the(context.situation.agents[index]) for index in knot.hangs_on])
        because += (
            f" This depends on {names}, which could still act, but since then has only repeated one loop and never "
            f"touched the channels in the knot."
        )
    return Verdict(
        "deadlock", "proven" if knot.level == "proven" else "likely", headline, because, rule.rule if rule else None
    )


def _explained(context: Context, rule: Finding | None) -> tuple[str, str]:
    """Headline and explanation of a knot by the rule that explains it."""
    who = _who_waits(context)
    if rule is None:
        return f"{who}.", _waits(context)
    if rule.rule == "IPC101":
        return _unflushed(context, who)
    others = {
        "IPC107": f"{who}, and nothing is on its way: every pipe and buffer between them is empty.",
        "IPC199": f"{who}, and none of them can go on.",
    }
    return others.get(rule.rule, rule.message), _waits(context)


def _who_waits(context: Context) -> str:
    """Parent and child each wait for the other to write."""
    core = context.core
    names = [context.name(agent) for agent in core]
    calls = {agent.call for agent in core}
    if len(core) == 1:
        waits = context.run.waits_for(core[0].reason, core[0].channel)
        return f"{sentence(the(names[0]))} {waits}, whose other end only it holds itself"
    deed = {frozenset({"read"}): " to write", frozenset({"write"}): " to read"}.get(frozenset(calls), "")
    if len(core) == 2:
        pair = f"{names[0]} and {names[1]}"
        return f"{pair[:1].upper() + pair[1:] if names[0] == 'parent' else pair} each wait for the other{deed}"
    shown = listing(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
    return f"{shown[:1].upper() + shown[1:] if names[0] == 'parent' else shown} wait for one another{deed}"


def _unflushed(context: Context, who: str) -> tuple[str, str]:
    run = context.run
    pairs = awaited(context)
    held = {stuck.stream: stuck for _, stuck in pairs}
    size = sum(stuck.size for stuck in held.values())
    owners = list(dict.fromkeys(stuck.process for stuck in held.values()))
    if len(owners) == 1:
        where = f"stuck in {run.possessive(owners[0])} own output buffer"
    else:
        where = f"stuck in the output buffers of {listing([run.the_process(owner) for owner in owners])}"
    headline = f"{who}. The {plural(size, 'byte')} that would free them {'is' if size == 1 else 'are'} {where}."
    told = []
    for stuck in held.values():
        row = run.trace.streams.iloc[stuck.stream]
        sites = list(dict.fromkeys(site for site, _ in stuck.pieces if site is not None))
        why = BUFFERED_WHY.get(str(row["why"]), f"({row['why']})")
        how = "block-buffered" if row["buffering"] == "block" else f"{row['buffering']}-buffered"
        told.append(
            f"The {_writing(context, sites)} put {plural(stuck.size, 'byte')} into {run.stream_name(stuck.stream)}, "
            f"which is {how}, {why}."
        )
    told += [_flushes_nothing(context, held), _others_empty(context, held)]
    if any(str(run.trace.streams["why"].iloc[stream]) == "not a terminal when Python started" for stream in held):
        told.append("Started in a terminal, the same program would complete: there the stream is line-buffered.")
    return headline, " ".join(filter(None, told))


def _writing(context: Context, sites: list[int]) -> str:
    """print at deadlock.py:41."""
    run = context.run
    if not sites:
        return "program"
    events = run.events
    ops = {events.op(k) for k in (events.site == sites[-1]).nonzero()[0].tolist() if events.kind(k) == "accept"}
    call = "print" if "print" in ops else "write"
    return (
        f"{call}{run.at(sites[-1])}"
        if len(sites) == 1
        else f"{plural(len(sites), 'write')} up to {run.place(sites[-1])}"
    )


def _flushes_nothing(context: Context, held: dict[int, Stuck]) -> str:
    """Why the wait of the one who holds the bytes did not flush them."""
    run = context.run
    owners = {run.trace.streams["process"].iloc[stream] for stream in held}
    for agent in context.core:
        if agent.process in owners and agent.event is not None:
            above = run.events.op(int(run.events.outermost[agent.event]))
            call = {"stream.readline": "readline()", "stream.read": "read()"}.get(above, f"{above}()")
            unlike = ", unlike input(), which flushes stdout first" if above.startswith("stream.") else ""
            place = run.at_event(agent.event)
            return f"{sentence(context.the(agent))} then waits in {call}{place}, which flushes nothing{unlike}."
    return ""


def _others_empty(context: Context, held: dict[int, Stuck]) -> str:
    """What the buffers of the other members hold: nothing."""
    run = context.run
    owners = {int(run.trace.streams["process"].iloc[stream]) for stream in held}
    holding = set(run.streams.loc[run.streams["held"] > 0, "process"].tolist())
    empty = [agent.process for agent in context.core if agent.process not in owners | holding]
    names = [run.possessive(process) for process in dict.fromkeys(empty)]
    return f"{sentence(listing(names))} own {'buffer is' if len(names) == 1 else 'buffers are'} empty." if names else ""


def _waits(context: Context) -> str:
    """Each member of the core, what it waits for, where and since when."""
    told = [_one_wait(context, agent) for agent in context.core[:3]]
    behind = [context.name(agent) for agent in context.dead if agent not in context.core]
    if behind:
        told.append(f"Behind them: {listing(list(dict.fromkeys(behind))[:4])}.")
    return " ".join(told)


def _one_wait(context: Context, agent: Agent) -> str:
    run = context.run
    if agent.why:
        return f"{sentence(context.the(agent))} {context.situation.why(agent)}."
    return (
        f"{sentence(context.the(agent))} {run.waits_for(agent.reason, agent.channel)}"
        f"{run.at_event(agent.event)}, since {agent.since / 1e9:.3f} s."
    )


def _stalled(context: Context, knot: Knot, found: list[Finding]) -> Verdict:
    run = context.run
    quiet = span(run.cut - knot.formed)
    helpers = [context.situation.agents[index] for index in knot.hangs_on]
    live = [agent for agent in context.situation.agents if agent.index not in knot.dead]
    rule = next((each for each in found if each.rule < "IPC2" and each.certainty != "latent"), None)
    if knot.outside:
        member = context.situation.agents[knot.outside[0]]
        rest = f"but it may yet: {context.the(member)} {context.situation.why(member)}"
    elif helpers:
        rest = f"but it may yet: {context.the(helpers[0])} {context.situation.why(helpers[0]) or 'could act'}"
    elif 0 in context.situation.alive and not any(agent.process == 0 for agent in context.dead):
        rest = f"between {listing([context.the(agent) for agent in context.core[:3]])}; the rest of the program goes on"
    elif live and all(agent.confirmed for agent in context.dead):
        rest = f"and nothing but a signal could move it: {context.the(live[0])} lives, and might send one"
    else:
        rest = "and nothing was seen that could move it, but /proc does not confirm that it can't"
    return Verdict(
        "stalled", "likely", f"Nothing has moved for {quiet}, {rest}.", _waits(context), rule.rule if rule else None
    )


def _interrupted(context: Context) -> Verdict:
    run = context.run
    by = {"duration": "at the end of the set time", "interrupted": "by hand"}.get(
        str(run.trace.facts.get("ended")), "by ipctrace"
    )
    return Verdict(
        "interrupted",
        "certain",
        f"Stopped {by} after {span(run.cut)}, still at work: {_traffic(context)}.",
        " ".join(filter(None, [_longest(context)])),
    )
