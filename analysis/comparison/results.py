"""What a comparison says: plain objects and data frames, made by `compare` and drawn by `reports.comparison`.

Runs are grouped by *setting* (a label: a buffering mode, an interpreter, a variant of the program). Several runs of one
setting are repeats: what differs among them is chance, and only what stands out from that is a difference in time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from ..results import Analysis, VerdictName

# calls: a thread does something else · flow: the same call, but its bytes go on at once or stay in a buffer
# messages: bytes that the other never handed over, got or left lying · boundaries: read together here, apart there
# order: the same calls or messages in another order
Kind = Literal["verdict", "finding", "calls", "flow", "messages", "boundaries", "order"]


@dataclass(frozen=True, slots=True)
class Side:
    """One run's part in a difference: what is so there, and where.

    `words` say it ("26 bytes stay in sys.stdout, for ever"); `time` (ns) and `event` are the run's own; `file`, `line`
    and `text` (the line of source, "" where it wasn't kept) are empty where no line of the program is concerned.
    """

    words: str
    time: int | None = None
    event: int | None = None
    file: str | None = None
    line: int | None = None
    text: str = ""

    @property
    def place(self) -> str:
        """`deadlock.py:41`, or nothing."""
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}" if self.file else ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is so in one setting and not in the other; `first` and `second` are the pair's settings.

    `who` is the role of the thread concerned ("" for the whole run). `chance`: who is faster decides it, so it is no
    difference of the program or its setting (among repeats it came and went, or its kind depends on timing).
    `decides`: the verdict of the run that hangs rests on it. `count`: how often it came, at the same lines; told is the
    first time.
    """

    kind: Kind
    who: str
    words: str
    first: Side
    second: Side
    chance: bool = False
    decides: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure over the repeats of one setting: lowest, median, highest, and how many runs have it."""

    lowest: float
    median: float
    highest: float
    count: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A measure in two settings: its spread in each, and whether the difference stands out from the noise.

    `measure` is a column of `Comparison.numbers`. `chance` is the probability that repeats of one and the same setting
    come out as unequal as this (Mann and Whitney 1947, exact), times the number of comparisons that it was one of
    (Holm 1979); None where there are too few runs to ever tell. `holds`: it is below the comparison's level.
    `words`: that, as a sentence.
    """

    measure: str
    first: Spread
    second: Spread
    chance: float | None
    holds: bool
    words: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two settings compared. `differences` are in the order in which they came about, the run's verdict and findings
    last; `claims` are about time. `agreed`: steps that the threads took alike before the first difference, in all.
    `ties`: of the steps that handed something over, in both, a few hundred at most: (thread, ns, thread, ns) in the
    first and in the second."""

    first: int
    second: int
    headline: str
    differences: tuple[Difference, ...]
    claims: tuple[Claim, ...]
    agreed: int
    ties: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def first_difference(self) -> Difference | None:
        """The one that came about first and isn't chance."""
        told = [one for one in self.differences if not one.chance]
        return told[0] if told else None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its label, its runs (places in `Comparison.runs`), and the one of them that stands for all where one
    must be shown. `verdict` is that of most runs; `verdicts` counts all."""

    label: str
    runs: tuple[int, ...]
    shown: int
    verdict: VerdictName
    rule: str | None
    verdicts: dict[VerdictName, int]


@dataclass(slots=True)
class Comparison:
    """Several runs, side by side.

    settings     in the order given; the first is what the others are compared with
    pairs        each setting with the first; of few settings (`PAIRS`) each with each
    numbers      a row a run: run, setting, and its measures: duration, blocked, running (ns, threads summed, sleeps
                 left out of blocked), latency? (median ns from the call that handed a message over to the call that
                 gave it to its reader), held (ns that messages lay in writers' buffers, summed), messages, bytes,
                 merged, split (messages read together with others, by several reads), unread, flushes (that the program
                 made),
                 implicit (times that a buffer was emptied without: by input(), a line's end, being full, the
                 interpreter's end), calls (system calls that moved bytes, waited or made something), calls_per_message,
                 flushes_per_message, bytes_per_call, wait_REASON (ns, for each reason of schema.REASONS)
    environment  a row a fact: fact, a column a setting (text; empty: not known, or there is no such process, stream or
                 channel), differs (bool: those that are known aren't all the same)
    findings     a row a finding, by rule, line and channel: rule, name, severity, message, place, chance (bool: comes
                 with timing), a column a setting (in how many of its runs, a whole number)
    roles        a row a thread role: role, a column a setting with the thread's id in the run shown (empty: not there)
    notes        what couldn't be compared, in sentences
    level        the probability of any false claim about time in the whole comparison
    """

    runs: tuple[Analysis, ...]
    settings: tuple[Setting, ...]
    pairs: tuple[Pair, ...]
    headline: str
    because: str
    numbers: pd.DataFrame
    environment: pd.DataFrame
    findings: pd.DataFrame
    roles: pd.DataFrame
    notes: tuple[str, ...] = ()
    level: float = 0.01
    columns: tuple[str, ...] = field(default=())  # of the tables above, one a setting: label, made unique

    @property
    def telling(self) -> Pair:
        """The pair that says most at once: with the first setting, and what decides; else with a difference; else the
        first."""
        with_first = [one for one in self.pairs if one.first == 0]
        deciding = [one for one in with_first if any(each.decides and not each.chance for each in one.differences)]
        different = [one for one in with_first if one.first_difference]
        return (deciding or different or with_first)[0]

    def pair(self, first: int, second: int) -> Pair | None:
        """The comparison of two settings, where it was made."""
        return next((one for one in self.pairs if (one.first, one.second) == (first, second)), None)
