"""The comparison as plain data, for `ipctrace compare --json` and for programs.

`FIELDS` declares every key: docs/compare-json.md is made from it, and a test holds `to_json` against it. `version` goes
up when a key changes its meaning or goes; new keys don't change it.
"""

from __future__ import annotations

import math
from typing import Any

from ipctrace.analysis.comparison import Claim, Comparison, Difference, Side
from ipctrace.analysis.comparison.numbers import MEASURES
from ipctrace.analysis.comparison.results import Spread

VERSION = 1

_SIDE = {
    "words": "what is so there",
    "file?": "the line of source concerned: its file",
    "line?": "its number, from 1",
    "text": "its text; empty where it wasn't kept",
    "event?": "id of the call, in the run shown",
    "time?": "ns since the start of that run",
}
_SPREAD = {
    "lowest?": "of the repeats",
    "median?": "of the repeats",
    "highest?": "of the repeats",
    "count": "runs that have it",
}

# Path of a key → what it says. `[]` stands for each element of a list; "?" at the end: may be null.
FIELDS: dict[str, str] = {
    "version": "of this document: 1",
    "headline": "the comparison in one or two sentences",
    "because": "where the settings part, and what can be said of time",
    "level": "the probability of any false claim about time in the whole comparison",
    "notes": "what could not be compared, a list of sentences",
    "settings": "a list, in the order given; the first is what the others are compared with",
    "settings[].label": "its name",
    "settings[].runs": "places in `runs` of its repeats",
    "settings[].shown": "the one of them that stands for all",
    "settings[].verdict": "that of most runs: completed, deadlock, stalled, crashed or interrupted",
    "settings[].rule?": "code of the finding that explains it",
    "settings[].verdicts": "how many runs ended how: verdict → number of runs",
    "runs": "a list: each run's measures",
    "runs[].program": "base name of the recorded program",
    "runs[].command": "its command line, a list",
    "runs[].setting": "place in `settings`",
    "runs[].measures": "measure → value: times in ns; null where there is nothing to measure",
    "measures": "measure → what it is, in words",
    "pairs": "each setting with the first; of up to 8 settings each with each",
    "pairs[].first": "place in `settings`",
    "pairs[].second": "place in `settings`",
    "pairs[].headline": "the two in a sentence",
    "pairs[].agreed": "steps that the threads took alike before the first difference",
    "pairs[].differences": "in the order in which they came about; verdict and findings last",
    "pairs[].differences[].kind": "calls (a thread does something else), flow (the same call, but its bytes stay in a "
    "buffer or go on), messages, boundaries (merged or split), order, verdict or finding",
    "pairs[].differences[].who": "role of the thread; empty for the whole run",
    "pairs[].differences[].words": "what differs",
    "pairs[].differences[].chance": "who is faster decides it: no difference of the program or its setting",
    "pairs[].differences[].decides": "the verdict of the run that hangs rests on it",
    "pairs[].differences[].count": "how often it came, at these lines",
    **{
        f"pairs[].differences[].{side}{f'.{key}' if key else ''}": meaning
        for side, said in (("first", "in the pair's first setting"), ("second", "in its second"))
        for key, meaning in {"": said, **_SIDE}.items()
    },
    "pairs[].claims": "what can be said of time, a measure each; empty for settings that hang, and for pairs without "
    "the first setting",
    "pairs[].claims[].measure": "key of `measures`",
    "pairs[].claims[].holds": "the difference stands out from the noise",
    "pairs[].claims[].chance?": "probability that repeats of one setting come out as unequal, corrected for the "
    "number of tests; null where there are too few runs",
    "pairs[].claims[].words": "that, in words",
    **{
        f"pairs[].claims[].{side}{f'.{key}' if key else ''}": meaning
        for side, said in (("first", "in the pair's first setting"), ("second", "in its second"))
        for key, meaning in {"": said, **_SPREAD}.items()
    },
    "findings": "every finding of any run, most important first",
    "findings[].rule": "code: `ipctrace rules CODE` explains it",
    "findings[].name": "the rule's name; with `, latent` where it didn't happen, and would under another buffering",
    "findings[].severity": "error, warning or info",
    "findings[].message": "what is so, in the first run that has it",
    "findings[].place": "file and line; empty where there is none",
    "findings[].chance": "whether it comes depends on timing",
    "findings[].runs": "for each setting in how many of its runs it is",
    "environment": "what the settings were recorded under",
    "environment[].fact": "what it is about",
    "environment[].differs": "not all settings have the same",
    "environment[].values": "for each setting its value; null: not known",
    "roles": "the threads, by role",
    "roles[].role": "name",
    "roles[].threads": "for each setting the thread's id in the run shown; null: not there",
}  # fmt: skip


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as numbers, strings, lists and dictionaries: `FIELDS` says what each key means."""
    columns = comparison.columns
    return {
        "version": VERSION,
        "headline": comparison.headline,
        "because": comparison.because,
        "level": comparison.level,
        "notes": list(comparison.notes),
        "settings": [
            {
                "label": one.label, "runs": list(one.runs), "shown": one.shown, "verdict": one.verdict,
                "rule": one.rule, "verdicts": dict(one.verdicts),
            }
            for one in comparison.settings
        ],
        "runs": [
            {
                "program": run.trace.facts.get("program"), "command": run.trace.facts.get("command"),
                "setting": int(row["setting"]), "measures": {name: _number(row[name]) for name in MEASURES},
            }
            for run, row in zip(comparison.runs, comparison.numbers.to_dict("records"), strict=True)
        ],
        "measures": {name: words for name, (words, _) in MEASURES.items()},
        "pairs": [
            {
                "first": one.first, "second": one.second, "headline": one.headline, "agreed": one.agreed,
                "differences": [_difference(each) for each in one.differences],
                "claims": [_claim(each) for each in one.claims],
            }
            for one in comparison.pairs
        ],
        "findings": [
            {name: row[name] for name in ("rule", "name", "severity", "message", "place")}
            | {"chance": bool(row["chance"]), "runs": [int(row[column]) for column in columns]}
            for row in comparison.findings.to_dict("records")
        ],
        "environment": [
            {"fact": row["fact"], "differs": bool(row["differs"]), "values": [_text(row[column]) for column in columns]}
            for row in comparison.environment.to_dict("records")
        ],
        "roles": [
            {"role": row["role"], "threads": [_number(row[column]) for column in columns]}
            for row in comparison.roles.astype(object).to_dict("records")
        ],
    }  # fmt: skip


def _side(side: Side) -> dict[str, Any]:
    return {
        "words": side.words,
        "file": side.file,
        "line": side.line,
        "text": side.text,
        "event": side.event,
        "time": side.time,
    }


def _difference(one: Difference) -> dict[str, Any]:
    told = {name: getattr(one, name) for name in ("kind", "who", "words", "chance", "decides", "count")}
    return told | {"first": _side(one.first), "second": _side(one.second)}


def _claim(one: Claim) -> dict[str, Any]:
    told = {name: getattr(one, name) for name in ("measure", "holds", "chance", "words")}
    return told | {"first": _spread(one.first), "second": _spread(one.second)}


def _spread(one: Spread) -> dict[str, Any]:
    return {name: _number(getattr(one, name)) for name in ("lowest", "median", "highest")} | {"count": one.count}


def _number(value: Any) -> int | float | None:
    """A number as JSON knows it: whole ones as such, no NaN."""
    try:
        known = float(value)
    except TypeError:  # pandas.NA
        return None
    if math.isnan(known):
        return None
    return int(known) if known == int(known) else known


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def documentation() -> str:
    """`docs/compare-json.md`."""
    rows = "\n".join(
        f"| `{path.rstrip('?')}` | {meaning}{' · may be null' if path.endswith('?') else ''} |"
        for path, meaning in FIELDS.items()
    )
    return (
        "# What `ipctrace compare A B … --json` prints\n\n"
        f"One JSON document, version {VERSION}. Times are nanoseconds. `[]` stands for each element of a list.\n"
        "This page is made from `reports/comparison/json.py`; a test compares the two.\n\n"
        f"| key | meaning |\n| --- | --- |\n{rows}\n"
    )


__all__ = ["FIELDS", "VERSION", "documentation", "to_json"]
