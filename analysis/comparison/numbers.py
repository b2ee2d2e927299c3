"""What is measured of each run, and whether it differs between settings by more than it differs by itself."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import REASONS

from ..events import NONE, Events
from ..naming import plural, span
from ..results import Analysis
from ..timeline import flagged
from .noise import MATTERS, corrected, rank_test, repeats_needed
from .results import Claim, Pair, Setting, Spread

HANGS = ("deadlock", "stalled", "interrupted")  # how long such a run took is how long somebody waited for it

# What is told of each, in tables: column → words, unit ("ns", "bytes" or "").
MEASURES: dict[str, tuple[str, str]] = {
    "duration": ("takes", "ns"),
    "running": ("threads run", "ns"),
    "blocked": ("threads wait, sleeps aside", "ns"),
    **{f"wait_{reason}": (words, "ns") for reason, words in REASONS.items()},
    "latency": ("a message takes, from hand to hand (median)", "ns"),
    "held": ("messages lie in writers' buffers", "ns"),
    "messages": ("messages", ""),
    "bytes": ("bytes", "bytes"),
    "merged": ("messages read together with others", ""),
    "split": ("messages read in pieces", ""),
    "unread": ("messages never read", ""),
    "flushes": ("flushes of the program", ""),
    "implicit": ("buffers emptied without one", ""),
    "calls": ("system calls", ""),
    "calls_per_message": ("system calls a message", ""),
    "flushes_per_message": ("flushes a message", ""),
    "bytes_per_call": ("bytes a call, read or written", "bytes"),
}
# What is tested; sleeping is what the program asked for.
TIMES = ("duration", "latency", *(f"wait_{reason}" for reason in REASONS if reason != "sleep"))
_CALLS = ("read", "write", "select", "wait", "sleep", "make", "pair", "duplicate", "close", "fork", "connect", "open")


def measures(analysis: Analysis) -> dict[str, float]:
    """One run's row of `Comparison.numbers`; NaN where there is nothing to measure."""
    events, messages = Events(analysis.trace.events), analysis.messages
    waits = analysis.blocking.assign(time=analysis.blocking["end"] - analysis.blocking["begin"])
    reasons = waits.groupby("reason")["time"].sum()
    moved = events.is_kind("read", "write") & (events.result > 0) & (events.fd != NONE)
    # a call within another that moves bytes itself (a stream's read around the raw one) is none of the system's
    system = int((events.is_kind(*_CALLS) & ~events.is_op("stream.read", "stream.readline")).sum())
    calls = max(1, int(moved.sum()))
    latency = (messages["received"] - messages["accepted"].fillna(messages["written"])).dropna()
    held = (messages["written"] - messages["accepted"]).dropna()
    flushes = _flushes(events)
    count = max(1, len(messages))
    return {
        "duration": float(analysis.trace.facts.get("duration") or 0),
        "running": float(analysis.busy["running"].sum()),
        "blocked": float(waits.loc[waits["kind"] != "sleep", "time"].sum()),
        **{f"wait_{reason}": float(reasons.get(reason, 0)) for reason in REASONS},
        "latency": float(latency.median()) if len(latency) else float("nan"),
        "held": float(held.sum()),
        "messages": len(messages),
        "bytes": int(messages["size"].sum()),
        "merged": int(messages["merged"].astype(bool).sum()),
        "split": int((messages["reads"] > 1).sum()),
        "unread": int(messages["read"].isna().sum()),
        "flushes": flushes[0],
        "implicit": flushes[1],
        "calls": system,
        "calls_per_message": system / count,
        "flushes_per_message": sum(flushes) / count,
        "bytes_per_call": int(events.result[moved].sum()) / calls,
    }


def _flushes(events: Events) -> tuple[int, int]:
    """How often the program called flush; how often a buffer was emptied without: by input(), a line's end, being full,
    or the interpreter's end."""
    flush = np.flatnonzero(events.is_kind("flush"))
    own = (events.enclosing("input", flush) == NONE) & (events.site[flush] != NONE)
    called = np.zeros(len(events), dtype=bool)
    called[flush[own]] = True
    raw = np.flatnonzero(events.is_kind("write") & (events.stream != NONE) & (events.result > 0))
    around = events.enclosing("flush", raw)
    return int(own.sum()), int((~flagged(called, around)).sum())


