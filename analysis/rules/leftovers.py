"""IPC3xx: something is left behind: children, memory, names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EADDRINUSE, ENOENT
from pathlib import PurePath
from typing import Any

import numpy as np

from ..events import LIVES, NEVER, NONE, number, rows_of
from ..findings import Check, Context, finding, ids
from ..naming import sentence, span
from ..results import Finding
from ..run import Run
from .system import ignores_children, of_children

# A parent that calls something for less than this after its child has ended has not forgotten it, it is about to end.
LINGERS = 200_000_000  # ns
# The same of one that calls nothing any more: its own end takes some tens of milliseconds, on a busy machine hundreds.
ENDS = 1_000_000_000  # ns
SERVANTS = ("resource_tracker", "forkserver")  # multiprocessing's own, which end with the program by design


def _ended_itself(run: Run) -> bool:
    """Whether the program came to its end, and so had its chance to clean up."""
    return run.trace.facts.get("ended") == "exit"


def zombie(context: Context) -> Iterator[Finding]:
    """IPC302: children that ended long before their parent and that it never waited for, by where they were started."""
    run, events = context.run, context.run.events
    if not _ended_itself(run) or run.trace.facts.get("dropped"):
        return
    rows = run.trace.processes
    parents = rows.set_index("process")[["ended", "status", "traced"]].rename(columns=lambda name: f"parent_{name}")
    children = rows[rows["parent"].notna() & rows["ended"].notna() & ~rows["name"].isin(SERVANTS)]
    children = children.join(parents, on="parent")
    lived_on = (children["parent_ended"].fillna(run.cut) - children["ended"]) >= ENDS
    last = {parent: _last_call(run, parent) for parent in children["parent"].unique().tolist()}
    lived_on |= (children["parent"].map(last) - children["ended"]) >= LINGERS
    ended_itself = (children["parent_status"].fillna(0) >= 0) & children["parent_traced"]
    forgotten = children[lived_on & ended_itself & ~children["process"].isin(_waited_for(run))]
    found: dict[tuple[int, int], list[Any]] = {}
    starts = np.flatnonzero(events.is_kind("fork", "start"))[::-1]  # of several with one pid the first
    started = dict(
        zip(zip(events.process[starts], events.result[starts], strict=True), starts.tolist(), strict=True)
    )
    handled = of_children(run)
    for row in rows_of(forgotten):
        parent, fork = int(row.parent), started.get((row.parent, row.pid))
        if fork is not None and not ignores_children(run, handled, parent, int(row.ended)):
            found.setdefault((parent, int(events.site[fork])), []).append((row, fork))
    for (parent, _), forgot in found.items():
        yield _zombies(context, parent, forgot)


def _last_call(run: Run, process: int) -> int:
    """When the last call of a process began."""
    own = (run.events.process == process) & ~run.events.is_kind(*LIVES)
    return int(run.events.enter[own].max(initial=0))


def _waited_for(run: Run) -> set[int]:
    """Processes whose status was collected, by a wait for them or by the system() that started them.

    What the interpreter asks as it ends, when it frees a Popen that nobody has waited for, is no wait;
    multiprocessing's asking at that time is: it joins what it has started.
    """
    events, rows = run.events, run.trace.processes
    ending = np.full(len(rows), NEVER)
    shutdowns = np.flatnonzero(events.is_op("threading.shutdown"))
    ending[events.process[shutdowns]] = events.enter[shutdowns]
    waits = np.flatnonzero(events.is_kind("wait") & (events.error == NONE))
    freeing = ~events.waiting[waits] & (events.enter[waits] > ending[events.process[waits]])
    named = set(rows.loc[rows["name"].notna(), "pid"].tolist())
    got = {
        (process, pid)
        for process, pid, freed in zip(
            events.process[waits].tolist(), events.result[waits].tolist(), freeing.tolist(), strict=True
        )
        if not freed or pid in named
    }
    systems = defaultdict[int, list[int]](list)
    for system in waits[events.is_op("os.system")[waits]].tolist():
        systems[int(events.process[system])].append(system)
    begun = {
        int(row.process)
        for row in rows_of(rows[rows["parent"].notna()])
        if any(events.enter[system] <= row.started <= events.exit[system] for system in systems.get(row.parent, ()))
    }
    return begun | {int(row.process) for row in rows_of(rows[rows["parent"].notna()]) if (row.parent, row.pid) in got}


def _zombies(context: Context, parent: int, forgot: list[Any]) -> Finding:
    run = context.run
    end = number(run.trace.processes["ended"].iloc[parent])
    first, fork = forgot[0]
    longest = (run.cut if end is None else end) - min(int(row.ended) for row, _ in forgot)
    site = run.site_of(fork)
    who = f"{len(forgot):,} children" if len(forgot) > 1 else "a child"
    name = f" ({run.process_names[int(first.process)]})" if len(forgot) == 1 else ""
    one = len(forgot) == 1
    return finding(
        "IPC302",
        f"{sentence(run.the_process(parent))} never waited for {who}{name} that it started{run.at(site)}: "
        f"{'it' if one else 'they'} ended and stayed {'a zombie' if one else 'zombies'}, for up to {span(longest)}, "
        f"until {run.the_process(parent)} ended.",
        f"Wait for what is started{run.at(site)}: Popen.wait, os.waitpid, Process.join; or call subprocess.run.",
        threads=ids(run.main_threads.get(parent), *(run.main_threads.get(int(row.process)) for row, _ in forgot)),
        sites=ids(site),
        events=ids(*(event for _, event in forgot)),
    )


def orphan(context: Context) -> Iterator[Finding]:
    """IPC303: processes that were still there as the program had ended."""
    run, events = context.run, context.run.events
    left = run.trace.facts.get("left") or []
    if not _ended_itself(run):
        return
    rows = run.trace.processes[~run.trace.processes["name"].isin(SERVANTS)]
    latest = {row.pid: row for row in rows_of(rows[rows["pid"].isin(left)])}
    forks = np.flatnonzero(events.is_kind("fork"))
    forked = dict(zip(events.result[forks].tolist(), forks.tolist(), strict=True))
    for pid in left:
        if (row := latest.get(pid)) is not None:
            fork = forked.get(pid)
            site = run.site_of(fork)
            name = run.the_process(row.process)
            yield finding(
                "IPC303",
                f"{sentence(name)} (process {pid}{', started' + run.at(site) if site is not None else ''}) was still "
                f"there when {run.the_process(0)} had ended.",
                f"End it and wait for it before {run.the_process(0)} ends: terminate() and wait() in a finally"
                f"{run.at(site)}, or PR_SET_PDEATHSIG.",
                threads=ids(run.main_threads.get(row.process)),
                sites=ids(site),
                events=ids(fork),
            )


# Shared memory


@dataclass
class _Tracker:
    """One resource tracker's list: multiprocessing tells it by a pipe; when the pipe's last writer is gone, it unlinks
    what is still on the list."""

    process: int
    channel: int
    listed: dict[str, int] = field(default_factory=dict)  # name → the process that put it there
    ended: int = NEVER


@dataclass
class _Segment:
    """A segment's name, and the events that are about it."""

    name: str
    made: int | None = None
    maps: list[int] = field(default_factory=list)
    unlinks: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)  # it was asked for and not there


