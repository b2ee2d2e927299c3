"""The model that the page's script draws from: a small JSON object and the long tables as typed columns.

`build` is the one way from an `Analysis` to what assets/*.js reads. What is few (lanes, channels, sites, labels) is
JSON; what may be a million rows (messages, waits, marks) is packed (columns.py), with lanes, channels and
sites as indices. Times are ns since the start of the recording. A missing value is NaN in a column, null in the JSON.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import REASONS

from .columns import Packed, pack, squeeze
from .run import Run, members

STRIPS = 16  # channel strips under the lanes; the rest is in the table
PAYLOAD_BUDGET = 8 * 2**20  # bytes of payload in one page; past it each message keeps a shorter beginning
LABELS = 2000  # different labels of waits, past which the arguments are left out
MARKS = ("fork", "exec", "start", "exit", "out")
OUTWARD = ("tty", "file", "device", "other")  # what a write is only marked for: nobody in the run reads it


def build(run: Run) -> tuple[dict[str, Any], dict[str, Packed], dict[str, str]]:
    """The JSON model, the packed columns by name (`messages.size`), and the blobs by name (`payload`)."""
    columns, labels = waits(run)
    held, payload, limit = messages(run)
    marked = marks(run)
    graph = run.graph
    core = [lane for lane in (run.lane_of(waiter) for waiter in members(run, "core")) if lane is not None]
    model = {
        "end": run.end,
        "formed": graph.formed if graph and core else None,
        "cut": graph.time if graph else run.end,
        "verdict": run.analysis.verdict.name,
        "reasons": {"run": "running", **REASONS, "unseen": "not traced"},
        "marks": MARKS,
        "lanes": lanes(run),
        "core": core,
        "channels": channels(run),
        "strips": strips(run),
        "sites": [
            {"file": PurePath(row["file"]).name, "line": row["line"], "text": run.lines.get((row["file"], row["line"]))}
            for row in run.sites
        ],
        "labels": labels,
        "stuck": [
            {"lane": run.lane_of_process.get(one.process), "channel": one.channel, "size": one.size}
            for one in (graph.stuck if graph else ())
        ],
        "findings": [
            {
                "code": one.rule, "name": one.name, "severity": one.severity, "certainty": one.certainty,
                "text": one.message, "site": one.sites[0] if one.sites else None,
                "threads": ", ".join(run.analysis.names.get(thread, str(thread)) for thread in one.threads),
            }
            for one in run.analysis.findings
        ],
        "streams": [
            {
                "process": row["process_name"], "name": row["name"], "fd": row["fd"], "to": row["to"],
                "buffering": buffering(row), "why": row["why"], "held": row["held"], "peak": row["peak"],
                "flushes": row["flushes"],
            }
            for row in run.streams
        ],
        "payload_limit": limit,
        "payloads": (run.facts.get("options") or {}).get("payload"),
    }  # fmt: skip
    return model, columns | held | marked, {"payload": payload}


def buffering(stream: dict[str, Any]) -> str:
    """`block, 8192`, `line`, `none`."""
    return f"block, {stream['buffer_size']:,}" if stream["buffering"] == "block" else str(stream["buffering"])


def lanes(run: Run) -> list[dict[str, Any]]:
    roles = {run.lane_of(waiter): waiter.role for waiter in (run.graph.waiters if run.graph else ())}
    made = []
    for place, lane in enumerate(run.lanes):
        process, traced = run.processes[lane.process], run.processes[lane.process]["traced"]
        life = process if lane.thread is None else run.threads[lane.thread]
        made.append({
            "process": lane.process,
            "who": run.thread_name(lane.thread, lane.process),
            "program": run.process_name(lane.process),
            "pid": process["pid"],
            "thread": run.threads[lane.thread]["name"] if traced and lane.thread is not None else "not traced",
            "role": roles.get(place, ""),
            "traced": traced,
            "started": life["started"],
            "ended": life["ended"],
        })  # fmt: skip
    return made


def channels(run: Run) -> list[dict[str, Any]]:
    kept = ("kind", "inode", "path", "capacity", "writers", "readers", "written", "read", "left", "messages")
    ends = run.analysis.descriptors
    made = []
    for row in run.channels:
        mine = ends[ends["channel"] == row["channel"]]
        open_ends = mine[mine["closed"].isna()] if len(mine) else mine
        made.append({
            "name": run.channel_name(row["channel"]), **{key: row.get(key) for key in kept},
            "unseen": {access: run.unseen(row["channel"], access)[0] for access in ("w", "r")},
            "open": {
                access: [f"{run.process_name(p)} fd {fd}" for p, fd in zip(some["process"], some["fd"], strict=True)]
                for access in ("w", "r")
                for some in (open_ends[open_ends["access"].isin([access, "rw"])] if len(open_ends) else open_ends,)
            },
        })  # fmt: skip
    return made


def strips(run: Run) -> list[int]:
    """The channels that get a strip: those that carried bytes between threads, or should have; the knot's first."""
    graph = run.graph
    wanted = [waiter.channel for waiter in members(run, "core")] + [
        one.channel for one in (graph.stuck if graph else ())
    ]
    busy = sorted((row for row in run.channels if row["messages"]), key=lambda row: -row["messages"])
    wanted += [row["channel"] for row in busy if row["kind"] not in OUTWARD]
    return list(dict.fromkeys(channel for channel in wanted if channel is not None))[:STRIPS]


