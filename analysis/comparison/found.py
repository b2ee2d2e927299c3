"""The findings of each setting, by rule and line: which came, which went."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..results import Analysis, Finding
from .results import Difference, Setting, Side
from .scene import View

TIMED = ("IPC201", "IPC4")  # whether these come depends on who is faster
COLUMNS = ("rule", "name", "severity", "message", "place", "chance")


def findings(
    runs: Sequence[Analysis], views: Sequence[View], settings: Sequence[Setting], columns: Sequence[str]
) -> pd.DataFrame:
    """`Comparison.findings`, most important first: errors, then what not all settings have."""
    told: dict[tuple[str, str], dict[str, object]] = {}
    counts: dict[tuple[str, str], list[int]] = {}
    for place, setting in enumerate(settings):
        for run in setting.runs:
            for key, one in {_key(views[run], one): one for one in reversed(runs[run].findings)}.items():
                told.setdefault(key, {
                    "rule": one.rule, "name": _name(one), "severity": one.severity, "message": one.message,
                    "place": _place(views[run], one), "chance": one.rule.startswith(TIMED),
                })  # fmt: skip
                counts.setdefault(key, [0] * len(settings))[place] += 1
    weight = {"error": 0, "warning": 1, "info": 2}
    order = sorted(told, key=lambda key: (weight[str(told[key]["severity"])], told[key]["rule"], key))
    rows = [told[key] | dict(zip(columns, counts[key], strict=True)) for key in order]
    return pd.DataFrame(rows, columns=[*COLUMNS, *columns])


def _key(view: View, finding: Finding) -> tuple[str, str]:
    """What makes two findings of different runs the same: the rule, be it that it only would have been so (latent), and
    the line of source."""
    return finding.rule + _name(finding), view.line(finding.sites[0]).text if finding.sites else ""


def _name(finding: Finding) -> str:
    return f"{finding.name}, latent" if finding.certainty == "latent" else finding.name


def _place(view: View, finding: Finding) -> str:
    if not finding.sites:
        return ""
    row = view.sites[finding.sites[0]]
    return f"{row.file.rsplit('/', 1)[-1]}:{row.line}"


def came_and_went(table: pd.DataFrame, columns: tuple[str, str], runs: tuple[int, int]) -> list[Difference]:
    """The findings that one of two settings has in all of its runs and the other in none; what only some repeats have
    is chance."""
    found = []
    for row in table.to_dict("records"):
        counts = [int(row[column]) for column in columns]
        if counts[0] == counts[1] or all(counts):
            continue
        words = [f"{row['rule']} {row['name']}" if count else "not found" for count in counts]
        some = any(0 < count < many for count, many in zip(counts, runs, strict=True))
        sides = [Side(word) for word in words]
        found.append(
            Difference("finding", "", str(row["message"]), sides[0], sides[1], chance=bool(row["chance"]) or some)
        )
    return found
