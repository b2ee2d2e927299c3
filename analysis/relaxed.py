"""The relaxed order of a run: of its operations only those that two threads made on one thing, and only as far as one
could have seen the other.

Netzer and Miller (1992) replay a run by the races of its messages alone; here what is ordered is every pair of
operations that conflict: on one channel, one lock, one name in the file system, one stream of a process. Each operation
takes effect once. What gives (a write, a release, a notice, a change) does so from its begin on; what gets (a read, an
acquire) has it at its end, and may be entered as late as that. So a read waits for the writes that came before its end,
and a write for the reads that had ended before it began; where two overlap, only what had begun is waited for. Every
step waits for steps that were earlier in the record: so they never wait for each other in a circle.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ipctrace.tracer.schema import OBJECTS

from .effects import effects
from .events import LIVES, NEVER, NONE, Ints, number, rows_of, whole
from .lineage import Lineages, lineages

if TYPE_CHECKING:
    from .run import Run

GIVES, GETS, SEES, AWAITS, LOOKS = "gives", "gets", "sees", "awaits", "looks"
# What operations of each kind do. A wait is told at its end, but whoever tells must find it waiting.
ROLES = {
    "write": GIVES, "send": GIVES, "release": GIVES, "notify": GIVES, "store": GIVES, "close": GIVES,
    "shutdown": GIVES, "unlink": GIVES, "entry": GIVES, "change": GIVES, "bind": GIVES, "listen": GIVES, "kill": GIVES,
    "handle": GIVES, "read": GETS, "receive": GETS, "acquire": GETS, "select": SEES, "await": AWAITS, "load": LOOKS,
    "look": LOOKS, "open": LOOKS, "connect": GIVES, "fork": LOOKS, "exit": GIVES,
}  # fmt: skip
_FEED = "multiprocessing.Queue.feed"
# Without every acquire in the record, the n-th one of a place isn't the n-th one that was made.
_PARTLY = ("Lock.acquire", "Lock.release", "RLock.acquire", "RLock.release", "import", "Event.wait")
_CHANGING = 0o1 | 0o2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC of open(2)
_BUFFERED = ("accept", "flush", "take", "input")
_ENTERED = (GIVES, AWAITS)  # roles whose begin others may have to wait for
_HARMLESS = (LOOKS, SEES)  # two of these don't conflict

_SIGNALS = "signals of"

Thing = tuple[str, object]


class Operation(NamedTuple):
    """An event as one that is put in order: its unit (Lineages), its role, and what it works on."""

    event: int
    unit: int
    role: str
    things: tuple[Thing, ...]


class Place(NamedTuple):
    """An operation in any run: the thread's lineage, the call, where it is made (file, function, line), and how often
    that thread had made this call there before."""

    lineage: str
    op: str
    file: str
    function: str
    line: int
    number: int


@dataclass(frozen=True, slots=True)
class Step:
    """An operation in the relaxed order: the positions of its begin and end in its thread (0: it never ended), and what
    must have been reached by others before it begins: (unit, position)."""

    event: int
    unit: int
    place: Place
    begin: int
    end: int
    needs: tuple[tuple[int, int], ...]


class Last(NamedTuple):
    """The last call of a thread that a signal ended, and the step after which it is gone: (unit, position)."""

    unit: int
    place: Place
    killed: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The relaxed order of a run: its units' lineages; its steps, in order of begin; the sleeps that never ended; the
    last calls of threads that were killed; the longest time (ns) in which no operation of the run began or ended."""

    names: list[str]
    steps: list[Step]
    asleep: list[Place]
    killed: list[Last]
    quiet: int

    def at(self, unit: int, position: int) -> Step | None:
        """The step of a unit that a position belongs to."""
        return next((step for step in self.steps if step.unit == unit and position in (step.begin, step.end)), None)


