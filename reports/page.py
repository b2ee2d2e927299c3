"""The whole report as one HTML file: it works from file:// and asks the network for nothing.

What must be seen without script (verdict, knot, remedy, stacks, streams, facts) is HTML made here; the timeline, the
message inspector and the tables are drawn by assets/*.js from the model (model/). A content security policy forbids
every request and every script but these files, by the hashes of their text: even a slip in escaping could run nothing.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from string import Template
from typing import Any

from ipctrace.analysis.catalogue import CATALOGUE
from ipctrace.analysis.results import Analysis

from . import figures, verdict
from .columns import element, squeeze
from .markup import count, escape, inert, moment, span
from .model import build
from .model.part import shorten
from .run import Run
from .story import story

STYLES = ("tokens.css", "page.css", "timeline.css", "moment.css", "message.css", "tables.css", "figures.css")
# One subject a file; they share one scope and are run as one script, in this order, by boot.js.
SCRIPTS = (
    "base.js",
    "data.js",
    "fold.js",
    "geometry.js",
    "heat.js",
    "marks.js",
    "timeline.js",
    "move.js",
    "hover.js",
    "export.js",
    "instant.js",
    "waitgraph.js",
    "moment.js",
    "bytes.js",
    "causes.js",
    "message.js",
    "listing.js",
    "facets.js",
    "tables.js",
    "state.js",
    "keys.js",
    "print.js",
    "start.js",
)


def render(analysis: Analysis) -> str:
    """The page for one analysis. The same analysis gives the same page, byte for byte."""
    run = Run(analysis)
    model = shorten(build(run))
    boot, script = asset("boot.js"), "\n".join([*map(asset, SCRIPTS), "//# sourceURL=ipctrace.js"])
    library = asset("plotly-cartesian.min.js")
    healthy = analysis.verdict.name == "completed"
    return Template(asset("page.html")).substitute(
        policy=policy(boot, script, library),
        title=escape(title(run)),
        program=escape(run.facts.get("program") or "a program"),
        summary=escape(summary(run)),
        styles="\n".join(asset(name) for name in STYLES),
        hatches=asset("hatches.html"),
        healthy="healthy" if healthy else "",
        verdict=verdict.section(run),
        story=story(run),
        moment=""
        if not model.facts["core"]
        else '<button id="moment" title="The moment (d)">The last 2 ms before it</button>',
        messages=verdict.plain_messages(run) if len(analysis.messages) else "",
        views=figures.views(run),
        facts=facts(run),
        privacy=PRIVACY["redacted" if (run.facts.get("options") or {}).get("payload") == "redacted" else "whole"],
        streams=verdict.streams(run),
        rules=rules(analysis),
        model=inert(model.facts),
        columns="\n".join(element(name, column) for name, column in model.columns.items()),
        blobs="\n".join(
            f'<script type="application/x-blob" id="blob-{name}">{data}</script>' for name, data in model.blobs.items()
        ),
        library=squeeze(library.encode(), 9),
        script=squeeze(script.encode(), 9),
        boot=boot,
    )


def asset(name: str) -> str:
    """A packaged file's text."""
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def policy(*scripts: str) -> str:
    """The content security policy: these scripts, inline style, images that the page makes itself (the timeline as a
    PNG), and nothing else from anywhere."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts)
    own = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {own}"


def title(run: Run) -> str:
    """`Deadlock (IPC101) · deadlock.py · ipctrace`."""
    word = verdict.PILLS[run.analysis.verdict.name][1]
    rule = f" ({run.analysis.verdict.rule})" if run.analysis.verdict.rule else ""
    return f"{word}{rule} · {run.facts.get('program') or 'a program'} · ipctrace"


def summary(run: Run) -> str:
    """`2.000 s · 3 processes · 4 threads · 3 pipes · 61 events`."""
    own = [row["kind"] for row in run.channels if not row["outside"]]
    told = [(sum(kind in kinds for kind in own), kinds[0]) for kinds in (("pipe", "fifo"), ("socket",))]
    tasks = int(run.trace.threads["loop"].notna().sum())
    return " · ".join((
        moment(run.end, 3), count(len(run.processes), "process"), count(len(run.threads) - tasks, "thread"),
        *([count(tasks, "task")] if tasks else []),
        *(count(many, kind) for many, kind in told if many), count(len(run.trace.events), "event"),
    ))  # fmt: skip


def facts(run: Run) -> str:
    """The run's facts as a definition list: what was run, with what, and what the recording could not do."""
    known = run.facts
    options: dict[str, Any] = known.get("options") or {}
    platform: dict[str, Any] = known.get("platform") or {}
    python = list(dict.fromkeys(row["implementation"] for row in run.processes if row["implementation"]))
    untraced = [row["program"] for row in run.processes if not row["traced"]]
    environment = [
        f"{name}={value}" if value is not None else f"{name} unset"
        for name, value in (known.get("environment") or {}).items()
        if value is not None or name == "PYTHONUNBUFFERED"
    ]
    cores = platform.get("cores")
    lost = known.get("lost") or 0
    said: dict[str, str | None] = {
        "Command": " ".join(map(str, known.get("command") or [])),
        "Started": str(known.get("started") or ""),
        "Duration": f"{span(run.end)}; ended by {ENDINGS.get(str(known.get('ended')), 'itself')}",
        "Platform": " ".join(str(platform[key]) for key in ("system", "release", "machine") if platform.get(key))
        + (f", {count(cores, 'core')}" if cores else ""),
        "Interpreter": ", ".join(python),
        "Not traced": ", ".join(untraced),
        "Environment": " · ".join(environment),
        "Clock": "monotonic, one for all processes; intervals at enter and exit",
        "Payloads": PAYLOADS.get(str(options.get("payload")), f"{options.get('payload')}"),
        "Buffering": str(options.get("buffering") or "default"),
        "Events": f"{len(run.trace.events):,}, {'none lost' if not lost else f'{lost:,} lost'}",
        "Left alive": ", ".join(map(str, known.get("left") or [])),
        "Directory": str(known.get("cwd") or ""),
        "Recorded with": f"ipctrace {known.get('ipctrace') or ''}, schema {known.get('schema')}",
        "Notes": " ".join(map(str, known.get("notes") or [])),
    }
    return "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in said.items() if value)


