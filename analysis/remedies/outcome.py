"""What became of trying remedies: plain objects, made by `ipctrace.fixing`, drawn by `reports.fixes`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .hang import Change

# cured: completed each time · hangs: still · damaged: completed, but … · unfinished: neither, within its time
# inapplicable: there was nothing to try
Status = Literal["cured", "hangs", "damaged", "unfinished", "inapplicable"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One remedy, tried: `why` in words where it is no cure; `duration` (ns, the median) and `calls` (reads and writes)
    of the runs that completed; `held` of `tries` were cures. `change`: what was tried; its texts are whole files."""

    remedy: str
    status: Status
    why: str = ""
    change: Change | None = None
    duration: int | None = None
    calls: int | None = None
    held: int = 0
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Fixes:
    """All of them, in the order tried. `originals`: the texts of the files as they are, by path; `diffs`: remedy → the
    unified diff that makes its change."""

    program: str
    verdict: str
    rule: str | None
    headline: str
    hung: int | None  # ns at which it hung
    calls: int  # reads and writes up to then
    hangs: int = 1  # of `runs` without a change
    runs: int = 1
    outcomes: tuple[Outcome, ...] = ()
    unlisted: str = ""  # why no listed remedy fits, where none does
    diffs: dict[str, str] = field(default_factory=dict)
    root: str = ""  # the folder that their paths begin at

    @property
    def cures(self) -> list[Outcome]:
        """Those that cured it."""
        return [each for each in self.outcomes if each.status == "cured"]
