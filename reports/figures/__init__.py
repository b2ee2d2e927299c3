"""The page's pictures that explain: where the time went, who waited for whom, how messages fared, what came first.

Each is a file with a pure function from the analysis to data, which `plots` draws in a notebook too, and `draw`, which
makes HTML and SVG of it: no script, no library. A table in the page holds the same facts.
"""

from __future__ import annotations

from ..run import Run
from . import by_reason, critical_path, latency, matrix, sizes, space_time

FIGURES = (critical_path, matrix, by_reason, latency, sizes, space_time)


def views(run: Run) -> str:
    """The section's content; each figure that has nothing to show says so."""
    drawn = [figure.draw(run) for figure in FIGURES]
    full = "".join(one for one in drawn if not empty(one))
    rest = "".join(one for one in drawn if empty(one))  # a line each
    return f'<h2 id="w-h">Where the time went, and in which order</h2><div class="figures">{full}</div>' + (
        f'<div class="figures unfilled">{rest}</div>' if rest else ""
    )


def empty(drawn: str) -> bool:
    """Whether a figure only says that it has nothing to show."""
    return drawn.startswith('<figure class="nothing')
