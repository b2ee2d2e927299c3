"""Records a run: starts the program, follows it, sees that it hangs, stops what is stuck, and writes the trace.

The program is started directly: its standard streams, terminal, process group and working directory are the
supervisor's own, and no pipe of ours lies on the way, unless it was asked for (pseudoterminal.py). All descriptors of
ours are closed on exec.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from . import launch, platforms, proc, schema, store
from .assemble import Frame, Observations, assemble
from .contents import Contents
from .errors import IpctraceError
from .lives import program_name
from .logs import WAITS
from .pseudoterminal import TERM, Terminals
from .replay.schedule import Schedule, departures
from .samples import Sampler
from .signals import Signals, subreaper
from .stacks import find_py_spy, read_stacks
from .tree import Tree
from .watch import MAX_SIZE as MAX_SIZE
from .watch import LiveLogs, Watch

_POLL = 0.02  # seconds between looks at the logs; the ends of processes are seen at once
_QUICK = 0.002  # while processes are being started
_IDLE = 0.05  # when nothing has moved for a while
_PROGRESS = 0.1  # seconds between reports of progress
_GRACE = 1.0  # seconds that processes get to end: descendants of a program that has ended, and after SIGTERM
# Bytes of converted data that are judged by, the newest: the rest matters only by what it adds up to, which is told.
_JUDGED = 1 << 24
# Options that are facts of their own, or of one trial.
_TOLD_ELSEWHERE = ("command", "out", "program", "cwd", "streams", "schedule", "substitutes")
# What in the environment changes buffering: Python's own variable and those of stdbuf(1).
_BUFFERING = ("PYTHONUNBUFFERED", "_STDBUF_I", "_STDBUF_O", "_STDBUF_E")


@dataclass(frozen=True, slots=True)
class Options:
    """What to record, and how. `command` is started as it stands; `out` is the trace's folder; `program` is the name
    for titles, by default taken from the command.

    duration       seconds after which a running program is ended; None: never
    payload        what is kept of the bytes that pass: nothing, the first `payload_bytes` of each call, or all
    time           keep what clocks and random generators said, too
    buffering      how Python's standard streams are buffered: as they would be, or block, line, none; tty: as they
                   would be on a terminal, which each of them that isn't one gets
    on_deadlock    stop a program that can never go on, or wait for somebody to end it
    max_size       bytes of the processes' logs that are kept; beyond that the oldest data is dropped
    pipe_size      bytes that each pipe holds which a traced process makes; None: as the system has it
    start_method   multiprocessing's default: fork, spawn or forkserver; None: the interpreter's own
    cwd            the folder that it is run in; None: ours
    streams        descriptors that the program gets as its standard streams; None: our own
    schedule       in which order its operations come; None: as they come
    substitutes    texts that run in the place of files, by path: changes that are tried
    """

    command: list[str]
    out: Path
    program: str = ""
    duration: float | None = None
    payload: Literal["none", "prefix", "full"] = "prefix"
    payload_bytes: int = 72
    time: bool = False
    buffering: Literal["default", "block", "line", "none", "tty"] = "default"
    on_deadlock: Literal["stop", "wait"] = "stop"
    max_size: int = MAX_SIZE
    pipe_size: int | None = None
    start_method: Literal["fork", "spawn", "forkserver"] | None = None
    cwd: Path | None = None
    streams: tuple[int, int, int] | None = None
    schedule: Schedule | None = None
    substitutes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.payload not in ("none", "prefix", "full"):
            raise ValueError(f"payload is none, prefix or full, not {self.payload!r}")
        if not 0 <= self.payload_bytes <= 65_000:  # a record counts them in 16 bits
            raise ValueError(f"payload_bytes lies between 0 and 65000, not {self.payload_bytes}")


class Progress(NamedTuple):
    """How far a run is: seconds since its start, events, living processes, who waits (`pipes.py (waits for data)`)."""

    elapsed: float
    events: int
    processes: int
    waiting: list[str]


def record(
    options: Options, judge: Callable[[schema.Trace], bool], progress: Callable[[Progress], None] | None = None
) -> schema.Trace:
    """Run a program, record it, and return its finished trace, which lies in the folder `options.out` then.

    `judge` says of a trace up to now whether its program is deadlocked; it is asked when nothing moves. Nothing that
    was started is left running, whatever happens. Raises IpctraceError where the trace can't be written or the program
    can't be started; in the latter case the folder holds a trace in which nothing happened.
    """
    out = Path(options.out)
    with Signals() as signals:  # first: from here on Ctrl-C leaves a whole trace, and while that is saved it waits
        launch.prepare_output(out)
        live = launch.prepare_live(out, options.schedule, options.substitutes)
        return _Recording(options, out, live, signals, judge, progress).run()


class _Recording:
    """One run."""

    def __init__(
        self, options: Options, out: Path, live: Path, signals: Signals, judge: Callable[[schema.Trace], bool],
        progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        self.options, self.out, self.live, self.judge, self.progress = options, out, live, judge, progress
        self.signals = signals
        self.notes: list[str] = []
        self.stacks: list[Frame] = []
        self.terminals: Terminals | None = None
        self.interrupts = 0
        self.stopped: int | None = None
        self.left: list[int] = []
        self.ended = "exit"
        self.next_progress = 0.0

    def run(self) -> schema.Trace:
        before = proc.children(os.getpid())
        self.outside = proc.inherited()
        self.origin = time.monotonic_ns()
        with ExitStack() as stack:
            stack.enter_context(subreaper())
            if self.options.buffering == "tty":
                self.terminals = Terminals(self.options.streams or (0, 1, 2))
                self.outside |= self.terminals.ends
                stack.callback(self.terminals.end, lambda: self.signals.impatient)
            self.facts = self._facts()
            self.notes += platforms.lacks(self.facts["platform"]["features"])
            store.save_facts(self.facts, self.out)
            if self.signals.interrupts:
                return self._nothing("interrupted", None)
            program = self._start()
            program.returncode = 0  # the tree reaps it, and Popen must not
            self.tree = Tree(program.pid, self.origin, self.facts["command"], before)
            stack.callback(self.tree.close)
            stack.callback(self.tree.kill)
            self.root = self.tree.lives[0]
            self.contents = Contents(self.tree)
            self.logs = LiveLogs(self.live, self.origin, self.options.max_size)
            stack.callback(self.logs.close)
            self.sampler = Sampler(self.tree, self.logs)
            self.watch = Watch(self.tree, self.logs, self.sampler, self._is_deadlock)
            self._follow()
            self._end()
            if self.root.status is None:
                self._note("the program could not be ended")
            return self._finish()

    def _start(self) -> subprocess.Popen[bytes]:
        options, payload = self.options, {"none": "0", "full": "full"}.get(self.options.payload)
        environment = launch.environment(
            self.live, payload or str(options.payload_bytes), options.buffering, pipe_size=options.pipe_size,
            start_method=options.start_method, time=options.time,
        )  # fmt: skip
        names = ("stdin", "stdout", "stderr")
        more: dict[str, Any] = dict(zip(names, options.streams, strict=True)) if options.streams else {}
        if self.terminals:
            environment["TERM"] = environment.get("TERM") or TERM
            more |= {names[number]: follower for number, follower in self.terminals.streams.items()}
            more["process_group"] = 0 if self.terminals.controlling else None
        try:
            program = subprocess.Popen(options.command, env=environment, close_fds=False, cwd=options.cwd, **more)
            if self.terminals:
                self.terminals.begin(program.pid)
            return program
        except OSError as error:
            status = 127 if isinstance(error, FileNotFoundError) else 126
            why = error.strerror or str(error)
            self._note(f"{options.command[0]} could not be started: {why}")
            self._nothing("exit", status)
            hint = f"ipctrace record -- INTERPRETER {options.command[0]}" if status == 126 else "ipctrace chapter"
            raise IpctraceError(f"{options.command[0]} can't be started", why, hint) from error

    def _nothing(self, ended: str, status: int | None) -> schema.Trace:
        """The trace of a program that wasn't started."""
        self.facts |= {"status": status, "ended": ended}
        trace = assemble([], Observations(self.origin), self.facts)
        self._save(trace)
        return trace

    def _follow(self) -> None:
        """Until the program has ended, or is to be ended."""
        still, deadline = 0.0, self.options.duration
        while self.root.ended is None:
            self.tree.scan()
            moved = self.logs.poll(self.tree)
            self.sampler.step()
            self.contents.step()
            still = 0.0 if moved else still + _POLL
            self.logs.shrink()
            self._tell()
            self._pass_on()
            if self.watch.step() and self.options.on_deadlock == "stop":
                self._read_stacks()
                self._stop("deadlock")
            elif self.options.schedule and self.options.schedule.strict and departures(self.live):
                self._stop("interrupted")
            elif deadline is not None and self._elapsed() >= deadline:
                self.watch.look()
                if self.watch.everything_waits():
                    self._read_stacks()
                self._stop("duration", gently=True)
            elif self.signals.impatient:
                self.watch.look()
                self._stop("interrupted")
            else:
                pause = _IDLE if still > 1 else _QUICK if self.tree.young else _POLL
                self.tree.wait(pause if deadline is None else max(0.0, min(pause, deadline - self._elapsed())))

    def _end(self) -> None:
        """The program has ended by itself, or was stopped: give what is left of it a moment, then end it."""
        if self.stopped is None:
            deadline = time.monotonic() + _GRACE
            self.tree.scan(now=True)
            while self.tree.alive and (left := deadline - time.monotonic()) > 0:
                self.tree.wait(min(left, _POLL))
                self.tree.scan()
                self.logs.poll(self.tree)
                self.sampler.step()
            self.left = self.tree.alive
        self.frozen = time.monotonic_ns() if self.left else self.stopped
        self.tree.kill()
        self.logs.poll(set())

    def _stop(self, ended: str, gently: bool = False) -> None:
        """Freeze everything, which is the end of the trace; then end it, with a chance to tidy up if `gently`."""
        self.ended, self.stopped = ended, time.monotonic_ns()
        self.tree.signal(signal.SIGSTOP)
        self.logs.poll(self.tree)
        if gently:
            self.tree.signal(signal.SIGTERM)
            self.tree.signal(signal.SIGCONT)
            self.tree.wait_for_all(_GRACE)
        self.tree.kill()

    def _pass_on(self) -> None:
        for number in self.signals.take():
            self.tree.send_root(number)
        if self.terminals and self.terminals.controlling and self.signals.interrupts > self.interrupts:
            self.tree.send_root(signal.SIGINT)  # ours alone: the program has another terminal
        self.interrupts = self.signals.interrupts

    def _elapsed(self) -> float:
        return (time.monotonic_ns() - self.origin) / 1e9

    def _tell(self) -> None:
        elapsed = self._elapsed()
        if self.progress is None or elapsed < self.next_progress:
            return
        self.next_progress = elapsed + _PROGRESS
        waiting = {}
        for _, pid, record in self.watch.waiting(time.monotonic_ns()):
            life = self.tree.life(pid)
            name = program_name(life.argv) if life else str(pid)
            waiting[pid, record.thread] = f"{name} ({schema.REASONS[WAITS[record.op]]})"
        self.progress(Progress(elapsed, self.logs.events, len(self.tree.alive), list(waiting.values())))

    def _is_deadlock(self) -> bool:
        return self.judge(assemble(self.logs.decode(newest=_JUDGED), self._observations(), self.facts))

    def _read_stacks(self) -> None:
        pids = {pid for _, pid, _ in self.logs.open()}
        self.stacks, notes = read_stacks(sorted(pids), find_py_spy())
        for note in notes:
            self._note(note)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _observations(self) -> Observations:
        return Observations(
            self.origin, self.tree.lives, self.watch.looks, self.sampler.samples, self.stacks, self.outside,
            self.sampler.capacities, self.sampler.peers, self.contents.unchanged, stopped=self.stopped,
            substitutes=self.options.substitutes,
        )  # fmt: skip

    def _finish(self) -> schema.Trace:
        """The whole trace, written."""
        seen = self._observations()
        status = self.root.status
        if self.stopped is None and status is not None:
            if self.signals.interrupts and status in (-signal.SIGINT, 128 + signal.SIGINT):
                self.ended = "interrupted"
            elif status < 0:
                self.ended = "signal"
        for life in seen.lives if self.left else ():
            if life.ended is not None and self.frozen is not None and life.ended > self.frozen:
                life.ended = life.status = None  # by us: as the recording ended, they lived
        ends = [life.ended for life in seen.lives if life.ended is not None]
        self.facts |= {
            "ended": self.ended, "status": None if self.stopped is not None else status,
            "stopped": None if self.stopped is None else self.stopped - self.origin,
            "duration": (self.stopped or self.frozen or max(ends, default=time.monotonic_ns())) - self.origin,
            "left": self.left,
        }  # fmt: skip
        if self.facts["order"]:
            self.facts["order"]["departures"] = [list(each) for each in departures(self.live)]
        self.logs.finish()
        logs = self.logs.decode()
        for note in self.logs.notes:
            self._note(note)
        trace = assemble(logs, seen, self.facts)
        for note in [*store.dropped(trace.facts), *store.lost(trace.facts)]:
            self._note(note)
        self._save(trace)
        return trace

    def _save(self, trace: schema.Trace) -> None:
        trace.facts |= {"state": "finished", "notes": self.notes}
        store.save(trace, self.out)
        launch.remove_live(self.live)

    def _facts(self) -> dict[str, Any]:
        """run.json as it is known at the start."""
        options = self.options
        command = [schema.printable(part) for part in options.command]
        environment = ((name, os.environ.get(name)) for name in _BUFFERING)
        return dict.fromkeys(schema.FACTS) | {
            "schema": schema.VERSION, "ipctrace": version("ipctrace"), "state": "recording",
            "command": command, "program": options.program or program_name(command),
            "options": {name: value for name, value in asdict(options).items() if name not in _TOLD_ELSEWHERE},
            "cwd": schema.printable(str(options.cwd or Path.cwd())),
            "environment": {name: value and schema.printable(value) for name, value in environment},
            "platform": platforms.facts(self.terminals.streams if self.terminals else ()),
            "page_size": platforms.page_size(), "started": datetime.now(UTC).astimezone().isoformat(),
            "clock": self.origin, "left": [], "notes": self.notes,
            "order": options.schedule and options.schedule.facts(),
        }  # fmt: skip