def relaxed(run: Run) -> Relaxed:
    """The relaxed order of a run."""
    family = lineages(run)
    chosen = shared(operations(run, family))
    events = run.events
    asleep = np.flatnonzero(events.is_kind("sleep") & (events.exit == NEVER) & (family.unit != NONE)).tolist()
    begin, end = _positions(run, chosen)
    killed = _killed(run, family, chosen, end)
    places = places_of(run, family, [*(operation.event for operation in chosen), *asleep, *killed])
    needs = _needs(run, chosen, begin, end)
    steps = [
        Step(each.event, each.unit, places[each.event], begin[each.event], end.get(each.event, 0), needs[each.event])
        for each in chosen
    ]
    last = [Last(int(family.unit[event]), places[event], step) for event, step in killed.items()]
    return Relaxed(family.names, steps, [places[event] for event in asleep], last, quiet(run))


def operations(run: Run, family: Lineages) -> list[Operation]:
    """Every operation that works on something others might work on too, in order of begin."""
    events, things = run.events, _Things(run)
    complete = run.trace.facts.get("order") is not None
    within = _whole(run)
    found = []
    wanted = (events.is_kind(*ROLES, *_BUFFERED) | events.is_op(_FEED)) & (family.unit != NONE)
    locked: dict[int, tuple[Thing, ...]] = {}  # by each whole message
    for event in np.flatnonzero(wanted & events.is_kind("acquire") & (within != NONE)).tolist():
        locked[int(within[event])] = (*locked.get(int(within[event]), ()), *things.of(event, "acquire"))
    for event in np.flatnonzero(wanted & (within == NONE)).tolist():
        kind, op = events.kind(event), events.op(event)
        if not family.names[family.unit[event]] or (not complete and op in _PARTLY):
            continue
        role = GIVES if op == _FEED or kind in _BUFFERED else GETS if op == "socket.accept" else ROLES[kind]
        if kind == "open" and number(events.size[event]) is not None and int(events.size[event]) & _CHANGING:
            role = GIVES
        if kind == "read" and things.is_file(event):
            role = LOOKS
        on = things.of(event, kind) + locked.get(event, ())
        if on:
            found.append(Operation(event, int(family.unit[event]), role, on))
    return found


def shared(chosen: list[Operation]) -> list[Operation]:
    """Those that work on what several threads work on, and not all of them only look at."""
    units: dict[Thing, set[int]] = {}
    changed: set[Thing] = set()
    for operation in chosen:
        for thing in operation.things:
            units.setdefault(thing, set()).add(operation.unit)
            if operation.role not in _HARMLESS:
                changed.add(thing)
    kept = {thing for thing, users in units.items() if len(users) > 1 and thing in changed}
    kept |= {thing for thing in units if thing[0] == _SIGNALS}  # whoever gets a signal need not make a call for it
    parts = [
        operation._replace(things=tuple(thing for thing in operation.things if thing in kept)) for operation in chosen
    ]
    return [operation for operation in parts if operation.things]


