"""Which processes and threads there were: what /proc showed and what the logs say, put together.

A process is the life of a pid, from its fork to its end: exec begins a new log, not a new process. Three sources know
of it: /proc (`Life`, from the supervisor), its own logs, and the calls of others that forked it or waited for it. A pid
can be given out again, so everything is asked by pid and time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np

from .logs import Log
from .runtime import table
from .schema import printable

_CODES = {kind: [code for code, _, of, _ in table.CALLS if of == kind] for kind in ("fork", "wait", "exec")}
INTERPRETERS = ("python", "pypy")
_TAKES_VALUE = {"-W", "-X", "--check-hash-based-pycs"}  # Python's options that are followed by a value
_SLACK = 20_000_000  # ns: /proc counts a start in ticks of 10 ms


@dataclass(slots=True)
class Life:
    """A process as the supervisor saw it. Times are monotonic ns; `parent` is a pid; None is: not known.

    `defunct`: it had ended as it was first seen, and `argv` is only its command's name, cut off.
    """

    pid: int
    parent: int | None
    started: int
    argv: list[str] = field(default_factory=list)
    executable: str | None = None
    cwd: str | None = None
    ended: int | None = None
    status: int | None = None
    defunct: bool = False


@dataclass(slots=True)
class Process:
    """A process of the run. `logs` are its images' logs by index; `parent` is a process id."""

    life: Life
    logs: list[int] = field(default_factory=list)
    parent: int | None = None
    how: str = "spawn"
    program: str = ""
    forked: bool = False  # a fork of the run is known to have made it


@dataclass(slots=True)
class Thread:
    """A thread of the run. `begin` is the slot of its log from which on records of its tid are its own."""

    process: int
    tid: int
    name: str
    main: bool
    started: int
    ended: int | None
    log: int | None = None
    begin: int = 0
    loop: int | None = None  # of a task: the tid of the thread that runs it


