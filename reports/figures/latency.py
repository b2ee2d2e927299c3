"""How long messages took, and where: in their writer's buffer, in the channel, in their reader's buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ipctrace.analysis.messages import stages

from ..markup import count, escape, span
from ..run import Run, rows
from .drawing import across, bar, beside, figure, fitted, gutter, nothing, svg, text

CHANNELS = 5
STEPS = 5  # columns a decade
ROW, CHANNEL, TOP = 58, 24, 4  # height of a histogram's row, and of a channel's
UNITS = (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0))
TITLE = "How long messages took"
STAGES = {  # stage → where a message was meanwhile, and how it is painted
    "buffered": ("in the writer’s buffer", "fill:var(--liquid)"),
    "carried": ("in the channel", "fill:var(--accent)"),
    "unread": ("in the reader’s buffer", "fill:var(--ink3)"),
}


@dataclass(frozen=True, slots=True)
class Latency:
    """`edges`: the columns' borders, ns, evenly on a logarithmic scale; what is shorter than the first counts there.
    `counts`: a row a stage (index: as `messages.stages`), a column a column. `missing`: stage → messages that are there
    still. `passed`: the stages in which any message spent any time; an item of a queue lies in no buffer. `channels`:
    the channels that carried slowest (index: id): messages, median, most (95 of 100), longest; ns, and their name."""

    edges: np.ndarray[tuple[int], np.dtype[np.float64]]
    counts: pd.DataFrame
    missing: dict[str, int]
    passed: tuple[str, ...]
    channels: pd.DataFrame


def latency(run: Run, channels: int = CHANNELS) -> Latency:
    """The distributions of what `messages.stages` says."""
    messages = run.analysis.messages
    lengths = stages(messages)
    known = {stage: lengths[stage].dropna().to_numpy(dtype="float64") for stage in STAGES}
    edges = decades(np.concatenate([*known.values(), [np.inf]])[:-1])
    inside = {stage: np.clip(values, edges[0], edges[-1] * (1 - 1e-12)) for stage, values in known.items()}
    counts = pd.DataFrame([np.histogram(values, edges)[0] for values in inside.values()], index=list(inside))
    gone = messages["lost"].astype(bool)
    accepted, written, read = (messages[name].notna() & ~gone for name in ("accepted", "written", "read"))
    missing = {
        "buffered": int((accepted & ~written & ~read).sum()),
        "carried": int((written & ~read).sum()),
        "unread": int((read & messages["received"].isna()).sum()),
    }
    carried = lengths["carried"].astype("float64")
    spent = carried.groupby(messages["channel"])
    table = pd.DataFrame({
        "messages": spent.count(), "median": spent.median(), "most": spent.quantile(0.95), "longest": spent.max(),
    })  # fmt: skip
    table = table[table["messages"] > 0].sort_values(["median", "longest"], ascending=False, kind="stable")
    table["name"] = [run.channel_name(channel) for channel in table.index]
    passed = tuple(stage for stage, values in known.items() if stage == "carried" or (values > 0).any())
    return Latency(edges, counts, missing, passed, table.head(channels))


def decades(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The borders of columns that hold all values: whole powers of ten at both ends, from 100 ns to 1 Ms."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (1e3, 1e6)
    first = min(max(int(np.floor(np.log10(max(low, 1)))), 2), 14)
    last = min(max(int(np.floor(np.log10(max(high, 1)))) + 1, first + 1), 15)
    return np.logspace(first, last, (last - first) * STEPS + 1)


def draw(run: Run) -> str:
    """The figure: a histogram a stage over one logarithmic axis, and under them the slowest channels."""
    found = latency(run)
    total = int(found.counts.to_numpy().sum())
    if not total:
        return nothing(TITLE, "No message of this run came from a thread to a thread, so there is nothing to measure.")
    first, last = np.log10(found.edges[0]), np.log10(found.edges[-1])

    def place(nanoseconds: float) -> float:
        return float((np.clip(np.log10(max(nanoseconds, 1)), first, last) - first) / (last - first))

    counts = {stage: found.counts.loc[stage].to_numpy(dtype="int64") for stage in STAGES}
    stages_shown = [stage for stage in STAGES if stage in found.passed]
    columns, height = found.counts.shape[1], TOP + ROW * len(stages_shown) + CHANNEL * len(found.channels)
    parts, named = ticks(found.edges, height + 6), []
    for row, stage in enumerate(stages_shown):
        base, tallest = TOP + (row + 1) * ROW - 8, max(1, int(counts[stage].max()))
        parts.append(f'<line class="rule" x1="0" x2="100%" y1="{base}" y2="{base}"/>')
        for column, number in enumerate(counts[stage].tolist()):
            if number:
                tall = max(2.0, (ROW - 18) * number / tallest)
                title = f"{count(number, 'message')}: {below(found, column)}, {STAGES[stage][0]}"
                parts.append(bar(column / columns, 1 / columns, base - tall, tall, STAGES[stage][1], title))
        named.append((STAGES[stage][0], f"{STAGES[stage][0]}: {count(int(counts[stage].sum()), 'message')}"))
    sides = gutter(named, ROW, TOP)
    slowest = rows(found.channels)
    for row, channel in enumerate(slowest):
        y = TOP + ROW * len(stages_shown) + row * CHANNEL + 14
        title = (
            f"{channel['name']}, {count(int(channel['messages']), 'message')} in the channel: half within "
            f"{span(channel['median'])}, 95 of 100 within {span(channel['most'])}, longest {span(channel['longest'])}"
        )
        parts.append(whisker(place(channel["median"]), place(channel["most"]), place(channel["longest"]), y, title))
    slow = [(fitted(channel["name"]), channel["name"]) for channel in slowest]
    names = f'<div class="stacked">{sides}{gutter(slow, CHANNEL)}</div>'
    says = slowest_of(slowest[0]) if slowest else "How many messages were how long where"
    label = "; ".join([
        *(whole for _, whole in named),
        *(f"{channel['name']}: half within {span(channel['median'])}" for channel in slowest),
    ])  # fmt: skip
    left = [f"{number:,} {STAGES[stage][0]}" for stage, number in found.missing.items() if number]
    notes = [
        "Below: the slowest channels; dot: median, thick: 95 of 100, thin: longest." if slow else "",
        f"Not counted, since still there at the end: {', '.join(left)}." if left else "",
    ]
    return figure(TITLE, f"{says}. The scale is logarithmic.", beside(names, svg(height + 24, label, parts)), notes)


def slowest_of(channel: dict[str, Any]) -> str:
    """The slowest channel, as HTML."""
    many, half = int(channel["messages"]), span(channel["median"])
    carried = f"half of its {many:,} messages within {half}, the longest in {span(channel['longest'])}"
    return f"{escape(channel['name'])} carried slowest: {carried if many > 1 else f'its one message in {half}'}"


def below(found: Latency, column: int) -> str:
    """A column's range in words."""
    words = f"{span(round(found.edges[column]))} to {span(round(found.edges[column + 1]))}"
    return f"up to {span(round(found.edges[1]))}" if column == 0 else words


