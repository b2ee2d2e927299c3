"""A run as a notebook shows it: the verdict, its sentence, and a table of the findings, with everything escaped.

The page has styles of its own and a script; a notebook keeps neither apart from its own, so this is a few plain tags.
"""

from __future__ import annotations

from ipctrace.analysis.results import Analysis

from .markup import capital, count, escape
from .page import summary
from .run import Run

FINDINGS = 20  # rows; the others are counted
_LEFT = 'style="text-align:left;vertical-align:top"'


def html(analysis: Analysis) -> str:
    """The run in HTML without script."""
    run, verdict = Run(analysis), analysis.verdict
    rule = f" · {escape(verdict.rule)}" if verdict.rule else ""
    program = escape(run.facts.get("program") or "a program")
    return (
        f"<div><p><b>{capital(verdict.name)}</b>, {verdict.certainty}{rule} · <code>{program}</code> · "
        f"{escape(summary(run))}</p><p><b>{escape(verdict.headline)}</b></p><p>{escape(verdict.because)}</p>"
        f"{findings(run)}</div>"
    )


def findings(run: Run) -> str:
    """The findings, most important first: a row each with rule, place, what is so and what to change."""
    found = run.analysis.findings
    if not found:
        return "<p>No findings.</p>"
    heads = "".join(f"<th {_LEFT}>{head}</th>" for head in ("Rule", "Severity", "Where", "Finding", "Remedy"))
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td {_LEFT}>{escape(cell)}</td>"
            for cell in (
                f"{one.rule} {one.name}", one.severity, run.place(one.sites[0]) if one.sites else "·",
                one.message, one.remedy,
            )
        )
        + "</tr>"
        for one in found[:FINDINGS]
    )  # fmt: skip
    more = f"<p>and {count(len(found) - FINDINGS, 'more finding')}</p>" if len(found) > FINDINGS else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>{more}"