def waits(run: Run) -> tuple[dict[str, Packed], list[str]]:
    """The blocking table as columns, and the labels that `waits.label` indexes."""
    table = run.analysis.blocking.sort_values("begin", kind="stable")
    outer = pd.Series(run.outermost[table["event"].to_numpy(dtype="int64")])
    labels = run.calls(outer)
    codes, known = pd.factorize(labels)
    if len(known) > LABELS:
        codes, known = pd.factorize(run.calls(outer, arguments=False))
    reasons = pd.Index(["run", *REASONS])
    columns = {
        "begin": pack(table["begin"], differences=True),
        "length": pack(table["end"].astype("int64") - table["begin"].astype("int64")),
        "open": pack(table["open"]),
        "reason": pack(reasons.get_indexer(pd.Index(table["reason"]))),
        "lane": pack(mapped(table["thread"], run.lane_of_thread)),
        "by": pack(mapped(run.waited_for, run.lane_of_thread).iloc[table.index]),
        "channel": pack(table["channel"]),
        "site": pack(table["site"]),
        "label": pack(codes),
    }
    return {f"waits.{name}": column for name, column in columns.items()}, [str(label) for label in known]


def mapped(values: pd.Series[Any], table: dict[int, int]) -> pd.Series[Any]:
    """Each id through the table; what is missing, or not in it, is missing. By array: there may be a million."""
    lookup = np.full(max(table, default=0) + 2, np.nan)
    lookup[list(table)] = list(table.values())
    ids = values.to_numpy(dtype="float64", na_value=np.nan)
    known = (ids >= 0) & (ids < len(lookup))
    return pd.Series(np.where(known, lookup[np.where(known, ids, 0).astype("int64")], np.nan))


