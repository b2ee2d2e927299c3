"""The pieces that figures for a notebook are made of: bars, arrows, axes, all with text that plotly can't misread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from ipctrace.analysis.events import whole

from .figures.drawing import short
from .figures.reasons import WORDS
from .figures.threads import name
from .markup import count, escape, span
from .run import Run, rows

# reason → colour, hatch: those of the page, which has them in assets/tokens.css
PAINT = {
    "run": ("#46505c", ""), "nodata": ("#0b66b0", "/"), "noroom": ("#b8430a", "\\"), "lock": ("#7440b8", "x"),
    "child": ("#0a7160", "|"), "peer": ("#855a00", "."), "ready": ("#1d6b86", "-"), "notice": ("#97306f", "+"),
    "signal": ("#5f6100", "."), "sleep": ("#656d78", ""),
}  # fmt: skip
INK, ACCENT, DANGER, AMBER = "#4d5560", "#2456c7", "#b3202c", "#d98a04"
ROW = 26
HOVER = "%{customdata}<extra></extra>"


def safe(text: object) -> str:
    """What a program wrote, as plotly shows it and nothing else."""
    return escape(text).replace("$", "&#36;")


def bars(
    reason: str,
    table: pd.DataFrame,
    place: dict[int, int],
    told: list[str],
    share: npt.NDArray[np.float64] | None = None,
) -> go.Bar:
    """Bars over time: columns thread, begin, end (ns); `share`: how much of each is of its reason, shown by opacity."""
    begin, end = whole(table["begin"]), whole(table["end"])
    marker = {} if share is None or (share >= 1).all() else {"opacity": np.clip(0.25 + 0.75 * share, 0, 1)}
    return painted(
        reason, x=(end - begin) / 1e9, base=begin / 1e9, y=[place[thread] for thread in table["thread"].tolist()],
        customdata=told, marker=marker,
    )  # fmt: skip


def painted(reason: str, marker: dict[str, Any] | None = None, **data: Any) -> go.Bar:
    """Horizontal bars in a reason's colour and hatch; a sleep is hollow."""
    colour, hatch = PAINT[reason]
    paint = {
        "color": "#ffffff" if reason == "sleep" else colour, "line": {"color": colour, "width": 0.5},
        "pattern": {"shape": hatch, "fillmode": "replace", "fgcolor": colour, "bgcolor": "#ffffff", "size": 6},
    } | (marker or {})  # fmt: skip
    return go.Bar(
        orientation="h", width=0.7, name=WORDS[reason], legendgroup=reason, marker=paint,
        hovertemplate=HOVER, **data,
    )  # fmt: skip


def arrows(run: Run, table: pd.DataFrame, place: dict[int, int]) -> go.Scatter:
    """Messages as arrows from the write to the read."""
    x = [time for one in rows(table) for time in (one["begin"] / 1e9, one["end"] / 1e9, None)]
    y = [row for one in rows(table) for row in (place[one["writer"]], place[one["reader"]], None)]
    told = [
        words
        for one in rows(table)
        for words in [f"message {one['message'] + 1}, {count(one['size'], 'byte')}: {span(one['end'] - one['begin'])}"]
        * 3
    ]
    return go.Scatter(
        x=x, y=y, mode="lines+markers", name="message", customdata=told, hovertemplate=HOVER,
        line={"color": INK, "width": 1}, marker=tips(len(table), 0),
    )  # fmt: skip


def tips(number: int, back: int) -> dict[str, Any]:
    """The heads of so many arrows, each three points long: from, to, and a gap."""
    size, symbol = [0, 9, 0] * number, ["circle", "arrow", "circle"] * number
    return {"size": size, "symbol": symbol, "angleref": "previous", "standoff": [0, back, 0] * number, "color": INK}


def at(values: Sequence[int], places: Iterable[int | None]) -> list[int | None]:
    return [None if place is None else values[place] for place in places]


def left_out(others: Sequence[int]) -> list[str]:
    return [f"{len(others):,} threads that waited less are left out"] if others else []


def axis(figure: go.Figure, run: Run, threads: Sequence[int], title: str, said: list[str], row: int = ROW) -> go.Figure:
    """A figure with a row a thread, the first at the top."""
    layout(figure, title, said, 160 + row * len(threads))
    return figure.update_yaxes(
        **ticks([name(run, thread) for thread in threads]), range=[len(threads) - 0.5, -0.5], showgrid=False
    )


def ticks(names: list[str], brief: Callable[[str], str] = short) -> dict[str, Any]:
    """Names along an axis whose places are 0, 1, 2 …: two may be alike."""
    return {"tickvals": list(range(len(names))), "ticktext": [safe(brief(one)) for one in names]}


def layout(figure: go.Figure, title: str, said: list[str], height: int) -> go.Figure:
    """What all figures share; `said` is HTML of ours, a part of a sentence each."""
    return figure.update_layout(
        template="plotly_white", height=height, margin={"l": 10, "r": 10, "t": 70, "b": 80},
        title={"text": title, "subtitle": {"text": "; ".join(said)}},
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom"},
        xaxis={"zeroline": False}, yaxis={"zeroline": False},
    )  # fmt: skip
