"""What the picture of a knot says: its members in the order of their waits, and who stands beside it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from ipctrace.analysis.naming import waits_on
from ipctrace.analysis.results import Edge, Stuck, Waiter
from ipctrace.tracer.schema import REASONS

from .markup import count
from .run import Run, members


@dataclass(frozen=True, slots=True)
class Card:
    """What the picture says of one waiter."""

    who: str
    program: str
    pid: str
    thread: str
    call: str
    place: str
    stuck: tuple[Stuck, ...]
    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Line:
    """What the picture says of one wait: above the edge, below it, and how full the channel is."""

    what: str
    level_text: str
    level: float


class Knot:
    """The waiters of a run, sorted for drawing."""

    def __init__(self, run: Run) -> None:
        assert run.graph is not None
        self.run, self.graph = run, run.graph
        place = {id(waiter): index for index, waiter in enumerate(self.graph.waiters)}
        self.core = self._around([place[id(waiter)] for waiter in members(run, "core")])
        self.victims, self.bystanders = members(run, "victim"), members(run, "bystander")

    def _around(self, core: list[int]) -> list[Waiter]:
        """The core's members, each followed by one that it waits for, as far as the edges allow."""
        order: list[int] = []
        following = {
            core_member: [edge.holder for edge in self.graph.edges if edge.waiter == core_member]
            for core_member in core
        }
        rest = list(core)
        while rest:
            onward = [holder for holder in following[order[-1]] if holder in rest] if order else []
            order.append(onward[0] if onward else rest[0])
            rest.remove(order[-1])
        return [self.graph.waiters[index] for index in order]

    def card(self, waiter: Waiter) -> Card:
        run, process = self.run, self.run.processes[waiter.process]
        thread = None if waiter.thread is None else run.threads[waiter.thread]
        call = run.call(waiter.outer if waiter.outer is not None else waiter.event)
        awaited = {one.channel for one in self.core if one is not waiter}
        stuck = tuple(
            one
            for one in self.graph.stuck
            if one.process == waiter.process and (one.channel in awaited or not self.core)
        )
        program = process["program"] if process["program"] != run.process_name(waiter.process) else ""
        return Card(
            run.process_name(waiter.process),
            " · ".join(part for part in (program, str(process["pid"])) if part),
            str(process["pid"]),
            "not traced" if not process["traced"] else thread["name"] if thread else "",
            f"in {call}" if call else "",
            run.place(waiter.site),
            stuck,
            waiter,
        )

    def edge(self, waiter: Waiter, holder: Waiter) -> Edge | None:
        """The edge between two waiters."""
        at = self.graph.waiters
        return next((one for one in self.graph.edges if at[one.waiter] is waiter and at[one.holder] is holder), None)

    def line(self, waiter: Waiter) -> Line:
        """The words on a wait."""
        if waiter.channel is None:
            return Line("waits for its end" if waiter.reason == "child" else REASONS.get(waiter.reason, "runs"), "", 0)
        channel = self.run.channels[waiter.channel]
        name, left, capacity = self.run.channel_name(waiter.channel), channel["left"], channel["capacity"]
        held = f"{left or 0:,} of {capacity:,} bytes" if capacity else count(left or 0, "byte")
        full = waiter.reason == "noroom"
        if full and not left:  # a write that has not returned left in it whatever had room: only the wait tells
            held = f"full, {capacity:,} bytes" if capacity else "full"
        return Line(waits_on(waiter.reason, name), "" if left is None else held, float(full))

    def outside(self, waiter: Waiter) -> list[str]:
        """What is said of one that is not part of the knot, in two short lines."""
        if waiter.role == "victim":
            return ["Behind it:", self.line(waiter).what]
        return ["Runs; cannot help:", waiter.evidence] if waiter.evidence else ["Runs; cannot help."]


def caption(knot: Knot) -> str:
    """The figure in sentences, for who can't see it."""
    run = knot.run
    said = [f"{run.thread_name(one.thread, one.process)} {knot.line(one).what}: {one.evidence}." for one in knot.core]
    said += [
        f"{count(one.size, 'byte')} from {run.process_name(one.process)} lie in its own buffer, "
        f"{run.streams[one.stream]['name']}."
        for one in knot.graph.stuck
    ]
    said += [
        f"{run.thread_name(one.thread, one.process)}: {' '.join(knot.outside(one))}."
        for one in (*knot.victims, *knot.bystanders)
    ]
    return " ".join(["Who waits for whom.", *said])


def tank_words(run: Run, stuck: tuple[Stuck, ...]) -> tuple[str, str, str]:
    """The name on a tank, its size, and what lies in it."""
    stream, size = run.streams[stuck[0].stream], sum(one.size for one in stuck)
    return stream["name"], f"{stream['buffer_size'] / 1024:g} KiB buffer", f"{count(size, 'byte')}, not flushed"


def poured(run: Run, stuck: tuple[Stuck, ...]) -> str:
    """Which line filled a tank: `from line 41`."""
    site = stuck[0].pieces[-1][0] if stuck[0].pieces else None
    return "" if site is None else f"from line {run.sites[site]['line']}"