def table(runs: Sequence[Analysis], settings: Sequence[Setting]) -> pd.DataFrame:
    """`Comparison.numbers`."""
    of = {run: place for place, setting in enumerate(settings) for run in setting.runs}
    rows = [{"run": run, "setting": of[run]} | measures(one) for run, one in enumerate(runs)]
    return pd.DataFrame(rows)


def spread(values: Sequence[float]) -> Spread:
    """Lowest, median, highest; of no values NaN."""
    known = [value for value in values if value == value]
    if not known:
        return Spread(float("nan"), float("nan"), float("nan"), 0)
    return Spread(min(known), median(known), max(known), len(known))


def claims(
    numbers: pd.DataFrame, settings: Sequence[Setting], pairs: Sequence[tuple[int, int]], level: float
) -> list[tuple[Claim, ...]]:
    """For each pair of settings what can be said of their times, one claim a measure; all tests are corrected together.

    Of a setting whose runs hang nothing is said: how long they took is how long somebody waited.
    """
    values = {
        (place, measure): rows[measure].tolist()
        for place, rows in numbers.groupby("setting")
        for measure in TIMES
    }  # fmt: skip
    asked: list[tuple[int, str]] = []
    for number, (one, other) in enumerate(pairs):
        if settings[one].verdict not in HANGS and settings[other].verdict not in HANGS:
            asked += [
                (number, measure) for measure in TIMES
                if any(value > 0 for place in (one, other) for value in values[place, measure])
            ]  # fmt: skip
    sides = [
        tuple([v for v in values[place, measure] if v == v] for place in pairs[number]) for number, measure in asked
    ]
    needed = repeats_needed(len(asked), level)
    tested = [place for place, (a, b) in enumerate(sides) if min(len(a), len(b)) > 1]
    chances = dict(
        zip(tested, corrected([rank_test(sides[place][0], sides[place][1]) for place in tested]), strict=True)
    )
    made: list[list[Claim]] = [[] for _ in pairs]
    for place, (number, measure) in enumerate(asked):
        first, second = (spread(side) for side in sides[place])
        chance = chances.get(place)
        apart = abs(second.median - first.median) > MATTERS * max(first.median, second.median)
        holds = chance is not None and chance <= level and apart
        names = tuple(settings[each].label for each in pairs[number])
        words = _words(measure, names, first, second, chance, holds, needed)
        made[number].append(Claim(measure, first, second, chance, holds, words))
    return [tuple(each) for each in made]


def _words(
    measure: str, names: tuple[str, ...], first: Spread, second: Spread, chance: float | None, holds: bool, needed: int
) -> str:
    fewest = min(first.count, second.count)
    if fewest == 0:
        return "there is nothing to compare"
    if fewest == 1:
        return "time can't be judged from one run"
    if holds and chance is not None:
        factor = second.median / first.median if first.median else float("inf")
        how = f"{factor:.2g} times" if factor >= 1.5 or factor <= 0.67 else f"{abs(factor - 1):.0%}"
        more = "longer" if second.median > first.median else "shorter"
        said = f"{how} as long" if "times" in how else f"{how} {more}"
        odds = f"1 of {int(1 / chance):,}"
        return f"{said} in {names[1]}; chance does as much in {odds} comparisons"
    if fewest < needed:
        return f"{plural(fewest, 'run')} a side can't tell; {needed} would"
    return "no difference that stands out from the noise"


def told(value: float, measure: str) -> str:
    """A value as text: 1.27 s, 45, 26.5."""
    if value != value:
        return "·"
    if MEASURES[measure][1] == "ns":
        return span(round(value))
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def time_in_words(pair: Pair) -> str:
    """What can be said of a pair's times, in a sentence."""
    sure = [one for one in pair.claims if one.holds]
    if sure:
        return "; ".join(f"{MEASURES[one.measure][0]}: {one.words}" for one in sure)
    if not pair.claims:
        return ""
    words = pair.claims[0].words
    return words[:1].upper() + words[1:] + "."


__all__ = ["HANGS", "MEASURES", "TIMES", "claims", "measures", "spread", "table", "time_in_words", "told"]
