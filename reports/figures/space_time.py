"""The space-time diagram: a lane a thread, arrows from what gave to what got, in the order of causality."""

from __future__ import annotations

from ..markup import count, escape, moment
from ..run import Run, members, rows
from .drawing import figure, gutter, nothing, short, svg, text
from .interleaving import Interleaving, interleaving
from .threads import name

LANE, TOP = 40, 22
WIDTH = 1020  # pixels that all ranks take, if each can have between these two
NARROW, WIDE = 17, 44
FOREVER = 78  # room for what never ends
TITLE = "Causal order"
SAYS = (
    "What had to come before what: along an arrow and along a lane. "
    "Dots in one column are concurrent; distance is not time."
)
# What kinds of edges are, in words; all others are notices of some kind
KINDS = {
    "message": ("message", ("message", "item", "ready", "connection", "open")),
    "begin": ("starts a process, thread or task", ("fork", "start", "task", "work")),
    "over": ("its end is waited for", ("exit", "join", "killed", "done", "close")),
    "notice": ("lock, notice, room or signal", ()),
}
FAMILY = {kind: family for family, (_, kinds) in KINDS.items() for kind in kinds}


def draw(run: Run) -> str:
    """The figure: the part around the end of the run, or around the knot; of a long run that came to no knot another,
    folded away, around its longest wait."""
    found = interleaving(run)
    if found.nodes.empty:
        return nothing(TITLE, "No bytes passed between threads, so nothing had to come before anything.", "wide-figure")
    drawn = picture(run, found, "The last ")
    wait = longest_wait(run)
    if not found.core and wait is not None and wait < found.nodes["time"].min():
        earlier = interleaving(run, around=wait)
        if not earlier.nodes.empty:
            summary = f"Around the longest wait, which ended at {moment(wait)}"
            drawn += f"<details><summary>{summary}</summary>{picture(run, earlier, '')}</details>"
    return figure(TITLE, SAYS, drawn, style="wide-figure")


def longest_wait(run: Run) -> int | None:
    """When the longest wait that came to an end did, ns; sleeps left out."""
    waits = run.analysis.blocking
    waits = waits[(waits["kind"] != "sleep") & ~waits["open"]]
    lengths = (waits["end"] - waits["begin"]).to_numpy(dtype="int64")
    return int(waits["end"].iloc[int(lengths.argmax())]) if len(waits) else None


def picture(run: Run, found: Interleaving, which: str) -> str:
    """The diagram as HTML, with its legend, and notes on what it is a part of: `which` ("The last ") of how many."""
    knot = [waiter.thread for waiter in members(run, "core") if waiter.thread is not None]
    core = [thread for thread in found.lanes if thread in knot]
    columns = int(found.nodes["rank"].max()) + 1
    step = min(WIDE, max(NARROW, WIDTH / columns))
    height = {thread: TOP + LANE * place for place, thread in enumerate(found.lanes)}
    width = round(step * columns + 12 + (FOREVER if core else 0))
    spots: list[tuple[float, float]] = [
        (10 + (rank + 0.5) * step, height[thread])
        for rank, thread in zip(found.nodes["rank"].tolist(), found.nodes["thread"].tolist(), strict=True)
    ]
    parts = [f'<line class="rule" x1="0" x2="{width}" y1="{y}" y2="{y}"/>' for y in height.values()]
    families = []
    for arrow in rows(found.arrows):
        families.append(FAMILY.get(arrow["kind"], "notice"))
        parts.append(slanted(spots[arrow["before"]], spots[arrow["after"]], families[-1]))
    parts += dots(run, found, spots)
    parts += [forever(run, found, thread, height[thread], step, width) for thread in core]
    names = [(short(name(run, thread)), name(run, thread)) for thread in found.lanes]
    picture = svg(TOP + LANE * (len(found.lanes) - 1) + 22, label(run, found), parts, width)
    drawn = (
        f'<div class="plane">{gutter(names, LANE, TOP - LANE / 2)}<div class="sideways" tabindex="0" role="region" '
        f'aria-label="The diagram, from left to right">{picture}</div></div>'
    )
    first, last = int(found.nodes["time"].min()), int(found.nodes["time"].max())
    part = (
        f"All {count(len(found.nodes), 'begin')} and ends"
        if len(found.nodes) == found.total
        else f"{which}{len(found.nodes):,} of {found.total:,} begins and ends"
    )
    part += " of calls in which threads gave or got something" + (", the knot’s part" if found.core else "")
    notes = [f"{part}: {moment(first)} to {moment(last)}."]
    if len(core) < len(knot):
        notes.append(f"Of the knot’s {len(knot):,} threads {len(core):,} are drawn.")
    return drawn + legend(found, families) + "".join(f'<p class="note">{note}</p>' for note in notes)


