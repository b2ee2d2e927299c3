"""The analysis as plain data, for `ipctrace analyze --json` and for programs.

`FIELDS` declares every key: `docs/analysis-json.md` is made from it, and a test holds `to_json` against it. `version`
goes up when a key changes its meaning or goes; new keys don't change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from ..analysis.paths import shares
from ..analysis.results import Analysis, Finding

VERSION = 1

# Path of a key → what it says. `[]` stands for each element of a list; "?" at the end: may be null.
FIELDS: dict[str, str] = {
    "version": "of this document: 1",
    "verdict": "completed, deadlock, stalled, crashed or interrupted",
    "certainty": "proven, likely, latent or certain",
    "rule?": "code of the finding that explains the verdict",
    "headline": "the verdict in one or two sentences",
    "because": "the reasons, in two or three more",
    "run": "what was recorded, and how it ended",
    "run.program": "base name of the recorded program",
    "run.command": "its command line, a list",
    "run.ended": "how: exit, signal, deadlock, duration or interrupted",
    "run.status?": "exit status, or minus the signal that ended it; null where it was stopped",
    "run.duration": "ns from the start to the end, or to the moment when the program was stopped",
    "run.notes": "what the recording could not do, a list of sentences",
    "findings": "a list, most important first",
    "findings[].rule": "code: `ipctrace rules CODE` explains it",
    "findings[].name": "the rule's name",
    "findings[].severity": "error, warning or info",
    "findings[].message": "what is so, with names, numbers and lines",
    "findings[].remedy": "what to change",
    "findings[].certainty": "proven, likely, latent (did not happen, would under another buffering) or certain",
    "findings[].threads": "threads concerned, most important first",
    "findings[].threads[].thread": "id in `threads`",
    "findings[].threads[].name": "role, as in the message",
    "findings[].channels": "channels concerned, most important first",
    "findings[].channels[].channel": "id in `channels`",
    "findings[].channels[].name": "as in the message",
    "findings[].sites": "places in the source, most important first",
    "findings[].sites[].file": "path",
    "findings[].sites[].line": "from 1",
    "findings[].sites[].function": "name",
    "findings[].edit?": "a change of one line that applies as it stands",
    "findings[].edit.file": "path",
    "findings[].edit.line": "from 1",
    "findings[].edit.before": "the line as it is",
    "findings[].edit.after": "the line as it should be",
    "waiting": "who waits at the end of a run that did not complete; empty otherwise",
    "waiting[].thread?": "id in `threads`; null for a process that was not traced",
    "waiting[].process": "id in `processes`",
    "waiting[].name": "role",
    "waiting[].role": "core (in the knot), victim (behind it) or bystander",
    "waiting[].reason": "nodata, noroom, lock, child, peer, sleep, ready, notice, signal or run",
    "waiting[].channel?": "id of the channel that it waits on",
    "waiting[].site?": "place in the source",
    "waiting[].site.file": "path",
    "waiting[].site.line": "from 1",
    "waiting[].site.function": "name",
    "waiting[].since": "ns since the start of the recording",
    "waiting[].evidence": "why it can't go on, or why it can",
    "waiting[].for": "ids in `processes` of those that it waits for",
    "stuck": "bytes that a stream accepted and that never reached its descriptor",
    "stuck[].stream": "id in `streams`",
    "stuck[].process": "id in `processes`",
    "stuck[].channel?": "id of the channel that they would have gone to",
    "stuck[].bytes": "how many",
    "stuck[].sites": "the places that wrote them",
    "stuck[].sites[].file": "path",
    "stuck[].sites[].line": "from 1",
    "stuck[].sites[].function": "name",
    "processes": "a list",
    "processes[].process": "id",
    "processes[].pid": "the system's number for it",
    "processes[].parent?": "id of the process that started it",
    "processes[].name": "role",
    "processes[].program": "base name of what it last ran",
    "processes[].implementation?": "interpreter and version; null for what isn't Python",
    "processes[].traced": "whether its calls were recorded; if not, what is known of it is from /proc",
    "processes[].status?": "exit status, or minus the signal that ended it",
    "threads": "a list",
    "threads[].thread": "id",
    "threads[].process": "id in `processes`",
    "threads[].name": "role",
    "threads[].lifetime": "ns",
    "threads[].blocked": "ns of it spent waiting",
    "threads[].running": "ns of it not spent waiting",
    "channels": "a list",
    "channels[].channel": "id",
    "channels[].kind": "pipe, fifo, socket, tty, file, device or other; or an object of Python's: lock, queue, …",
    "channels[].name": "as in the sentences",
    "channels[].written?": "bytes that went in, as far as recorded",
    "channels[].read?": "bytes that came out, as far as recorded",
    "channels[].left?": "bytes in it at the end; null where others may have read it",
    "channels[].messages": "number of messages",
    "streams": "a list",
    "streams[].stream": "id",
    "streams[].process": "id in `processes`",
    "streams[].name": "`sys.stdout`, `open(fd 5)`",
    "streams[].buffering": "block, line or none, as in effect",
    "streams[].why": "why it is buffered so",
    "streams[].held": "bytes stuck in it at the end",
    "messages": "how many there were",
    "messages.count": "number of messages",
    "messages.bytes": "their sizes, summed",
    "messages.unwritten": "messages that never left their writer's buffer",
    "messages.unread": "messages that were written and never read",
    "messages.merged": "messages of which a read got bytes together with another's",
    "races": "messages that could have come in the other order: two neighbours each, the first hundred of a channel",
    "races[].kind": "send or receive",
    "races[].channel": "id in `channels`",
    "races[].count": "how many of this kind on this channel in all",
    "races[].first": "the one that came first",
    "races[].first.thread": "id in `threads`",
    "races[].first.site?": "place in the source",
    "races[].first.site.file": "path",
    "races[].first.site.line": "from 1",
    "races[].first.site.function": "name",
    "races[].second": "the one that came second",
    "races[].second.thread": "id in `threads`",
    "races[].second.site?": "place in the source",
    "races[].second.site.file": "path",
    "races[].second.site.line": "from 1",
    "races[].second.site.function": "name",
    "waits": "who waited for whom in all, sleeps left out",
    "waits[].thread": "id in `threads`",
    "waits[].by?": "id in `threads` of who ended the waits, or was waited for; null: nobody that is known",
    "waits[].time": "ns",
    "waits[].count": "how many waits",
    "critical_path": "what the run's time was spent on, most first: the shares of the critical path",
    "critical_path[].thread?": "id in `threads`; null: before anything is known",
    "critical_path[].what": "runs, or the reason of a wait, as in `waiting`",
    "critical_path[].time": "ns",
    "critical_path[].share": "of the run, 0 to 1",
}


def to_json(analysis: Analysis) -> dict[str, Any]:
    """The analysis as numbers, strings, lists and dictionaries: `FIELDS` says what each key means."""
    trace, verdict, facts = analysis.trace, analysis.verdict, analysis.trace.facts

    def site(number: int) -> dict[str, Any]:
        return _row(trace.sites, number, "file line function")

    def finding(found: Finding) -> dict[str, Any]:
        return {
            "rule": found.rule,
            "name": found.name,
            "severity": found.severity,
            "message": found.message,
            "remedy": found.remedy,
            "certainty": found.certainty,
            "threads": [{"thread": thread, "name": analysis.names[thread]} for thread in found.threads],
            "channels": [{"channel": one, "name": analysis.channel_names[one]} for one in found.channels],
            "sites": [site(number) for number in found.sites],
            "edit": {part: getattr(found.edit, part) for part in ("file", "line", "before", "after")}
            if found.edit
            else None,
        }

    messages = analysis.messages
    unwritten = messages["written"].isna()
    return {
        "version": VERSION,
        "verdict": verdict.name,
        "certainty": verdict.certainty,
        "rule": verdict.rule,
        "headline": verdict.headline,
        "because": verdict.because,
        "run": {key: facts.get(key) for key in ("program", "command", "ended", "status", "duration", "notes")},
        "findings": [finding(found) for found in analysis.findings],
        **_graph(analysis, site),
        "processes": [
            {"name": analysis.process_names[int(row["process"])]} | row
            for row in _rows(trace.processes, "process pid parent program implementation traced status")
        ],
        "threads": [
            {"process": int(trace.threads["process"].iloc[row["thread"]]), "name": analysis.names[row["thread"]]} | row
            for row in _rows(analysis.busy, "thread lifetime blocked running")
        ],
        "channels": _rows(analysis.channels, "channel kind name written read left messages"),
        "streams": _rows(analysis.streams, "stream process name buffering why held"),
        "messages": {
            "count": len(messages),
            "bytes": int(messages["size"].sum()),
            "unwritten": int(unwritten.sum()),
            "unread": int((messages["read"].isna() & ~unwritten).sum()),
            "merged": int(messages["merged"].astype(bool).sum()),
        },
        "races": [
            {
                "kind": row["kind"], "channel": row["channel"], "count": row["count"],
                **{
                    which: {
                        "thread": row[f"{which}_thread"],
                        "site": None if row[f"{which}_site"] is None else site(row[f"{which}_site"]),
                    }
                    for which in ("first", "second")
                },
            }
            for row in _rows(
                analysis.races, "kind channel count first_thread second_thread first_site second_site"
            )
        ],
        "waits": _rows(analysis.matrix, "thread by time count"),
        "critical_path": _rows(shares(analysis.path, ("thread", "what")), "thread what time share"),
    }  # fmt: skip


def _graph(analysis: Analysis, site: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """The wait-for graph and the bytes that are stuck."""
    graph = analysis.graph
    if graph is None:
        return {"waiting": [], "stuck": []}
    waiting = [
        {
            "thread": waiter.thread,
            "process": waiter.process,
            "name": analysis.process_names[waiter.process] if waiter.thread is None else analysis.names[waiter.thread],
            "role": waiter.role,
            "reason": waiter.reason,
            "channel": waiter.channel,
            "site": None if waiter.site is None else site(waiter.site),
            "since": waiter.since,
            "evidence": waiter.evidence,
            "for": sorted({graph.waiters[edge.holder].process for edge in graph.edges if edge.waiter == position}),
        }
        for position, waiter in enumerate(graph.waiters)
    ]
    stuck = [
        {
            "stream": bytes_.stream,
            "process": bytes_.process,
            "channel": bytes_.channel,
            "bytes": bytes_.size,
            "sites": [site(number) for number, _ in bytes_.pieces if number is not None],
        }
        for bytes_ in graph.stuck
    ]
    return {"waiting": waiting, "stuck": stuck}


def _rows(table: pd.DataFrame, names: str) -> list[dict[str, Any]]:
    """The table's rows as dictionaries of these columns."""
    kept = table[names.split()]
    return [{str(name): _plain(value) for name, value in row.items()} for row in kept.to_dict("records")]


def _row(table: pd.DataFrame, position: int, names: str) -> dict[str, Any]:
    return _rows(table.iloc[[position]], names)[0]


def _plain(value: Any) -> Any:
    """A cell as JSON knows it."""
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def paths(document: Any, prefix: str = "") -> Iterator[str]:
    """The path of every key in a document, as `FIELDS` writes them, without the question mark."""
    if isinstance(document, dict):
        for key, value in document.items():
            path = f"{prefix}.{key}" if prefix else key
            yield path
            yield from paths(value, path)
    elif isinstance(document, list):
        for element in document:
            yield from paths(element, f"{prefix}[]")


def documentation() -> str:
    """`docs/analysis-json.md`."""
    rows = "\n".join(
        f"| `{path.rstrip('?')}` | {meaning}{' · may be null' if path.endswith('?') else ''} |"
        for path, meaning in FIELDS.items()
    )
    return (
        "# What `ipctrace analyze TRACE --json` prints\n\n"
        f"One JSON document, version {VERSION}. Times are nanoseconds since the start of the recording. `[]` stands\n"
        "for each element of a list. This page is made from `reports/json.py`; a test compares the two.\n\n"
        f"| key | meaning |\n| --- | --- |\n{rows}\n"
    )
