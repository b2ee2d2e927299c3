"""Small traces made by hand, for the tests of everything that reads a trace.

A `TraceBuilder` has a clock. Every call enters at the clock's time, takes `STEP` ns and is appended to the events, so
events come out ordered by enter. What a thread does while it is inside another call nests by itself::

    build = TraceBuilder()
    parent = build.process("ask.py")                   # process 0; returns its main thread
    pipe = build.pipe(parent)                          # Pipe(channel, reader, writer): the numbers of its descriptors
    child = build.fork(parent)                         # the child's main thread; it holds the same ends
    waiting = build.begin(child, "os.read", fd=pipe.reader, size=32)   # … still inside
    build.after(5_000_000)                             # 5 ms pass
    build.write(parent, pipe.writer, b"Spam 1")
    build.end(waiting, data=b"Spam 1")                 # the read returns
    build.look()                                       # what /proc shows now: threads and their open ends
    trace = build.trace(ended="exit", status=0)

`begin`/`end` are for calls that wait while others act; `call` is both at once; `with build.inside(thread, op)` encloses.
Streams count as the runtime's do: `stream`, `accept`, `flush`, `print`, `input`, `readline`.

Ready-made: `deadlock_trace()`, `completed_trace()`, `big_trace(n)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ipctrace.analysis.results import Analysis
from ipctrace.tracer.runtime.table import TASKS
from ipctrace.tracer.schema import FACTS, TABLES, VERSION, WRAPPED, Trace, frame

STEP = 10_000
MS = 1_000_000
FIRST_PID = 47110


class Pipe(NamedTuple):
    """A pipe's channel id and the descriptors that os.pipe() gave for it."""

    channel: int
    reader: int
    writer: int


@dataclass
class _End:
    channel: int
    access: str
    inheritable: bool


@dataclass
class _Stream:
    process: int
    fd: int
    buffering: str
    accepted: int = 0
    reached: int = 0
    pending: bytes = b""


@dataclass
class _Image:
    """What a process is at the moment: its descriptors, its threads, and, untraced, the system call it sits in."""

    ends: dict[int, _End]
    threads: list[int] = field(default_factory=list)
    alive: bool = True
    traced: bool = True
    call: dict[str, Any] = field(default_factory=dict)


SYSCALLS = {"read": "read", "write": "write", "wait": "wait4", "sleep": "clock_nanosleep", "join": "futex", "select": "poll"}


