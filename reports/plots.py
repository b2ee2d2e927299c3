"""The figures for a notebook: pure functions from an analysis to plotly figures, of the same data as the page's.

Each is bounded, however long the run: above a budget of bars it says in its title what one bar stands for, and the
threads with least to show are left out and counted. What a program wrote is escaped: plotly reads a little HTML, and in
a notebook what is between two dollars as mathematics.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from ipctrace.analysis.events import NONE
from ipctrace.analysis.results import Analysis
from plotly.subplots import make_subplots

from .figures import by_reason as reasons
from .figures import critical_path as paths
from .figures import latency as latencies
from .figures import matrix as matrices
from .figures import sizes as sizing
from .figures import space_time as diagrams
from .figures.drawing import fitted, percent
from .figures.interleaving import interleaving
from .figures.lanes import lanes
from .figures.reasons import WORDS
from .figures.threads import name
from .markup import count, moment, span
from .plot_parts import (
    ACCENT,
    AMBER,
    DANGER,
    HOVER,
    INK,
    ROW,
    arrows,
    at,
    axis,
    bars,
    layout,
    left_out,
    painted,
    safe,
    ticks,
    tips,
)
from .run import Run, members, rows

STAGES = {"buffered": "#f4b23c", "carried": ACCENT, "unread": "#636b76"}
DASHES = {"message": "solid", "begin": "dot", "over": "longdash", "notice": "dash"}


def timeline(analysis: Analysis, begin: float | None = None, end: float | None = None) -> go.Figure:
    """A lane a thread: solid where it ran, hatched by the reason of the wait, arrows for messages.

    `begin` and `end` are in seconds since the start of the recording; all of the run if they are left out.
    """
    run = Run(analysis)
    since, until = (None if time is None else round(time * 1e9) for time in (begin, end))
    found = lanes(run, since, until)
    place = {thread: row for row, thread in enumerate(found.threads.shown)}
    lives = found.lives
    told = [
        f"{safe(name(run, one['thread']))} from {moment(one['begin'])} to {moment(one['end'])}" for one in rows(lives)
    ]
    figure = go.Figure(bars("run", lives, place, told))
    for reason in WORDS:
        some = found.bars[found.bars["reason"] == reason]
        if len(some):
            told = [
                f"{safe(name(run, bar['thread']))} {WORDS[reason]}: {span(bar['blocked'])}, from {moment(bar['begin'])}"
                + ("" if found.exact else f"; {count(bar['count'], 'wait')} of any reason until {moment(bar['end'])}")
                for bar in rows(some)
            ]
            figure.add_trace(
                bars(reason, some, place, told, some["blocked"].to_numpy() / (some["end"] - some["begin"]).to_numpy())
            )
    if len(found.arrows):
        figure.add_trace(arrows(run, found.arrows, place))
    piece = span(int((found.bars["end"] - found.bars["begin"]).max())) if len(found.bars) else ""
    said = [] if found.exact else [f"a bar is what took most of {piece}"]
    if len(found.arrows) < found.messages:
        said.append(f"slowest {len(found.arrows):,} of {found.messages:,} messages drawn")
    axis(figure, run, found.threads.shown, "Timeline", [*said, *left_out(found.threads.others)])
    return figure.update_xaxes(title="seconds", range=[found.begin / 1e9, found.end / 1e9]).update_layout(
        barmode="overlay"
    )


def matrix(analysis: Analysis) -> go.Figure:
    """Who was blocked by whom: a row a thread that waited, a column a thread that it waited for; seconds.

    The knot is outlined. Sleeps are left out; `?` is nobody that is known.
    """
    run = Run(analysis)
    found = matrices.matrix(run, 24)
    names = [whole for _, whole in matrices.labels(run, found)]
    numbered = [f"{whole}  {number}" for number, whole in enumerate(names, 1)]
    columns = [*names, "?"]
    told = [
        [
            f"{safe(names[row])} waited {span(int(found.time[row, column]))} for {safe(columns[column])}, "
            f"{count(int(found.count[row, column]), 'time')}"
            for column in range(len(columns))
        ]
        for row in range(len(names))
    ]
    written = [[span(time) if time else "" for time in line] for line in found.time.tolist()]
    figure = go.Figure(
        go.Heatmap(
            z=np.where(found.count > 0, found.time / 1e9, np.nan), customdata=told, text=written,
            texttemplate="%{text}", colorscale="Blues", zmin=0, zmax=max(int(found.single.max(initial=0)), 1) / 1e9,
            xgap=2, ygap=2, hovertemplate=HOVER, colorbar={"title": "seconds"},
        )
    )  # fmt: skip
    for row, column in sorted(matrices.knot_cells(run, found)):
        box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", **box, line={"color": DANGER, "width": 2})
    layout(figure, "Blocked by whom", ["a row waits for a column, by number"], 170 + ROW * len(names))
    figure.update_layout(margin={"t": 100})
    figure.update_xaxes(**ticks([*map(str, range(1, len(columns))), "?"]), side="top", showgrid=False)
    return figure.update_yaxes(**ticks(numbered), autorange="reversed", showgrid=False)


def critical_path(analysis: Analysis) -> go.Figure:
    """What the run's time was spent on: the path from thread to thread, and in the title what took most of it."""
    run = Run(analysis)
    if analysis.path.empty:
        return layout(go.Figure(), "Critical path", ["nothing is known of it"], 200)
    found = paths.critical_path(run, 20, 2_000)
    place = {thread: row for row, thread in enumerate(found.threads.shown)}
    names = [name(run, thread) for thread in found.threads.shown]
    for others, words in ((found.threads.others, f"{len(found.threads.others):,} others"), ((NONE,), "not known")):
        if found.segments["thread"].isin(others).any():
            place |= dict.fromkeys(others, len(names))
            names.append(words)
    parts = found.segments.assign(row=[place[thread] for thread in found.segments["thread"].tolist()])
    figure = go.Figure()
    changes = parts["row"].to_numpy()[1:] != parts["row"].to_numpy()[:-1]
    links = [
        (at / 1e9, row)
        for at, *both in zip(
            parts["begin"].to_numpy()[1:][changes].tolist(), parts["row"].to_numpy()[:-1][changes].tolist(),
            parts["row"].to_numpy()[1:][changes].tolist(), strict=True,
        )
        for row in (*both, None)
    ]  # fmt: skip
    lines = {"color": INK, "width": 1}
    figure.add_trace(
        go.Scatter(
            x=[x for x, _ in links],
            y=[y for _, y in links],
            mode="lines",
            line=lines,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for reason in WORDS:
        some = parts[parts["reason"] == reason]
        if len(some):
            told = [
                f"{safe(names[one['row']])} {WORDS[reason]}: {span(one['end'] - one['begin'])}"
                + (f", {safe(run.place(one['site']))}" if one["site"] is not None else "")
                for one in rows(some)
            ]
            figure.add_trace(bars(reason, some, place, told))
    (share, _, words, _), *_ = paths.told_shares(run)
    said = [f"{percent(share)} of the run is {safe(words)}"]
    said += [] if found.exact else [f"a bar is what took most of its part of {len(analysis.path):,} segments"]
    layout(figure, "Critical path", said, 150 + ROW * len(names)).update_layout(barmode="overlay")
    figure.update_yaxes(**ticks(names), autorange="reversed", showgrid=False)
    return figure.update_xaxes(title="seconds")


def by_reason(analysis: Analysis) -> go.Figure:
    """What each thread's whole life was made of: running, and each reason to wait; seconds."""
    run = Run(analysis)
    found = reasons.by_reason(run, 40)
    figure = go.Figure()
    for reason in found.time.columns:
        told = [
            f"{safe(name(run, thread))}: {span(amount)} {WORDS[reason]}"
            for thread, amount in zip(found.threads.shown, found.time[reason].tolist(), strict=True)
        ]
        length = found.time[reason].to_numpy() / 1e9
        figure.add_trace(painted(reason, x=length, y=np.arange(len(length)), customdata=told))
    axis(figure, run, found.threads.shown, "Time by reason", left_out(found.threads.others))
    return figure.update_xaxes(title="seconds").update_layout(barmode="stack")


def latency(analysis: Analysis) -> go.Figure:
    """How long messages lay in the writer's buffer, the channel and the reader's buffer: counts over a logarithmic
    scale of time; and the channels that carried slowest, median to longest."""
    run = Run(analysis)
    found = latencies.latency(run, 10)
    counts = {stage: found.counts.loc[stage].to_numpy(dtype="int64") for stage in latencies.STAGES}
    stages = [stage for stage in latencies.STAGES if counts[stage].any()]
    heights = [100] * len(stages) + [24 * (len(found.channels) + 1)]
    figure = make_subplots(len(heights), 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.05)
    middle = np.log10(np.sqrt(found.edges[:-1] * found.edges[1:]))
    for row, stage in enumerate(stages, 1):
        where, colour = latencies.STAGES[stage][0], STAGES[stage]
        told = [
            f"{count(number, 'message')}: {latencies.below(found, column)}, {where}"
            for column, number in enumerate(counts[stage].tolist())
        ]
        bar = {"x": middle, "y": counts[stage], "name": where, "customdata": told, "marker": {"color": colour}}
        figure.add_trace(go.Bar(hovertemplate=HOVER, **bar), row, 1)
    for number, channel in enumerate(rows(found.channels)):
        told = [f"{safe(channel['name'])}: {words} {span(channel[column])}" for column, words in LENGTHS.items()]
        x = [float(np.log10(max(channel[column], found.edges[0]))) for column in LENGTHS]
        line = go.Scatter(
            x=x, y=[number] * len(x), mode="lines+markers", customdata=told, showlegend=False, hovertemplate=HOVER,
            line={"color": ACCENT}, marker={"symbol": ["circle", "line-ns-open", "line-ns-open"], "size": 9},
        )  # fmt: skip
        figure.add_trace(line, len(heights), 1)
    left = [f"{number:,} still {latencies.STAGES[stage][0]}" for stage, number in found.missing.items() if number]
    layout(figure, "How long messages took", left, 190 + sum(heights)).update_layout(bargap=0)
    powers = found.edges[:: latencies.STEPS]
    figure.update_xaxes(
        tickvals=np.log10(powers), ticktext=[latencies.tick(float(power)) for power in powers],
        range=[np.log10(powers[0]) - 0.05, np.log10(powers[-1]) + 0.05],
    )  # fmt: skip
    names = [str(one) for one in found.channels["name"]]
    places = ticks(names, fitted)
    return figure.update_yaxes(**places, range=[len(names) - 0.5, -0.5], row=len(heights), col=1)


def sizes(analysis: Analysis) -> go.Figure:
    """How large messages were: how many, a column a power of two, in bytes."""
    found = sizing.sizes(Run(analysis))
    told = [
        f"{count(row['messages'], 'message')} of {row['least']:,} to {row['most']:,} bytes, {row['bytes']:,} in all"
        for row in rows(found.counts)
    ]
    figure = go.Figure(
        go.Bar(x=np.arange(len(told)), y=found.counts["messages"].to_numpy(), customdata=told, marker={"color": ACCENT},
               hovertemplate=HOVER, name="messages")
    )  # fmt: skip
    said = [f"{count(found.without, 'item')} of queues between threads not counted"] if found.without else []
    layout(figure, "How large messages were", said, 320).update_layout(bargap=0.03)
    figure.update_yaxes(title="messages")
    return figure.update_xaxes(**ticks([sizing.amount(int(least)) for least in found.counts["least"]]))


def space_time(analysis: Analysis, events: int = 60) -> go.Figure:
    """What had to come before what (Lamport 1978): lanes are threads, x is the rank of causality and not time.

    `events`: how many begins and ends of calls, the last of the run, or of what the threads in a knot had to do with.
    """
    run = Run(analysis)
    found = interleaving(run, events, 40)
    place = {thread: row for row, thread in enumerate(found.lanes)}
    x, y = found.nodes["rank"].tolist(), [place[thread] for thread in found.nodes["thread"].tolist()]
    figure = go.Figure()
    families = [diagrams.FAMILY.get(kind, "notice") for kind in found.arrows["kind"].tolist()]
    for family, (words, _) in diagrams.KINDS.items():
        some = [arrow for arrow, its in zip(rows(found.arrows), families, strict=True) if its == family]
        if some:
            ends = [node for arrow in some for node in (arrow["before"], arrow["after"], None)]
            figure.add_trace(
                go.Scatter(x=at(x, ends), y=at(y, ends), mode="lines+markers", name=words, hoverinfo="skip",
                           line={"color": INK, "width": 1, "dash": DASHES[family]}, marker=tips(len(some), 4))
            )  # fmt: skip
    colours = [AMBER if node["held"] else ACCENT if node["unread"] else INK for node in rows(found.nodes)]
    shapes = ["circle-open" if end else "circle" for end in found.nodes["end"].tolist()]
    told = [safe(title) for title in diagrams.titles(run, found)]
    figure.add_trace(
        go.Scatter(x=x, y=y, mode="markers", customdata=told, hovertemplate=HOVER,
                   marker={"color": colours, "symbol": shapes, "size": 9}, name="a call begins ●, returns ○")
    )  # fmt: skip
    core = {waiter.thread for waiter in members(run, "core")}
    for thread in found.lanes:
        if thread in core:
            own = max((rank for rank, row in zip(x, y, strict=True) if row == place[thread]), default=-1)
            line = {"color": DANGER, "width": 3}
            figure.add_shape(
                type="line", x0=own + 0.5, x1=max(x, default=0) + 1.5, y0=place[thread], y1=place[thread], line=line
            )
    said = ["dots in one column are concurrent", f"the last {len(x):,} of {found.total:,} begins and ends"]
    said += ["red: for ever"] if core else []
    axis(figure, run, found.lanes, "Causal order", said, 40)
    return figure.update_xaxes(title="rank", showgrid=False)


LENGTHS = {"median": "half within", "most": "95 of 100 within", "longest": "longest"}
