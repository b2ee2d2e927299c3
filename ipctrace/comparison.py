"""Runs compared, as an object: what differs, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .analysis import comparison
from .analysis.comparison import Difference
from .reports.comparison import json, notebook, page
from .run import Run, write


class Comparison:
    """What `ipctrace.compare` gives: `.result` is all of it (analysis/comparison/results.py), `.differences` what the
    first two settings differ in, in the order in which it came about."""

    def __init__(self, result: comparison.Comparison) -> None:
        self.result = result

    @property
    def headline(self) -> str:
        """The comparison in a sentence or two."""
        return self.result.headline

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What the first two settings differ in; `result.pairs` has every pair."""
        return self.result.pairs[0].differences if self.result.pairs else ()

    @property
    def numbers(self) -> pd.DataFrame:
        """A row a run: its measures."""
        return self.result.numbers

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain data; docs/compare-json.md says what is in it."""
        return json.to_json(self.result)

    def __repr__(self) -> str:
        return f"<ipctrace comparison of {len(self.result.runs)} runs: {self.headline}>"

    def _repr_html_(self) -> str:
        """The comparison as a notebook shows it: settings and differences. `report` writes the whole page."""
        return notebook.html(self.result)

    def report(self, path: str | Path, pages: Sequence[str | None] = ()) -> Path:
        """Write the HTML page to `path` and return it; `pages`: addresses of the settings' own reports.

        Raises IpctraceError where it can't be written.
        """
        return write(Path(path), page.render(self.result, pages=pages))


def compare(
    runs: Sequence[Run | str | Path], labels: Sequence[str] | None = None, level: float = comparison.LEVEL
) -> Comparison:
    """Compare runs, or traces; `labels` name their settings (by default the traces' names), and runs of one label are
    repeats. Raises IpctraceError where a trace can't be read, ValueError for fewer than two runs."""
    from . import load

    loaded = [run if isinstance(run, Run) else load(run) for run in runs]
    names = labels or [Path(run).stem if not isinstance(run, Run) else f"run {k + 1}" for k, run in enumerate(runs)]
    return Comparison(comparison.compare([run.analysis for run in loaded], names, level))