class Census:
    """All processes of a run, process 0 first, the others by start.

    `lives` are the supervisor's observations (the first is the recorded program); `complete` says that it watched to
    the end, so that a process that it never saw has ended.
    """

    def __init__(self, logs: Sequence[Log], lives: Sequence[Life], complete: bool) -> None:
        self._logs = logs
        found = [Process(replace(life)) for life in lives]
        by_pid: dict[int, list[Process]] = {}
        for process in found:
            by_pid.setdefault(process.life.pid, []).append(process)
        self._by_pid = by_pid
        for index, log in enumerate(logs):
            self._place(index, log)
        forks = self._calls("fork")
        # a pid that was given out again is another process: the later fork's is the later one
        self._forked: dict[int, Process] = {}  # by the fork's place in `forks`
        for place in sorted(range(len(forks)), key=lambda place: forks[place][1], reverse=True):
            log_index, enter, leave, pid, _ = forks[place]
            child = self._child(pid, enter, leave) or self._add(Life(pid, logs[log_index].header.pid, enter))
            self._forked[place] = child
            child.forked = True
        everyone = [process for processes in by_pid.values() for process in processes]
        first = found[0] if found else None
        self.processes = sorted(everyone, key=lambda process: (process is not first, process.life.started))
        self.ids = {id(process): number for number, process in enumerate(self.processes)}
        self._of_log = {index: process for process in self.processes for index in process.logs}
        self._find_parents(forks)
        self._find_ends(complete)
        for number, process in enumerate(self.processes):
            self._describe(number, process)

    def _add(self, life: Life) -> Process:
        process = Process(life)
        self._by_pid.setdefault(life.pid, []).append(process)
        return process

    def _at(self, pid: int, begin: int, end: int) -> Process | None:
        """The life of a pid that had begun by `end` and had not ended before `begin`; the latest, if several had."""
        lives = [
            process
            for process in self._by_pid.get(pid, ())
            if process.life.started <= end + _SLACK and (process.life.ended is None or process.life.ended >= begin)
        ]
        return max(lives, key=lambda process: process.life.started, default=None)

    def _child(self, pid: int, enter: int, leave: int) -> Process | None:
        """The process that a fork made, of those that no later fork did. On a busy machine its first record may come
        long after the fork's return."""
        lives = [process for process in self._by_pid.get(pid, ()) if not process.forked]
        there = [
            process
            for process in lives
            if process.life.started <= leave + _SLACK and (process.life.ended is None or process.life.ended >= enter)
        ]
        if there:
            return max(there, key=lambda process: process.life.started)
        later = (process for process in lives if process.life.started > enter)
        return min(later, key=lambda process: process.life.started, default=None)

    def at(self, pid: int, time: int) -> int | None:
        """The id of the process that had this pid at a time (monotonic ns)."""
        process = self._at(pid, time, time)
        return None if process is None else self.ids[id(process)]

    def of_log(self, index: int) -> int:
        """The id of the process that wrote a log."""
        return self.ids[id(self._of_log[index])]

    def _place(self, index: int, log: Log) -> None:
        head, process = log.header, self._at(log.header.pid, log.header.started, log.header.started)
        if process is not None and process.logs and log.process.get("how") == "fork":
            process = None  # the same number again, so soon that /proc never showed it
        if process is None:
            process = self._add(Life(head.pid, head.parent, head.started))
        process.logs.append(index)

    def _calls(self, kind: str) -> list[tuple[int, int, int, int, int]]:
        """The completed calls of a kind that name a pid: (log, enter, exit, pid, extra)."""
        found = []
        for index, log in enumerate(self._logs):
            records = log.records
            chosen = records[np.isin(records["op"], _CODES[kind])]
            chosen = chosen[(chosen["state"] == table.DONE) & (chosen["result"] > 0)]
            columns = [chosen[name].tolist() for name in ("enter", "exit", "result", "extra")]
            found += [(index, *row) for row in zip(*columns, strict=True)]
        return found

    def _find_parents(self, forks: list[tuple[int, int, int, int, int]]) -> None:
        """Parents as the fork says; else as /proc did at first, or the log's header: orphans are adopted by others."""
        for place, (log_index, enter, leave, _, _) in enumerate(forks):
            child = self._forked[place]
            child.parent = self.of_log(log_index)
            # /proc knows the start within a tick only; the fork bounds it from below, the first record from above
            first = min(self._first_record(child, leave), leave)
            child.life.started = min(max(child.life.started, enter), first)
        for number, process in enumerate(self.processes):
            process.life.started = min(process.life.started, self._first_record(process, process.life.started))
            said = [process.life.parent, *(self._logs[index].header.parent for index in process.logs[:1])]
            for parent_pid in said if process.parent is None and number else ():
                started = process.life.started
                parent = None if parent_pid is None else self._at(parent_pid, started, started)
                if parent is not None and parent is not process:
                    process.parent = self.ids[id(parent)]
                    process.life.started = max(process.life.started, parent.life.started)
                    break

    def _first_record(self, process: Process, otherwise: int) -> int:
        return self._logs[process.logs[0]].header.started if process.logs else otherwise

    def _find_ends(self, complete: bool) -> None:
        for _, enter, leave, pid, status in self._calls("wait"):
            process, known = self._at(pid, enter, leave), 0 <= status <= 0xFFFF  # a damaged log may say anything
            if process is None or (known and (os.WIFSTOPPED(status) or os.WIFCONTINUED(status))):
                continue
            process.life.ended = leave if process.life.ended is None else min(process.life.ended, leave)
            if process.life.status is None and known:
                process.life.status = os.waitstatus_to_exitcode(status)
        for process in self.processes:
            if process.logs and process.life.status is None:
                process.life.status = self._exit_asked(self._logs[process.logs[-1]])
            if complete and process.life.ended is None and not process.life.argv:
                process.life.ended = max([process.life.started, *(_last(self._logs[index]) for index in process.logs)])

    @staticmethod
    def _exit_asked(log: Log) -> int | None:
        """The status of an os._exit that was entered: it never returns."""
        records = log.records
        asked = records["size"][(records["op"] == table.CODE["os._exit"]) & (records["state"] == table.OPEN)]
        return int(asked[-1]) & 0xFF if len(asked) and asked[-1] != table.NONE else None

    @staticmethod
    def _has_left(log: Log) -> bool:
        """Whether an image ended with an exec: what came then isn't Python, or isn't traced."""
        records = log.records
        return bool(np.any(np.isin(records["op"], _CODES["exec"]) & (records["state"] == table.OPEN)))

    def _describe(self, number: int, process: Process) -> None:
        """How it came to be and what it ran, from its logs, and from its parent where it has none."""
        life, images = process.life, [self._logs[index].process for index in process.logs]
        for image in images:
            life.executable = life.executable or image.get("executable") or None
        if life.defunct and images and not self._has_left(self._logs[process.logs[-1]]):
            life.argv = []
        if images and not life.argv:
            life.argv = [part for part in printable(images[-1].get("argv", "")).split(table.LIST_SEPARATOR) if part]
        parent = self.processes[process.parent] if process.parent is not None else None
        if not life.argv and parent is not None:
            life.argv = list(parent.life.argv)  # gone before /proc was asked: what it was forked as
        ran = {image.get("how") for image in images}
        original = printable(images[0].get("argv", "")).split(table.LIST_SEPARATOR) if images else []
        if number == 0:
            process.how = "start"
        elif "fork" in ran:
            process.how = "exec" if "start" in ran or life.argv != original else "fork"
        elif not images and parent is not None and parent.life.argv == life.argv:
            process.how = "fork"
        process.program = program_name(life.argv) or f"process {life.pid}"

    def threads(self, tids: dict[int, set[int]]) -> list[Thread]:
        """All threads, by process and start; `tids` are those that /proc showed of processes that aren't traced."""
        found: list[Thread] = []
        for number, process in enumerate(self.processes):
            life = process.life
            name = "MainThread" if process.logs else process.program
            main = Thread(number, life.pid, name, True, life.started, life.ended)
            others = [
                Thread(number, tid, process.program, False, life.started, life.ended)
                for tid in sorted(tids.get(number, ()))
                if not process.logs and tid != life.pid
            ]
            images = [*(self._logs[index].header.started for index in process.logs[1:]), life.ended]
            for index, following in zip(process.logs, images, strict=False):
                others += self._threads_of(number, main, index, following)
            found += [main, *others]
        return found

    def _threads_of(self, number: int, main: Thread, index: int, end: int | None) -> list[Thread]:
        log, found = self._logs[index], []
        for definition in log.definitions:
            if definition.code != table.THREAD:
                continue
            if definition.text["main"] == "1":
                main.tid, main.name = definition.thread, definition.text["name"]
                continue
            thread = Thread(number, definition.thread, definition.text["name"], False, definition.time, end, index)
            thread.begin = definition.slot
            found.append(thread)
        tasks: dict[int, Thread] = {}
        for definition in log.definitions:
            if definition.code == table.TASK and definition.size in tasks:
                tasks[definition.size].name = definition.text["name"]  # given to it after it had begun
            elif definition.code == table.TASK:
                task = tasks[definition.size] = Thread(
                    number, definition.size, definition.text["name"], False, definition.time, end, index
                )
                task.begin, task.loop = definition.slot, definition.thread
                found.append(task)
        known = {thread.tid for thread in found} | {main.tid}
        tids, first = _unique_first(log)
        for tid, place in zip(tids, first, strict=True):
            if tid not in known and tid < table.TASKS:  # begun below Python's threading
                enter = int(log.records["enter"][place])
                found.append(Thread(number, tid, f"thread-{tid}", False, enter, end, index))
        lives = np.isin(log.records["op"], [table.CODE["thread"], table.CODE["task"]])
        over = np.flatnonzero(lives & (log.records["state"] != table.OPEN))
        by_tid: dict[int, list[Thread]] = {}
        for thread in found:
            by_tid.setdefault(thread.tid, []).append(thread)
        for record, slot in zip(log.records[over], log.slots[over].tolist(), strict=True):
            own = [thread for thread in by_tid.get(int(record["thread"]), ()) if thread.begin <= slot]
            if own:
                own[-1].ended = int(record["exit"])
        return found


