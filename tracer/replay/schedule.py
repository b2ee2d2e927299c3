"""The schedule of a run: what the gate in its processes (`tracer/runtime/gate.py`) is told, and what it tells.

It lies in the folder `schedule` of a run's live folder, and goes with it:

    plan          what each thread may do when (marshal: any interpreter reads it without importing anything)
    counters      how far each thread of the plan is; `priorities`: who runs, where that decides who waits
    departures    a line each time that the run didn't do what the plan says
    0, 0-1, …     an empty file for each process: who has claimed which lineage
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..runtime import table

_FOLDER = "schedule"
_HEADER, _SLOT, _PRIORITIES = 16, 16, 128 * 16  # bytes, as the gate lays them out
_FORM = 2  # of marshal, which every interpreter can read

Key = tuple[int, str, str, int]  # an operation's code, and where it is called: file, function, line
Step = tuple[int, int, tuple[tuple[int, int], ...]]  # begin and end (positions; 0: none), needs: (slot, position)


class Part(NamedTuple):
    """What the plan has of one thread: the slot of its counter, and its operations: key → n → step. `last`: where a
    signal ended it, its last call (key, n), and the step (slot, position) after which it is gone."""

    slot: int
    steps: dict[Key, dict[int, Step]]
    last: tuple[Key, int, tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Chance:
    """What is left to chance, drawn from `seed`: see `tracer/runtime/gate_chance.py`."""

    seed: int
    priorities: bool = False
    change: int = 50
    delay: int = 0
    longest: float = 0.1
    pipe: int = 0
    split: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a run's operations are put in order.

    mode        recorded: not at all, but every operation on what is shared is recorded, locks and names too;
                enforced: as `parts` say; explored: by `chance`, and by the few steps in `parts`
    parts       lineage of a thread → its part of the plan
    patience    seconds without any step anywhere after which a thread is waited for no more
    sleep       whether the program's sleeps are slept
    strict      stop the run where it departs from the plan
    """

    mode: Literal["recorded", "enforced", "explored"] = "recorded"
    parts: Mapping[str, Part] = field(default_factory=dict)
    patience: float = 5.0
    sleep: bool = True
    strict: bool = False
    chance: Chance | None = None

    def write(self, live: Path) -> None:
        """Lay the schedule into a live folder. Raises OSError."""
        folder = live / _FOLDER
        folder.mkdir(mode=0o700)
        slots = max((part.slot + 1 for part in self.parts.values()), default=0)
        plan = {
            "patience": self.patience, "sleep": self.sleep, "told": self.mode == "enforced", "slots": slots,
            "chance": asdict(self.chance) if self.chance else None,
            "threads": {
                lineage: (part.slot, marshal.dumps((part.steps, part.last), _FORM))
                for lineage, part in self.parts.items()
            },
        }  # fmt: skip
        (folder / "plan").write_bytes(marshal.dumps(plan, _FORM))
        (folder / "counters").write_bytes(bytes(_HEADER + _SLOT * max(1, slots)))
        (folder / "priorities").write_bytes(bytes(_PRIORITIES))

    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        told: dict[str, Any] = {"mode": self.mode}
        if self.chance:
            told |= asdict(self.chance)
        return told | ({"sleep": self.sleep, "strict": self.strict} if self.mode == "enforced" else {})


class Departure(NamedTuple):
    """Where a run didn't do what its plan says: `lineage` at `key` waited for the step `position` of `slot`, whose
    thread had ended (`why`: ended), or nothing moved any more (late). `time` is ns of the monotonic clock."""

    why: str
    lineage: str
    key: Key
    slot: int
    position: int
    time: int


def departures(live: Path) -> list[Departure]:
    """What has been written down so far, in order of time; lines that aren't whole are left out."""
    try:
        lines = (live / _FOLDER / "departures").read_text("utf-8", "surrogateescape").split("\n")
    except OSError:
        return []
    found = []
    for line in lines:
        fields = line.split(table.SEPARATOR)
        if len(fields) == 9:
            why, lineage, op, file, function, number, slot, position, time = fields
            key = int(op), file, function, int(number)
            found.append(Departure(why, lineage, key, int(slot), int(position), int(time)))
    return sorted(found, key=lambda departure: departure.time)
