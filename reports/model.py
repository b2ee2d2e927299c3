"""The model that the page's script draws from: a small JSON object and the long tables as typed columns.

`build` is the one way from an `Analysis` to what assets/*.js reads. What is few (lanes, channels, sites, labels) is JSON;
what may be a million rows (messages, waits, marks) is packed (columns.py), with lanes, channels and sites as indices.
Times are ns since the start of the recording. A missing value is NaN in a column and null in the JSON.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.analysis.results import Analysis, Waiter
from ipctrace.tracer.schema import REASONS

from .columns import Packed, pack, squeeze

STRIPS = 16  # channel strips under the lanes; the rest is in the table
PAYLOAD_BUDGET = 8 * 2**20  # bytes of payload in one page; past it each message keeps a shorter beginning
LABELS = 2000  # different labels of waits, past which the arguments are left out
MARKS = ("fork", "exec", "start", "exit", "out")
OUTWARD = ("tty", "file", "device", "other")  # what a write is only marked for: nobody in the run reads it


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of the timeline: a thread, or a whole process of which no thread is known (`thread` None)."""

    process: int
    thread: int | None


class Run:
    """An analysis with the lookups that every part of the page needs."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.trace = analysis.trace
        self.facts = analysis.trace.facts
        self.graph = analysis.graph

    @cached_property
    def end(self) -> int:
        """The run's last moment, ns."""
        known = [self.facts.get("duration"), self.facts.get("stopped"), self.graph and self.graph.time]
        seen = [series.max() for series in (self.trace.events["exit"], self.analysis.blocking["end"]) if len(series)]
        return (
            max([int(value) for value in (*known, *seen) if value is not None and not pd.isna(value)], default=0) or 1
        )

    @cached_property
    def processes(self) -> list[dict[str, Any]]:
        """The rows of the trace's processes, missing values as None."""
        return rows(self.trace.processes)

    @cached_property
    def threads(self) -> list[dict[str, Any]]:
        return rows(self.trace.threads)

    @cached_property
    def sites(self) -> list[dict[str, Any]]:
        return rows(self.trace.sites)

    @cached_property
    def streams(self) -> list[dict[str, Any]]:
        return rows(self.analysis.streams)

    @cached_property
    def channels(self) -> list[dict[str, Any]]:
        return rows(self.analysis.channels)

    @cached_property
    def lines(self) -> dict[tuple[str, int], str]:
        """Source by (file, line), as far as it was kept."""
        kept = self.trace.sources
        return dict(zip(zip(kept["file"], kept["line"], strict=True), kept["text"], strict=True))

    @cached_property
    def lanes(self) -> list[Lane]:
        """The lanes in display order; a process's threads lie together."""
        shown = [Lane(self.threads[thread]["process"], thread) for thread in self.analysis.lanes]
        with_lane = {lane.process for lane in shown}
        shown += [Lane(row["process"], None) for row in self.processes if row["process"] not in with_lane]
        order = {process: place for place, process in enumerate(dict.fromkeys(lane.process for lane in shown))}
        return sorted(shown, key=lambda lane: order[lane.process])

    @cached_property
    def lane_of_thread(self) -> dict[int, int]:
        return {lane.thread: place for place, lane in enumerate(self.lanes) if lane.thread is not None}

    @cached_property
    def lane_of_process(self) -> dict[int, int]:
        """A process's first lane: its main thread's where there is one."""
        found: dict[int, int] = {}
        for place, lane in enumerate(self.lanes):
            if lane.process not in found or (lane.thread is not None and self.threads[lane.thread]["main"]):
                found[lane.process] = place
        return found

    def lane_of(self, waiter: Waiter) -> int | None:
        if waiter.thread is not None and waiter.thread in self.lane_of_thread:
            return self.lane_of_thread[waiter.thread]
        return self.lane_of_process.get(waiter.process)

    def process_name(self, process: int) -> str:
        """The role of a process in sentences."""
        return self.analysis.process_names.get(process, self.processes[process]["program"])

    def thread_name(self, thread: int | None, process: int) -> str:
        """The role of a thread, or of its process."""
        named = None if thread is None else self.analysis.names.get(thread)
        return named or self.process_name(process)

    def channel_name(self, channel: int) -> str:
        return self.analysis.channel_names.get(channel, f"channel {channel}")

    def place(self, site: int | None) -> str:
        """`deadlock.py:41`, or nothing."""
        return "" if site is None else f"{PurePath(self.sites[site]['file']).name}:{self.sites[site]['line']}"

    def call(self, event: int | None) -> str:
        """The call of an event as a person writes it: `sys.stdin.readline()`, `os.read(3)`, `time.sleep(0.3)`."""
        return "" if event is None else str(self.calls(pd.Series([event]))[0])

    def calls(self, events: pd.Series[Any], arguments: bool = True) -> np.ndarray[Any, Any]:
        """`call` for many events at once; without arguments where their number would be without bound."""
        picked = self.trace.events.iloc[events.to_numpy(dtype="int64")]
        said = picked[["op", "kind", "stream", "fd"]].reset_index(drop=True)
        said["size"] = picked["size"].where(picked["kind"] == "sleep").array if arguments else None
        # a million waits are a few different calls: each is put into words once
        groups = said.groupby(list(said.columns), dropna=False, sort=False).ngroup().to_numpy()
        first = np.unique(groups, return_index=True)[1]
        made = np.array([self._in_words(row) for row in rows(said.iloc[first])], dtype=object)
        return made[groups] if len(made) else made

    def _in_words(self, call: dict[str, Any]) -> str:
        op, stream, fd, size = call["op"], call["stream"], call["fd"], call["size"]
        if op.startswith("stream.") and stream is not None:
            return f"{self.streams[stream]['name']}{op.removeprefix('stream')}()"
        if call["kind"] == "sleep" and size is not None:
            return f"{op}({size / 1e9:g})"
        if call["kind"] in ("read", "write") and fd is not None:
            return f"{op.removeprefix('raw.')}({fd})"
        return f"{op}()"

    @cached_property
    def outermost(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Event → the outermost event around it: the `input()` around the `read`."""
        parents = self.trace.events["parent"].to_numpy(dtype="int64", na_value=-1)
        outer = np.arange(len(parents))
        while True:
            above = parents[outer]
            if (above < 0).all():
                return outer
            outer = np.where(above >= 0, above, outer)


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries of plain Python values, missing ones as None."""
    columns = {}
    for name in frame.columns:
        plain = frame[name].astype(object)
        columns[str(name)] = [None if _missing(value) else value for value in plain.to_list()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


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


def members(run: Run, role: str) -> list[Waiter]:
    """The waiters of a role, in the graph's order."""
    return [waiter for waiter in (run.graph.waiters if run.graph else ()) if waiter.role == role]


def buffering(stream: dict[str, Any]) -> str:
    """`block, 8192`, `line`, `none`."""
    return f"block, {stream['buffer_size']:,}" if stream["buffering"] == "block" else str(stream["buffering"])


def lanes(run: Run) -> list[dict[str, Any]]:
    roles = {run.lane_of(waiter): waiter.role for waiter in (run.graph.waiters if run.graph else ())}
    made = []
    for place, lane in enumerate(run.lanes):
        process = run.processes[lane.process]
        life = process if lane.thread is None else run.threads[lane.thread]
        made.append({
            "process": lane.process,
            "who": run.thread_name(lane.thread, lane.process),
            "program": run.process_name(lane.process),
            "pid": process["pid"],
            "thread": run.threads[lane.thread]["name"] if lane.thread is not None and process["traced"] else "not traced",
            "role": roles.get(place, ""),
            "traced": process["traced"],
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
        "reason": pack(reasons.get_indexer(table["reason"])),
        "lane": pack(mapped(table["thread"], run.lane_of_thread)),
        "by": pack(mapped(table["by"], run.lane_of_thread)),
        "channel": pack(table["channel"]),
        "site": pack(table["site"]),
        "label": pack(codes),
    }
    return {f"waits.{name}": column for name, column in columns.items()}, [str(label) for label in known]


def mapped(values: pd.Series[Any], table: dict[int, int]) -> pd.Series[Any]:
    """Each id through the table; what is missing, or not in it, is missing. (A million of them: by array, not by map.)"""
    lookup = np.full(max(table, default=0) + 2, np.nan)
    lookup[list(table)] = list(table.values())
    ids = values.to_numpy(dtype="float64", na_value=np.nan)
    known = (ids >= 0) & (ids < len(lookup))
    return pd.Series(np.where(known, lookup[np.where(known, ids, 0).astype("int64")], np.nan))


def messages(run: Run) -> tuple[dict[str, Packed], str, int]:
    """The messages as columns, their payloads in one blob, and how many bytes of each were kept in the page."""
    table = run.analysis.messages
    begin = table["accepted"].fillna(table["written"]).fillna(table["read"]).fillna(0).astype("int64")
    order = begin.argsort(kind="stable").to_numpy()
    table, begin = table.iloc[order], begin.iloc[order]
    payloads = [data if isinstance(data, bytes) else b"" for data in table["payload"]]
    limit = max(map(len, payloads), default=0)
    if sum(map(len, payloads)) > PAYLOAD_BUDGET:
        limit = min(limit, max(16, PAYLOAD_BUDGET // len(payloads)))
    kept = [data[:limit] for data in payloads]
    columns = {
        "number": pack(table["message"]),
        "begin": pack(begin, differences=True),
        "held": pack((table["written"] - begin).astype("Int64")),
        "transit": pack((table["read"] - table["written"]).astype("Int64")),
        "size": pack(table["size"]),
        "first": pack(table["first"]),
        "channel": pack(table["channel"]),
        "writer": pack(mapped(table["writer"], run.lane_of_thread)),
        "reader": pack(mapped(table["reader"], run.lane_of_thread)),
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
    """The lane that a fork (by pid) or a thread's start (by native id) began: of the same number, the nearest in time."""
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
