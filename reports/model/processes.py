"""The processes with their lineage, and the descriptors that each held."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import Any

import pandas as pd
from ipctrace.analysis.naming import signal_name

from ..columns import pack
from ..run import Run
from .part import Part

ACCESS = ("r", "w", "rw")
HOW = ("inherited", "made", "opened", "duplicated")  # how a descriptor came about
BEGINNINGS = {"start": "the recorded program", "fork": "fork", "exec": "fork, then exec", "spawn": "subprocess"}


def processes(run: Run) -> Part:
    """`processes` by number, `lineage` (their numbers, each behind its parent), and the columns `descriptors.…`."""
    return Part(
        {"processes": _processes(run), "lineage": lineage(run)},
        {f"descriptors.{name}": column for name, column in descriptors(run).items()},
    )


def lineage(run: Run) -> list[int]:
    """The processes as a tree reads: each, then its children in the order that they were started."""
    children: dict[int | None, list[int]] = {}
    for row in sorted(run.processes, key=lambda row: (row["started"], row["process"])):
        children.setdefault(row["parent"], []).append(row["process"])
    found: list[int] = []
    waiting = children.get(None, [])[::-1]
    while waiting:
        found.append(process := waiting.pop())
        waiting += children.get(process, [])[::-1]
    return found


def _processes(run: Run) -> list[dict[str, Any]]:
    births = beginnings(run)
    depths: dict[int, int] = {}
    made = {}
    for process in lineage(run):
        row = run.processes[process]
        depths[process] = 0 if row["parent"] is None else depths[row["parent"]] + 1
        op, site = births.get(process, (None, None))
        made[process] = {
            "pid": row["pid"], "parent": row["parent"], "depth": depths[process],
            "name": run.process_name(process), "program": row["program"], "how": how(run, row, op), "site": site,
            "command": " ".join(quoted(str(word)) for word in row["argv"]), "executable": row["executable"],
            "interpreter": row["implementation"], "cwd": row["cwd"],
            "started": row["started"], "ended": row["ended"], "end": ending(run, row), "traced": traced(row),
        }  # fmt: skip
    return [made[process] for process in range(len(run.processes))]


def beginnings(run: Run) -> dict[int, tuple[str, int | None]]:
    """Process → (op, site) of the call that began it: of the forks that returned its pid the nearest in time."""
    events = run.trace.events
    forks = events[(events["kind"] == "fork") & events["result"].notna()]
    by_pid: dict[int, list[tuple[int, str, int | None]]] = {}
    for pid, time, op, site in zip(forks["result"], forks["enter"], forks["op"], forks["site"], strict=True):
        by_pid.setdefault(int(pid), []).append((int(time), str(op), None if pd.isna(site) else int(site)))
    return {
        row["process"]: min(found, key=lambda one: abs(one[0] - row["started"]))[1:]
        for row in run.processes
        if (found := by_pid.get(row["pid"]))
    }


def how(run: Run, process: dict[str, Any], op: str | None) -> str:
    """How it came to be: `subprocess`, `posix_spawn`, `multiprocessing, by fork`, `by sh, which is not traced`."""
    if process["parent"] is not None and not run.processes[process["parent"]]["traced"]:
        return f"by {run.process_name(process['parent'])}, which is not traced"
    if process["name"]:
        return f"multiprocessing, by {process['how']}"
    return "posix_spawn" if op and "posix_spawn" in op else BEGINNINGS.get(process["how"], str(process["how"]))


def quoted(word: str) -> str:
    """A word of a command line as a person would quote it: in double quotes where that saves escaping single ones."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def ending(run: Run, process: dict[str, Any]) -> str:
    """What became of it: `exit 0`, `ended by SIGTERM`, `stopped with the recording`."""
    status = process["status"]
    if status is not None and status < 0:
        return f"ended by {signal_name(-status)}"
    if status is not None:
        return f"exit {status}"
    if process["ended"] is not None:
        return "ended, status not known"
    return "stopped with the recording" if run.facts.get("stopped") is not None else "alive at the end"


def traced(process: dict[str, Any]) -> str:
    """Whether it was traced, and if not, why."""
    if process["traced"]:
        return "yes"
    name = PurePath(process["executable"] or process["program"]).name
    if name.startswith(("python", "pypy")):
        return "no: a Python that did not load ipctrace (-I, -S, or another environment); known from /proc"
    return "no: not a Python program; known from /proc"


def descriptors(run: Run) -> dict[str, Any]:
    """A row an end held, in order of process and time; `closed` is missing for one that was held to the end."""
    held = run.analysis.descriptors.sort_values(["process", "opened", "fd"], kind="stable")
    known = {name: place for place, name in enumerate(HOW)}
    return {
        "process": pack(held["process"]),
        "fd": pack(held["fd"]),
        "channel": pack(held["channel"]),
        "access": pack(held["access"].map({name: place for place, name in enumerate(ACCESS)})),
        "opened": pack(held["opened"]),
        "closed": pack(held["closed"]),
        "how": pack(held["how"].map(known)),
        "site": pack(held["site"]),
        "used": pack(held["used"]),
    }
