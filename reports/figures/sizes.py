"""How large messages were, in powers of two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..markup import count
from ..run import Run, rows
from .drawing import across, bar, figure, nothing, svg, text

HEIGHT, TOP = 150, 22
ATOMIC = 4096  # PIPE_BUF: what is larger may be mixed with another's bytes in a pipe, see pipe(7)
TITLE = "How large messages were"


@dataclass(frozen=True, slots=True)
class Sizes:
    """`counts`: a row a power of two, in order and without gaps: least, most (bytes, both within), messages, bytes.
    `without`: items of queues between threads, which have no size."""

    counts: pd.DataFrame
    without: int
    median: int


def sizes(run: Run) -> Sizes:
    """The distribution of the messages' sizes."""
    size = run.analysis.messages["size"].to_numpy(dtype="int64")
    some = size[size > 0]
    power = np.frexp(some.astype("float64"))[1].astype("int64") - 1  # 2 ** power ≤ size
    low, high = (int(power.min()), int(power.max())) if len(power) else (0, -1)
    steps = np.arange(low, high + 1)
    table = pd.DataFrame({
        "least": 2**steps, "most": 2 ** (steps + 1) - 1, "messages": np.bincount(power - low, minlength=len(steps)),
        "bytes": np.bincount(power - low, some, minlength=len(steps)).astype("int64"),
    })  # fmt: skip
    return Sizes(table, int((size == 0).sum()), int(np.median(some)) if len(some) else 0)


def draw(run: Run) -> str:
    """The figure: a column a power of two."""
    found = sizes(run)
    table = found.counts
    have = "has" if found.without == 1 else "have"
    without = f"{count(found.without, 'item')} of queues between threads {have} no size."
    if table.empty:
        return nothing(TITLE, without if found.without else "No bytes passed between threads.")
    low, high = int(table["least"].iloc[0]).bit_length() - 1, int(table["least"].iloc[-1]).bit_length() - 1
    margin = max(0, 7 - (high - low)) // 2  # few columns: not as wide as the page
    low, columns = low - min(margin, low), high - low + 1 + 2 * margin
    tallest, base = int(table["messages"].max()), HEIGHT - 20
    parts = [f'<line class="rule" x1="0" x2="100%" y1="{base}" y2="{base}"/>']
    for row in rows(table):
        column, number = row["least"].bit_length() - 1 - low, row["messages"]
        if number:
            tall = max(2.0, (base - TOP) * number / tallest)
            title = f"{count(number, 'message')} of {row['least']:,} to {row['most']:,} bytes, {row['bytes']:,} in all"
            parts.append(bar(column / columns, 1 / columns, base - tall, tall, "fill:var(--accent)", title))
            if columns <= 8 or number == tallest:
                parts.append(text(across((column + 0.5) / columns), base - tall - 5, f"{number:,}", "v", "middle"))
    every = -(-columns // 6)
    for column in range(0, columns, every):
        narrow = column == columns - 1 > 8  # the last of many: its words are wider than it
        x, anchor = (across(1), "end") if narrow else (across((column + 0.5) / columns), "middle")
        parts.append(text(x, base + 16, amount(2 ** (low + column)), "", anchor))
    edge = (ATOMIC.bit_length() - 1 - low) / columns
    crossed = 0 < edge < 1 and high >= ATOMIC.bit_length() - 1
    if crossed:
        parts.append(f'<line class="limit" x1="{across(edge)}" x2="{across(edge)}" y1="8" y2="{base}"/>')
    largest, total = int(run.analysis.messages["size"].max()), int(table["bytes"].sum())
    many = int(table["messages"].sum())
    half = f"Half of {many:,} messages had at most {count(found.median, 'byte')}, the largest {largest:,}"
    says = f"{half}; {amount(total)} in all." if many > 1 else f"The only message had {count(largest, 'byte')}."
    label = "; ".join(
        f"{row['least']:,} to {row['most']:,} bytes: {row['messages']:,}" for row in rows(table) if row["messages"]
    )
    notes = [
        "A column a power of two; it begins at the number under it.",
        "Dashed: 4,096 bytes, above which two writers’ bytes may mix in a pipe." if crossed else "",
        without if found.without else "",
    ]
    return figure(TITLE, says, svg(HEIGHT, label, parts), notes)


def amount(size: int) -> str:
    """Bytes in the unit that leaves few digits: `512 B`, `64 KiB`, `1.5 MiB`."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << power:
            return f"{size / (1 << power):.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} B"