class TraceBuilder:
    """Makes a `Trace` row by row; see the module's docstring. All times are ns."""

    def __init__(self, terminal: bool = True) -> None:
        self.now = 0
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self._images: list[_Image] = []
        self._open: dict[int, list[int]] = {}  # thread → its open events, outermost first
        self._streams: list[_Stream] = []
        self._looks = 0
        self._standard = {
            fd: _End(self.channel("tty", outside=True, path="/dev/pts/0"), "rw", True) for fd in (0, 1, 2)
        }
        if not terminal:
            out = _End(self.channel("file", outside=True, path="/tmp/out.txt"), "w", True)
            self._standard |= {
                0: _End(self.channel("device", outside=True, path="/dev/null"), "r", True),
                1: out,
                2: out,
            }

    # Who there is

    def process(
        self, program: str, parent: int | None = None, how: str = "start", traced: bool = True,
        ends: dict[int, _End] | None = None, **call: Any,
    ) -> int:  # fmt: skip
        """A new process; returns its main thread. `call` (syscall, fd, pid) is where an untraced one sits at a look."""
        process = len(self.rows["processes"])
        pid = FIRST_PID + process
        self._add("processes", pid=pid, parent=parent, program=program, argv=["python", program] if traced else [program],
                  executable=None, implementation="CPython 3.11.7" if traced else None, cwd="/work", traced=traced,
                  how=how, started=self.now, ended=None, status=None, lost=0)  # fmt: skip
        held = dict(self._standard) if ends is None else ends
        self._images.append(_Image(held, traced=traced, call=call))
        if how != "fork":
            self._list_ends(process)
        return self.thread(process, main=True)

    def thread(self, process: int, name: str = "MainThread", main: bool = False) -> int:
        """A new thread of a process; a traced one other than the main one is inside its own `thread` event."""
        thread = len(self.rows["threads"])
        tid = self.rows["processes"][process]["pid"] + 1000 * len(self._images[process].threads)
        self._add("threads", process=process, tid=tid, name=name, main=main, started=self.now, ended=None)
        self._images[process].threads.append(thread)
        self._open[thread] = []
        if not main:
            self.begin(thread, "thread")
        return thread

    def fork(
        self, thread: int, program: str | None = None, traced: bool = True, op: str = "os.fork", keep: tuple[int, ...] | None = None,
        site: int | None = None, **call: Any,
    ) -> int:  # fmt: skip
        """`thread` forks; returns the child's main thread. `keep`: the descriptors that the child still has (None: all)."""
        parent = self.process_of(thread)
        event = self.begin(thread, op, site=site)
        ends = {fd: _End(**vars(end)) for fd, end in self._images[parent].ends.items() if keep is None or fd in keep}
        how = "spawn" if op == "fork_exec" else "fork"
        child = self.process(program or self.rows["processes"][parent]["program"], parent, how, traced, ends, **call)
        self.end(event, result=FIRST_PID + self.process_of(child))
        if traced and how == "fork":
            self._copy_streams(parent, self.process_of(child))
        return child

    def execute(self, thread: int, program: str, traced: bool = True, **call: Any) -> None:
        """`thread` replaces its process's program: what isn't inheritable is closed; its streams are gone."""
        process = self.process_of(thread)
        image = self._images[process]
        self.begin(thread, "os.execv")
        self._open[thread].clear()
        image.ends = {fd: end for fd, end in image.ends.items() if end.inheritable}
        image.traced, image.call = traced, call
        self.rows["processes"][process] |= {"program": program, "argv": ["python", program], "how": "exec"}
        self._tick()
        if traced:
            self._list_ends(process)

    def exit(self, thread: int, status: int = 0, at_once: bool = False) -> None:
        """The thread's process ends, by os._exit if `at_once`, killed if `status` is negative; its ends close."""
        process = self.process_of(thread)
        if at_once:
            self.begin(thread, "os._exit", size=status)
        self._tick()
        self.rows["processes"][process] |= {"ended": self.now, "status": status}
        for each in self._images[process].threads:
            if self.rows["threads"][each]["ended"] is None:
                self.rows["threads"][each]["ended"] = self.now
        self._images[process].ends.clear()
        self._images[process].alive = False

    def task(self, thread: int, name: str = "Task-1") -> int:
        """A new asyncio task of the loop that `thread` runs; it is inside its own `task` event."""
        task = len(self.rows["threads"])
        self._add("threads", process=self.process_of(thread), tid=TASKS + task, name=name, main=False, loop=thread,
                  started=self.now, ended=None)  # fmt: skip
        self._open[task] = []
        self.begin(task, "task")
        return task

    def end_thread(self, thread: int) -> None:
        """A thread other than the main one ends."""
        self.end(self._open[thread][0])
        self.rows["threads"][thread]["ended"] = self.now

    def process_of(self, thread: int) -> int:
        """The process of a thread."""
        return int(self.rows["threads"][thread]["process"])

    # Channels and ends

    def channel(self, kind: str, outside: bool = False, path: str | None = None, capacity: int | None = None) -> int:
        """A channel that nobody holds yet."""
        number = len(self.rows["channels"])
        return self._add("channels", kind=kind, device=1, inode=1000 + number, generation=0, path=path,
                         capacity=capacity or (65536 if kind == "pipe" else None), outside=outside)  # fmt: skip

    def pipe(self, thread: int, site: int | None = None) -> Pipe:
        """`thread` calls os.pipe()."""
        ends = self._images[self.process_of(thread)].ends
        channel = self.channel("pipe")
        reader, writer = self._free(ends), self._free(ends, 1)
        ends |= {reader: _End(channel, "r", False), writer: _End(channel, "w", False)}
        self.call(thread, "os.pipe", fd=reader, channel=channel, result=writer, site=site)
        return Pipe(channel, reader, writer)

    def pair(self, thread: int) -> Pipe:
        """`thread` calls socket.socketpair(); `channel` is the first end's, the next number the second's."""
        ends = self._images[self.process_of(thread)].ends
        one, two = self.channel("socket"), self.channel("socket")
        for channel, peer in ((one, two), (two, one)):
            self.rows["channels"][channel] |= {"peer": peer, "form": "unix-stream"}
        first, second = self._free(ends), self._free(ends, 1)
        ends |= {first: _End(one, "rw", False), second: _End(two, "rw", False)}
        self.call(thread, "socket.socketpair", fd=first, channel=one, result=second)
        for fd in (first, second):
            self._list_end(self.process_of(thread), fd)
        return Pipe(one, first, second)

    def datagram_socket(self, thread: int, address: str | None = None, form: str = "udp") -> Pipe:
        """`thread` makes a datagram socket, bound to an address; both descriptors that are returned are its one."""
        ends = self._images[self.process_of(thread)].ends
        channel, fd = self.channel("socket"), self._free(ends)
        self.rows["channels"][channel] |= {"form": form, "local": address}
        ends[fd] = _End(channel, "rw", False)
        self.call(thread, "socket.socket", channel=channel, result=fd)
        self._list_end(self.process_of(thread), fd)
        if address is not None:
            self.call(thread, "socket.bind", fd=fd, channel=channel, address=address)
        return Pipe(channel, fd, fd)

    def object(self, process: int | None, kind: str, capacity: int | None = None) -> int:
        """A lock, queue, … of a process, or (None) one with a name in the system that every process can reach."""
        number = self.channel(kind, capacity=capacity, path=None if process is not None else f"/mp-{len(self.rows['channels'])}")
        self.rows["channels"][number] |= {"device": 0, "process": process}
        return number

    def select(self, thread: int, members: str, **columns: Any) -> int:
        """`thread` waits for any of "r3 w4"; returns the open event."""
        event = self.begin(thread, "select.select", **columns)
        for member in members.split():
            self.rows["members"].append({"event": event, "fd": int(member.lstrip("rw")), "access": member.rstrip("0123456789")})
        return event

    def hold(self, thread: int, channel: int, access: str, fd: int | None = None, flags: int | None = None) -> int:
        """`thread` opens an end of a channel (a socket, FIFO, file …) by os.open; returns the descriptor.

        With `flags`, as open(2) has them, the event tells what was opened, as it does of a FIFO."""
        ends = self._images[self.process_of(thread)].ends
        number = self._free(ends) if fd is None else fd
        ends[number] = _End(channel, access, False)
        self.call(thread, "os.open", result=number, channel=None if flags is None else channel, size=flags)
        self._list_end(self.process_of(thread), number)
        return number

    def dup2(self, thread: int, fd: int, target: int) -> None:
        """`thread` calls os.dup2; the target is inheritable."""
        ends = self._images[self.process_of(thread)].ends
        ends[target] = _End(ends[fd].channel, ends[fd].access, True)
        self.call(thread, "os.dup2", fd=fd, channel=ends[fd].channel, result=target, size=1)

    def close(self, thread: int, *fds: int) -> None:
        """`thread` closes descriptors."""
        for fd in fds:
            channel = self._images[self.process_of(thread)].ends.pop(fd).channel
            self.call(thread, "os.close", fd=fd, channel=channel)

    # Calls

    def begin(self, thread: int, op: str, data: bytes | None = None, **columns: Any) -> int:
        """`thread` enters `op`; returns the event's id. Channel and stream's descriptor are filled in."""
        kind, wait = WRAPPED[op]
        process = self.process_of(thread)
        if (stream := columns.get("stream")) is not None:
            columns.setdefault("fd", self._streams[stream].fd)
        if kind in ("read", "write", "accept", "flush", "take", "input") and (
            end := self._images[process].ends.get(columns["fd"])
        ):
            columns.setdefault("channel", end.channel)
        nest = self._open[thread]
        event = self._add("events", process=process, thread=thread, op=op, kind=kind, wait=wait or None, enter=self.now,
                          parent=nest[-1] if nest else None, **{"timed": False, **columns})  # fmt: skip
        nest.append(event)
        if data is not None:
            self.rows["payloads"].append({"event": event, "data": data})
        self._tick()
        return event

    def end(self, event: int, data: bytes | None = None, **columns: Any) -> int:
        """The call returns now; `data` is what a read got."""
        row = self.rows["events"][event]
        nest = self._open[row["thread"]]
        if event in nest:
            del nest[nest.index(event) :]
        row |= {"exit": self.now, **columns}
        if data is not None:
            row["result"] = len(data)
            self.rows["payloads"].append({"event": event, "data": data})
        self._tick()
        return event

    def call(self, thread: int, op: str, data: bytes | None = None, **columns: Any) -> int:
        """A call that returns at once."""
        return self.end(self.begin(thread, op, data, **columns))

    @contextmanager
    def inside(self, thread: int, op: str, **columns: Any) -> Iterator[int]:
        """What happens within is nested in a call of `op`, which returns at the end."""
        event = self.begin(thread, op, **columns)
        yield event
        self.end(event)

    def write(self, thread: int, fd: int, data: bytes, site: int | None = None, **columns: Any) -> int:
        """os.write that returns at once."""
        return self.call(thread, "os.write", data, fd=fd, size=len(data), result=len(data), site=site, **columns)

    def read(self, thread: int, fd: int, data: bytes, size: int = 32, site: int | None = None) -> int:
        """os.read that returns `data` at once."""
        return self.end(self.begin(thread, "os.read", fd=fd, size=size, site=site), data)

    def sleep(self, thread: int, duration: int, site: int | None = None) -> int:
        """time.sleep for `duration` ns, in which nothing else happens."""
        event = self.begin(thread, "time.sleep", size=duration, site=site)
        self.after(duration)
        return self.end(event)

    def after(self, duration: int) -> None:
        """Time passes."""
        self.now += duration

    # Streams

    def stream(
        self, process: int, name: str, fd: int, mode: str = "w", buffering: str = "block",
        why: str = "not a terminal when Python started", layer: str = "text",
    ) -> int:  # fmt: skip
        """A buffered stream of a process."""
        end = self._images[process].ends.get(fd)
        self._streams.append(_Stream(process, fd, buffering))
        return self._add("streams", process=process, name=name, fd=fd, channel=end.channel if end else None, mode=mode,
                         layer=layer, encoding="utf-8" if layer == "text" else None, buffering=buffering, buffer_size=8192,
                         why=why, opened=self.now, accepted=0, reached=0)  # fmt: skip

    def accept(self, thread: int, stream: int, data: bytes, site: int | None = None, op: str = "stream.write") -> int:
        """stream.write: the bytes go into the stream, and on to the descriptor as its buffering says."""
        state = self._streams[stream]
        event = self.begin(thread, op, data, stream=stream, size=len(data), offset=state.accepted, site=site)
        state.accepted += len(data)
        state.pending += data
        if state.buffering == "none" or (state.buffering == "line" and b"\n" in data):
            self._drain(thread, stream, site)
        return self.end(event, pending=len(state.pending), result=len(data))

    def flush(self, thread: int, stream: int, site: int | None = None) -> int:
        """stream.flush: what is pending goes to the descriptor."""
        event = self.begin(thread, "stream.flush", stream=stream, site=site)
        self._drain(thread, stream, site)
        return self.end(event, pending=len(self._streams[stream].pending))

    def print(self, thread: int, stream: int, text: str, site: int | None = None, flush: bool = False) -> int:
        """print(text, file=stream): it hands over its text and its end apart. Returns the first of the two events."""
        event = self.accept(thread, stream, text.encode(), site, "print")
        self.accept(thread, stream, b"\n", site, "print")
        if flush:
            self.flush(thread, stream, site)
        return event

    def begin_input(self, thread: int, source: int, out: int, site: int | None = None) -> tuple[int, ...]:
        """input() flushes `out`, then waits for a line of `source`; its open events, outermost first."""
        event = self.begin(thread, "input", fd=0, site=site)
        self.flush(thread, out, site)
        return (event, *self.begin_readline(thread, source, site))

    def begin_readline(self, thread: int, source: int, site: int | None = None) -> tuple[int, ...]:
        """source.readline(), which waits for data; its open events, outermost first."""
        take = self.begin(thread, "stream.readline", stream=source, size=-1, site=site)
        return take, self.begin(thread, "raw.read", stream=source, size=8192, site=site)

    def end_line(self, opened: tuple[int, ...], data: bytes) -> None:
        """The line that an input() or readline() waited for is there."""
        self.end(opened[-1], data)
        for event in reversed(opened[:-1]):
            self.end(event, result=len(data))

    # Places in the source

    def site(self, file: str, line: int, text: str, call: str | None = None, function: str = "<module>") -> int:
        """A line of source with the call in it marked (`call`: as written; None: all of the line)."""
        marked = call if call is not None else text.strip()
        column = len(text[: text.index(marked)].encode("utf-8", "surrogatepass"))
        if {"file": file, "line": line, "text": text} not in self.rows["sources"]:
            self.rows["sources"].append({"file": file, "line": line, "text": text})
        return self._add("sites", file=file, function=function, line=line, column=column, end_line=line,
                         end_column=column + len(marked.encode("utf-8", "surrogatepass")))  # fmt: skip

    # What /proc shows

    def look(self, times: int = 1, apart: int = 20 * MS) -> None:
        """Threads and open ends of all that live, as /proc shows them; `times` looks, `apart` ns apart."""
        for _ in range(times):
            for process, image in enumerate(self._images):
                if image.alive:
                    self._look_at(process, image)
            self._looks += 1
            self.after(apart)

    def sample(self, thread: int, runs: int = 1) -> None:
        """What an untraced process does and holds, as seen from outside now; `runs` of its thread."""
        process = self.process_of(thread)
        image = self._images[process]
        seen: dict[str, Any] = {"state": "S" if image.call else "R", **image.call}
        tid = self.rows["threads"][thread]["tid"]
        self.rows["samples"].append({"time": self.now, "process": process, "tid": tid, "runs": runs, **seen})
        for fd in image.ends:
            self._list_end(process, fd)
        self._tick()

    def stranger(self, channel: int, access: str, fd: int = 3) -> None:
        """At the last look, a process outside the run held this end."""
        self.rows["ends"].append(
            {"look": self._looks - 1, "process": None, "pid": 9999, "fd": fd, "channel": channel, "access": access}
        )

    def _look_at(self, process: int, image: _Image) -> None:
        pid = self.rows["processes"][process]["pid"]
        for thread in image.threads:
            row = self.rows["threads"][thread]
            if row["ended"] is not None:
                continue
            seen: dict[str, Any] = {"state": "R", "syscall": None, "fd": None, "pid": None}
            if not image.traced:
                seen |= {"state": "S" if image.call else "R", **image.call}
            elif self._open[thread]:
                event = self.rows["events"][self._open[thread][-1]]
                if event["wait"]:
                    call = SYSCALLS.get(event["kind"], "futex")
                    seen |= {"state": "S", "syscall": call, "fd": event.get("fd"),
                             "pid": event.get("size") if call == "wait4" else None}  # fmt: skip
            self.rows["looks"].append(
                {"look": self._looks, "time": self.now, "process": process, "tid": row["tid"], **seen}
            )
        for fd, end in image.ends.items():
            self.rows["ends"].append({"look": self._looks, "process": process, "pid": pid, "fd": fd,
                                      "channel": end.channel, "access": end.access})  # fmt: skip

    # The whole

    def trace(self, ended: str = "exit", status: int | None = 0, **facts: Any) -> Trace:
        """The trace as it would be loaded. `ended` other than exit or signal: stopped now."""
        stopped = None if ended in ("exit", "signal") else self.now
        told: dict[str, Any] = dict.fromkeys(FACTS)
        told |= {
            "schema": VERSION, "ipctrace": "0.1.0", "state": "finished", "command": ["python", "example.py"],
            "program": self.rows["processes"][0]["program"], "options": {"payload": "prefix", "buffering": "default"},
            "cwd": "/work", "environment": {"PYTHONUNBUFFERED": None}, "page_size": 4096,
            "platform": {"system": "Linux", "release": "6.18", "machine": "x86_64", "cores": 4},
            "started": "2026-01-01T00:00:00+00:00", "clock": 0, "duration": self.now, "ended": ended,
            "status": status if stopped is None else None, "stopped": stopped, "events": len(self.rows["events"]),
            "lost": 0, "dropped": 0, "left": [], "notes": [],
        } | facts  # fmt: skip
        return Trace({name: _columns(name, rows) for name, rows in self.rows.items()}, told)

    # How it is done

    def _add(self, table: str, **row: Any) -> int:
        number = len(self.rows[table])
        self.rows[table].append({table.removesuffix("es") if table == "processes" else table[:-1]: number, **row})
        return number

    def _tick(self) -> None:
        self.now += STEP

    def _list_ends(self, process: int) -> None:
        if self._images[process].traced:
            for fd in self._images[process].ends:
                self._list_end(process, fd)

    def _list_end(self, process: int, fd: int) -> None:
        end = self._images[process].ends[fd]
        self.rows["descriptors"].append({"process": process, "time": self.now, "fd": fd, "channel": end.channel,
                                         "access": end.access, "inheritable": end.inheritable})  # fmt: skip

    def _copy_streams(self, parent: int, child: int) -> None:
        for number, state in enumerate(list(self._streams)):
            if state.process == parent:
                row = self.rows["streams"][number]
                copy = self.stream(child, row["name"], state.fd, row["mode"], state.buffering, row["why"], row["layer"])
                self._streams[copy].accepted, self._streams[copy].reached = state.accepted, state.reached
                self._streams[copy].pending = state.pending
                self.rows["streams"][copy] |= {"accepted": state.accepted, "reached": state.reached}

    def _drain(self, thread: int, stream: int, site: int | None) -> None:
        state = self._streams[stream]
        if state.pending:
            size = len(state.pending)
            self.call(
                thread,
                "raw.write",
                state.pending,
                stream=stream,
                size=size,
                result=size,
                offset=state.reached,
                site=site,
            )
            state.reached += size
            state.pending = b""

    @staticmethod
    def _free(ends: dict[int, _End], skip: int = 0) -> int:
        numbers = (fd for fd in range(len(ends) + skip + 3) if fd not in ends)
        for _ in range(skip):
            next(numbers)
        return next(numbers)


