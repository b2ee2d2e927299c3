"""The critical path of a run: what it was made of, from the end back to the begin, so that its pieces fill all of it.

Backwards from the end of the main thread: while a thread runs, the path runs with it; where it waited for another, the
path goes over to that one at the moment when it ended the wait, and goes on from there. Wherever nobody ended a wait (a
sleep, the world outside), the wait itself is on the path. Yang and Miller, "Critical path analysis for the execution of
parallel and distributed programs" (1988); in Trace Compass the same, over the kernel's wake-ups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .edges import child_of
from .events import NEVER, NONE, Ints, optional, pick, whole
from .timeline import Timeline

if TYPE_CHECKING:
    from .run import Run


def critical(run: Run) -> pd.DataFrame:
    """`Analysis.path`: segments in order of time, one behind the other, from 0 to the cut."""
    waits = run.blocking.sort_values(["thread", "begin"], kind="stable", ignore_index=True)
    thread, begin, end, event = (whole(waits[name]) for name in ("thread", "begin", "end", "event"))
    line = Timeline(thread, begin, end)
    passes, left, via = _passes(run, waits, begin, end)
    to = np.where(passes != NONE, passes, thread)  # whose wait comes next, going back from `left`
    place = line.last(to, left)
    creators = _creators(run)

    pieces: list[tuple[int, int, int, int, int]] = []  # thread, begin, end, wait (-1: it runs), via
    now, time = _last(run)
    if time < run.cut:
        pieces.append((now, time, run.cut, -1, NONE))
    wait, came = int(line.last(np.array([now]), np.array([time]))[0]), NONE
    while time > 0:
        if wait < 0:
            born, parent, moment, by = creators[now] if now != NONE else (0, NONE, 0, NONE)
            born = min(born, time)
            pieces.append((now, born, time, -1, came))
            pieces.append((parent, min(moment, born), born, -1, by))
            time, now, came = min(moment, born), parent, by
            wait = int(line.last(np.array([now]), np.array([time]))[0]) if now != NONE else -1
            if now == NONE and time > 0:
                pieces.append((NONE, 0, time, -1, NONE))
                break
            continue
        over = int(end[wait])
        if over < time:
            pieces.append((now, over, time, -1, came))
        passed, moment, by = int(to[wait]), int(left[wait]), int(via[wait])
        pieces.append((now, moment, min(over, time), wait, by))
        # a wait that was cut short by its thread's end is nobody's doing: from its begin on as before
        if over > time:
            pieces[-1] = (now, int(begin[wait]), time, wait, NONE)
            time, came = int(begin[wait]), int(event[wait])
            wait = wait - 1 if wait > 0 and thread[wait - 1] == now else -1
            continue
        came = by if passed != now else int(event[wait])
        now, time, wait = passed, moment, int(place[wait])
    return _table(run, waits, pieces[::-1])


def _passes(run: Run, waits: pd.DataFrame, begin: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """For each wait the thread that the path goes over to (NONE: it stays), when, and through which event."""
    events = run.events
    by, by_event = whole(waits["by"]), whole(waits["by_event"])
    ended = np.where(by != NONE, pick(whole(run.trace.threads["ended"], NEVER), by), NEVER)
    moment = np.where(by_event != NONE, pick(events.enter, by_event), np.minimum(ended, end))
    moment = np.minimum(moment, end)
    passes = (by != NONE) & (by != whole(waits["thread"])) & ~waits["open"].to_numpy(dtype=bool) & (moment > begin)
    return np.where(passes, by, NONE), np.where(passes, moment, begin), np.where(passes, by_event, NONE)


def _last(run: Run) -> tuple[int, int]:
    """The main thread of the program, and when it ended; of a run that was stopped, the cut."""
    threads = run.trace.threads
    if not len(threads):
        return NONE, run.cut
    main = run.main_threads.get(0, 0)
    return main, min(int(whole(threads["ended"], NEVER)[main]), run.cut)


def _creators(run: Run) -> list[tuple[int, int, int, int]]:
    """For each thread when it began; who made it (NONE: nobody known), when, and by which event."""
    events, trace = run.events, run.trace
    count = len(trace.threads)
    started, process = whole(trace.threads["started"]), whole(trace.threads["process"])
    maker = np.full(count, NONE)
    table = run.edges[run.edges["kind"].isin(["start", "task"]) & ~run.edges["after_end"]]
    began = run.first_events
    after, before = table["after_event"].to_numpy(), table["before_event"].to_numpy()
    first = began[events.thread[after]] == after
    maker[events.thread[after[first]]] = before[first]
    forks = np.flatnonzero(events.is_kind("fork") & (events.result > 0) & (events.exit != NEVER))
    child = child_of(run, forks, events.result[forks], events.exit[forks])
    by_process = np.full(len(trace.processes) + 1, NONE)
    by_process[child[child >= 0]] = forks[child >= 0]
    main = trace.threads["main"].to_numpy(dtype=bool)
    maker = np.where(main, by_process[process], maker) if count else maker
    mains = np.full(len(trace.processes) + 1, NONE)
    mains[process[main]] = np.flatnonzero(main)
    above = whole(trace.processes["parent"], -1)[process] if count else process
    fallback = np.where(main, mains[np.maximum(above, -1)], mains[process]) if count else maker
    parent = np.where(maker != NONE, pick(events.thread, maker), fallback)
    parent[parent == np.arange(count)] = NONE
    moment = np.minimum(np.where(maker != NONE, pick(events.enter, maker), started), started)
    return list(zip(started.tolist(), parent.tolist(), moment.tolist(), maker.tolist(), strict=True))


def _table(run: Run, waits: pd.DataFrame, pieces: list[tuple[int, int, int, int, int]]) -> pd.DataFrame:
    rows = np.array(pieces, dtype="int64").reshape(-1, 5)
    rows = rows[rows[:, 2] > rows[:, 1]]
    thread, begin, end, wait, via = rows.T
    event = pick(whole(waits["event"]), wait)
    # what runs is named by the call that it ran up to
    site = np.where(wait >= 0, pick(run.events.site, event), pick(run.events.site, via))
    reasons = waits["reason"].to_numpy(dtype=object)
    what = np.full(len(rows), "runs", dtype=object)
    what[wait >= 0] = reasons[wait[wait >= 0]]
    return pd.DataFrame(
        {
            "thread": optional(thread), "begin": begin, "end": end, "what": pd.Series(what, dtype="str"),
            "site": optional(site), "event": optional(event), "via": optional(via),
        }
    )  # fmt: skip


def shares(path: pd.DataFrame, by: tuple[str, ...] = ("thread",)) -> pd.DataFrame:
    """How much of the path is whose, most first: the columns `by` (thread, what, site), time (ns), share (0 to 1)."""
    spent = path.assign(time=path["end"] - path["begin"]).groupby(list(by), dropna=False)["time"].sum().reset_index()
    spent["share"] = spent["time"] / max(int(spent["time"].sum()), 1)
    return spent.sort_values("time", ascending=False, kind="stable", ignore_index=True)