def messages(run: Run) -> tuple[dict[str, Packed], str, int]:
    """The messages as columns, their payloads in one blob, and how many bytes of each were kept in the page."""
    table = run.analysis.messages
    writer, reader = (mapped(table[who], run.lane_of_thread) for who in ("writer", "reader"))
    # where one side is not traced, the other side's time stands for both; `unseen` says so: 1 the writer, 2 the reader
    from_unseen = table["writer"].isna() & table["written"].isna() & table["read"].notna()
    unread = table["written"].notna() & table["read"].isna()
    lanes = {channel: run.unseen(channel, "r") for channel in table.loc[unread, "channel"].unique()}
    to_unseen = unread & table["channel"].isin([channel for channel, (name, _) in lanes.items() if name])
    reader = reader.where(~to_unseen, table["channel"].map({channel: lane for channel, (_, lane) in lanes.items()}))
    writers = {channel: run.unseen(channel, "w")[1] for channel in table.loc[from_unseen, "channel"].unique()}
    writer = writer.where(~from_unseen, table["channel"].map(writers))
    table = table.assign(
        writer=writer, reader=reader, unseen=from_unseen * 1 + to_unseen * 2,
        written=table["written"].where(~from_unseen, table["read"]),
        read=table["read"].where(~to_unseen, table["written"]),
    )  # fmt: skip
    # bytes that never left would have come after all that did
    never = table["written"].isna()
    carried = table["channel"].map({row["channel"]: row["written"] or 0 for row in run.channels})
    before = table["size"].where(never, 0).groupby(table["channel"]).cumsum() - table["size"]
    table = table.assign(first=table["first"].where(~(never & table["first"].isna()), carried + before))
    begin = table["accepted"].fillna(table["written"]).fillna(table["read"]).fillna(0).astype("int64")
    order = begin.argsort(kind="stable").to_numpy()
    table, begin = table.iloc[order], begin.iloc[order]
    payloads = [data if isinstance(data, bytes) else b"" for data in table["payload"]]
    limit = max(map(len, payloads), default=0)
    if sum(map(len, payloads)) > PAYLOAD_BUDGET:
        limit = min(limit, max(16, PAYLOAD_BUDGET // len(payloads)))
    kept = [data[:limit] for data in payloads]
    columns = {
        "number": pack(table["message"] + 1),  # as sentences count them
        "begin": pack(begin, differences=True),
        "held": pack((table["written"] - begin).astype("Int64")),
        "transit": pack((table["read"] - table["written"]).astype("Int64")),
        "size": pack(table["size"]),
        "first": pack(table["first"]),
        "channel": pack(table["channel"]),
        "writer": pack(table["writer"].astype("float64")),
        "reader": pack(table["reader"].astype("float64")),
        "unseen": pack(table["unseen"]),
        "accept_site": pack(table["accept_site"].fillna(table["write_site"])),
        "write_site": pack(table["write_site"]),
        "read_site": pack(table["read_site"]),
        "reads": pack(table["reads"]),
        "merged": pack(table["merged"]),
        "ambiguous": pack(table["ambiguous"]),
        "kept": pack([len(data) for data in kept]),
    }
    return {f"messages.{name}": column for name, column in columns.items()}, squeeze(b"".join(kept)), limit


def marks(run: Run) -> dict[str, Packed]:
    """Forks, execs, thread starts, exits, and writes that leave the run: time, lane, kind (of MARKS), other lane."""
    events = run.trace.events
    outward = [row["channel"] for row in run.channels if row["kind"] in OUTWARD]
    kinds = events["kind"].where(~((events["kind"] == "write") & events["channel"].isin(outward)), "out")
    picked = events[kinds.isin(MARKS)]
    others = [
        started(run, kind, result, size, enter) if kind in ("fork", "start") else None
        for kind, result, size, enter in zip(
            picked["kind"], *(optional(picked[name]) for name in ("result", "size")), picked["enter"], strict=True
        )
    ]
    columns = {
        "time": pack(picked["enter"], differences=True),
        "lane": pack(mapped(picked["thread"], run.lane_of_thread)),
        "kind": pack(kinds[picked.index].map({kind: place for place, kind in enumerate(MARKS)})),
        "other": pack(pd.Series(others, dtype="Int64")),
        "site": pack(picked["site"]),
    }
    return {f"marks.{name}": column for name, column in columns.items()}


def optional(series: pd.Series[Any]) -> Iterable[int | None]:
    return [None if pd.isna(value) else int(value) for value in series]


def started(run: Run, kind: str, result: int | None, size: int | None, time: int) -> int | None:
    """The lane that a fork (by pid) or a thread's start (by native id) began: of equal numbers the nearest in time."""
    table, key, wanted, lane = (
        (run.processes, "pid", result, run.lane_of_process)
        if kind == "fork"
        else (run.threads, "tid", size, run.lane_of_thread)
    )
    found = [row for row in _by(run, table, key).get(wanted, ()) if row["started"] is not None]
    if not found:
        return None
    nearest = min(found, key=lambda row: abs(row["started"] - time))
    return lane.get(nearest["process" if kind == "fork" else "thread"])


def _by(run: Run, table: list[dict[str, Any]], key: str) -> dict[Hashable, list[dict[str, Any]]]:
    """Rows by a column's value; kept on the run, so that a thousand forks look it up once."""
    cache: dict[str, dict[Hashable, list[dict[str, Any]]]] = run.__dict__.setdefault("_indices", {})
    if key not in cache:
        found = cache[key] = {}
        for row in table:
            found.setdefault(row[key], []).append(row)
    return cache[key]
