"""Which process of a trace is meant by a name, and whether it can be run again by itself.

A process is run again from the begin of its last program image. One that was forked and stayed what it was begins where
its parent's image began: the recording of the parent is played up to the fork, then its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..errors import IpctraceError
from ..schema import Trace

_HINT = "ipctrace show {} processes"


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the recording: what a process did from `begin` (ns) on, up to the event `fork` or its end."""

    process: int
    begin: int
    fork: int | None = None


def find(trace: Trace, name: str, words: Sequence[str], path: object = "TRACE") -> int:
    """The process that a person means: its name (`words`: what reports call each), its program, its pid or its number.

    Raises IpctraceError where there is none, or several.
    """
    processes = trace.processes
    called = [_names(dict(row), words[number]) for number, (_, row) in enumerate(processes.iterrows())]
    wanted = name.strip()
    found = [number for number, names in enumerate(called) if wanted in names]
    if not found and wanted.isdigit():
        found = [number for number, pid in enumerate(processes["pid"]) if int(pid) == int(wanted)]
        found = found or [number for number in range(len(called)) if number == int(wanted)]
    if len(found) == 1:
        return found[0]
    there = [f"{words[number]} (pid {int(processes['pid'].iloc[number])})" for number in range(len(called))]
    if found:
        which = ", ".join(there[number] for number in found)
        raise IpctraceError(
            f"{len(found)} processes are called {name}", f"there are {which}",
            f"ipctrace replay {path} --process {int(processes['pid'].iloc[found[0]])}",
        )  # fmt: skip
    near = difflib.get_close_matches(wanted, sorted({each for names in called for each in names}), 1, 0.5)
    raise IpctraceError(
        f"there is no process {name} in the trace",
        f"did you mean {near[0]}?" if near else f"there are {', '.join(there)}",
        f"ipctrace replay {path} --process {near[0]}" if near else _HINT.format(path),
    )


def _names(row: Mapping[str, Any], words: str) -> set[str]:
    program = str(row["program"])
    names = {words, program, program.removesuffix(".py")}
    if isinstance(row["name"], str):
        names.add(row["name"])
    return names - {""}


def parts(trace: Trace, process: int, words: Sequence[str], path: object = "TRACE") -> list[Part]:
    """The recording of a process, from the begin of its image on: its ancestors' up to each fork, then its own.

    Raises IpctraceError where it can't be run again: it isn't Python, or not enough of it was recorded.
    """
    facts = trace.facts
    who = words[process]
    row = trace.processes.iloc[process]
    if not bool(row["traced"]) or not isinstance(row["implementation"], str):
        raise _impossible(who, f"{row['program'] or 'it'} isn't a Python that was recorded, but watched from outside",
                          _HINT.format(path))  # fmt: skip
    if facts.get("options", {}).get("payload") != "full":
        program = facts.get("program") or "PROGRAM"
        raise _impossible(
            who, "a replay needs all bytes that it read and wrote, and the trace has the first of each only",
            f"ipctrace record --payload full {program}",
        )  # fmt: skip
    if facts.get("dropped"):
        raise _impossible(who, "the oldest events were dropped (--max-size)", "ipctrace record --max-size 2GB …")
    if int(row["lost"]):
        raise _impossible(who, "some of its records could not be written", "record it again where there is room")
    found = _lineage(trace, process, words, path)
    _check_last(trace, process, found[-1].begin, who, path)
    for part in found:
        _check_memory(trace, part, who)
    return found


def _lineage(trace: Trace, process: int, words: Sequence[str], path: object) -> list[Part]:
    row = trace.processes.iloc[process]
    begins = trace.environment.loc[trace.environment["process"] == process, "time"]
    if len(begins):
        return [Part(process, int(begins.max()))]
    if pd.isna(row["parent"]):
        raise _impossible(words[process], "how it began was not recorded", _HINT.format(path))
    parent, events = int(row["parent"]), trace.events
    forks = events[(events["process"] == parent) & (events["kind"] == "fork") & (events["result"] == row["pid"])]
    forks = forks[forks["enter"] <= int(row["started"]) + 10**9]
    if not len(forks):
        raise _impossible(words[process], "the call that made it was not recorded", _HINT.format(path))
    fork = forks.iloc[-1]
    before = _lineage(trace, parent, words, path)
    return [*before[:-1], Part(parent, before[-1].begin, int(fork["event"])), Part(process, int(row["started"]))]


def _check_last(trace: Trace, process: int, begin: int, who: str, path: object) -> None:
    """Raises IpctraceError where the process went on as another program, which was not recorded."""
    events = trace.events
    left = events[
        (events["process"] == process) & (events["kind"] == "exec") & events["exit"].isna() & (events["enter"] >= begin)
    ]
    if len(left):
        raise _impossible(who, "it became another program, which isn't a Python that was recorded", _HINT.format(path))


def _check_memory(trace: Trace, part: Part, who: str) -> None:
    """Raises IpctraceError where it looked at memory that others write: no call tells what it saw there."""
    events = trace.events
    maps = events[
        (events["process"] == part.process) & (events["op"] == "SharedMemory") & (events["enter"] >= part.begin)
    ]
    if len(maps) and part.fork is None:
        raise _impossible(
            who, "it reads shared memory, which others write without a call: what it saw there isn't in the trace",
            "replay another process of the run",
        )  # fmt: skip


def _impossible(who: str, why: str, hint: str) -> IpctraceError:
    return IpctraceError(f"{who} can't be replayed", why, hint)
