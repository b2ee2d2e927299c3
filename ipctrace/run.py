"""A recorded run as an object: its tables, what the analysis says of it, and its report."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from .analysis import analyze
from .analysis.results import Analysis, Finding, Verdict
from .reports import json, page, sarif
from .reports.redact import redact
from .tracer.errors import IpctraceError
from .tracer.schema import TABLES, Trace


class Run:
    """A run: `.trace` as recorded, `.analysis` as found out (at the first use, then kept).

    Every table of the trace is an attribute (`run.events`, `run.processes`, `run.sites`, …; `tracer/schema.py` says
    what their columns mean). `.channels`, `.streams` and `.descriptors` are the analysis' tables, which say more than
    the trace's; `.messages`, `.pieces`, `.blocking`, `.races`, `.matrix` and `.path` exist only there
    (`analysis/results.py`).
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    @cached_property
    def analysis(self) -> Analysis:
        """What the analysis says of the trace."""
        return analyze(self.trace)

    @property
    def facts(self) -> dict[str, Any]:
        """What `run.json` says: command, options, platform, how the run ended."""
        return self.trace.facts

    @property
    def verdict(self) -> Verdict:
        """What became of the run."""
        return self.analysis.verdict

    @property
    def findings(self) -> list[Finding]:
        """What the rules found, most important first."""
        return self.analysis.findings

    @property
    def messages(self) -> pd.DataFrame:
        """A row a message, ordered by the time when its first byte was written."""
        return self.analysis.messages

    @property
    def pieces(self) -> pd.DataFrame:
        """The bytes of each message: which write carried them, which read got them."""
        return self.analysis.pieces

    @property
    def blocking(self) -> pd.DataFrame:
        """A row an interval in which a thread waited."""
        return self.analysis.blocking

    @property
    def channels(self) -> pd.DataFrame:
        """The trace's channels, with names, ends and counts."""
        return self.analysis.channels

    @property
    def streams(self) -> pd.DataFrame:
        """The trace's streams, with the bytes that were held back in them."""
        return self.analysis.streams

    @property
    def descriptors(self) -> pd.DataFrame:
        """A row an end of a channel that a process held."""
        return self.analysis.descriptors

    @property
    def races(self) -> pd.DataFrame:
        """A row a message race: two that could have come in the other order."""
        return self.analysis.races

    @property
    def matrix(self) -> pd.DataFrame:
        """Who waited for whom, how long and how often."""
        return self.analysis.matrix

    @property
    def path(self) -> pd.DataFrame:
        """The critical path: what the run's time was spent on, from its begin to its end."""
        return self.analysis.path

    def to_json(self) -> dict[str, Any]:
        """The analysis as plain data; docs/analysis-json.md says what is in it."""
        return json.to_json(self.analysis)

    def to_sarif(self) -> dict[str, Any]:
        """The findings as a SARIF 2.1.0 log."""
        from . import __version__

        return sarif.to_sarif(self.analysis, __version__)

    def redacted(self) -> Run:
        """The run without payloads, command lines, environments and paths outside the working directory.

        It is analysed anew, from what is left; where that says something else, a note among its facts says so.
        """
        run = Run(redact(self.trace))
        if (run.verdict.name, run.verdict.rule) != (self.verdict.name, self.verdict.rule):
            rule = f" ({self.verdict.rule})" if self.verdict.rule else ""
            run.facts["notes"].append(f"With what was left out the verdict is: {self.verdict.name}{rule}.")
        return run

    def report(self, path: str | Path, redact: bool = False) -> Path:
        """Write the HTML page to `path`, or that of the `redacted` run, and return it.

        Raises IpctraceError where it can't be written.
        """
        run = self.redacted() if redact else self
        return write(Path(path), page.render(run.analysis))

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in TABLES:
            return self.trace.tables[name]
        raise AttributeError(f"a run has no {name!r}")

    def __repr__(self) -> str:
        return f"<ipctrace run: {self.verdict.name}. {self.verdict.headline}>"

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that a notebook's styles and the page's leave each other alone."""
        document = html.escape(page.render(self.analysis), quote=True)
        return f'<iframe srcdoc="{document}" style="width:100%;height:720px;border:0" title="ipctrace report"></iframe>'


def write(path: Path, text: str) -> Path:
    """Write a file of ours. Raises IpctraceError where that can't be done."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise IpctraceError(
            f"the file {path} can't be written",
            problem.strerror or str(problem),
            "ipctrace report TRACE -o FILE",
        ) from None
    return path
