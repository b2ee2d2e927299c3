"""The critical path: what the run's time was spent on, thread by thread, and where it was handed over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from ipctrace.analysis.events import NONE, whole
from ipctrace.analysis.paths import shares

from ..markup import count, escape, shorten, span
from ..run import Run, rows
from .drawing import across, bar, beside, figure, gutter, named, nothing, percent, short, svg
from .reasons import DOING, WORDS, legend, paint
from .threads import Chosen, chosen, name

THREADS = 6  # rows; the others share one
SEGMENTS = 400  # more are drawn as what took longest of each of as many equal pieces of the run
PLACES, WORTH = 5, 0.005  # places that are told in words, and what share of the path is worth it
ROW = 24
TITLE = "Critical path"


@dataclass(frozen=True, slots=True)
class Path:
    """`threads`: which have a row. `segments`: thread (NONE: before anything known), begin, end (ns), reason (`run`, or
    why it waits), site?; `exact`: one a segment of `Analysis.path`, and not one a piece of the run. `handovers`: how
    often the path goes from one thread to another."""

    threads: Chosen
    segments: pd.DataFrame
    exact: bool
    handovers: int


def critical_path(run: Run, threads: int = THREADS, segments: int = SEGMENTS) -> Path:
    """The path, in order of time, with the `threads` threads that have most of it."""
    path = run.analysis.path
    reason = path["what"].where(path["what"] != "runs", "run").astype(str)
    told = path[["begin", "end", "site"]].assign(thread=whole(path["thread"]), reason=reason)
    spent = shares(path)["thread"]
    known = [thread for thread in run.analysis.lanes if (spent == thread).fillna(False).any()]
    most = [int(thread) for thread in spent.dropna()]
    picked = chosen(known, most[: threads if len(most) > threads else len(most)])
    changes = told["thread"].to_numpy()
    handovers = int((changes[1:] != changes[:-1]).sum())
    if len(told) <= segments:
        return Path(picked, told, True, handovers)
    return Path(picked, pieces(told, segments), False, handovers)


def pieces(told: pd.DataFrame, number: int) -> pd.DataFrame:
    """`number` equal pieces of the path's time: of each the thread and reason that took most of it."""
    begin, end = whole(told["begin"]), whole(told["end"])
    borders = np.linspace(begin[0], end[-1], number + 1).astype("int64")
    cuts = np.union1d(borders, begin)
    cuts = cuts[cuts < end[-1]]
    owner = np.searchsorted(begin, cuts, "right") - 1
    parts = told.iloc[owner].assign(
        piece=np.searchsorted(borders, cuts, "right") - 1, time=np.diff(np.append(cuts, end[-1])), site=None
    )
    spent = parts.groupby(["piece", "thread", "reason"], sort=True)["time"].sum().reset_index()
    most = spent.sort_values(["piece", "time"], ascending=[True, False], kind="stable").drop_duplicates("piece")
    piece = most["piece"].to_numpy()
    return pd.DataFrame({
        "begin": borders[piece], "end": borders[piece + 1], "site": None, "thread": most["thread"].to_numpy(),
        "reason": most["reason"].to_numpy(),
    })  # fmt: skip


def draw(run: Run) -> str:
    """The figure: a row a thread, the path going from row to row, and in words what most of it is."""
    if run.analysis.path.empty:
        return nothing(TITLE, "Nothing is known of what the time was spent on.", "wide-figure")
    found = critical_path(run)
    path = found.segments
    begin, length = int(path["begin"].iloc[0]), max(1, int(path["end"].iloc[-1] - path["begin"].iloc[0]))
    names = [(short(name(run, thread)), name(run, thread)) for thread in found.threads.shown]
    place = {thread: row for row, thread in enumerate(found.threads.shown)}
    if found.threads.others:
        place |= dict.fromkeys(found.threads.others, len(names))
        names.append((f"{len(found.threads.others):,} others", f"the {len(found.threads.others):,} others"))
    if (path["thread"] == NONE).any():
        place[NONE] = len(names)
        names.append(("not known", "before anything known"))
    parts, links = [], []
    above = None
    for row in rows(path):
        level, start = place[row["thread"]], (row["begin"] - begin) / length
        where = f" at {run.place(row['site'])}" if row["site"] is not None else ""
        title = f"{names[level][1]}: {span(row['end'] - row['begin'])} {WORDS[row['reason']]}{where}"
        title += "" if found.exact else ", most of this piece"
        parts.append(bar(start, (row["end"] - row["begin"]) / length, level * ROW + 4, 16, paint(row["reason"]), title))
        if above is not None and above != level:
            x, y = across(start), (above * ROW + 12, level * ROW + 12)
            links.append(f'<line class="link" x1="{x}" x2="{x}" y1="{y[0]}" y2="{y[1]}"/>')
        above = level
    top = told_shares(run)
    label = "Critical path: " + "; ".join(f"{percent(share)} {words}" for share, _, words, _ in top)
    drawn = beside(gutter(names, ROW), svg(len(names) * ROW, label, links + parts))
    says = f"{percent(top[0][0])} of the run is {escape(top[0][2])}. Only a shorter path makes a shorter run."
    notes = [
        f"{count(len(run.analysis.path), 'segment')}, {count(found.handovers, 'hand-over')} from thread to thread."
        + ("" if found.exact else f" Drawn: what took most of each {span(length / SEGMENTS)}."),
        f"Others: {named([name(run, thread) for thread in found.threads.others])}." if found.threads.others else "",
    ]
    return figure(TITLE, says, drawn + legend(path["reason"].unique()) + places(top), notes, "wide-figure")


def told_shares(run: Run) -> list[tuple[float, int, str, str]]:
    """(share, time in ns, words, source line) of what takes most of the path: "child computing, up to worker.py:12"."""
    found = []
    spent = shares(run.analysis.path, ("thread", "what", "site"))
    for row in rows(spent[(spent["share"] >= WORTH) | (spent.index == 0)].head(PLACES)):
        who = "what came before anything known" if row["thread"] is None else name(run, row["thread"])
        site = run.place(row["site"])
        runs = row["what"] == "runs"
        words = f"{who} {DOING['run' if runs else row['what']]}"
        words += (f", up to {site}" if runs else f" at {site}") if site else ""
        line = run.lines.get((run.sites[row["site"]]["file"], run.sites[row["site"]]["line"]), "") if site else ""
        found.append((float(row["share"]), int(row["time"]), words if row["thread"] is not None else who, line.strip()))
    return found


def places(top: list[tuple[float, int, str, str]]) -> str:
    """What takes most of the path, as a list."""
    lines = "".join(
        f'<li><b>{percent(share)}</b><div>{escape(words)} <span class="dim">{span(time)}</span>'
        + (f" <code>{escape(shorten(line, 60))}</code>" if line else "")
        + "</div></li>"
        for share, time, words, line in top
    )
    return f'<ol class="places">{lines}</ol>'
