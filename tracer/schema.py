"""The trace's one declared schema: every table, every column, its type, unit and meaning.

Writer, reader, documentation and tests derive from `TABLES`. A trace on disk is a folder `NAME.ipctrace/` with one
Parquet file a table (`events.parquet`, …) and `run.json`, whose keys `FACTS` lists. In memory it is a `Trace`.

Conventions
-----------
* Times are integer nanoseconds since the start of the recording (the monotonic clock, one for all processes).
* Ids (`event`, `process`, `thread`, `channel`, `stream`, `site`) are dense integers from 0 and index their own table's
  rows: row k of `processes` has `process == k`.
* A column that may be empty says so (`nullable`); an empty value is `pandas.NA` or None, never 0 or "".
* Rows of `events` are ordered by `enter`; ties by log and slot, so each thread's own events keep program order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from .runtime import table as calls

VERSION = 4
EMPTY = -(2**63)  # what a loaded table has under an integer that is empty: who wants arrays needs no copies
HISTORY = {
    1: "first version",
    2: "every mechanism: sockets, locks, queues, memory, signals, tasks; members, environment, samples; what was dropped",
    3: "users: who used what in events that were dropped",
    4: "platform says more: C library, pipes, streams, features, interpreters; options pipe_size, start_method and time; order; the kinds look, change, clock and chance",
}

Type = Literal["int", "bool", "text", "bytes", "texts"]

# Why a thread waits: token → words. The tokens are values of `events.wait`.
REASONS: dict[str, str] = {
    "nodata": "waits for data",
    "noroom": "waits for room",
    "lock": "waits for a lock",
    "child": "waits for a process or thread to end",
    "peer": "waits for the other end to be opened",
    "sleep": "sleeps",
    "ready": "waits for any of several ends",
    "notice": "waits to be told",
    "signal": "waits for a signal",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, type, meaning, unit ("" for none) and whether it may be empty."""

    name: str
    type: Type
    meaning: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name, what a row is, and its columns in order."""

    name: str
    row: str
    columns: tuple[Column, ...]


def _c(name: str, type: Type, meaning: str, unit: str = "") -> Column:
    """A column; a trailing "?" in the name says that it may be empty."""
    return Column(name.rstrip("?"), type, meaning, unit, name.endswith("?"))


# A thread as /proc shows it.
_SEEN = (
    _c("process", "int", "process"),
    _c("tid", "int", "the system's number for the thread"),
    _c("state", "text", "R S D T Z, as proc(5) says"),
    _c("syscall?", "text", "name of the system call it is in, where known"),
    _c("fd?", "int", "that call's descriptor, for read and write"),
    _c("pid?", "int", "that call's pid, for wait4 (-1: any)"),
)

# fmt: off
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("events", "a call that was wrapped, from enter to exit", (
            _c("event", "int", "id"),
            _c("process", "int", "who called: process"),
            _c("thread", "int", "who called: thread"),
            _c("op", "text", "the call's name, as in the table of calls (`os.read`, `print`, …)"),
            _c("kind", "text", "what it does: read write accept flush take input send receive load store make pair open duplicate close pass connect bind listen shutdown control entry unlink map unmap select acquire release await notify submit work fork exec exit wait start join thread task sleep arm kill handle signal environment uncaught decode look change clock chance"),
            _c("wait?", "text", "why a thread stays in it: nodata noroom lock child peer sleep ready notice signal; empty where it can't wait"),
            _c("timed", "bool", "ends by itself after some time at most"),
            _c("enter", "int", "when it was called", "ns"),
            _c("exit?", "int", "when it returned or raised; empty: it never did", "ns"),
            _c("fd?", "int", "descriptor"),
            _c("channel?", "int", "what the descriptor led to as the call began"),
            _c("stream?", "int", "the stream object it was called on, or that called it"),
            _c("site?", "int", "where in the program's own source"),
            _c("size?", "int", "what was asked: bytes; for wait and kill the pid, for sleep and arm ns, for exit the status, for handle and signal the signal, for thread 1 if it is a daemon, else 0, for start and join the other thread's native id, for acquire, await, select and a queue's send and receive the ns that it waits at most; for a file's lock the operation; for make the capacity that `record --pipe-size` gave it"),
            _c("result?", "int", "what came back: bytes moved, a descriptor, a pid"),
            _c("extra?", "int", "a second result: the raw wait status; for arm the ns between further signals, for handle whether the program's code handles it, for kill the signal; for read and write of a plain file the position after the call; for write to a pseudo-terminal the bytes of a line that is too long for it; for map whether it made the memory; for select the first descriptor that is ready"),
            _c("error?", "int", "errno it raised; -1 for an exception without one"),
            _c("offset?", "int", "accept: bytes that the stream had accepted before; write by a stream: bytes that had reached the descriptor before; load and store: the position", "bytes"),
            _c("address?", "text", "whom a datagram came from or goes to, what a socket was bound or connected to"),
            _c("owner?", "int", "acquire: native id of the thread that held the lock as the call began"),
            _c("pending?", "int", "bytes stuck in the stream's buffers after the call", "bytes"),
            _c("parent?", "int", "the event of the same thread that this one happened inside"),
        )),
        Table("payloads", "the bytes that a read, write or accept moved, as far as they were kept; the words of an uncaught exception", (
            _c("event", "int", "whose"),
            _c("data", "bytes", "the first bytes, or all of them with `--payload full`"),
        )),
        Table("processes", "a process, from fork or spawn to its end; exec doesn't begin a new one", (
            _c("process", "int", "id; 0 is the program that was recorded"),
            _c("pid", "int", "the system's number for it"),
            _c("parent?", "int", "the process that started it; empty for the first"),
            _c("program", "text", "base name of what it last ran (`pipes.py`, `cat`)"),
            _c("argv", "texts", "command line of what it last ran"),
            _c("executable?", "text", "interpreter or binary"),
            _c("implementation?", "text", "`CPython 3.11.7`; empty for what isn't traced"),
            _c("cwd?", "text", "working directory as it started"),
            _c("traced", "bool", "whether it wrote a log; if not, all that is known of it is from /proc"),
            _c("how", "text", "start (the recorded program), fork, exec (forked, then another program), spawn"),
            _c("started", "int", "first seen or begun", "ns"),
            _c("ended?", "int", "its end; empty: alive when the recording stopped", "ns"),
            _c("status?", "int", "exit status, or minus the signal that ended it; empty: not known"),
            _c("name?", "text", "the name that the program (multiprocessing) gave it"),
            _c("lost", "int", "records that could not be written (a full disk)"),
        )),
        Table("threads", "a thread, or a task of asyncio", (
            _c("thread", "int", "id"),
            _c("process", "int", "its process"),
            _c("tid", "int", "the system's number for it; from 2³¹ on: our number for a task"),
            _c("name", "text", "`MainThread`, or the name that the program gave"),
            _c("main", "bool", "the process's first thread"),
            _c("loop?", "int", "of an asyncio task: the thread that runs its loop"),
            _c("started", "int", "its begin", "ns"),
            _c("ended?", "int", "its end; empty: alive when the recording stopped", "ns"),
        )),
        Table("channels", "a pipe, FIFO, socket, terminal or file that a descriptor led to; or a lock, queue, … of Python's", (
            _c("channel", "int", "id"),
            _c("kind", "text", "pipe fifo socket tty file device other; lock rlock condition event semaphore barrier queue future memory"),
            _c("device", "int", "st_dev; 0 for an object of Python's"),
            _c("inode", "int", "st_ino; of an object of Python's its number within its process"),
            _c("generation", "int", "how often the same numbers had been given out before, in this run"),
            _c("path?", "text", "its name in the file system"),
            _c("capacity?", "int", "bytes it holds, where known; items of a queue, places of a semaphore, parties of a barrier"),
            _c("outside", "bool", "came with the recorded program's own descriptors: others may hold its ends too"),
            _c("process?", "int", "of an object that lives in one process's memory: whose"),
            _c("copy_of?", "int", "of such an object in the child of a fork: the parent's, of which it is a copy"),
            _c("site?", "int", "of an object of Python's: where it was made"),
            _c("peer?", "int", "of a socket or pseudo-terminal: the channel that is its other end, where both are known"),
            _c("form?", "text", "tcp udp unix-stream unix-datagram unix-seqpacket pty other"),
            _c("local?", "text", "its own address"),
            _c("remote?", "text", "the other end's address"),
            _c("dropped_written?", "int", "bytes written (items put) in events that were dropped: what is left of it goes on from there; empty: none", "bytes"),
            _c("dropped_read?", "int", "bytes read (items got) in events that were dropped", "bytes"),
            _c("unchanged?", "int", "of shared memory: since when what it holds has been the same, read every half second", "ns"),
        )),
        Table("descriptors", "an end that a process held as it started, that it opened, or that one that isn't traced was seen with", (
            _c("process", "int", "whose"),
            _c("time", "int", "when it was listed; at the time of one of its process's `samples`: with all that it held then", "ns"),
            _c("fd", "int", "descriptor"),
            _c("channel", "int", "what it led to"),
            _c("access", "text", "r w rw"),
            _c("inheritable", "bool", "survives exec"),
        )),
        Table("streams", "a buffered stream (sys.stdout, or what open() returned over a pipe)", (
            _c("stream", "int", "id"),
            _c("process", "int", "whose; a fork copies streams: the child's copy is a row of its own"),
            _c("name", "text", "`sys.stdout`, or `open(fd 5)`"),
            _c("fd", "int", "descriptor"),
            _c("channel?", "int", "what the descriptor led to as the stream was made"),
            _c("mode", "text", "r w rw"),
            _c("layer", "text", "text, binary or raw"),
            _c("encoding?", "text", "of a text stream"),
            _c("buffering", "text", "block, line or none: as in effect"),
            _c("buffer_size", "int", "of the binary buffer", "bytes"),
            _c("why", "text", "why it is buffered so, in words"),
            _c("opened", "int", "when it was made", "ns"),
            _c("accepted", "int", "bytes it had accepted before this row began (not 0 only in the child of a fork)", "bytes"),
            _c("reached", "int", "of these, bytes that had reached the descriptor", "bytes"),
        )),
        Table("sites", "a place in the program's source", (
            _c("site", "int", "id"),
            _c("file", "text", "path"),
            _c("function", "text", "qualified name where known"),
            _c("line", "int", "from 1"),
            _c("column?", "int", "where the call expression begins, in UTF-8 bytes from 0"),
            _c("end_line?", "int", "line where it ends"),
            _c("end_column?", "int", "column behind its end"),
        )),
        Table("sources", "a line of source near a site, as it was when recorded", (
            _c("file", "text", "path"),
            _c("line", "int", "from 1"),
            _c("text", "text", "the line, without its end"),
        )),
        Table("looks", "a thread as /proc showed it when nothing moved, or when the recording stopped", (
            _c("look", "int", "which look; the last two before a verdict are equal where it is proven"),
            _c("time", "int", "when", "ns"),
            *_SEEN,
        )),
        Table("ends", "an open descriptor of a process at a look", (
            _c("look", "int", "which look"),
            _c("process?", "int", "whose; empty: a process outside the run"),
            _c("pid", "int", "its pid"),
            _c("fd", "int", "descriptor"),
            _c("channel", "int", "what it leads to"),
            _c("access", "text", "r w rw"),
        )),
        Table("members", "an end that a select, poll or epoll waited for", (
            _c("event", "int", "whose"),
            _c("fd", "int", "descriptor"),
            _c("access", "text", "r w rw: to be readable, writable"),
        )),
        Table("environment", "a variable of the environment that a program image was given", (
            _c("process", "int", "whose"),
            _c("time", "int", "when the image began", "ns"),
            _c("name", "text", "of the variable"),
            _c("value?", "text", "as far as payloads are kept; empty with `--payload none`"),
        )),
        Table("samples", "what a thread of a process that isn't traced was seen doing; of equal ones in a row the first and the last", (
            _c("time", "int", "when", "ns"),
            *_SEEN,
            _c("runs?", "int", "how often it had been given a processor: between two equal ones it didn't run"),
        )),
        Table("users", "a thread that moved bytes in events that were dropped", (
            _c("thread", "int", "who"),
            _c("channel", "int", "where"),
            _c("access", "text", "r or w"),
        )),
        Table("stacks", "a frame of a thread's Python stack, taken when it hung", (
            _c("process", "int", "process"),
            _c("tid", "int", "the system's number for the thread"),
            _c("depth", "int", "0 is the innermost frame"),
            _c("function", "text", "name"),
            _c("file", "text", "path"),
            _c("line", "int", "from 1"),
        )),
    )
}
# fmt: on

# Keys of run.json: name → meaning. All are always there; None where a value isn't known.
FACTS: dict[str, str] = {
    "schema": "VERSION of this schema",
    "ipctrace": "version of ipctrace that recorded",
    "state": "recording, or finished",
    "command": "the recorded command line, a list",
    "program": "base name of the recorded program, for titles",
    "options": "record's options that were in effect, an object",
    "cwd": "working directory",
    "environment": "what in the environment changes buffering (PYTHONUNBUFFERED …), an object; None: not set",
    "platform": "an object: system, release, machine, cores, c_library; pipe_capacity (bytes of a new pipe) and pipe_buf (bytes that are written at once); streams (stdin, stdout, stderr: terminal, pseudo-terminal, not a terminal, closed); features (what the recorder could use: proc, fork, pidfd, subreaper, pipe_capacity); interpreters (a list: implementation, executable, start_method: multiprocessing's own default, where the program imported it, buffer_size in bytes)",
    "page_size": "bytes",
    "started": "wall-clock time of the start, ISO 8601",
    "clock": "monotonic ns at time 0",
    "duration": "ns from time 0 to the end, or to the moment when the program was stopped",
    "ended": "how: exit, signal, deadlock, duration, interrupted",
    "status": "the program's exit status, or minus the signal; None where it was stopped",
    "stopped": "ns at which ipctrace froze the program; None: it ended by itself",
    "events": "number of events",
    "lost": "number of records that could not be written",
    "order": "how the order of operations was seen to: None (it wasn't), or an object: mode (recorded, enforced, explored), and for the latter two what was asked (seed …) and departures, a list of sentences",
    "dropped": "number of events that were dropped, the oldest first, to keep the trace below `--max-size`",
    "dropped_before": "ns before which events may be missing for that reason; None: nothing was dropped",
    "left": "processes that were still alive as the program ended, and were stopped: a list of pids",
    "notes": "sentences about what the recording could not do",
}

TASKS = calls.TASKS  # from this number on, what stands for a thread's native id is the number of a task
# Kinds of channels that are objects of Python's, and no descriptor's.
OBJECTS = calls.OBJECTS
WRAPPED: dict[str, tuple[str, str]] = {name: (kind, wait) for _, name, kind, wait in calls.CALLS}


@dataclass(slots=True)
class Trace:
    """A trace in memory: `tables` maps each name of `TABLES` to its data frame, `facts` holds run.json."""

    tables: dict[str, pd.DataFrame]
    facts: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in TABLES:
            return self.tables[name]
        raise AttributeError(name)


BYTES = pd.ArrowDtype(pa.binary())  # a million payloads are one array, and no million objects
_PANDAS: dict[tuple[Type, bool], Any] = {
    ("int", False): "int64", ("int", True): "Int64", ("bool", False): "bool", ("bool", True): "boolean",
    ("text", False): "str", ("text", True): "str", ("bytes", False): BYTES, ("bytes", True): BYTES,
    ("texts", False): "object", ("texts", True): "object",
}  # fmt: skip


def printable(text: str) -> str:
    """A name of the system's as text: bytes that aren't UTF-8, which Python has as lone surrogates, become `\\xff`."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no name of the system's is
        return text.encode("utf-8", "backslashreplace").decode()