PRIVACY = {
    "whole": "Payload text is shown as recorded; it may hold secrets: <code>ipctrace report --redact</code> leaves it "
    "out.",
    "redacted": "Payloads, command lines, the environment and paths outside the working directory were left out. Lines "
    "of the program’s own source are shown as they are.",
}
ENDINGS = {
    "exit": "itself",
    "signal": "a signal",
    "deadlock": "ipctrace, at the deadlock",
    "duration": "ipctrace, at the duration that was asked for",
    "interrupted": "the person who ran it",
}
PAYLOADS = {
    "none": "not recorded; lengths and times are exact",
    "redacted": "left out; lengths and times are exact",
    "prefix": "the beginning of each",
    "full": "whole",
}


def rules(analysis: Analysis) -> str:
    """The explanation of each rule that found something."""
    codes = dict.fromkeys([one.rule for one in analysis.findings])
    parts = []
    for code in codes:
        if (rule := CATALOGUE.get(code)) is None:
            continue
        parts.append(
            f'<details class="rule" id="{code}"><summary><b>{code}</b> {escape(rule.name)} <span class="dim">'
            f"{escape(rule.summary)}</span></summary><p>{escape(rule.explanation)}</p>"
            f"<pre>{escape_lines(rule.example)}</pre><p><b>Shown by</b> {escape(rule.shown_by)}</p>"
            f"<p><b>Remedy</b> {escape(rule.remedy)}</p></details>"
        )
    return f'<div class="rules"><h2>Findings explained</h2>{"".join(parts)}</div>' if parts else ""


def escape_lines(text: str) -> str:
    """Several lines as HTML for a `pre`."""
    return "\n".join(escape(line.expandtabs(4)) for line in text.splitlines())
