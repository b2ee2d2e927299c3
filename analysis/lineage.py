"""Who a thread is in any run of its program: named by who started whom, in which order, and not by number.

"0" is the recorded program, "0-2" what its main thread forked or started second, "0.1-1" the first child of the first
thread that its main thread started; "+1" is what else came out of one start (two programs of one shell). The gate
(tracer/runtime/gate.py) names threads by the same rules while they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .events import NEVER, NONE, Flags, Ints, whole

if TYPE_CHECKING:
    from .run import Run


class Lineages(NamedTuple):
    """`names`: of each unit, a thread within one program image ("": not known). `unit`: event → whose it is; NONE: a
    task's, which isn't a thread."""

    names: list[str]
    unit: Ints


def lineages(run: Run) -> Lineages:
    """The units of a run and their lineages."""
    return _Family(run).told()


class _Family:
    """Who started whom."""

    def __init__(self, run: Run) -> None:
        self.run, events = run, run.events
        self.names: list[str] = []
        self.unit = np.full(len(events), NONE)
        self.taken: set[str] = set()
        self.process: dict[int, str] = {}  # process → lineage
        self.children = self._numbers(events.is_kind("fork", "exec") | events.is_op("os.system"))
        self.threads = self._numbers(events.is_op("Thread.start"))
        self.started_by = self._started_by()
        self.threads_by = self._threads_by()
        self.lineage = dict[int, str]()  # the event that starts something → the lineage of its thread then

    def told(self) -> Lineages:
        """Older processes first: whoever starts something is known by then."""
        processes = self.run.trace.processes
        started = whole(processes["started"])
        for process in np.argsort(started, kind="stable").tolist():
            self._process(process)
        return Lineages(self.names, self.unit)

    def _numbers(self, chosen: Flags) -> dict[int, int]:
        """Of each of these events, how many its thread had made with it; an exec begins anew."""
        events, counts, found = self.run.events, dict[int, int](), dict[int, int]()
        execs = events.is_kind("exec") & (events.error == NONE)
        for event in np.flatnonzero(chosen | execs).tolist():
            thread = int(events.thread[event])
            if chosen[event]:
                counts[thread] = found[event] = counts.get(thread, 0) + 1
            if execs[event]:
                counts[thread] = 0
        return found

    def _started_by(self) -> dict[int, int]:
        """Process → the event that started it."""
        events, processes = self.run.events, self.run.trace.processes
        forks = np.flatnonzero(events.is_kind("fork") & (events.result > 0) & (events.exit != NEVER))
        parent, pid, started = whole(processes["parent"], -1), whole(processes["pid"]), whole(processes["started"])
        found: dict[int, int] = {}
        for event in forks.tolist():  # on a busy machine a child is first seen after the call that made it has returned
            children = np.flatnonzero((parent == events.process[event]) & (pid == events.result[event]))
            if len(children):
                nearest = children[np.argmin(np.abs(started[children] - events.exit[event]))]
                found.setdefault(int(nearest), event)
        for event in np.flatnonzero(events.is_op("os.system")).tolist():  # its child's pid isn't known
            for child in np.flatnonzero(parent == events.process[event]).tolist():
                if child not in found and events.enter[event] <= started[child] <= events.exit[event]:
                    found[child] = event
                    break
        return found

    def _threads_by(self) -> dict[int, int]:
        """Thread → the event that started it: of those that were starting one as it began, the first."""
        events, table = self.run.events, self.run.trace.threads
        begun, owner = whole(table["started"]), whole(table["process"])
        plain = ~table["main"].to_numpy(dtype=bool) & table["loop"].isna().to_numpy()
        starts = np.flatnonzero(events.is_op("Thread.start")).tolist()
        found: dict[int, int] = {}
        for thread in sorted(np.flatnonzero(plain).tolist(), key=lambda each: int(begun[each])):
            for event in starts:
                if (
                    events.process[event] == owner[thread]
                    and events.enter[event] <= begun[thread] <= events.exit[event]
                ):
                    found[thread] = event
                    starts.remove(event)
                    break
        return found

    def _process(self, process: int) -> None:
        table = self.run.trace.processes
        event = self.started_by.get(process)
        if process == 0:
            name = "0"
        elif event is not None:
            name = f"{self.lineage.get(event, '?')}-{self.children[event]}"
        else:
            name = self.process.get(int(whole(table["parent"], -1)[process]), "?")
        if bool(table["traced"].iloc[process]):
            name = self._claim(name)
        self.process[process] = name
        threads = self.run.trace.threads
        own = threads[threads["process"] == process]
        main = own.index[own["main"].to_numpy(dtype=bool)].tolist()
        others = sorted((thread for thread in own.index.tolist() if thread in self.threads_by), key=self._began)
        for thread in main[:1]:
            self._thread(thread, name)
        for thread in others:
            begun = self.threads_by[thread]
            self._thread(thread, f"{self.lineage.get(begun, '?')}.{self.threads[begun]}")

    def _began(self, thread: int) -> int:
        return int(self.run.trace.threads["started"].iloc[thread])

    def _thread(self, thread: int, name: str) -> None:
        """Number a thread's units: each exec that went well begins a new one."""
        events, begin = self.run.events, 0
        own = self.run.of_thread(thread)
        execs = np.flatnonzero(events.is_kind("exec")[own] & (events.error[own] == NONE)).tolist()
        for end in [*execs, len(own) - 1]:
            part = own[begin : end + 1]
            self.unit[part] = len(self.names)
            self.names.append("" if "?" in name else name)
            for event in part.tolist():
                if event in self.children or event in self.threads:
                    self.lineage[event] = name
            if end in execs:
                name = self._claim(f"{name}-{self.children[int(own[end])]}")
            begin = end + 1

    def _claim(self, name: str) -> str:
        number, claimed = 0, name
        while claimed in self.taken:
            number += 1
            claimed = f"{name}+{number}"
        self.taken.add(claimed)
        return claimed