def _columns(name: str, rows: list[dict[str, Any]]) -> Any:
    return frame(name, {column.name: [row.get(column.name) for row in rows] for column in TABLES[name].columns})


def _talkers(build: TraceBuilder, program: str, child_program: str) -> tuple[int, int, Pipe, Pipe]:
    """What pipes.py's spawn() does: two pipes, a fork, the ends over the standard streams, exec in the child."""
    parent = build.process(program)
    spawn = build.site(program, 20, "    spawn(sys.executable, 'child.py', 'spam')")
    down, up = build.pipe(parent, spawn), build.pipe(parent, spawn)
    child = build.fork(parent, site=spawn)
    build.close(parent, down.reader, up.writer)
    build.dup2(parent, up.reader, 0)
    build.dup2(parent, down.writer, 1)
    build.close(parent, up.reader, down.writer)
    build.close(child, down.writer, up.reader)
    build.dup2(child, down.reader, 0)
    build.dup2(child, up.writer, 1)
    build.close(child, down.reader, up.writer)
    build.execute(child, child_program)
    return parent, child, down, up


def _conversation(why: str, buffering: str, flush: bool, ended: str) -> Trace:
    """The chapter's talk: two exchanges; the parent reads its second answer with readline(), which flushes nothing."""
    build = TraceBuilder(terminal=why == "a terminal when Python started")
    program, other = ("pipes.py", "pipes_test_child.py") if flush else ("deadlock.py", "deadlock_child.py")
    main, helper = f"/work/{program}", f"/work/{other}"
    say = [build.site(main, line, f'print(f"Hello {k} from parent {{me}}")') for k, line in ((1, 37), (2, 41))]
    ask = [build.site(main, 38, "answer = input()", "input()"),
           build.site(main, 42, "answer = sys.stdin.readline()", "sys.stdin.readline()")]  # fmt: skip
    pause = [build.site(helper, line, "    time.sleep(pause)") for line in (9, 11)]
    hear = build.site(helper, 10, "    line = input()", "input()")
    answer = build.site(helper, 12, '    print(f"Child {os.getpid()} got: [{line}]")')
    flushes = [build.site(main, line, "sys.stdout.flush()") for line in (39, 43)] + [
        build.site(helper, 13, "    sys.stdout.flush()")
    ]

    parent, child, _, _ = _talkers(build, program, other)
    home, away = build.process_of(parent), build.process_of(child)
    sources = {p: build.stream(p, "sys.stdin", 0, "r") for p in (home, away)}
    out = {home: build.stream(home, "sys.stdout", 1, "w", buffering, why)}
    out[away] = build.stream(away, "sys.stdout", 1, "w")
    hello = [f"Hello {k} from parent {FIRST_PID}\n" for k in (1, 2)]

    def say_hello(k: int) -> tuple[int, ...]:
        build.print(parent, out[home], hello[k][:-1], say[k])
        if flush:
            build.flush(parent, out[home], flushes[k])
        if k == 0:
            return build.begin_input(parent, sources[home], out[home], ask[0])
        return build.begin_readline(parent, sources[home], ask[1])

    def hear_and_answer(k: int, waiting: tuple[int, ...] | None) -> str:
        if waiting is None:
            waiting = build.begin_input(child, sources[away], out[away], hear)
        build.end_line(waiting, hello[k].encode())
        build.sleep(child, 300 * MS, pause[1])
        text = f"Child {FIRST_PID + 1} got: [{hello[k][:-1]}]"
        build.print(child, out[away], text, answer)
        if flush:
            build.flush(child, out[away], flushes[2])
        return text + "\n"

    first = say_hello(0)
    build.sleep(child, 300 * MS, pause[0])
    text = hear_and_answer(0, None)
    if flush:
        build.end_line(first, text.encode())
        second = say_hello(1)
    build.sleep(child, 300 * MS, pause[0])
    waiting = build.begin_input(child, sources[away], out[away], hear)
    if not flush:
        build.end_line(first, text.encode())
        second = say_hello(1)
    if ended == "deadlock":
        build.after(100 * MS)
        build.look(times=2)
        return build.trace(ended="deadlock")
    text = hear_and_answer(1, waiting)
    if not flush:
        build.flush(child, out[away])  # the interpreter's own, as it ends
    build.exit(child)
    build.end_line(second, text.encode())
    build.exit(parent)
    return build.trace()


