"""Three small figures as SVG: who was blocked by whom, each thread's time by reason, and the causal order.

They need no script and no library; a table stands beside each in the page, and each says itself in a sentence.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from ipctrace.tracer.schema import REASONS

from .markup import escape, shown, span
from .run import Run, members, rows

THREADS = 8  # rows of the matrix and the bars: who was blocked longest
MESSAGES = 9  # messages in the causal order: the last
ROW = 34
LEFT = 80  # where the causal order begins, behind the names
TIMER, NOBODY = "timer", "open"  # columns beside the threads: a sleep, and a wait that nobody of the run ended


def views(run: Run) -> str:
    """The section's content; each figure that has nothing to show says so."""
    figures = (
        ("Blocked by whom", f"row waits for column; seconds of {run.end / 1e9:.3f}", matrix(run)),
        ("Time by reason", "each thread, whole life", by_reason(run)),
        ("Causal order", "what had to come before what; distance is not time", causal(run)),
    )
    return (
        '<h2 id="w-h">Three more views</h2><div class="trio">'
        + "".join(
            f"<figure><figcaption><b>{title}</b> {note}</figcaption>{drawn}</figure>" for title, note, drawn in figures
        )
        + "</div>"
    )


def text(x: float, y: float, what: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(what)}</text>'


def written(seconds: float) -> str:
    """Seconds in a cell: `1.98`, `123`, and for less than a hundredth `<.01`."""
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.2f}" if seconds >= 0.005 else "<.01"


def svg(width: float, height: float, label: str, parts: list[str]) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def short(run: Run, thread: int) -> str:
    """A thread's name where there is room for a word: `child`, or of `parent/logger` only `logger`."""
    name = shown(run.analysis.names.get(thread, str(thread)).rpartition("/")[2])
    return name if len(name) <= 11 else f"{name[:5]}…{name[-5:]}"  # names of many workers differ in their ends


def longest(run: Run) -> list[int]:
    """The threads that were blocked longest, in lane order."""
    known = [lane.thread for lane in run.lanes if lane.thread is not None and run.processes[lane.process]["traced"]]
    busy = run.analysis.busy[run.analysis.busy["thread"].isin(known)]
    most = busy.sort_values("blocked", ascending=False, kind="stable")["thread"].head(THREADS).tolist()
    return [thread for thread in known if thread in most]


def matrix(run: Run) -> str:
    """Seconds that each thread (row) waited for each other (column), for a timer, or for somebody outside."""
    waits = run.analysis.blocking
    if waits.empty:
        return '<p class="none">No thread waited.</p>'
    length = waits["end"].astype("int64") - waits["begin"].astype("int64")
    by: pd.Series[Any] = (
        run.waited_for.astype(object).where(run.waited_for.notna(), NOBODY).where(waits["reason"] != "sleep", TIMER)
    )
    sums = length.groupby([waits["thread"], by]).sum()
    lines = longest(run)
    others = [column for column in (TIMER, NOBODY) if (sums.index.get_level_values(1) == column).any()]
    columns: list[Any] = [*lines, *others]
    knotted = knot_pairs(run)
    cell, left = min(46.0, 234 / len(columns)), 83
    upright = cell >= 40 and all(len(short(run, thread)) <= 7 for thread in lines)
    titles = [one if isinstance(one, str) else short(run, one) for one in columns]
    parts = [text(left + (place + 0.5) * cell, 14, name, "", "middle") for place, name in enumerate(titles)]
    if not upright:  # names would run into each other: slant them
        parts = [
            f'<g transform="translate({left + (place + 0.3) * cell:g} 16) rotate(-35)">{text(0, 0, name)}</g>'
            for place, name in enumerate(titles)
        ]
    top = 23 if upright else 44
    parts = parts if upright else [f'<g transform="translate(0 22)">{"".join(parts)}</g>']
    for row, thread in enumerate(lines):
        y = top + row * ROW
        parts.append(text(left - 9, y + 21, short(run, thread), "", "end"))
        for place, column in enumerate(columns):
            seconds = float(sums.get((thread, column), 0)) / 1e9
            share = 8 + 30 * min(1.0, seconds * 1e9 / run.end)
            colour = "sleep" if column in (TIMER, NOBODY) else "nodata"
            fill = f"color-mix(in srgb, var(--{colour}) {share:.0f}%, transparent)" if seconds else "var(--sunk)"
            hot = (thread, column) in knotted
            edge = ' stroke="var(--danger)" stroke-width="1.5"' if hot else ""
            parts.append(
                f'<rect x="{left + place * cell:g}" y="{y}" width="{cell - 2:g}" height="{ROW - 2}" rx="3" '
                f'style="fill:{fill}"{edge}/>'
            )
            if seconds >= 0.005 or hot:
                parts.append(
                    text(
                        left - 1 + (place + 0.5) * cell,
                        y + 21,
                        written(seconds),
                        "v knotted" if hot else "v",
                        "middle",
                    )
                )
    bottom = top + len(lines) * ROW
    if knotted:
        parts.append(text(left, bottom + 18, "outlined: the knot"))
    label = "; ".join(
        f"{run.analysis.names.get(thread, thread)} waits {span(float(sums.get((thread, column), 0)))} for "
        f"{column if isinstance(column, str) else run.analysis.names.get(column, column)}"
        for thread, column in sums.sort_values(ascending=False).head(6).index
    )
    return svg(320 if upright else 345, bottom + 26, label, parts)


def knot_pairs(run: Run) -> set[tuple[int | None, int | None]]:
    """(waiter's thread, holder's thread) for each edge inside the knot."""
    if run.graph is None:
        return set()
    at = run.graph.waiters
    inside = [edge for edge in run.graph.edges if at[edge.waiter].role == at[edge.holder].role == "core"]
    return {(at[edge.waiter].thread, at[edge.holder].thread) for edge in inside}