def shared_memory_lifetime(context: Context) -> Iterator[Finding]:
    """IPC304: a segment that was unlinked under a user, or never."""
    run = context.run
    segments = _segments(run)
    trackers = _trackers(run) if segments else []
    for segment in segments:
        found = _unlinked_by_a_tracker(context, segment, trackers) or _unlinked_too_soon(context, segment)
        found = found or _never_unlinked(context, segment, trackers)
        if found is not None:
            yield found


def _segments(run: Run) -> list[_Segment]:
    events = run.events
    found: dict[str, _Segment] = {}
    chosen = events.is_op("SharedMemory", "SharedMemory.unlink")
    for event in np.flatnonzero(chosen).tolist():
        name = run.payloads[event].decode("utf-8", "replace")
        if not name:
            continue
        segment = found.setdefault(name, _Segment(name))
        done = events.error[event] == NONE
        if events.kind(event) == "unlink":
            segment.unlinks += [event] * bool(done)
        elif done:
            segment.maps.append(event)
            if events.extra[event] == 1:
                segment.made = event
        elif events.error[event] == ENOENT:
            segment.missing.append(event)
    return list(found.values())


def _trackers(run: Run) -> list[_Tracker]:
    events, rows = run.events, run.trace.processes
    found = []
    for process in rows.loc[rows["name"] == "resource_tracker", "process"].tolist():
        reads = np.flatnonzero((events.process == process) & events.is_kind("read") & (events.stream != NONE))
        if not len(reads):
            continue
        tracker = _Tracker(process, int(events.channel[reads[0]]))
        last = reads[(events.result[reads] == 0) & (events.error[reads] == NONE)]
        if len(last):
            tracker.ended = int(events.exit[last[-1]])
        told = np.flatnonzero(events.is_kind("write") & (events.channel == tracker.channel) & (events.result > 0))
        for event in told.tolist():
            command, name, *kind = run.payloads[event].decode("utf-8", "replace").strip().split(":")[:3] + [""] * 3
            if kind[0] == "shared_memory" and command == "REGISTER":
                tracker.listed.setdefault(name, int(events.process[event]))
            elif kind[0] == "shared_memory" and command == "UNREGISTER":
                tracker.listed.pop(name, None)
        found.append(tracker)
    return found


