"""Time by reason: what each thread's whole life was made of."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..markup import count, escape, span
from ..run import Run, rows
from .drawing import across, bar, beside, figure, gutter, named, nothing, percent, short, svg, text
from .reasons import DOING, WORDS, legend, paint
from .threads import Chosen, most_waiting, name

THREADS = 12
ROW = 26
TITLE = "Time by reason"


@dataclass(frozen=True, slots=True)
class Reasons:
    """`time`: a row a shown thread (index: its id), a column a reason that occurs, `run` first; ns. A row's sum is the
    thread's lifetime. `others`: reason → ns, summed over the others."""

    threads: Chosen
    time: pd.DataFrame
    others: dict[str, int]


def by_reason(run: Run, threads: int = THREADS) -> Reasons:
    """Time by reason of the `threads` threads that waited or were waited for longest."""
    waits, busy = run.analysis.blocking, run.analysis.busy.set_index("thread")
    length = waits["end"].astype("int64") - waits["begin"].astype("int64")
    sums = length.groupby([waits["thread"], waits["reason"].astype(str)]).sum().unstack(fill_value=0)
    table = sums.reindex(busy.index, fill_value=0).assign(run=busy["running"]).astype("int64")
    table = table[[reason for reason in WORDS if reason in table]]
    picked = most_waiting(run, threads)
    others = table.loc[list(picked.others)].sum()
    return Reasons(picked, table.loc[list(picked.shown)], {reason: int(others[reason]) for reason in table.columns})


def draw(run: Run) -> str:
    """The figure: one bar a thread, all on one scale."""
    found = by_reason(run)
    if found.time.empty:
        return nothing(TITLE, "No thread was traced.")
    scale = max(1, int(found.time.sum(axis=1).max()))
    parts = []
    names = [(short(name(run, thread)), name(run, thread)) for thread in found.threads.shown]
    for row, ((_, whole), times) in enumerate(zip(names, found.time.to_numpy().tolist(), strict=True)):
        begin = 0.0
        for reason, amount in zip(found.time.columns, times, strict=True):
            if amount:
                title = f"{whole}: {span(amount)} {WORDS[reason]}"
                parts.append(bar(begin, amount / scale, 3 + row * ROW, 19, paint(reason), title))
                if amount / scale > 0.27:  # as wide as its number on a phone
                    parts.append(tag(begin + amount / scale / 2, 3 + row * ROW, span(amount)))
                begin += amount / scale
    most = int(found.time.drop(columns="run").sum(axis=1).to_numpy().argmax())
    lifetime = max(1, int(found.time.iloc[most].sum()))
    blocked = lifetime - int(found.time.iloc[most]["run"])
    slept = "sleep" in found.time and bool(found.time.iloc[most]["sleep"])
    did = "waited or slept" if slept else "waited"
    waited = f"{escape(names[most][1])} {did} {percent(blocked / lifetime)} of its {span(lifetime)}"
    label = "; ".join(
        f"{whole}: " + ", ".join(f"{span(amount)} {WORDS[reason]}" for reason, amount in times.items() if amount)
        for (_, whole), times in list(zip(names, rows(found.time), strict=True))[:6]
    )
    drawn_reasons = [reason for reason in WORDS if reason in found.time and found.time[reason].any()]
    drawn = beside(gutter(names, ROW), svg(len(names) * ROW + 2, label, parts))
    return figure(
        TITLE,
        f"{waited}; a bar is a thread’s whole life.",
        drawn + legend(drawn_reasons),
        [rest(run, found)],
    )


def tag(middle: float, y: float, what: str) -> str:
    """A number on a hatched bar, on a ground of its own."""
    width = 8 + 6.2 * len(what)
    place = f"x:calc({across(middle)} - {width / 2:g}px);fill:var(--bg);opacity:.9"
    ground = f'<rect y="{y + 2:g}" width="{width:g}" height="15" rx="2" style="{place}"/>'
    return ground + text(across(middle), y + 13.5, what, "v", "middle")


def rest(run: Run, found: Reasons) -> str:
    """What is not drawn, in words."""
    others = found.threads.others
    if not others:
        return ""
    told = ", ".join(f"{span(int(amount))} {DOING[reason]}" for reason, amount in found.others.items() if amount)
    return f"{count(len(others), 'more thread')} together: {told}. {named([name(run, thread) for thread in others])}."
