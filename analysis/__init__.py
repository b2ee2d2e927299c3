"""What a trace means: pure functions, tables in, tables and plain objects out. No I/O, nothing drawn.

    analysis = analyze(trace)

`run.Run` derives each table once; `waiting` decides what can't go on; `findings` runs the rules; `verdict` says it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from .events import NONE, Events, whole
from .findings import Context, find
from .graph import wait_graph
from .results import Analysis, WaitGraph
from .run import Run
from .situation import Situation
from .standstill import stuck
from .verdict import verdict
from .waiting import is_deadlock

__all__ = ["analyze", "is_deadlock"]


def analyze(trace: Trace) -> Analysis:
    """Everything that can be said about a finished trace. Empty tables are as good as full ones; nothing is raised."""
    run = Run(trace)
    situation = Situation(run)
    knot = None if trace.facts.get("ended") in ("exit", "signal") else stuck(situation)
    graph = wait_graph(situation, knot) if knot is not None else None
    context = Context(run, situation, knot, graph)
    found = find(context)
    races = run.races
    vars(run).pop("causality", None)  # of ten million events it is half a gigabyte, and nobody asks it again
    return Analysis(
        trace=trace, verdict=verdict(context, found), findings=found, graph=graph, names=run.names,
        process_names=run.process_names, channel_names=run.channel_names, messages=run.messages, blocking=run.blocking,
        channels=_channels(run, situation), streams=_streams(run), descriptors=run.spans, busy=run.busy,
        races=races, pieces=run.pieces, sampled=run.sampled, matrix=run.matrix, path=run.path, edges=run.edges,
        lanes=_lanes(run, graph),
    )  # fmt: skip


def _channels(run: Run, situation: Situation) -> pd.DataFrame:
    """`Analysis.channels`: who used each, and what went through; whoever isn't traced counts by the ends it holds."""
    table = run.trace.channels.copy()
    ids = table["channel"]
    table["name"] = ids.map(run.channel_names)
    untraced = run.spans[run.spans["process"].isin(run.unseen)]
    for column, way in (("writers", "w"), ("readers", "r")):
        holders = untraced[untraced["access"].str.contains(way)].groupby("channel")["process"].unique()
        table[column] = [
            ", ".join([
                *(run.names[thread] for thread in sorted(situation.uses.get((channel, way), ()))),
                *(run.process_names[process] for process in holders.get(channel, ())),
            ]) for channel in ids
        ]  # fmt: skip
    for column, kind in (("written", "write"), ("read", "read")):
        table[column] = _moved(run.events, kind).reindex(ids, fill_value=0).to_numpy()
    left = (table["written"] - table["read"]).clip(lower=0)
    known = table["kind"].isin(["pipe", "fifo"]) & ~table["outside"] & ~ids.isin(run.mixed | run.one_sided)
    table["left"] = left.astype("Int64").where(known)
    table["messages"] = run.messages["channel"].value_counts().reindex(ids, fill_value=0).to_numpy()
    return table


def _moved(events: Events, kind: str) -> pd.Series:
    chosen = events.is_kind(kind) & (events.channel != NONE) & (events.result > 0)
    return pd.Series(events.result[chosen]).groupby(events.channel[chosen]).sum()


def _streams(run: Run) -> pd.DataFrame:
    table = run.streams.drop(columns=["until", "now", "own"])
    table["process_name"] = table["process"].map(run.process_names)
    table["to"] = [run.channel_names.get(channel) for channel in run.streams["now"].tolist()]
    return table


def _bonds(run: Run) -> dict[int, dict[int, int]]:
    """How many messages each process exchanged with each other."""
    process, count = whole(run.trace.threads["process"]), len(run.trace.processes)
    writer, reader = (whole(run.messages[name]) for name in ("writer", "reader"))
    known = (writer != NONE) & (reader != NONE)
    one, two = process[writer[known]], process[reader[known]]
    pairs, messages = np.unique(np.append(one * count + two, two * count + one), return_counts=True)
    found: dict[int, dict[int, int]] = {}
    for pair, number in zip(pairs.tolist(), messages.tolist(), strict=True):
        found.setdefault(pair // count, {})[pair % count] = number
    return found


def _lanes(run: Run, graph: WaitGraph | None) -> list[int]:
    """Threads in display order: the knot's first, then who waits behind it; processes that talk lie side by side."""
    threads = run.trace.threads
    rank = {"core": 0, "victim": 1, "bystander": 2}
    roles = {waiter.thread: rank[waiter.role] for waiter in graph.waiters if waiter.thread is not None} if graph else {}
    process = dict(zip(threads["thread"].tolist(), threads["process"].tolist(), strict=True))
    urgency: dict[int, int] = {}
    for thread, owner in process.items():
        urgency[owner] = min(urgency.get(owner, 3), roles.get(thread, 3))
    bonds = _bonds(run)
    todo = sorted(urgency, key=lambda owner: (urgency[owner], owner), reverse=True)
    place: dict[int, int] = {}
    near: dict[int, int] = {}
    while todo:
        if (first := todo[-1]) in place:
            todo.pop()
            continue
        near = {owner: much for owner, much in near.items() if owner not in place and urgency[owner] == urgency[first]}
        chosen = min(near, key=lambda owner: (-near[owner], owner), default=first)
        place[chosen] = len(place)
        near = bonds.get(chosen, {})
    main = dict(zip(threads["thread"].tolist(), threads["main"].tolist(), strict=True))
    return sorted(process, key=lambda thread: (place[process[thread]], roles.get(thread, 3), not main[thread], thread))