def _unlinked_by_a_tracker(context: Context, segment: _Segment, trackers: list[_Tracker]) -> Finding | None:
    """A process that only attached has a tracker of its own, which removes the segment when that process ends; others
    hold it still, or ask for it later."""
    run, events = context.run, context.run.events
    for tracker in trackers:
        time = tracker.ended
        if segment.name not in tracker.listed or time == NEVER:
            continue
        if any(events.exit[unlink] < time for unlink in segment.unlinks):
            continue
        who = tracker.listed[segment.name]
        attached = [event for event in segment.maps if events.process[event] == who and events.extra[event] != 1]
        others = [event for event in segment.maps if event not in attached and events.process[event] != who]
        used = [event for event in segment.missing if events.enter[event] > time]
        used += [event for event in others if events.exit[event] < time and _in_use(run, event, time)]
        made_here = any(events.extra[event] == 1 and events.process[event] == who for event in segment.maps)
        if not attached or made_here or not used:
            continue
        use = used[0]
        user = run.the_thread(int(events.thread[use]))
        effect = (
            f"{user} asked for it{run.at_event(use)} and it was gone"
            if use in segment.missing
            else f"while {user} still uses it (made or attached{run.at_event(use)})"
        )
        return finding(
            "IPC304",
            f"The shared memory {segment.name} was removed when {run.the_process(who)} ended, which had only attached "
            f"to it{run.at_event(attached[0])}: its resource tracker unlinks what it has seen; {effect}.",
            f"Attach with track=False{run.at_event(attached[0])} (Python 3.13), or "
            "resource_tracker.unregister(memory._name, 'shared_memory') after it; whoever made it unlinks it.",
            severity="error" if use in segment.missing else "warning",
            threads=ids(run.main_threads.get(who), int(events.thread[use]), run.main_threads.get(tracker.process)),
            channels=ids(number(events.channel[attached[0]])),
            sites=ids(run.site_of(attached[0]), run.site_of(use)),
            events=ids(attached[0], use),
        )
    return None


def _in_use(run: Run, mapped: int, time: int) -> bool:
    """Whether a process still has, some time after, what it mapped: neither closed nor gone, nor just ending."""
    events = run.events
    process = events.process[mapped]
    closed = (
        events.is_kind("unmap")
        & (events.process == process)
        & (events.channel == events.channel[mapped])
        & (events.enter > events.exit[mapped])
    )
    end = min(int(events.enter[closed].min(initial=NEVER)), number(run.trace.processes["ended"].iloc[process]) or NEVER)
    return end - time >= LINGERS if end != NEVER else run.cut - time >= LINGERS


def _unlinked_too_soon(context: Context, segment: _Segment) -> Finding | None:
    """Unlinked by the program itself, and asked for after that."""
    run, events = context.run, context.run.events
    for unlink in segment.unlinks[:1]:
        late = [event for event in segment.missing if events.enter[event] > events.enter[unlink]]
        if not late or any(events.extra[event] == 1 and events.enter[event] > events.enter[unlink]
                           for event in segment.maps):  # fmt: skip
            continue
        if events.process[late[0]] == events.process[unlink]:
            continue  # it makes sure that it is gone
        return finding(
            "IPC304",
            f"{sentence(run.the_thread(int(events.thread[unlink])))} unlinked the shared memory {segment.name}"
            f"{run.at_event(unlink)}, and {run.the_thread(int(events.thread[late[0]]))} came for it"
            f"{run.at_event(late[0])} only after that.",
            f"Unlink it when the last one who attaches has done so{run.at_event(unlink)}: join the users first.",
            severity="error",
            threads=ids(int(events.thread[unlink]), int(events.thread[late[0]])),
            channels=ids(number(events.channel[unlink])),
            sites=ids(run.site_of(unlink), run.site_of(late[0])),
            events=ids(unlink, late[0]),
        )
    return None


def _never_unlinked(context: Context, segment: _Segment, trackers: list[_Tracker]) -> Finding | None:
    """Made by the program, and left to the resource tracker, or to nobody."""
    run, events = context.run, context.run.events
    if segment.made is None or segment.unlinks or not _ended_itself(run) or run.trace.facts.get("dropped"):
        return None
    tracked = any(segment.name in tracker.listed for tracker in trackers)
    maker = int(events.thread[segment.made])
    what = (
        "until the resource tracker removed it at the end of the program, with a warning"
        if tracked
        else "and stays there until the machine is started anew"
    )
    return finding(
        "IPC304",
        f"The shared memory {segment.name}, made by {run.the_thread(maker)}{run.at_event(segment.made)}, was never "
        f"unlinked: it lay in memory {what}.",
        f"Call unlink() in a finally once its users have ended{run.at_event(segment.made)}, or make it by a "
        "SharedMemoryManager.",
        threads=ids(maker),
        channels=ids(number(events.channel[segment.made])),
        sites=ids(run.site_of(segment.made)),
        events=ids(segment.made),
    )