class _Things:
    """What each operation works on."""

    def __init__(self, run: Run) -> None:
        self.run, self.lanes = run, run.lanes
        channels, processes = run.trace.channels, run.trace.processes
        self.kinds = channels["kind"].tolist()
        self.paths = [path if isinstance(path, str) else "" for path in channels["path"].tolist()]
        self.local = [text if isinstance(text, str) else "" for text in channels["local"].tolist()]
        self.folders = [cwd if isinstance(cwd, str) else "/" for cwd in processes["cwd"].tolist()]
        self.pids = dict(zip(processes["pid"].tolist(), processes["process"].tolist(), strict=True))
        self.members = {event: rows["fd"].tolist() for event, rows in run.trace.members.groupby("event")}
        self.held = self._held()
        own = channels[channels["kind"].isin(["lock", "rlock"]) & channels["process"].notna() & channels["path"].isna()]
        self.locks: dict[int, tuple[Thing, ...]] = {}
        for row in rows_of(own):
            self.locks[int(row.process)] = (*self.locks.get(int(row.process), ()), self._channel(int(row.channel)))
        threads = run.trace.events.groupby("stream")["thread"].nunique()
        self.streams = set(threads.index[threads > 1].tolist())
        self.addresses = run.trace.events["address"]

    def of(self, event: int, kind: str) -> tuple[Thing, ...]:
        """What an operation of a kind works on."""
        events = self.run.events
        if kind in _BUFFERED:  # what goes further has events of its own
            stream = number(events.stream[event])
            return (("stream", stream),) if stream in self.streams else ()
        if kind in ("look", "change", "entry", "unlink") or (kind == "open" and self.run.payloads[event]):
            names = self._names(event)
            if names:
                return names
        if kind == "fork":  # the child has the locks as they are just then
            return self.locks.get(int(events.process[event]), ()) if events.op(event) == "os.fork" else ()
        if kind == "kill":
            target = self.pids.get(int(events.size[event]))
            return ((_SIGNALS, target),) if target is not None else ()
        if kind in ("handle", "exit") or (kind == "await" and events.wait(event) == "signal"):
            return ((_SIGNALS, int(events.process[event])),)
        if kind == "select":
            held = self.held.get(int(events.process[event]), {})
            return tuple(self._channel(held[fd]) for fd in self.members.get(event, ()) if fd in held)
        if kind in ("connect", "bind", "listen"):
            return self._address(event)
        channel = number(self.lanes.channel[event])
        if channel is None or self.kinds[channel] == "device":
            return ()
        return (self._channel(channel),)

    def is_file(self, event: int) -> bool:
        """Whether an operation is one on a plain file."""
        channel = number(self.run.events.channel[event])
        return channel is not None and self.kinds[channel] == "file"

    def _channel(self, channel: int) -> Thing:
        if self.kinds[channel] == "file" and self.paths[channel]:
            return "name", self.paths[channel]
        if self.kinds[channel] in OBJECTS and self.paths[channel]:
            return self.kinds[channel], self.paths[channel]
        return "channel", channel

    def _names(self, event: int) -> tuple[Thing, ...]:
        """The names that a call was given, and the folders that they stand or stood in, where it changes those."""
        folder = self.folders[int(self.run.events.process[event])]
        words = [name.decode("utf-8", "surrogateescape") for name in self.run.payloads[event].split(b"\0") if name]
        names = [posixpath.normpath(posixpath.join(folder, word)) for word in words]
        events = self.run.events
        if events.op(event) in ("os.listdir", "os.scandir"):
            return tuple(("entries", name) for name in names)
        found: list[Thing] = [("name", name) for name in names]
        if events.kind(event) != "look":
            found += [("entries", posixpath.dirname(name)) for name in names]
        return tuple(found)

    def _address(self, event: int) -> tuple[Thing, ...]:
        address = self.addresses.iloc[event]
        if self.run.events.op(event) in ("socket.accept", "socket.listen"):
            channel = number(self.run.events.channel[event])
            address = "" if channel is None else self.local[channel]
        return (("address", address),) if isinstance(address, str) and address else ()

    def _held(self) -> dict[int, dict[int, int]]:
        """Process → descriptor → channel. A number that led to several things is none's."""
        found: dict[int, dict[int, int]] = {}
        for row in rows_of(self.run.spans[["process", "fd", "channel"]].drop_duplicates()):
            of = found.setdefault(int(row.process), {})
            of[int(row.fd)] = -1 if int(row.fd) in of else int(row.channel)
        return {process: {fd: each for fd, each in of.items() if each >= 0} for process, of in found.items()}


def _whole(run: Run) -> Ints:
    """For every event the send or receive of a whole message that makes it, or NONE: that one is put in order, with all
    that it does."""
    events = run.events
    outer = events.is_kind("send", "receive") | events.is_op(_FEED)
    above, found = events.parent.copy(), np.full(len(events), NONE)
    nested = np.flatnonzero(above >= 0)
    while len(nested):
        hit = nested[outer[above[nested]]]
        found[hit] = above[hit]  # the outermost stays
        above[nested] = events.parent[above[nested]]
        nested = nested[above[nested] >= 0]
    return found