def deadlock_trace() -> Trace:
    """The chapter's deadlock: 26 bytes stay in the parent's sys.stdout; both wait for data.

    Processes 0 parent (deadlock.py), 1 child (deadlock_child.py); channels: pipe A parent to child, pipe B back;
    the second print (deadlock.py:41) is stuck, readline (deadlock.py:42) waits; two looks confirm it.
    """
    return _conversation("not a terminal when Python started", "block", flush=False, ended="deadlock")


def lucky_trace() -> Trace:
    """The same program started in a terminal: the parent's stdout is line-buffered, and the run completes."""
    return _conversation("a terminal when Python started", "line", flush=False, ended="exit")


def completed_trace() -> Trace:
    """pipes.py: two processes, two pipes, four messages, four sleeps; every print is flushed."""
    return _conversation("not a terminal when Python started", "block", flush=True, ended="exit")


def big_trace(messages: int, seed: int = 0) -> Trace:
    """`messages` messages from four threads of one process to four of another, over four pipes, 16 to 64 bytes each.

    Two events a message, a payload each; every other message finds its reader waiting.
    """
    build = TraceBuilder()
    parent = build.process("big.py")
    writer_process = build.process_of(parent)
    pipes = [build.pipe(parent) for _ in range(4)]
    child = build.fork(parent)
    writers = [parent] + [build.thread(writer_process, f"writer-{k}") for k in range(1, 4)]
    readers = [child] + [build.thread(build.process_of(child), f"reader-{k}") for k in range(1, 4)]
    site = [
        build.site("/work/big.py", line, text)
        for line, text in ((10, "os.write(fd, data)"), (20, "data = os.read(fd, 64)"))
    ]

    random = np.random.default_rng(seed)
    number = np.arange(messages)
    lane = number % 4
    size = random.integers(16, 65, messages)
    written = build.now + STEP + number * 2_000
    waited = number % 8 < 4  # every other message of a pipe
    took = np.where(waited, written - 1_500, written + 1_200)
    first = len(build.rows["events"])
    events: dict[str, Any] = {
        "process": np.repeat([writer_process, build.process_of(child)], messages),
        "thread": np.concatenate([np.array(writers)[lane], np.array(readers)[lane]]),
        "op": np.repeat(["os.write", "os.read"], messages), "kind": np.repeat(["write", "read"], messages),
        "wait": np.repeat(["noroom", "nodata"], messages), "timed": np.full(2 * messages, False),
        "enter": np.concatenate([written, took]), "exit": np.concatenate([written + 1_000, written + 1_500]),
        "fd": np.concatenate([np.array([p.writer for p in pipes])[lane], np.array([p.reader for p in pipes])[lane]]),
        "channel": np.tile(np.array([p.channel for p in pipes])[lane], 2),
        "site": np.repeat(site, messages), "size": np.concatenate([size, np.full(messages, 64)]), "result": np.tile(size, 2),
    }  # fmt: skip
    order = np.argsort(events["enter"], kind="stable")
    events = {column: values[order] for column, values in events.items()} | {"event": first + np.arange(2 * messages)}
    content = [b"x" * int(length) for length in events["result"]]
    build.now = int(events["exit"].max(initial=build.now)) + STEP
    trace = build.trace(ended="duration")
    few, many = trace.tables["events"], frame("events", events)
    trace.tables["events"] = frame("events", dict(pd.concat([few, many], ignore_index=True)))
    trace.tables["payloads"] = pd.concat([trace.tables["payloads"], frame("payloads", {"event": events["event"], "data": content})],
                                         ignore_index=True)  # fmt: skip
    trace.facts["events"] = len(trace.tables["events"])
    return trace


def race(analysis: Analysis) -> pd.DataFrame:
    """A row for `Analysis.races`: the first two messages, as if they could have come in the other order."""
    events = analysis.messages["write_event"].dropna().astype("int64").tolist()[:2]
    own = analysis.trace.events.set_index("event").loc[events]
    return pd.DataFrame([{
        "kind": "send", "channel": int(own["channel"].iloc[0]), "count": 1, "first": events[0], "second": events[1],
        "first_thread": int(own["thread"].iloc[0]), "second_thread": int(own["thread"].iloc[1]), "other": None,
        "first_site": 0, "second_site": 1,
    }])  # fmt: skip
