"""Each thread's waits over time, as bars: one a wait, or, where there are too many, one for each piece of the time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from ipctrace.analysis.events import NEVER, pick, whole

from ..run import Run
from .threads import Chosen, most_waiting

LANES, BARS, ARROWS, SLOWEST = 60, 2_500, 300, 200


@dataclass(frozen=True, slots=True)
class Lanes:
    """What happened from `begin` to `end` (ns). `lives`: thread, begin, end of each shown thread. `bars`: thread,
    begin, end, reason, blocked (ns of it that the thread waited; less than the bar only where `exact` is not), count
    (of waits). `arrows`: message, writer, reader, begin, end, size; of `messages` in all, the slowest."""

    threads: Chosen
    begin: int
    end: int
    lives: pd.DataFrame
    bars: pd.DataFrame
    exact: bool
    arrows: pd.DataFrame
    messages: int


def lanes(run: Run, begin: int | None = None, end: int | None = None, most: int = BARS) -> Lanes:
    """The lanes of the threads that waited or were waited for longest, from `begin` to `end` (ns; all of the run)."""
    begin, end = max(0, begin or 0), run.end if end is None else min(end, run.end)
    end = max(end, begin + 1)
    picked = most_waiting(run, LANES)
    threads = run.trace.threads.iloc[list(picked.shown)]
    lives = pd.DataFrame({
        "thread": threads["thread"].to_numpy(), "begin": np.maximum(whole(threads["started"]), begin),
        "end": np.minimum(whole(threads["ended"], NEVER), end),
    })  # fmt: skip
    waits = run.analysis.blocking
    waits = waits[waits["thread"].isin(picked.shown) & (waits["begin"] < end) & (waits["end"] > begin)]
    bars = pd.DataFrame({
        "thread": waits["thread"].to_numpy(), "begin": np.maximum(whole(waits["begin"]), begin),
        "end": np.minimum(whole(waits["end"]), end), "reason": waits["reason"].astype(str).to_numpy(),
    })  # fmt: skip
    exact = len(bars) <= most
    bars = bars.assign(blocked=bars["end"] - bars["begin"], count=1)
    bars = bars if exact else coarse(bars, begin, end, most // bars["thread"].nunique())
    arrows, messages = between(run, picked, begin, end)
    return Lanes(picked, begin, end, lives[lives["end"] > lives["begin"]], bars, exact, arrows, messages)


def coarse(bars: pd.DataFrame, begin: int, end: int, pieces: int) -> pd.DataFrame:
    """`bars` with the time cut into `pieces`: of each thread and piece the reason that took most of it; `blocked` is
    what all reasons together took."""
    borders = np.linspace(begin, end, pieces + 1).astype("int64")
    low, high = whole(bars["begin"]), whole(bars["end"])
    first, last = np.searchsorted(borders, low, "right") - 1, np.searchsorted(borders, high, "left") - 1
    length = np.maximum(last - first + 1, 1)
    which = np.repeat(np.arange(len(bars)), length)
    piece = np.arange(len(which)) - np.repeat(np.cumsum(length) - length, length) + first[which]
    parts = pd.DataFrame({
        "thread": whole(bars["thread"])[which], "piece": piece, "reason": bars["reason"].to_numpy()[which],
        "blocked": np.minimum(high[which], pick(borders, piece + 1)) - np.maximum(low[which], borders[piece]),
    })  # fmt: skip
    by_reason = parts.groupby(["thread", "piece", "reason"], sort=True)["blocked"].agg(["sum", "size"]).reset_index()
    longest = by_reason.sort_values(["thread", "piece", "sum"], ascending=[True, True, False], kind="stable")
    longest = longest.drop_duplicates(["thread", "piece"])
    together = by_reason.groupby(["thread", "piece"], sort=True)[["sum", "size"]].sum().reset_index()
    places = longest["piece"].to_numpy()
    return pd.DataFrame({
        "thread": longest["thread"].to_numpy(), "begin": borders[places], "end": borders[places + 1],
        "reason": longest["reason"].to_numpy(), "blocked": together["sum"].to_numpy(),
        "count": together["size"].to_numpy(),
    })  # fmt: skip


def between(run: Run, picked: Chosen, begin: int, end: int) -> tuple[pd.DataFrame, int]:
    """The messages between shown threads, from the write to the read: all, or the slowest; and how many there are."""
    table = run.analysis.messages
    table = table[table["writer"].isin(picked.shown) & table["reader"].isin(picked.shown)]
    left = table["written"].fillna(table["accepted"])
    arrows = table[["message", "writer", "reader", "size"]].assign(begin=left, end=table["read"])
    arrows = arrows[arrows["begin"].notna() & (arrows["begin"] < end) & (arrows["end"] > begin)]
    if len(arrows) <= ARROWS:
        return arrows, len(arrows)
    order = (arrows["end"] - arrows["begin"]).sort_values(ascending=False, kind="stable")
    return arrows.loc[order.index[:SLOWEST].sort_values()], len(arrows)