def by_reason(run: Run) -> str:
    """One bar a thread: running, then each reason; together its lifetime, on one scale."""
    lines = longest(run)
    if not lines:
        return '<p class="none">No thread was traced.</p>'
    waits, busy = run.analysis.blocking, run.analysis.busy.set_index("thread")
    length = waits["end"].astype("int64") - waits["begin"].astype("int64")
    sums = length.groupby([waits["thread"], waits["reason"]]).sum()
    running = dict(zip(busy.index, busy["running"], strict=True))
    scale = 226 / max(1, int(busy["lifetime"].max()))
    parts = []
    for row, thread in enumerate(lines):
        y, x = 22 + row * ROW, 82.0
        parts.append(text(74, y + 18, short(run, thread), "", "end"))
        for reason in ("run", *REASONS):
            amount = float(running[thread] if reason == "run" else sums.get((thread, reason), 0))
            if not amount:
                continue
            width = amount * scale
            parts.append(
                f'<rect x="{x:g}" y="{y + 4}" width="{max(width - 1, 1.5):g}" height="18" fill="url(#p-{reason})" '
                f'stroke="var(--{reason})" stroke-opacity=".45"><title>{escape(span(amount))}: '
                f"{REASONS.get(reason, 'running')}</title></rect>"
            )
            if width > 60:
                parts.append(
                    f'<rect x="{x + 5:g}" y="{y + 6}" width="46" height="14" rx="2" fill="var(--bg)" opacity=".88"/>'
                )
                parts.append(text(x + 8, y + 17, span(amount), "v"))
            x += width
    bottom = 22 + len(lines) * ROW
    parts.append(text(82, bottom + 20, "blocked + running = lifetime"))
    return svg(320, bottom + 28, "Time by reason for each thread; the table of waits holds the numbers", parts)


# ---- causal order ------------------------------------------------------------------------------------------


def causal(run: Run) -> str:
    """The last messages as a diagram of ranks (Lamport 1978): each dot one step after what had to come before it."""
    table = run.analysis.messages.tail(MESSAGES)
    if table.empty:
        return '<p class="none">No bytes passed between threads, so nothing had to come before anything.</p>'
    points: list[tuple[int, int, int, str]] = []  # time, thread, message, what
    for row in rows(table):
        for what, side in (("accepted", "writer"), ("written", "writer"), ("read", "reader")):
            same = what == "written" and row["accepted"] == row["written"]
            if row[what] is not None and row[side] is not None and not same:
                points.append((row[what], row[side], row["message"], what))
    points.sort(key=lambda point: point[0])
    last: dict[int, int] = {}
    sent: dict[int, int] = {}
    ranked = []
    for _, one, message, what in points:
        rank = max(last.get(one, 0), sent.get(message, 0) if what == "read" else 0) + 1
        last[one] = rank
        if what != "read":
            sent[message] = rank
        ranked.append((one, rank, message, what))
    stuck = {row["message"] for row in rows(table) if row["written"] is None and row["read"] is None}
    waiting = {one.thread for one in members(run, "core") if one.thread is not None}
    lanes = [lane.thread for lane in run.lanes if lane.thread in last or lane.thread in waiting]
    height = {thread: 24 + 40 * place for place, thread in enumerate(lanes) if thread is not None}
    step = min(36.0, 290 / max(1, max(last.values(), default=1)))

    def across(rank: float) -> float:
        return LEFT + rank * step

    parts = [
        f'<path d="M{LEFT} {y}H410" stroke="var(--line2)"/>{text(LEFT - 8, y + 4, short(run, lane), "", "end")}'
        for lane, y in height.items()
    ]
    origin = {message: (thread, rank) for thread, rank, message, what in ranked if what != "read"}
    for thread, rank, message, what in ranked:
        if what == "read" and message in origin and origin[message][0] in height:
            parts.append(slanted(across(origin[message][1]), height[origin[message][0]], across(rank), height[thread]))
    for thread, rank, message, what in ranked:
        held = message in stuck
        colour, radius = ("liquid2", 5.5) if held else ("ink", 4)
        title = f"message {message + 1}: {what}"
        parts.append(
            f'<circle cx="{across(rank):g}" cy="{height[thread]}" r="{radius}" fill="var(--{colour})">'
            f"<title>{escape(title)}</title></circle>"
        )
    for held_up in waiting:
        if held_up in height:
            x, y = across(last.get(held_up, 0) + 1), height[held_up]
            parts.append(
                f'<path d="M{x:g} {y}H410M{x:g} {y - 6}v12" fill="none" stroke="var(--danger)" stroke-width="2.5"/>'
            )
            parts.append(text(410, y - 9, "for ever", "hot", "end"))
    bottom = 24 + 40 * len(height)
    note = "amber: bytes that got no further" if stuck else "dots: put into a buffer, written, read"
    parts.append(text(LEFT, bottom + 4, note))
    return svg(416, bottom + 12, f"Causal order of the last {len(table)} messages", parts)


def slanted(x0: float, y0: float, x1: float, y1: float) -> str:
    """A message's arrow between two dots."""
    length = max(1.0, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    return (
        f'<path d="M{x0:g} {y0:g}L{x1 - 9 * ux:g} {y1 - 9 * uy:g}" stroke="var(--ink2)"/><path fill="var(--ink2)" '
        f'd="M{x1 - 5 * ux:g} {y1 - 5 * uy:g}l{-8 * ux - 3 * uy:g} {-8 * uy + 3 * ux:g}l{6 * uy:g} {-6 * ux:g}z"/>'
    )