def places_of(run: Run, family: Lineages, wanted: list[int]) -> dict[int, Place]:
    """The place of each of these events. What was told of later (a lock's holder) was no operation of its own."""
    events, sites, kept = run.events, run.trace.sites, set(wanted)
    names = list(zip(sites["file"], sites["function"], sites["line"].tolist(), strict=True))
    counts: dict[tuple[object, ...], int] = {}
    found = {}
    for event in np.flatnonzero(family.unit != NONE).tolist():
        site = number(events.site[event])
        file, function, line = ("", "", 0) if site is None else names[site]
        op, unit = events.op(event), int(family.unit[event])
        key = unit, op, file, function, line
        count = counts.get(key, 0)
        counts[key] = count + 1
        if event in kept:
            found[event] = Place(family.names[unit], op, file, function, line, count)
    return found


def _positions(run: Run, chosen: list[Operation]) -> tuple[dict[int, int], dict[int, int]]:
    """Begin and end of each operation as positions in its unit, from 1; an operation that never ended has no end."""
    events = run.events
    nodes: dict[int, list[tuple[int, int, int]]] = {}
    for operation in chosen:
        event = operation.event
        own = nodes.setdefault(operation.unit, [])
        own.append((int(events.enter[event]), 1, event))
        if events.exit[event] != NEVER:
            own.append((int(events.exit[event]), 0 if events.exit[event] > events.enter[event] else 2, event))
    begin, end = dict[int, int](), dict[int, int]()
    for own in nodes.values():
        for position, (_, which, event) in enumerate(sorted(own), 1):
            (begin if which == 1 else end)[event] = position
    return begin, end


def _needs(
    run: Run, chosen: list[Operation], begin: dict[int, int], end: dict[int, int]
) -> dict[int, tuple[tuple[int, int], ...]]:
    """What each operation waits for: of each other unit the last step on the same thing that came before it."""
    events = run.events
    moments = _moments(run, chosen)
    # Of one time, whoever waits goes before what it could wait for.
    line: dict[Thing, list[tuple[int, int, Operation, int]]] = {}
    steps: dict[int, list[tuple[int, int, int]]] = {}
    for operation in chosen:
        event, (moment, done) = operation.event, moments[operation.event]
        own = steps.setdefault(int(events.process[event]), [])
        own.append((moment, operation.unit, begin[event]))
        if event in end:
            own.append((done, operation.unit, end[event]))
        for thing in operation.things:
            nodes = line.setdefault(thing, [])
            nodes.append((moment, 0, operation, 0))
            if operation.role == SEES and events.timed[event]:
                continue  # how often somebody looks who doesn't wait long is the machine's: nobody waits for that
            if operation.role in _ENTERED:
                nodes.append((moment, 1, operation, begin[event]))
            if event in end:
                nodes.append((done, 1, operation, end[event]))
    found: dict[int, dict[int, int]] = {operation.event: {} for operation in chosen}
    for nodes in line.values():
        last: tuple[dict[int, int], dict[int, int]] = ({}, {})  # of all operations; of those that change something
        for _, is_step, operation, position in sorted(nodes, key=lambda node: node[:2]):
            harmless = operation.role in _HARMLESS
            if is_step:
                for units in last[: 1 if harmless else 2]:
                    units[operation.unit] = max(position, units.get(operation.unit, 0))
                continue
            needed = found[operation.event]
            for unit, reached in last[1 if harmless else 0].items():
                if unit != operation.unit:
                    needed[unit] = max(reached, needed.get(unit, 0))
    for operation in chosen:
        if events.kind(operation.event) == "kill":
            _signalled(operation, moments[operation.event][0], steps, found[operation.event])
    return _reduced(chosen, found)


