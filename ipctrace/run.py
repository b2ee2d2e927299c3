"""A recorded run as an object: its tables, what the analysis says of it, and its report."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from .analysis import analyze
from .analysis.results import Analysis, Finding, Verdict
from .reports import json, notebook, page, sarif
from .reports.redact import redact
from .tracer.errors import IpctraceError
from .tracer.schema import TABLES, Trace

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from .reports.playback.instants import Instants


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

    # Figures, of the same data as the page's. plotly is imported by the first of them.

    def timeline(self, begin: float | None = None, end: float | None = None) -> go.Figure:
        """A lane a thread over time: solid where it ran, hatched by the reason of each wait (`blocking`), an arrow a
        message from write to read (`messages`).

        `begin` and `end` are seconds since the start of the recording; without them it is the whole run. Beyond 2,500
        waits a bar is what took most of an equal piece of the time, and beyond 300 messages the slowest 200 are drawn:
        the title says so. The 60 threads that waited or were waited for longest have lanes.
        """
        from .reports import plots

        return plots.timeline(self.analysis, begin, end)

    def wait_matrix(self) -> go.Figure:
        """Who was blocked by whom: a row a thread that waited, a column a thread it waited for, in seconds, sleeps left
        out. Of the table `matrix` (ns); a wait that never ended counts for whom the wait-for graph names."""
        from .reports import plots

        return plots.matrix(self.analysis)

    def critical_path(self) -> go.Figure:
        """What the run's time was spent on, in seconds, going from thread to thread. Of the table `path` (ns)."""
        from .reports import plots

        return plots.critical_path(self.analysis)

    def time_by_reason(self) -> go.Figure:
        """What each thread's life was made of, in seconds: running, and each reason to wait. Of `analysis.busy` and
        `blocking` (ns)."""
        from .reports import plots

        return plots.by_reason(self.analysis)

    def latency(self) -> go.Figure:
        """How long messages lay in the writer's buffer, the channel and the reader's buffer: how many, over a
        logarithmic scale of time, and the channels that carried slowest. Of `messages`: accepted, written, read,
        received (ns)."""
        from .reports import plots

        return plots.latency(self.analysis)

    def sizes(self) -> go.Figure:
        """How large messages were: how many, a column a power of two. Of `messages`: size (bytes)."""
        from .reports import plots

        return plots.sizes(self.analysis)

    def space_time(self, events: int = 60) -> go.Figure:
        """What had to come before what, in the order of causality and not of the clock: lanes are threads, x is a rank
        (Lamport 1978), arrows are messages, forks, joins and notices (`analysis.edges`).

        `events`: how many begins and ends of calls: the last, or, in a deadlock, the last of the knot's threads.
        """
        from .reports import plots

        return plots.space_time(self.analysis, events)

    @cached_property
    def instants(self) -> Instants:
        """What holds at any moment t (ns): `.waits_at(t)` says who waits for whom, `.fills(t)` and `.contents(channel,
        t)` what lies in the channels and in the buffers at their ends, `.last_seen(t)` where everybody is, and
        `.neighbour(t, 1)` when something happens next."""
        from .reports.playback.instants import Instants
        from .reports.run import Run as Lookups

        return Instants(Lookups(self.analysis))

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
        """The run as a notebook shows it: verdict, headline and findings. `report` writes the whole page."""
        return notebook.html(self.analysis)


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
