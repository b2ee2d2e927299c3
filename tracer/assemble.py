"""Puts the logs of a run and what the supervisor saw together into one trace: tables in, tables out.

Everything that is numbered per log (channels, streams, sites, native thread ids) gets one numbering for the run; times
become relative to its start; and what happened after the run was frozen is cut off: a call that returned later is
unfinished, a process that ended later is alive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import schema
from .endpoints import Endpoint, connect
from .lives import Census, Life
from .logs import Definition, Log
from .proc import End
from .proc import Thread as SeenThread
from .records import joined
from .runtime import table
from .sources import Sources

Ints = npt.NDArray[np.int64]
_NOTHING = np.iinfo(np.int64).min
_ID_BITS = 34  # a log's own ids have 32; a damaged log may name any, so none of them may become an array's length
_FOREVER = np.iinfo(np.int64).max

_KIND = {code: kind for code, _, kind, _ in table.CALLS}


def _codes(*kinds: str) -> list[int]:
    return [code for code, kind in _KIND.items() if kind in kinds]


_OFFSET_KINDS, _POSITION_KINDS = _codes("accept", "write"), _codes("load", "store")
_MAKING = [*_codes("make", "pair", "entry"), table.CODE["os.forkpty"]]
_CLOSING = _codes("close")
_CLOSING_MANY = table.CODE["os.closerange"]
AT_ONCE = 1_000_000_000  # ns between two opens of one name that may both have found that there was no file
_OPENING = [table.CODE["os.open"], table.CODE["open"]]
_PIPES = [table.CODE["os.pipe"], table.CODE["os.pipe2"]]
_RESIZES = (1031, 1032)  # F_SETPIPE_SZ, F_GETPIPE_SZ of fcntl(2)
_ACQUIRE_KINDS, _SELECT_KINDS = _codes("acquire"), _codes("select")


class Frame(NamedTuple):
    """A frame of a Python stack: `depth` 0 is the innermost."""

    pid: int
    tid: int
    depth: int
    function: str
    file: str
    line: int


@dataclass(slots=True)
class Look:
    """What /proc showed at a moment (monotonic ns): threads and descriptors by pid, and the ends that others hold."""

    time: int
    threads: dict[int, list[SeenThread]] = field(default_factory=dict)
    ends: dict[int, list[End]] = field(default_factory=dict)
    outside: list[tuple[int, End]] = field(default_factory=list)


@dataclass(slots=True)
class Observations:
    """What the supervisor saw of a run. Times are monotonic ns; `origin` is time 0 of the trace.

    `lives` begin with the recorded program; `outside` and `capacities` are by (device, inode); `stopped` is when the
    run was frozen; `complete`: it was watched to its end. `samples` show the processes that aren't traced, now and
    then; `peers` are sockets' inodes by the inode of their other end; `unchanged`: since when what shared memory
    (device, inode) holds has been the same; `substitutes`: texts that ran in the place of files, by path.
    """

    origin: int
    lives: list[Life] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    samples: list[Look] = field(default_factory=list)
    stacks: list[Frame] = field(default_factory=list)
    outside: set[tuple[int, int]] = field(default_factory=set)
    capacities: dict[tuple[int, int], int] = field(default_factory=dict)
    peers: dict[int, int] = field(default_factory=dict)
    unchanged: dict[tuple[int, int], int] = field(default_factory=dict)
    stopped: int | None = None
    complete: bool = True
    substitutes: Mapping[str, str] = field(default_factory=dict)


def assemble(logs: Sequence[Log], seen: Observations, facts: Mapping[str, Any] | None = None) -> schema.Trace:
    """The trace of a run. `facts` is run.json as far as it is known; the counts are filled in here.

    The logs are in the order in which they were begun; a log's records keep their order wherever times are equal.
    """
    return _Assembly(logs, seen).trace(dict(facts or {}))


class _Assembly:
    """The tables under construction; ids of channels, streams and sites are places in the lists of rows."""

    def __init__(self, logs: Sequence[Log], seen: Observations) -> None:
        self.logs, self.seen = logs, seen
        self.census = Census(logs, seen.lives, seen.complete)
        self.channels = _Channels(logs, seen, self.census)
        self.addresses: dict[str, int] = {}
        self.streams: list[dict[str, Any]] = []
        self.sites: dict[_Place, int] = {}
        self.descriptors: list[dict[str, Any]] = []
        self.environment: list[dict[str, Any]] = []
        self.names: dict[int, str] = {}
        self.interpreters: dict[tuple[str, str], dict[str, Any]] = {}
        self.sources = Sources(seen.substitutes)
        self.locals = [self._define(index, log) for index, log in enumerate(logs)]
        self._resize()

    def trace(self, facts: dict[str, Any]) -> schema.Trace:
        threads = self._threads()
        events, payloads = self._events()
        looks, ends, samples = self._looks(), self._ends(), self._samples()
        stacks = self._stacks()
        for place in self.sites:
            self.sources.want(place.file, place.line, max(place.line, place.end_line))
        for frame in self.seen.stacks:
            self.sources.want(frame.file, frame.line, frame.line)
        tables = {
            "events": events, "payloads": payloads, "processes": self._processes(), "threads": threads,
            "channels": schema.frame("channels", self.channels.columns()),
            "descriptors": _frame("descriptors", self.descriptors), "streams": _frame("streams", self.streams),
            "sites": self._sites(), "sources": schema.frame("sources", self.sources.columns()),
            "looks": looks, "ends": ends, "stacks": stacks, "members": self.members,
            "environment": _frame("environment", self.environment), "samples": samples, "users": self._users(),
        }  # fmt: skip
        complete: dict[str, Any] = dict.fromkeys(schema.FACTS)
        dropped = [log.dropped for log in self.logs if log.dropped.events]
        complete |= facts | {
            "events": len(events), "lost": sum(log.header.lost for log in self.logs),
            "dropped": sum(each.events for each in dropped),
            "dropped_before": max((each.until - self.seen.origin for each in dropped), default=None),
        }  # fmt: skip
        if complete["platform"] is not None:
            complete["platform"] = complete["platform"] | {"interpreters": list(self.interpreters.values())}
        return schema.Trace({name: tables[name] for name in schema.TABLES}, complete)

    def _end(self, time: int | None) -> int | None:
        """An end, relative; None for one that came after the run was frozen."""
        stopped = self.seen.stopped
        return None if time is None or (stopped is not None and time > stopped) else time - self.seen.origin

    def _define(self, index: int, log: Log) -> _Local:
        """The run's numbers for what one log defines, and the rows that they stand for."""
        process, local = self.census.of_log(index), _Local()
        made: dict[int, dict[str, Any]] = {}
        for definition in log.definitions:
            text = definition.text
            if definition.code == table.SITE:
                key = _Place(text["file"], text["function"], *(int(text[name]) for name in _Place._fields[2:]))
                local.sites[definition.site] = self.sites.setdefault(key, len(self.sites))
                self.sources.folder(text["file"], log.process.get("cwd", ""))
            elif definition.code == table.CHANNEL:
                local.channels[definition.channel] = self.channels.define(definition, index, process)
                self.channels.made_at(local.channels[definition.channel], local.sites.get(definition.site))
            elif definition.code == table.DESCRIPTOR and definition.channel in local.channels:
                self.descriptors.append({
                    "process": process, "time": definition.time - self.seen.origin, "fd": definition.fd,
                    "channel": local.channels[definition.channel], "access": text["access"],
                    "inheritable": text["inheritable"] == "1",
                })  # fmt: skip
            elif definition.code == table.STREAM:
                row = made.get(definition.stream)
                facts: dict[str, Any] = {name: text[name] for name in ("name", "mode", "layer", "buffering", "why")}
                facts |= {"encoding": text["encoding"] or None, "buffer_size": int(text["buffer_size"])}
                if row is None:
                    local.streams[definition.stream] = len(self.streams)
                    row = made[definition.stream] = {
                        "stream": len(self.streams), "process": process, "fd": definition.fd,
                        "channel": local.channels.get(definition.channel), "opened": definition.time - self.seen.origin,
                        "accepted": definition.offset, "reached": max(definition.size, 0),
                    }  # fmt: skip
                    self.streams.append(row)
                row |= facts  # defined again when a text layer is put on it: the later one knows better
            elif definition.code == table.ADDRESS:
                address = schema.printable(text["text"])
                local.addresses[definition.offset] = self.addresses.setdefault(address, len(self.addresses))
            elif definition.code == table.ENDPOINT and definition.channel in local.channels:
                peer = local.channels.get(definition.offset)
                self.channels.describe(local.channels[definition.channel], definition, peer, process)
            elif definition.code == table.ENVIRONMENT:
                for variable in filter(None, text["variables"].split(table.LIST_SEPARATOR)):
                    name, known, value = variable.partition("=")
                    self.environment.append({
                        "process": process, "time": max(0, definition.time - self.seen.origin), "name": name,
                        "value": value if known else None,
                    })  # fmt: skip
            elif definition.code == table.NAME:
                self.names[process] = text["text"]
            elif definition.code == table.INTERPRETER and log.process:
                size = text["fact"] == "buffer_size"
                self._interpreter(log)[text["fact"]] = int(text["value"]) if size else text["value"]
        if log.process:
            self._interpreter(log)
        for (channel, way), amount in log.dropped.moved.items():
            if channel in local.channels:
                self.channels.dropped(local.channels[channel], way, amount)
        for stream, counts in log.dropped.streams.items():
            if stream in made:
                row = made[stream]
                row["accepted"], row["reached"] = (
                    max(row[name], count) for name, count in zip(("accepted", "reached"), counts, strict=True)
                )
        return local

    def _interpreter(self, log: Log) -> dict[str, Any]:
        """What is known of the interpreter that wrote a log."""
        key = log.process["implementation"], schema.printable(log.process["executable"])
        made = {"implementation": key[0], "executable": key[1], "start_method": None, "buffer_size": None}
        return self.interpreters.setdefault(key, made)

    def _resize(self) -> None:
        """The last capacity that a program set, or was told, of each pipe."""
        told = []
        for log, local in zip(self.logs, self.locals, strict=True):
            for record in log.records[np.isin(log.records["op"], _PIPES) & (log.records["size"] != table.NONE)]:
                if int(record["channel"]) in local.channels:
                    told.append((int(record["exit"]), local.channels[int(record["channel"])], int(record["size"])))
            asked = log.records["op"] == table.CODE["fcntl.fcntl"]
            for record in log.records[asked & np.isin(log.records["size"], _RESIZES)]:
                if record["state"] == table.DONE and int(record["channel"]) in local.channels:
                    told.append((int(record["exit"]), local.channels[int(record["channel"])], int(record["result"])))
        for _, channel, size in sorted(told):
            self.channels.resize(channel, size)

    def _processes(self) -> pd.DataFrame:
        rows = []
        for number, process in enumerate(self.census.processes):
            life, images = process.life, [self.logs[index] for index in process.logs]
            first, last = (images[0].process, images[-1].process) if images else ({}, {})
            rows.append({
                "process": number, "pid": life.pid, "parent": process.parent, "program": process.program,
                "argv": life.argv, "executable": life.executable, "implementation": last.get("implementation"),
                "cwd": first.get("cwd") or life.cwd, "traced": bool(images), "how": process.how,
                "started": max(0, life.started - self.seen.origin), "ended": self._end(life.ended),
                "status": life.status if self._end(life.ended) is not None else None,
                "name": self.names.get(number), "lost": sum(image.header.lost for image in images),
            })  # fmt: skip
        return _frame("processes", rows)

    def _threads(self) -> pd.DataFrame:
        tids: dict[int, set[int]] = {}
        for look in [*self.seen.looks, *self.seen.samples]:
            for pid, threads in look.threads.items():
                if (process := self.census.at(pid, look.time)) is not None:
                    tids.setdefault(process, set()).update(thread.tid for thread in threads)
        self.threads = self.census.threads(tids)
        self.of_process: dict[int, list[int]] = {}
        for number, thread in enumerate(self.threads):
            self.of_process.setdefault(thread.process, []).append(number)
        by_tid = {(thread.process, thread.tid): number for number, thread in enumerate(self.threads)}
        return _frame("threads", [
            {"thread": number, "process": thread.process, "tid": thread.tid, "name": thread.name, "main": thread.main,
             "loop": None if thread.loop is None else by_tid.get((thread.process, thread.loop)),
             "started": max(0, thread.started - self.seen.origin), "ended": self._end(thread.ended)}
            for number, thread in enumerate(self.threads)
        ])  # fmt: skip

    def _thread_of(self, index: int, log: Log) -> Ints:
        """The run's thread of each record of a log."""
        process = self.census.of_log(index)
        threads = [(number, self.threads[number]) for number in self.of_process[process]]
        own = sorted(
            (thread.tid, thread.begin, number) for number, thread in threads if thread.main or thread.log == index
        )
        # the last of those with the record's tid that had begun by then; there may be thousands, for tasks are threads
        tid, begin, number = np.array(own, np.int64).reshape(-1, 3).T
        _, named = np.unique(np.concatenate([log.records["thread"].astype(np.int64), tid]), return_inverse=True)
        width = int(max([*log.slots[-1:], *begin], default=0)) + 1
        keys = named[len(log.records) :] * width + begin
        at = np.searchsorted(keys, named[: len(log.records)] * width + log.slots, "right") - 1
        found = np.where((at >= 0) & (tid[at] == log.records["thread"]), number[at], -1)
        for place in np.flatnonzero(log.records["flags"] & table.GHOST).tolist():
            found[place] = self._ghost(process, int(log.records["thread"][place]))
        found[found < 0] = next(number for number, thread in threads if thread.main)
        return found

    def _ghost(self, process: int, tid: int) -> int:
        """The thread of a forebear that did what only its fork's child tells of."""
        forebear = self.census.processes[process].parent
        while forebear is not None:
            for number in self.of_process[forebear]:
                if self.threads[number].tid == tid:
                    return number
            forebear = self.census.processes[forebear].parent
        return -1

    def _events(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        logs, seen = self.logs, self.seen
        records = joined([log.records for log in logs], np.dtype([("op", "u1")]))
        if not len(records):
            self.members = schema.frame("members")
            return schema.frame("events"), schema.frame("payloads")
        origin, stopped = seen.origin, _FOREVER if seen.stopped is None else seen.stopped
        log_of = np.repeat(np.arange(len(logs)), [len(log.records) for log in logs])
        thread = joined([self._thread_of(index, log) for index, log in enumerate(logs)])
        entered = records["enter"].astype(np.int64)
        left = np.where(records["state"] == table.OPEN, _FOREVER, records["exit"].astype(np.int64))
        left[left > stopped] = _FOREVER
        order = np.argsort(entered, kind="stable")
        order = order[: np.searchsorted(entered[order], stopped, "right")]
        sorted_log, sorted_thread = log_of[order], thread[order]
        parent = nesting(sorted_thread + sorted_log * len(self.threads), entered[order], left[order])
        records, left = records[order], left[order]
        op, done = records["op"], left != _FOREVER
        failed, returned = done & (records["state"] == table.FAILED), done & (records["state"] == table.DONE)
        stream = self._global("streams", records["stream"], sorted_log)
        addressed = records["flags"] & table.ADDRESSED != 0
        timed, waits = records["flags"] & table.TIMED != 0, records["flags"] & table.NONBLOCKING == 0
        has_offset = (np.isin(op, _OFFSET_KINDS) & (stream >= 0)) | np.isin(op, _POSITION_KINDS)
        process = np.array([found.process for found in self.threads])  # a ghost's isn't its log's
        sizes, offsets = records["size"].astype(np.int64), records["offset"].astype(np.int64)
        address = self._global("addresses", np.where(addressed, offsets, 0), sorted_log)
        columns: dict[str, Any] = {
            "event": np.arange(len(order)), "process": process[sorted_thread], "thread": sorted_thread,
            "op": _words(op, {code: name for code, name, _, _ in table.CALLS}), "kind": _words(op, _KIND),
            "wait": _words(np.where(waits, op, 0), {code: wait or None for code, _, _, wait in table.CALLS}),
            "timed": timed & waits,
            "enter": entered[order] - origin, "exit": _nullable(left - origin, done),
            "fd": _nullable(records["fd"], records["fd"] != table.NO_FD),
            "channel": _present(self._global("channels", records["channel"], sorted_log)), "stream": _present(stream),
            "site": _present(self._global("sites", records["site"], sorted_log)),
            "size": _nullable(sizes, sizes != table.NONE),
            "result": _nullable(records["result"], returned & (records["result"] != table.NONE)),
            "extra": _nullable(records["extra"], returned & (records["extra"] != table.NONE)),
            "error": _nullable(records["error"], failed),
            "offset": _nullable(offsets, has_offset & ~addressed),
            "address": _words(address, dict(enumerate(self.addresses))),
            "owner": _nullable(offsets, np.isin(op, _ACQUIRE_KINDS) & (offsets > 0)),
            "pending": _nullable(records["pending"], done & (records["pending"] != table.NONE)),
            "parent": _present(parent),
        }  # fmt: skip
        return schema.frame("events", columns), self._payloads(order, len(log_of))

    def _payloads(self, order: Ints, records: int) -> pd.DataFrame:
        """Payloads by event, of the records that are in `order`."""
        begins = np.cumsum([0, *(len(log.records) for log in self.logs)])[:-1]
        owner = joined([log.payload_of + begin for log, begin in zip(self.logs, begins, strict=True)])
        data = [payload for log in self.logs for payload in log.payloads]
        event_of = np.full(records, -1, np.int64)
        event_of[order] = np.arange(len(order))
        event = event_of[owner]
        ordered = np.argsort(event, kind="stable")
        ordered = ordered[np.searchsorted(event[ordered], 0) :]
        op = joined([log.records["op"][log.payload_of] for log in self.logs], "u1")
        selects = np.isin(op, _SELECT_KINDS)[ordered]
        self.members = _members(event[ordered][selects], [data[place] for place in ordered[selects].tolist()])
        ordered = ordered[~selects]
        return schema.frame("payloads", {"event": event[ordered], "data": [data[place] for place in ordered.tolist()]})

    def _global(self, what: str, numbers: npt.NDArray[Any], log_of: Ints) -> Ints:
        """The run's ids for a column of the logs' own; -1 where there is none."""
        known = [
            (index << _ID_BITS | number, found)
            for index, local in enumerate(self.locals)
            for number, found in sorted(getattr(local, what).items())
        ]
        keys, found = np.array(known, np.int64).reshape(-1, 2).T
        own = numbers.astype(np.int64)
        wanted = np.where(own >> _ID_BITS == 0, log_of.astype(np.int64) << _ID_BITS | own, -1)
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        return np.where(keys[place] == wanted, found[place], -1) if len(keys) else np.full(len(wanted), -1)

    def _sites(self) -> pd.DataFrame:
        rows = [
            {"site": number} | {name: None if value == -1 else value for name, value in place._asdict().items()}
            for place, number in self.sites.items()
        ]  # fmt: skip
        return _frame("sites", rows)

    def _looks(self) -> pd.DataFrame:
        rows = []
        for number, look in enumerate(self.seen.looks):
            for pid, threads in look.threads.items():
                process = self.census.at(pid, look.time)
                for thread in threads if process is not None else ():
                    call = thread.call
                    rows.append({
                        "look": number, "time": look.time - self.seen.origin, "process": process, "tid": thread.tid,
                        "state": thread.state, "syscall": call.name, "fd": call.fd, "pid": call.pid,
                    })  # fmt: skip
        return _frame("looks", rows)

    def _ends(self) -> pd.DataFrame:
        rows = []
        for number, look in enumerate(self.seen.looks):
            held = [(pid, self.census.at(pid, look.time), end) for pid, ends in look.ends.items() for end in ends]
            for pid, process, end in [*held, *((pid, None, end) for pid, end in look.outside)]:
                rows.append({
                    "look": number, "process": process, "pid": pid, "fd": end.fd,
                    "channel": self.channels.seen(end, look.time), "access": end.access,
                })  # fmt: skip
        return _frame("ends", rows)

    def _samples(self) -> pd.DataFrame:
        """What was seen of processes that aren't traced; their ends become rows of `descriptors`."""
        rows = []
        for sample in self.seen.samples:
            if self._end(sample.time) is None:
                continue
            for pid, threads in sample.threads.items():
                process, time = self.census.at(pid, sample.time), sample.time - self.seen.origin
                if process is None:
                    continue
                for thread in threads:
                    call = thread.call
                    rows.append({
                        "time": time, "process": process, "tid": thread.tid, "state": thread.state,
                        "syscall": call.name, "fd": call.fd, "pid": call.pid, "runs": thread.runs,
                    })  # fmt: skip
                for end in sample.ends.get(pid, ()):
                    self.descriptors.append({
                        "process": process, "time": time, "fd": end.fd, "channel": self.channels.seen(end, sample.time),
                        "access": end.access, "inheritable": end.inheritable,
                    })  # fmt: skip
        return _frame("samples", rows)

    def _users(self) -> pd.DataFrame:
        """Who moved bytes in events that were dropped: every thread that had the number, if several had."""
        rows = set()
        for index, (log, local) in enumerate(zip(self.logs, self.locals, strict=True)):
            of_process = self.of_process[self.census.of_log(index)]
            for tid, channel, way in log.dropped.users:
                if channel in local.channels:
                    named = [number for number in of_process if self.threads[number].tid == tid]
                    rows |= {(number, local.channels[channel], way) for number in named}
        return _frame("users", [dict(zip(("thread", "channel", "access"), row, strict=True)) for row in sorted(rows)])

    def _stacks(self) -> pd.DataFrame:
        time = self.seen.looks[-1].time if self.seen.looks else self.seen.origin
        rows = [(self.census.at(frame.pid, time), frame) for frame in self.seen.stacks]
        return _frame("stacks", [
            {"process": process, "tid": frame.tid, "depth": frame.depth, "function": frame.function, "file": frame.file,
             "line": frame.line}
            for process, frame in rows if process is not None
        ])  # fmt: skip


class _Place(NamedTuple):
    """What tells one site from another; -1 where the interpreter doesn't know it."""

    file: str
    function: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(slots=True)
class _Local:
    """The run's ids by a log's own numbers."""

    channels: dict[int, int] = field(default_factory=dict)
    streams: dict[int, int] = field(default_factory=dict)
    sites: dict[int, int] = field(default_factory=dict)
    addresses: dict[int, int] = field(default_factory=dict)


Key = tuple[Any, ...]


class _Birth(NamedTuple):
    """Something was made: when, by which log's process, which calls it by which number."""

    time: int
    log: int
    channel: int
    kind: str


class _Channels:
    """Channels by (device, inode) and generation: a pipe that is made with numbers seen before is another one.

    Objects of Python's by their log and number, or by their name in the system where they have one.
    """

    def __init__(self, logs: Sequence[Log], seen: Observations, census: Census) -> None:
        self._seen, self._logs, self._census = seen, logs, census
        self._rows: list[dict[str, Any]] = []
        self._objects: dict[Key, int] = {}
        self._lives: defaultdict[Key, dict[int, int]] = defaultdict(dict)  # → how often it had been made → id
        self._made = [_made(log) for log in logs]
        births: defaultdict[Key, list[_Birth]] = defaultdict(list)
        for index, (log, made) in enumerate(zip(logs, self._made, strict=True)):
            for definition in log.definitions:
                if definition.code == table.CHANNEL and definition.channel in made:
                    birth = _Birth(made[definition.channel], index, definition.channel, definition.text["kind"])
                    births[_key(definition)].append(birth)
        self._births = defaultdict[Key, list[int]](list) | {key: self._distinct(each) for key, each in births.items()}
        self._ends: list[Endpoint] = []

    def _distinct(self, births: list[_Birth]) -> list[int]:
        """When something new was made, in order. Of processes that make a file of one name at once each finds that
        there is none yet, and takes itself for the maker: but while the first has it open, no other can be made."""
        births = sorted(births)
        return [
            birth.time
            for place, birth in enumerate(births)
            if birth.kind != "file" or not any(self._open_until(first, birth) for first in births[:place])
        ]

    def _open_until(self, birth: _Birth, other: _Birth) -> bool:
        """Whether a file is known to be open still in the process that made it as another says to make it."""
        if birth.log == other.log or other.time - birth.time > AT_ONCE:
            return False
        records = self._logs[birth.log].records
        closes = (np.isin(records["op"], _CLOSING) & (records["channel"] == birth.channel)) | (
            records["op"] == _CLOSING_MANY
        )
        process = self._census.processes[self._census.of_log(birth.log)]
        later = (self._logs[log].header.started for log in process.logs if log != birth.log)
        ended = process.life.ended
        return not (
            (closes & (records["enter"] < other.time)).any()
            or (ended is not None and ended < other.time)
            or any(birth.time < started < other.time for started in later)
        )

    def define(self, definition: Definition, log: int, process: int) -> int:
        """The id of what a log defines."""
        text = definition.text
        if text["kind"] in table.OBJECTS:
            return self._object(definition, log, process)
        made = self._made[log].get(definition.channel)
        generation = bisect_right(self._births[_key(definition)], definition.time if made is None else made)
        return self._number(_key(definition), generation, text["kind"], text["path"] or None)

    def _object(self, definition: Definition, log: int, process: int) -> int:
        text, serial = definition.text, int(definition.text["inode"])
        path, origin = text["path"] or None, definition.offset
        key: Key = (text["kind"], path) if path else (log, text["kind"], serial)
        known = self._objects.get(key)
        if known is not None:
            row = self._rows[known]
            if row["capacity"] is None and definition.size != table.NONE:  # its maker knows
                row["capacity"] = definition.size
            return known
        number = self._objects[key] = self._number(key, 0, text["kind"], path)
        row = self._rows[number] | {"device": 0, "inode": serial, "outside": False}
        row["capacity"] = None if definition.size == table.NONE else definition.size
        if path is None:
            row["process"] = process
            maker = self._forebear(log, origin)
            row["copy_of"] = self._objects.get((maker, text["kind"], serial)) if maker != log else None
        self._rows[number] = row
        return number

    def _forebear(self, log: int, pid: int) -> int:
        """The log of the image of process `pid` from which this log's process was forked, directly or not."""
        while self._logs[log].header.pid != pid and self._logs[log].process.get("how") == "fork":
            parent = self._census.processes[self._census.of_log(log)].parent
            started = self._logs[log].header.started
            logs = [] if parent is None else self._census.processes[parent].logs
            earlier = [index for index in logs if self._logs[index].header.started <= started]
            if not earlier:
                break
            log = earlier[-1]
        return log

    def made_at(self, channel: int, site: int | None) -> None:
        """Where in the program's source an object was made."""
        if site is not None:  # a spawned child doesn't know
            self._rows[channel]["site"] = site

    def describe(self, channel: int, definition: Definition, peer: int | None, process: int) -> None:
        """What a process knew of one end of a connection."""
        row, text = self._rows[channel], definition.text
        for name in ("form", "local", "remote"):
            row[name] = text[name] or row.get(name)
        if peer is not None:
            row["peer"] = peer
            self._rows[peer]["peer"] = channel
        said = int(text["peer_pid"]) if text["peer_pid"].isdigit() else None
        since = None if definition.size == table.NONE else definition.size
        pid = self._census.processes[process].life.pid
        self._ends.append(Endpoint(channel, definition.time, pid, said, since, definition.thread))

    def dropped(self, channel: int, way: str, amount: int) -> None:
        """What went through it in events that were dropped."""
        name, row = "dropped_read" if way == "r" else "dropped_written", self._rows[channel]
        row[name] = (row.get(name) or 0) + amount

    def resize(self, channel: int, size: int) -> None:
        """A program asked for, or set, how many bytes a pipe holds."""
        self._rows[channel]["capacity"] = size

    def seen(self, end: End, time: int) -> int:
        """The id of what /proc showed."""
        key = (end.device, end.inode)
        generation = bisect_right(self._births[key], time)
        if generation not in self._lives[key]:  # a pipe is there a moment before it is known when it was made
            generation = min(max(self._lives[key], default=0), generation + 1)
        return self._number(key, generation, end.kind, end.path)

    def _number(self, key: Key, generation: int, kind: str, path: str | None) -> int:
        lives = self._lives[key]
        if generation in lives:
            return lives[generation]
        number = lives[generation] = len(self._rows)
        since = self._seen.unchanged.get(key)
        self._rows.append({
            "channel": number, "kind": kind, "device": key[0], "inode": key[1], "generation": 0, "path": path,
            "capacity": self._seen.capacities.get(key), "outside": key in self._seen.outside and not generation,
            "unchanged": None if since is None else since - self._seen.origin,
        })  # fmt: skip
        return number

    def columns(self) -> dict[str, list[Any]]:
        """The table's columns."""
        for lives in self._lives.values():
            for generation, (_, number) in enumerate(sorted(lives.items())):
                self._rows[number]["generation"] = generation
        connect(self._rows, self._ends, self._seen.peers)
        names = [column.name for column in schema.TABLES["channels"].columns]
        return {name: [row.get(name) for row in self._rows] for name in names}


def _made(log: Log) -> dict[int, int]:
    """When the pipes, pairs and files that a log's process made were made, by its own channel numbers."""
    op, extra = log.records["op"], log.records["extra"]
    made = log.records[np.isin(op, _MAKING) | (np.isin(op, _OPENING) & (extra == 1))]
    found = dict(zip(made["channel"].tolist(), made["enter"].tolist(), strict=True))
    for definition in log.definitions:  # both ends of a pair were made together
        if definition.code == table.ENDPOINT and definition.offset and definition.channel in found:
            found[definition.offset] = found[definition.channel]
    return found


def _key(definition: Definition) -> Key:
    return int(definition.text["device"]), int(definition.text["inode"])


def _members(events: Ints, texts: Sequence[bytes]) -> pd.DataFrame:
    """`members`, from what each select was asked for: "r3 rw4"."""
    rows = [
        {"event": event, "fd": int(item.lstrip("rw")), "access": item.rstrip("0123456789-")}
        for event, text in zip(events.tolist(), texts, strict=True)
        for item in text.decode("ascii", "replace").split()
        if item.lstrip("rw").lstrip("-").isdigit()
    ]
    return _frame("members", rows)


def nesting(thread: Ints, enter: Ints, exit: Ints) -> Ints:
    """For events in order of `enter`: the event of the same thread that each happened inside, or -1.

    Calls nest as a stack does, so an event's depth is how many of its thread's earlier events have not ended yet, and
    its parent the last one before it that is one level up.
    """
    parent = np.full(len(thread), -1, np.int64)
    order = np.argsort(thread, kind="stable")
    bounds: list[int] = np.flatnonzero(np.diff(thread[order], prepend=-1, append=-1)).tolist() if len(order) else []
    for begin, end in pairwise(bounds):
        own = order[begin:end]
        ended = np.searchsorted(np.sort(np.maximum(exit[own], enter[own] + 1)), enter[own], "right")
        depth = np.arange(len(own)) - ended
        for level in range(1, int(depth.max()) + 1):
            upper, lower = own[depth == level - 1], own[depth == level]
            parent[lower] = upper[np.searchsorted(upper, lower) - 1]
    return parent


def _words(codes: npt.NDArray[Any], names: Mapping[int, str | None]) -> pd.Series[Any]:
    """A column of names from one of codes."""
    present, which = np.unique(codes, return_inverse=True)
    told = [names.get(code) for code in present.tolist()]
    number = {name: place for place, name in enumerate(dict.fromkeys(name for name in told if name is not None))}
    return schema.words(np.array([-1 if name is None else number[name] for name in told])[which], [*number])


def _nullable(values: npt.NDArray[Any], there: npt.NDArray[np.bool_]) -> pd.arrays.IntegerArray:
    """A column of integers that is empty where nothing is there."""
    return pd.arrays.IntegerArray(np.where(there, values, 0).astype(np.int64), ~there)


def _present(ids: Ints) -> pd.arrays.IntegerArray:
    return _nullable(ids, ids >= 0)


def _frame(name: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A small table from its rows."""
    rows = list(rows)
    columns = [column.name for column in schema.TABLES[name].columns]
    return schema.frame(name, {column: [row.get(column) for row in rows] for column in columns})