def _moments(run: Run, chosen: list[Operation]) -> dict[int, tuple[int, int]]:
    """When each operation takes effect, and when it is known to have: (ns, ns), both between its begin and its end."""
    events, known = run.events, effects(run)
    within = _whole(run)
    for event in [event for event in known if within[event] != NONE]:
        message = int(within[event])
        known[message] = min(known[event], known.get(message, NEVER))
    outer = _with_others_inside(run, {operation.event for operation in chosen})
    found = {}
    for operation in chosen:
        event = operation.event
        enter, exit = int(events.enter[event]), int(events.exit[event])
        if event in outer:
            found[event] = enter, exit
        elif operation.role in (GETS, SEES):
            found[event] = (exit if events.kind(event) == "receive" else known.get(event, exit),) * 2
        else:
            found[event] = exit if _kills(run, operation) else known.get(event, enter), exit
    # Where a signal was sent to a process that was still there, its os._exit, which takes a while, was not over.
    sent, ended = dict[int, int](), whole(run.trace.processes["ended"], NEVER)
    for operation in chosen:
        event = operation.event
        if events.kind(event) == "kill" and events.error[event] == NONE:
            target, (moment, _) = _target(operation), found[event]
            if events.enter[event] < ended[target]:
                sent[target] = max(moment, sent.get(target, 0))
    for operation in chosen:
        if events.kind(operation.event) == "exit":
            moment, done = found[operation.event]
            found[operation.event] = max(moment, sent.get(int(events.process[operation.event]), 0) + 1), done
    return found


def _kills(run: Run, operation: Operation) -> bool:
    """Whether it sends the signal that its target dies of."""
    events, event = run.events, operation.event
    if events.kind(event) != "kill":
        return False
    status = number(run.trace.processes["status"].iloc[_target(operation)])
    return status is not None and status == -int(events.extra[event])


def _killed(
    run: Run, family: Lineages, chosen: list[Operation], end: dict[int, int]
) -> dict[int, tuple[int, int]]:
    """The last call of each thread of a process that was killed → where the killer was then: (unit, position)."""
    events, found = run.events, {}
    for operation in chosen:
        if operation.event in end and _kills(run, operation):
            own = (events.process == _target(operation)) & (family.unit != NONE) & ~events.is_kind(*LIVES)
            made = np.flatnonzero(own)
            last = dict(zip(family.unit[made].tolist(), made.tolist(), strict=True))  # in order of enter
            last.pop(operation.unit, None)
            found.update(dict.fromkeys(last.values(), (operation.unit, end[operation.event])))
    return found


def _target(operation: Operation) -> int:
    """The process that a signal is sent to."""
    return next(int(str(process)) for kind, process in operation.things if kind == _SIGNALS)


def _signalled(
    operation: Operation, moment: int, steps: dict[int, list[tuple[int, int, int]]], needed: dict[int, int]
) -> None:
    """A signal waits until who gets it has come as far as it had come: it is handled, or dies, nowhere else."""
    for time, unit, position in steps.get(_target(operation), ()):
        if time <= moment and unit != operation.unit:
            needed[unit] = max(position, needed.get(unit, 0))


def _reduced(chosen: list[Operation], found: dict[int, dict[int, int]]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Without what a thread has waited for before."""
    known: dict[tuple[int, int], int] = {}
    needs = {}
    for operation in chosen:
        kept = []
        for unit, position in sorted(found[operation.event].items()):
            if position > known.get((operation.unit, unit), 0):
                known[operation.unit, unit] = position
                kept.append((unit, position))
        needs[operation.event] = tuple(kept)
    return needs


def _with_others_inside(run: Run, chosen: set[int]) -> set[int]:
    """The operations in which others are made: these can't be entered later than the first of them."""
    parent, found = run.events.parent, set[int]()
    for event in chosen:
        above = int(parent[event])
        while above >= 0:
            if above in chosen:
                found.add(above)
            above = int(parent[above])
    return found


def quiet(run: Run) -> int:
    """The longest time (ns) between one step of anybody's and the next."""
    exits = run.events.exit[run.events.exit != NEVER]
    times: Ints = np.sort(np.concatenate([run.events.enter, exits]))
    return int(np.diff(times).max(initial=0))
