"""How the reasons of waits are drawn and called; `run` stands for running."""

from __future__ import annotations

from collections.abc import Iterable

from ipctrace.tracer.schema import REASONS

WORDS = {"run": "running", **REASONS}
DOING = {"run": "running"} | {  # as a sentence goes on: child waiting for data
    reason: words.replace("waits", "waiting").replace("sleeps", "sleeping") for reason, words in REASONS.items()
}


def paint(reason: str) -> str:
    """The CSS of a bar: its hatch and its edge."""
    return f"fill:url(#p-{reason});stroke:var(--{reason});stroke-opacity:.45"


def legend(reasons: Iterable[str]) -> str:
    """The swatches of the reasons that are drawn."""
    some = set(reasons)
    return '<p class="swatches">' + "".join(
        f'<span><svg width="22" height="12" aria-hidden="true"><rect x=".5" y=".5" width="21" height="11" '
        f'style="{paint(reason)}"/></svg>{words}</span>'
        for reason, words in WORDS.items()
        if reason in some
    ) + "</p>"  # fmt: skip