# Text of which there are few different words: each is there once, and a row is its number.
WORDS = {"events": ("op", "kind", "wait", "address")}


def words(codes: Any, names: Sequence[str]) -> pd.Series[Any]:
    """A column of such text, from the numbers of its rows (-1: empty) among names."""
    ordered = sorted(set(names))
    number = {name: place for place, name in enumerate(ordered)}
    place = np.array([*(number[name] for name in names), -1], dtype=np.min_scalar_type(-len(names) - 1))
    return pd.Series(pd.Categorical.from_codes(place[codes], pd.Index(ordered, dtype="str")))


def _worded(texts: pd.Series[Any]) -> pd.Series[Any]:
    codes, names = pd.factorize(texts)
    return words(codes, names.tolist())


def frame(name: str, columns: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Table `name` as a data frame with exactly its declared columns, order and types.

    `columns` maps column names to sequences; a missing nullable column is empty throughout.
    Raises KeyError for a column that isn't declared or a required one that is missing.
    """
    given = dict(columns or {})
    length = max((len(values) for values in given.values()), default=0)
    made: dict[str, Any] = {}
    for column in TABLES[name].columns:
        if column.name in given:
            values = given.pop(column.name)
        elif column.nullable or not length:
            values = [None] * length
        else:
            raise KeyError(f"{name}.{column.name} is missing")
        dtype = _PANDAS[column.type, column.nullable]
        coded = column.name in WORDS.get(name, ())
        if (
            isinstance(values, pd.Series)
            and values.dtype == ("category" if coded else dtype)
            and isinstance(values.index, pd.RangeIndex)
        ):
            made[column.name] = values  # as it was loaded: there may be ten million, which aren't copied
            continue
        try:
            made[column.name] = pd.Series(values, dtype=dtype).reset_index(drop=True)
        except UnicodeEncodeError:  # a name of the system's that isn't UTF-8
            made[column.name] = pd.Series(
                [value if value is None else printable(value) for value in values], dtype=dtype
            )
        if coded:
            made[column.name] = _worded(made[column.name])
    if given:
        raise KeyError(f"{name} has no column {', '.join(given)}")
    return pd.DataFrame(made, copy=False)