def ticks(edges: np.ndarray[tuple[int], np.dtype[np.float64]], y: float) -> list[str]:
    """Lines and words at the powers of ten, as many as do not touch; on a phone only those that are not `roomy`."""
    powers = [float(edge) for edge in edges[::STEPS]]
    every = -(-(len(powers) - 1) // 4)
    narrow = every * -(-(len(powers) - 1) // (3 * every))
    found = []
    for number, edge in enumerate(powers):
        at = across(number / (len(powers) - 1))
        found.append(f'<line class="rule" x1="{at}" x2="{at}" y1="0" y2="{y - 4:g}"/>')
        if number % every == 0:
            anchor = "start" if number == 0 else "end" if number == len(powers) - 1 else "middle"
            found.append(text(at, y + 12, tick(edge), "" if number % narrow == 0 else "roomy", anchor))
    return found


def tick(power: float) -> str:
    """A power of ten, ns, in words: `100 µs`."""
    unit, size = next((unit, size) for unit, size in UNITS if power >= size)
    return f"{power / size:,.0f} {unit}"


def whisker(middle: float, most: float, longest: float, y: float, title: str) -> str:
    """A channel: a dot at its median, a thick line up to 95 of 100, a thin one up to the longest."""
    lines = "".join(
        f'<line x1="{across(begin)}" x2="{across(end)}" y1="{y - tall}" y2="{y + tall}" stroke-width="{width}"/>'
        for begin, end, tall, width in ((middle, longest, 0, 1), (middle, most, 0, 4), (longest, longest, 4, 1))
    )
    hit = f'<rect width="100%" height="{CHANNEL}" y="{y - 12}" fill="transparent" stroke="none"/>'
    dot = f'<circle cx="{across(middle)}" cy="{y}" r="4.5"/>'
    return f'<g class="whisker"><title>{escape(title)}</title>{hit}{lines}{dot}</g>'
