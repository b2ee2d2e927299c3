"""What buffered streams hold back: bytes accepted − bytes that reached the descriptor = bytes stuck."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from .events import NEVER, NONE, Events, Ints, number, optional, rows_of, whole
from .payloads import Payloads
from .results import Stuck
from .units import Units


def lives(trace: Trace, events: Events) -> Ints:
    """When each stream came to its end: with its program (an exec, or the process's end); NEVER: still there."""
    ended = whole(trace.processes["ended"], NEVER)
    until = ended[whole(trace.streams["process"])] if len(trace.streams) else np.zeros(0, dtype="int64")
    opened, process = whole(trace.streams["opened"]), whole(trace.streams["process"])
    for event in np.flatnonzero(events.is_kind("exec") & (events.exit == NEVER) & (events.error == NONE)).tolist():
        gone = (process == events.process[event]) & (opened <= events.enter[event])
        until[gone] = np.minimum(until[gone], events.enter[event])
    return until


def account(trace: Trace, events: Events, handed: Units, until: Ints, leads_to: pd.Series) -> pd.DataFrame:
    """`Analysis.streams` without names: trace.streams and

    held (bytes stuck now), lost (bytes stuck when its program ended), own (of either, those that this process wrote,
    not its parent before a fork), peak, flushes, implicit, until (ns; NEVER), now (the channel it leads to).
    """
    count = len(trace.streams)
    accepted, reached = (whole(trace.streams[column]).copy() for column in ("accepted", "reached"))
    inherited = accepted.copy()
    np.maximum.at(accepted, handed.stream, handed.end)
    raw = events.is_kind("write") & (events.stream != NONE) & (events.offset != NONE) & (events.result > 0)
    np.maximum.at(reached, events.stream[raw], events.offset[raw] + events.result[raw])
    stuck = np.maximum(accepted - reached, 0)

    peak = stuck.copy()
    counted = (events.stream != NONE) & (events.pending != NONE)
    np.maximum.at(peak, events.stream[counted], events.pending[counted])
    # before its bytes go on, all that a stream had accepted was in it
    np.maximum.at(peak, events.stream[raw], events.result[raw])

    flushing = np.flatnonzero(events.is_kind("flush") & (events.stream != NONE))
    implicit = (events.enclosing("input", flushing) != NONE) | (events.site[flushing] == NONE)
    alive = until == NEVER
    table = trace.streams.copy()
    table["held"] = np.where(alive, stuck, 0)
    table["lost"] = np.where(alive, 0, stuck)
    table["own"] = np.maximum(accepted - np.maximum(reached, inherited), 0)
    table["peak"] = peak
    table["flushes"] = np.bincount(events.stream[flushing], minlength=count).astype("int64")[:count]
    table["implicit"] = np.bincount(events.stream[flushing][implicit], minlength=count).astype("int64")[:count]
    table["until"] = until
    table["now"] = optional(whole(leads_to.reindex(table["stream"]).astype("Int64")))
    return table


def destinations(trace: Trace, spans: pd.DataFrame, until: Ints) -> pd.Series:
    """Stream id → the channel that its descriptor led to in the end."""
    latest: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in rows_of(spans):
        latest.setdefault((row.process, row.fd), []).append((row.opened, row.channel))
    found = []
    for row in rows_of(trace.streams):
        held = [channel for opened, channel in latest.get((row.process, row.fd), []) if opened <= until[row.stream]]
        found.append(held[-1] if held else number(row.channel))
    return pd.Series(found, index=trace.streams["stream"], dtype="Int64")


def stuck_bytes(events: Events, handed: Units, payloads: Payloads, streams: pd.DataFrame) -> tuple[Stuck, ...]:
    """A `Stuck` for every stream that holds bytes now, or whose program ended with them; most bytes first."""
    found = []
    for row in rows_of(streams[(streams["held"] > 0) | (streams["lost"] > 0)]):
        size = int(row.held or row.lost)
        low, high = np.searchsorted(handed.stream, [row.stream, row.stream + 1])
        reached = int(max(handed.end[low:high].max(initial=row.accepted), row.accepted)) - size
        pieces, payload = [], b""
        for unit in range(low, high):
            stays = int(handed.end[unit] - max(handed.start[unit], reached))
            if stays > 0:
                pieces.append((number(events.site[handed.event[unit]]), stays))
                kept = b"".join(payloads[event] for event in handed.pieces(unit).tolist())
                payload += kept[int(handed.end[unit] - handed.start[unit]) - stays :]
        unknown = size - sum(length for _, length in pieces)
        if unknown > 0:  # written by the parent, before the fork that copied the stream
            pieces.insert(0, (None, unknown))
        found.append(Stuck(row.stream, row.process, number(row.now), size, tuple(pieces), payload))
    return tuple(sorted(found, key=lambda stuck: -stuck.size))