# Names in the file system


def stale_endpoint(context: Context) -> Iterator[Finding]:
    """IPC305: a FIFO's or socket's name that was made and never removed; where it was in the way, that first."""
    run, events = context.run, context.run.events
    made = _names_made(run)
    in_the_way = defaultdict[str, list[int]](list)
    for late in np.flatnonzero(events.is_kind("bind") & (events.error == EADDRINUSE)).tolist():
        in_the_way[str(events.table["address"].iloc[late])].append(late)
    gone = _Gone(run) if made else None
    for name, event in made.items():
        again = [late for late in in_the_way.get(name, ()) if events.enter[late] > events.exit[event]]
        removed = gone.times(name, event) if gone is not None else []
        refused = next((late for late in again if not removed or events.enter[late] < min(removed)), None)
        if refused is not None and not _still_held(run, event, int(events.enter[refused])):
            yield _stale(context, name, event, refused)
        elif not removed and _ended_itself(run) and not run.trace.facts.get("dropped"):
            yield _stale(context, name, event, None)


def _names_made(run: Run) -> dict[str, int]:
    """Name → the event that made it first: a FIFO, or a Unix socket that was bound to a path."""
    events = run.events
    made = np.flatnonzero((events.error == NONE) & (events.is_op("os.mkfifo") | events.is_kind("bind")))
    found: dict[str, int] = {}
    for event in made.tolist():
        name = _address(run, event)
        if name:
            found.setdefault(name, event)
    return found


def _address(run: Run, event: int) -> str:
    """The path that an event made or asked for; "" where there is none: other families, abstract names."""
    events = run.events
    if events.kind(event) == "entry":
        return str(run.payloads[event].decode("utf-8", "replace"))
    address = events.table["address"].iloc[event]
    unix = number(events.channel[event])
    form = run.trace.channels["form"].iloc[unix] if unix is not None else None
    if not isinstance(address, str) or not isinstance(form, str) or not form.startswith("unix"):
        return ""
    return "" if address.startswith(("@", "\0", "\\0")) else address


class _Gone:
    """When names went, or may have gone: unlinked here, or by a tool that was given them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.unlinked = defaultdict[str | int, set[int]](set)  # the last part of a name, or a channel → unlinks
        for event in np.flatnonzero(run.events.is_op("os.unlink") & (run.events.error == NONE)).tolist():
            self.unlinked[PurePath(run.payloads[event].decode("utf-8", "replace")).name].add(event)
            if run.events.channel[event] != NONE:
                self.unlinked[int(run.events.channel[event])].add(event)
        untraced = run.trace.processes[~run.trace.processes["traced"]]
        self.tools = [(row.argv, int(row.started)) for row in rows_of(untraced) if row.argv is not None]

    def times(self, name: str, made: int) -> list[int]:
        """When that may have been, of a name that this event made."""
        events, path = self.run.events, PurePath(name)
        base, folder = path.name, str(path.parent)
        unlinks = self.unlinked.get(base, set()) | self.unlinked.get(int(events.channel[made]), set())
        return [
            *(int(events.enter[event]) for event in sorted(unlinks) if events.enter[event] >= events.enter[made]),
            *(started for words, started in self.tools
              if any(word in (name, base, folder) or base in word for word in words)),
        ]  # fmt: skip


def _still_held(run: Run, bound: int, time: int) -> bool:
    """Whether the socket that was bound is still open, so that its name is rightly taken."""
    held = run.spans[run.spans["channel"] == run.events.channel[bound]]
    return bool((held["closed"].isna() | (held["closed"] > time)).any())


def _stale(context: Context, name: str, made: int, refused: int | None) -> Finding:
    run, events = context.run, context.run.events
    what = "FIFO" if events.kind(made) == "entry" else "socket's file"
    maker = run.the_thread(int(events.thread[made]))
    effect = (
        f"so the bind of {run.the_thread(int(events.thread[refused]))}{run.at_event(refused)} was refused: the address "
        "is in use"
        if refused is not None
        else "and the next start will find it"
    )
    return finding(
        "IPC305",
        f"The {what} {name}, made by {maker}{run.at_event(made)}, was left in the file system, {effect}.",
        f"Remove it where it is no longer used (os.unlink in a finally){run.at_event(made)}, or make it in a "
        "tempfile.TemporaryDirectory.",
        severity="error" if refused is not None else "warning",
        threads=ids(int(events.thread[made]), int(events.thread[refused]) if refused is not None else None),
        channels=ids(number(events.channel[made])),
        sites=ids(run.site_of(made), run.site_of(refused)),
        events=ids(made, refused),
    )


CHECKS: tuple[Check, ...] = (zombie, orphan, shared_memory_lifetime, stale_endpoint)
