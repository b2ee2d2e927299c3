"""Under what each setting ran: interpreter, platform, sizes of buffers and pipes, how each stream was buffered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd
from ipctrace.tracer.schema import printable

from ..events import rows_of
from ..results import Analysis
from .roles import Roles

# Of run.json: fact → words; what else there is in an object of these names is told by its own name.
FACTS = {"options.buffering": "buffering asked for", "options.payload": "payloads kept", "page_size": "size of a page",
         "ipctrace": "recorded with ipctrace", "schema": "schema of the trace"}  # fmt: skip
OBJECTS = ("platform", "environment")
MOST = 12  # processes that are told of


# In this order, those of one kind together; what isn't named here comes behind.
_ORDER = ("program", "interpreter", "buffering asked for", "stream", "started by", "capacity")


def environment(runs: Sequence[Analysis], roles: Sequence[Roles | None], columns: Sequence[str]) -> pd.DataFrame:
    """`Comparison.environment`. `runs`: the one shown of each setting; `roles`: who is who of the first in it (None:
    it is the first)."""
    told = [dict(_facts(one, _names(runs[0], one, who))) for one, who in zip(runs, roles, strict=True)]
    rows = []
    for name in sorted(dict.fromkeys(name for facts in told for name in facts), key=_rank):
        values = [None if (value := facts.get(name)) is None else printable(value) for facts in told]
        differs = len(set(values) - {None}) > 1
        rows.append({"fact": printable(name), **dict(zip(columns, values, strict=True)), "differs": differs})
    return pd.DataFrame(rows, columns=["fact", *columns, "differs"])


def _rank(fact: str) -> int:
    kind = fact.split(":")[0]
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


class _Names(NamedTuple):
    """Process → role, channel → name: those of the first run where it has them too."""

    processes: dict[int, str]
    channels: dict[int, str]


def _names(first: Analysis, one: Analysis, roles: Roles | None) -> _Names:
    processes, channels = dict(one.process_names), dict(one.channel_names)
    if roles is not None:
        processes |= {own: first.process_names[same] for own, same in roles.processes.items()}
        channels |= {own: first.channel_names[same] for own, same in roles.channels.items()}
    return _Names(processes, channels)


def _facts(analysis: Analysis, names: _Names) -> Iterator[tuple[str, str]]:
    facts, trace = analysis.trace.facts, analysis.trace
    yield "program", str(facts.get("program") or "")
    for row in list(rows_of(trace.processes))[:MOST]:
        name = names.processes[row.process]
        if isinstance(row.implementation, str):
            yield f"interpreter: {name}", row.implementation
        if row.how != "start":
            yield f"started by: {name}", str(row.how)
    for key, words in FACTS.items():
        value: Any = facts
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            yield words, str(value)
    for key in OBJECTS:
        for name, value in (facts.get(key) or {}).items():
            if isinstance(value, dict):
                yield from ((f"{key}: {name}, {part}", str(each)) for part, each in value.items())
            elif not isinstance(value, list):
                yield f"{key}: {name}", "not set" if value is None else str(value)
    for place, known in enumerate((facts.get("platform") or {}).get("interpreters") or []):
        which = "" if not place else f" {place + 1}"
        if known.get("start_method"):
            yield f"start method of interpreter{which} by default", str(known["start_method"])
        if known.get("buffer_size"):
            yield f"buffers of interpreter{which}", f"{known['buffer_size']:,} bytes"
    for row in list(rows_of(analysis.streams))[: 4 * MOST]:
        if row.name in ("sys.stdin", "sys.stdout"):
            kind = "unbuffered" if row.buffering == "none" else f"{row.buffering}-buffered"
            whose = f"stream: {row.name} of {names.processes[row.process]}"
            yield whose, f"{kind}, {row.buffer_size:,} bytes: {row.why}"
    for row in list(rows_of(analysis.channels))[: 4 * MOST]:
        if row.kind in ("pipe", "fifo") and pd.notna(row.capacity) and row.messages:
            yield f"capacity: {names.channels[row.channel]}", f"{row.capacity:,} bytes"