def _unique_first(log: Log) -> tuple[list[int], list[int]]:
    """The thread ids in a log's events, and the index of each one's first event."""
    own = np.flatnonzero(log.records["flags"] & table.GHOST == 0)
    tids, first = np.unique(log.records["thread"][own], return_index=True)
    return tids.tolist(), own[first].tolist()


def _last(log: Log) -> int:
    """The latest moment that a log speaks of."""
    records = log.records
    left = records["exit"][records["state"] != table.OPEN]
    return max([log.header.started, *(int(times.max()) for times in (records["enter"], left) if len(times))])


def program_name(argv: Sequence[str]) -> str:
    """What a command line runs, in a word: `pipes.py`, `json.tool`, `python -c`, `cat`."""
    command = PurePath(argv[0].removeprefix("-")).name if argv else ""
    option, program = _python_runs(argv)
    if option == "c":
        return f"{command} -c"
    return (program if option == "m" else PurePath(program).name) or command


def program_file(argv: Sequence[str]) -> str | None:
    """The file that a command line gives to a Python; None: it runs a module, code, or no Python at all."""
    option, program = _python_runs(argv)
    return (program or None) if not option else None


def _python_runs(argv: Sequence[str]) -> tuple[str, str]:
    """What a Python's command line has it run: ("", a file), ("m", a module), ("c", code), or ("", "")."""
    if not argv or not PurePath(argv[0].removeprefix("-")).name.startswith(INTERPRETERS):
        return "", ""
    rest = iter(argv[1:])
    for argument in rest:
        if argument in _TAKES_VALUE:
            next(rest, None)
        elif not argument.startswith("-"):
            return "", argument
        elif not argument.startswith("--") and (letter := next((x for x in argument[1:] if x in "cm"), "")):
            return letter, argument.partition(letter)[2] or next(rest, "")
    return "", ""
