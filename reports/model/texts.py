"""What the page tells in words beside its figures: findings, streams, and the lines of source."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from ..run import Run
from .part import Part


def texts(run: Run) -> Part:
    """`findings`, `streams`, and the `sites` that columns of sites index."""
    findings = [
        {
            "code": one.rule, "name": one.name, "severity": one.severity, "certainty": one.certainty,
            "text": one.message, "site": one.sites[0] if one.sites else None,
            "threads": ", ".join(run.analysis.names.get(thread, str(thread)) for thread in one.threads),
        }
        for one in run.analysis.findings
    ]  # fmt: skip
    streams = [
        {
            "process": row["process_name"], "name": row["name"], "fd": row["fd"], "to": row["to"],
            "buffering": buffering(row), "why": row["why"], "held": row["held"], "peak": row["peak"],
            "flushes": row["flushes"],
        }
        for row in run.streams
    ]  # fmt: skip
    sites = [
        {"file": PurePath(row["file"]).name, "line": row["line"], "text": run.lines.get((row["file"], row["line"]))}
        for row in run.sites
    ]
    return Part({"findings": findings, "streams": streams, "sites": sites})


def buffering(stream: dict[str, Any]) -> str:
    """`block, 8192`, `line`, `none`."""
    return f"block, {stream['buffer_size']:,}" if stream["buffering"] == "block" else str(stream["buffering"])
