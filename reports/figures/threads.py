"""Which threads and tasks a figure shows: as many as have room; the others are named beside it, or together in it."""

from __future__ import annotations

from typing import NamedTuple

from ..run import Run, members


class Chosen(NamedTuple):
    """Threads (ids), both in the order of the lanes: those that are shown, and the others."""

    shown: tuple[int, ...]
    others: tuple[int, ...]


def most_waiting(run: Run, count: int) -> Chosen:
    """The threads that waited longest or were waited for longest, and before them all of the knot's."""
    core = {waiter.thread for waiter in members(run, "core")}
    busy, waits = run.analysis.busy, run.analysis.blocking
    blocked = dict(zip(busy["thread"].tolist(), busy["blocked"].tolist(), strict=True))
    blamed = (waits["end"] - waits["begin"]).groupby(run.waited_for).sum().to_dict()
    known = [thread for thread in run.analysis.lanes if thread in blocked and traced(run, thread)]
    weight = {thread: blocked[thread] + blamed.get(thread, 0) for thread in known}
    if len(known) == count + 1:
        count += 1  # one other would take as much room
    by_weight = sorted(known, key=lambda thread: (thread not in core, -weight[thread]))
    return chosen(known, by_weight[: count if len(known) > count else len(known)])


def chosen(known: list[int], some: list[int]) -> Chosen:
    """`known` threads, those in `some` shown."""
    kept = set(some)
    return Chosen(
        tuple(thread for thread in known if thread in kept), tuple(thread for thread in known if thread not in kept)
    )


def traced(run: Run, thread: int) -> bool:
    """Whether events tell of a thread."""
    return bool(run.processes[run.threads[thread]["process"]]["traced"])


def name(run: Run, thread: int) -> str:
    """A thread's name."""
    return run.analysis.names.get(thread, f"thread {thread}")