def dots(run: Run, found: Interleaving, spots: list[tuple[float, float]]) -> list[str]:
    """The nodes: filled where a call begins, a ring where one returns; amber: bytes that never left."""
    parts = []
    for node, title, (x, y) in zip(rows(found.nodes), titles(run, found), spots, strict=True):
        style = next((flag for flag in ("held", "unread") if node[flag]), "got" if node["end"] else "gave")
        if node["from_elsewhere"]:
            parts.append(slanted((x - 15, y - 17), (x, y), "elsewhere"))
        radius = 5.5 if node["held"] else 4
        told = f"<title>{escape(title)}</title>"
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius}" class="{style}">{told}</circle>')
    return parts


def titles(run: Run, found: Interleaving) -> list[str]:
    """Each node in words: who, which call, where, when."""
    sites = rows(run.trace.events.iloc[found.nodes["event"].to_numpy()][["site"]])
    told = []
    for node, call, site in zip(rows(found.nodes), run.calls(found.nodes["event"]), sites, strict=True):
        where = f" at {run.place(site['site'])}" if site["site"] is not None else ""
        does = "returns" if node["end"] else "begins"
        words = "".join(f"; {meaning}" for flag, meaning in TOLD.items() if node[flag])
        told.append(f"{name(run, node['thread'])}: {call} {does}{where}, {moment(node['time'])}{words}")
    return told


TOLD = {
    "from_elsewhere": "comes after something that is not drawn",
    "unread": "nobody has read this",
    "held": "these bytes never left the buffer",
}


def forever(run: Run, found: Interleaving, thread: int, y: float, step: float, width: float) -> str:
    """A wait of the knot: from the last that its thread did to the right edge."""
    own = found.nodes.loc[found.nodes["thread"] == thread, "rank"]
    x = 10 + (int(own.max()) + 1.4 if len(own) else 0.4) * step
    return (
        f'<path class="stuck" d="M{x:g} {y:g}H{width - 4}M{x:g} {y - 6:g}v12"/>'
        f"{text(width - 4, y - 9, 'for ever', 'hot', 'end')}"
    )


def slanted(begin: tuple[float, float], end: tuple[float, float], family: str) -> str:
    """An arrow between two dots."""
    (x0, y0), (x1, y1) = begin, end
    length = max(1.0, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    return (
        f'<path class="arrow {family}" d="M{x0 + 4 * ux:.1f} {y0 + 4 * uy:.1f}L{x1 - 9 * ux:.1f} {y1 - 9 * uy:.1f}"/>'
        f'<path class="tip" d="M{x1 - 5 * ux:.1f} {y1 - 5 * uy:.1f}l{-8 * ux - 3 * uy:.1f} {-8 * uy + 3 * ux:.1f}'
        f'l{6 * uy:.1f} {-6 * ux:.1f}z"/>'
    )


def legend(found: Interleaving, families: list[str]) -> str:
    """What the arrows and dots that are drawn mean."""
    lines = [
        f'<span><svg width="30" height="12" aria-hidden="true">{slanted((-2, 6), (32, 6), family)}</svg>{words}</span>'
        for family, (words, _) in KINDS.items()
        if family in families
    ]
    meanings = {
        "gave": "a call begins",
        "got": "a call returns",
        "held": "bytes never left the buffer",
        "unread": "bytes nobody read",
    }
    flags = {"gave": (~found.nodes["end"]).any(), "got": found.nodes["end"].any()}
    flags |= {flag: found.nodes[flag].any() for flag in ("held", "unread")}
    lines += [
        f'<span><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4" class="{style}"/></svg>'
        f"{words}</span>"
        for style, words in meanings.items()
        if flags[style]
    ]
    return f'<p class="swatches">{"".join(lines)}</p>'


def label(run: Run, found: Interleaving) -> str:
    """The diagram in words: its last arrows."""
    owner = found.nodes["thread"].tolist()
    told = [
        f"{name(run, owner[arrow['before']])} before {name(run, owner[arrow['after']])} ({arrow['kind']})"
        for arrow in rows(found.arrows.tail(5))
    ]
    return f"Causal order of {count(len(found.lanes), 'thread')}; the last arrows: " + "; ".join(told or ["none"])
