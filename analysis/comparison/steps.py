"""What each thread did, step by step: a step is what it did at one line, however often and in however many calls.

So a loop of reads at one line is one step, and so is `communicate()`, which writes, waits and reads as it comes. What
only timing decides (waits for readiness, contended locks, polls) is no step of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..events import LIVES, NEVER, NONE, Flags, Ints, pick, whole
from .roles import Cast

# Whether one comes at all depends on who is faster.
FICKLE = ("select", "acquire", "release", "wait", "await", "decode")
NOTHING, AT_ONCE, HELD = 0, 1, 2  # what became of the bytes that a step handed over


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a run, ordered by thread and time. Columns, a place a step: thread (in a signal's handler: -1 -
    that), line (the first site of its line; of calls that no line of the program made: -2 - a number of the call),
    first and last (outermost calls), count (of calls), flow (NOTHING, AT_ONCE, HELD), flushes (it calls flush), open
    (its last call never returned), begin, end (ns). `of_event`: outermost call → its step, or NONE."""

    thread: Ints
    line: Ints
    first: Ints
    last: Ints
    count: Ints
    flow: Ints
    flushes: Flags
    open: Flags
    begin: Ints
    end: Ints
    of_event: Ints

    def of(self, thread: int) -> Ints:
        """The places of a thread's steps, in order."""
        low, high = np.searchsorted(self.thread, [thread, thread + 1])
        return np.arange(low, high)


def lines(one: Cast) -> Ints:
    """Site → the first site of the same file and line."""
    first: dict[tuple[str, int], int] = {}
    return np.array([first.setdefault((row.file, row.line), row.site) for row in one.sites], dtype="int64")


def steps(one: Cast) -> Steps:
    """The steps of a run."""
    events = one.events
    top = events.outermost
    lives = events.is_kind(*LIVES)
    calls = np.flatnonzero((top == np.arange(len(top))) & ~lives & ~events.is_kind(*FICKLE))
    in_handler = pick(events.is_kind("signal").astype("int64"), events.parent[calls], 0) == 1
    thread = np.where(in_handler, -1 - events.thread[calls], events.thread[calls])
    order = np.lexsort((calls, thread))
    calls, thread = calls[order], thread[order]
    ops, _ = pd.factorize(events.ops(calls))
    line = np.where(events.site[calls] == NONE, -2 - ops, pick(lines(one), events.site[calls]))
    begins = np.append(True, (thread[1:] != thread[:-1]) | (line[1:] != line[:-1])) if len(calls) else np.zeros(0, bool)
    first = np.flatnonzero(begins)
    step = np.cumsum(begins) - 1
    last = np.append(first[1:], len(calls)) - 1
    of_event = np.full(len(top), NONE)
    of_event[calls] = step
    exits = events.exit[calls[last]]
    stays = (exits == NEVER) & (events.error[calls[last]] == NONE) & ~events.is_kind("exec", "exit")[calls[last]]
    return Steps(
        thread[first], line[first], calls[first], calls[last], last - first + 1, _flow(one, of_event, len(first), top),
        _flushes(one, of_event, len(first), top), stays, events.enter[calls[first]], exits, of_event,
    )  # fmt: skip


def handed(one: Cast) -> Ints:
    """Message → the call that handed it over: what a stream took, or the write itself; NONE: nobody that is traced."""
    accept, write = (whole(one.analysis.messages[name]) for name in ("accept_event", "write_event"))
    return np.where(accept == NONE, write, accept)


def at_once(one: Cast) -> Flags:
    """Message → whether it left in the call that handed it over, nothing of it staying in a buffer.

    A print hands over its text and its end in two calls.
    """
    table, top, events = one.analysis.messages, one.events.outermost, one.events
    accept, write = (whole(table[name]) for name in ("accept_event", "write_event"))
    began, left = pick(top, accept), pick(top, write)
    calls = np.flatnonzero(top == np.arange(len(top)))
    place = np.full(len(top), NONE)
    order = calls[np.lexsort((calls, events.thread[calls]))]
    place[order] = np.arange(len(order))
    printed = events.is_op("print")
    next_of = (pick(place, left) == pick(place, began) + 1) & (pick(events.site, left) == pick(events.site, began))
    both = pick(printed.astype("int64"), left, 0) * pick(printed.astype("int64"), began, 0) == 1
    found: Flags = (accept == NONE) | (began == left) | (next_of & both & (write != NONE))
    return found


def _flow(one: Cast, of_event: Ints, count: int, top: Ints) -> Ints:
    step = pick(of_event, pick(top, handed(one)))
    direct, known = at_once(one), step != NONE
    held = np.bincount(step[known & ~direct], minlength=count)[:count]
    left = np.bincount(step[known & direct], minlength=count)[:count]
    return np.where(held > 0, HELD, np.where(left > 0, AT_ONCE, NOTHING)).astype("int64")


def _flushes(one: Cast, of_event: Ints, count: int, top: Ints) -> Flags:
    """Steps in which the program calls flush, be it by `print(…, flush=True)`; what input() does isn't meant."""
    flushing = np.flatnonzero(one.events.is_kind("flush"))
    flushing = flushing[one.events.enclosing("input", flushing) == NONE]
    step = pick(of_event, pick(top, flushing))
    found: Flags = np.zeros(count, dtype=bool)
    found[step[step != NONE]] = True
    return found


__all__ = ["AT_ONCE", "HELD", "NOTHING", "Steps", "at_once", "handed", "lines", "steps"]
