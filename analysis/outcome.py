"""What a run came to, in a form that can be held against another run's: verdict, status, output.

Two runs of one program differ in numbers that mean nothing: pids, addresses, times of day, names of temporary files.
They are masked in the output. Other numbers stand: a sum that came out wrong is what one looks for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .events import NONE, whole
from .results import Verdict

if TYPE_CHECKING:
    from .run import Run

_MASKS = (
    (re.compile(rb"0x[0-9a-fA-F]{6,}"), b"0x*"),
    (re.compile(rb"\b\d{1,4}[-:]\d\d[-:]\d\d([T ]\d\d:\d\d:\d\d)?([.,]\d+)?\b"), b"<time>"),
    (re.compile(rb"\b\d+\.\d{2,}(e-?\d+)?"), b"<fraction>"),
    (re.compile(rb"\btmp[a-z0-9_]{8}\b"), b"<temporary>"),
)
_NUMBER = re.compile(rb"\d{2,}")


class Outcome(NamedTuple):
    """`verdict` and `rule` as the analysis says; `ended` and `status` as run.json does; `output`: what went to the
    standard output and error output that the program was started with, masked, as far as it was kept."""

    verdict: str
    rule: str | None
    ended: str
    status: int | None
    output: bytes


def outcome(run: Run, verdict: Verdict) -> Outcome:
    """What a run came to."""
    facts = run.trace.facts
    return Outcome(verdict.name, verdict.rule, str(facts["ended"]), facts["status"], masked(output(run), numbers(run)))


def output(run: Run) -> bytes:
    """The bytes that traced processes wrote to the program's own standard output and error output, in order of time;
    of a write of which only a part was kept, how many are missing."""
    events, table = run.events, run.trace.descriptors
    first = table[(table["process"] == 0) & table["fd"].isin((1, 2))].drop_duplicates("fd")
    chosen = np.flatnonzero(events.is_kind("write") & np.isin(events.channel, whole(first["channel"])))
    parts = []
    for event in chosen[(events.result[chosen] > 0) & (events.channel[chosen] != NONE)].tolist():
        size, kept = int(events.result[event]), run.payloads[event]
        parts.append(kept[:size] if len(kept) >= size else kept + b"<%d more>" % (size - len(kept)))
    return b"".join(parts)


def numbers(run: Run) -> frozenset[bytes]:
    """What the system called the run's processes and threads."""
    pids = run.trace.processes["pid"].tolist() + run.trace.threads["tid"].tolist()
    return frozenset(b"%d" % pid for pid in pids)


def masked(text: bytes, pids: frozenset[bytes]) -> bytes:
    """An output without what differs from run to run by nature."""
    for pattern, word in _MASKS:
        text = pattern.sub(word, text)
    return _NUMBER.sub(lambda found: b"<pid>" if found[0] in pids else found[0], text)


def difference(one: bytes, two: bytes) -> tuple[bytes, bytes] | None:
    """The first line in which two outputs differ, of either; None: they don't."""
    if one == two:
        return None
    left, right = one.split(b"\n"), two.split(b"\n")
    for mine, theirs in zip(left, right, strict=False):
        if mine != theirs:
            return mine, theirs
    shorter = min(len(left), len(right))
    return b"\n".join(left[shorter : shorter + 1]), b"\n".join(right[shorter : shorter + 1])
