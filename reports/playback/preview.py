"""A large run that is still being analysed, as its bare calls: who is in which call, and which came last."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ..sequence import Exchange
from .scene import Lane, Room, Scene

BLOCK = 256  # calls: who is busiest is asked of so many before and after, so that columns don't come and go
_LIVES = ("thread", "task", "work", "signal")  # kinds of events that last, with calls inside them
PICTURES = 500  # of a whole run that is played as fast as it goes


class Preview:
    """The stage of the calls of a trace (`tracer.glance.Glance`)."""

    channels = 0

    def __init__(self, calls: Any) -> None:
        self._calls, self.end = calls, int(calls.end)
        self._is_call = np.array([kind not in _LIVES for kind in calls.kinds], dtype=bool)[calls.kind]
        few = np.min_scalar_type(len(calls.threads))
        order = np.argsort(calls.thread.astype(few), kind="stable")  # of a thread in order of enter
        bounds = np.append(0, np.cumsum(np.bincount(calls.thread, minlength=len(calls.threads))))
        self._of_thread = [order[low:high] for low, high in pairwise(bounds.tolist())]

    def scene(self, t: int, room: Room, message: int | None = None) -> Scene:
        """Everything that is known at `t`."""
        calls = self._calls
        behind = int(np.searchsorted(calls.enter, t, "right"))
        place = f"call {behind:,} of {len(calls.enter):,}"
        return Scene(
            t, self.end, calls.title, place=place, columns=self._columns(room, behind), unready="being analysed",
            lanes=tuple(self._lane(lane, t) for lane in range(len(calls.threads))),
            rows=tuple(self._rows(behind, room.rows, t)),
        )  # fmt: skip

    def _lane(self, lane: int, t: int) -> Lane:
        calls, name = self._calls, self._calls.threads[lane]
        if t < calls.started[lane]:
            return Lane(name, "not begun", style="dim")
        if t > calls.ended[lane]:
            return Lane(name, "has ended", style="dim")
        mine = self._of_thread[lane]
        place = int(np.searchsorted(calls.enter[mine], t, "right")) - 1
        event = int(mine[place]) if place >= 0 else -1
        while event >= 0 and (calls.exit[event] <= t or not self._is_call[event]):
            event = int(calls.parent[event])
        if event < 0:
            return Lane(name, "runs")
        return Lane(name, "calls", calls.ops[calls.op[event]], int(t - calls.enter[event]))

    def _columns(self, room: Room, behind: int) -> tuple[str, ...]:
        names = self._calls.threads
        if len(names) <= room.columns:
            return tuple(names)
        if room.shift is not None:
            first = min(room.shift, len(names) - room.columns)
            return tuple(names[first : first + room.columns])
        block = behind // BLOCK
        near = self._calls.thread[max(0, (block - 1) * BLOCK) : (block + 1) * BLOCK]
        busiest = np.argsort(-np.bincount(near, minlength=len(names)), kind="stable")[: room.columns]
        return tuple(names[lane] for lane in np.sort(busiest).tolist())

    def _rows(self, behind: int, most: int, t: int) -> list[Exchange]:
        calls = self._calls
        near = np.arange(max(0, behind - 8 * most), behind)
        return [
            Exchange(int(calls.enter[event]), calls.threads[calls.thread[event]], None, calls.ops[calls.op[event]],
                     style="" if calls.exit[event] <= t else "strong")
            for event in near[self._is_call[near]][-most:].tolist()
        ]  # fmt: skip

    @cached_property
    def _ends(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.sort(self._calls.exit)

    def neighbour(self, t: int, way: int) -> int:
        """The next or previous begin or end of a call."""
        found = []
        for times in (self._calls.enter, self._ends):
            place = int(np.searchsorted(times, t, "right" if way > 0 else "left")) - (way < 0)
            if 0 <= place < len(times):
                found.append(int(times[place]))
        return min(self.end, *found) if way > 0 and found else max(found, default=0) if way < 0 else self.end

    def leap(self, t: int, moments: int) -> int:
        """The begin of the call that comes so many later."""
        enter = self._calls.enter
        place = int(np.searchsorted(enter, t, "right")) - 1 + moments
        return int(enter[place]) if 0 <= place < len(enter) else self.end if moments > 0 else 0

    def pace(self) -> int:
        """Calls from one picture to the next."""
        return max(1, len(self._calls.enter) // PICTURES)
