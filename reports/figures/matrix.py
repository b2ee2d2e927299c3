"""Who was blocked by whom: a row a thread that waited, a column a thread that ended the wait or was waited for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ipctrace.analysis.events import NONE, Ints, whole

from ..markup import count, escape, span
from ..run import Run
from .drawing import across, beside, figure, gutter, named, nothing, percent, short, svg, text
from .threads import Chosen, most_waiting, name

THREADS = 8  # rows; the others share one
ROW = 32
ROOM = 6  # columns whose cells have room for a number on a phone; of more only the tint is seen there
UNITS = (("seconds", 1e9), ("milliseconds", 1e6), ("microseconds", 1e3))
TITLE = "Blocked by whom"


@dataclass(frozen=True, slots=True)
class Matrix:
    """`time` (ns) and `count` of the waits of each row's threads for each column's. Rows: the shown threads, then, if
    there are any, the others together; columns: the same, then nobody that is known."""

    threads: Chosen
    time: Ints
    count: Ints

    @property
    def single(self) -> Ints:
        """`time` of the rows that are one thread each."""
        return self.time[: len(self.threads.shown)]


def matrix(run: Run, threads: int = THREADS) -> Matrix:
    """The matrix of the `threads` threads that waited or were waited for longest, the others taken together."""
    picked = most_waiting(run, threads)
    size = len(picked.shown) + bool(picked.others)
    place = {thread: min(number, size - 1) for number, thread in enumerate((*picked.shown, *picked.others))}
    table = run.pairs
    rows = np.array([place.get(thread, NONE) for thread in whole(table["thread"]).tolist()], dtype="int64")
    columns = np.array([place.get(by, size) for by in whole(table["by"]).tolist()], dtype="int64")
    known = rows != NONE
    sums = np.zeros((2, size, size + 1), dtype="int64")
    for layer, column in zip(sums, ("time", "count"), strict=True):
        np.add.at(layer, (rows[known], columns[known]), whole(table[column])[known])
    return Matrix(picked, sums[0], sums[1])


def draw(run: Run) -> str:
    """The figure."""
    found = matrix(run)
    if not found.time.any():
        return nothing(TITLE, "No thread waited.")
    unit, size = next(((word, size) for word, size in UNITS if found.time.max() >= size), UNITS[-1])
    names = labels(run, found)
    rows, columns = found.time.shape
    columns -= not found.count[:, -1].any()
    # names over the columns where they have room, else numbers: nothing is slanted, nothing is cut
    plain = columns <= 4 and all(len(brief) <= 9 for brief, _ in names)
    heads = [brief if plain else str(number + 1) for number, (brief, _) in enumerate(names)] + ["?"]
    parts = [text(across((k + 0.5) / columns), 14, head, "", "middle") for k, head in enumerate(heads[:columns])]
    knot = knot_cells(run, found)
    whom = [whole for _, whole in names] + ["somebody who is not known"]
    for row in range(rows):
        for column in range(columns):
            waited, often = int(found.time[row, column]), int(found.count[row, column])
            said = f"{names[row][1]} waited {span(waited)} for {whom[column]}, {count(often, 'time')}" if often else ""
            parts.append(cell(found, (row, column), columns, size, said, (row, column) in knot))
    by_time = np.dstack(np.unravel_index(np.argsort(-found.single, axis=None, kind="stable"), found.single.shape))[0]
    (most, at), *_ = by_time.tolist()
    share = found.time[most, at] / found.time.sum()
    says = (
        f"{escape(names[most][1])} waited {span(int(found.time[most, at]))} for {escape(whom[at])}, "
        f"{percent(share)} of all waiting. A row waits for a column; {unit}, sleeps left out."
    )
    label = "; ".join(
        f"{names[row][1]} waits {span(int(found.time[row, column]))} for {whom[column]}"
        for row, column in by_time[:6].tolist()
        if found.time[row, column]
    )
    numbered = [(f"{brief}  {number + 1}" if not plain else brief, full) for number, (brief, full) in enumerate(names)]
    drawn = beside(gutter(numbered, ROW, 24), svg(24 + rows * ROW, label, parts))
    drawn = f'<div style="max-width:{170 + columns * 76}px">{drawn}</div>'
    return figure(TITLE, says, drawn, notes(run, found, bool(knot)))


def labels(run: Run, found: Matrix) -> list[tuple[str, str]]:
    """The rows' names, (short, whole)."""
    names = [(short(name(run, thread)), name(run, thread)) for thread in found.threads.shown]
    if found.threads.others:
        names.append((f"{len(found.threads.others):,} others", f"the {count(len(found.threads.others), 'other')}"))
    return names


def cell(found: Matrix, at: tuple[int, int], columns: int, unit: float, title: str, knotted: bool) -> str:
    """A cell, tinted by its share of the longest, with its number."""
    row, column = at
    waited = int(found.time[row, column])
    tint = 10 + 34 * min(1.0, waited / max(1, int(found.single.max(initial=0))))
    colour = "sleep" if column == found.time.shape[1] - 1 else "nodata"
    tinted = f"color-mix(in srgb, var(--{colour}) {tint:.0f}%, transparent)"
    fill = tinted if found.count[row, column] else "var(--sunk)"
    edge = ";stroke:var(--danger);stroke-width:1.5px" if knotted else ""
    told = f"<title>{escape(title)}</title>" if title else ""
    square = (
        f'<rect y="{25 + row * ROW}" height="{ROW - 3}" rx="3" style="x:calc({across(column / columns)} + 1px);'
        f'width:calc({across(1 / columns)} - 3px);fill:{fill}{edge}">{told}</rect>'
    )
    if not found.count[row, column]:
        return square
    style = " ".join(["v", *(["knotted"] if knotted else []), *(["roomy"] if columns > ROOM else [])])
    return square + text(across((column + 0.5) / columns), 44 + row * ROW, written(waited / unit), style, "middle")


def written(amount: float) -> str:
    """A number in at most four characters: `1.98`, `12.3`, `123`, and for less than a hundredth `<.01`."""
    digits = 0 if amount >= 99.95 else 1 if amount >= 9.995 else 2
    return f"{amount:.{digits}f}" if amount >= 0.005 else "<.01"


def knot_cells(run: Run, found: Matrix) -> set[tuple[int, int]]:
    """(row, column) of each edge inside the knot that is waited for here."""
    if run.graph is None:
        return set()
    at = run.graph.waiters
    place: dict[int | None, int] = {thread: number for number, thread in enumerate(found.threads.shown)}
    inside = [edge for edge in run.graph.edges if at[edge.waiter].role == at[edge.holder].role == "core"]
    both = [(place.get(at[edge.waiter].thread), place.get(at[edge.holder].thread)) for edge in inside]
    cells = {(row, column) for row, column in both if row is not None and column is not None}
    return {cell for cell in cells if found.count[cell]}


def notes(run: Run, found: Matrix, knotted: bool) -> list[str]:
    others = found.threads.others
    nobody = bool(found.count[:, -1].any())
    return [
        "Outlined: the knot." if knotted else "",
        "?: nobody of the run is known to have ended the wait." if nobody else "",
        f"Others: {named([name(run, thread) for thread in others])}." if others else "",
    ]
