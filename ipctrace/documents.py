"""The pages of `docs/` that are made from the code: `python -m ipctrace.documents` writes them; a test compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .analysis.catalogue import CATALOGUE
from .analysis.remedies import REMEDIES, UNLISTED
from .reports import json
from .tracer import schema


def schema_page() -> str:
    """docs/schema.md: the tables of a trace, their columns, and the keys of run.json."""
    history = "\n".join(f"- {version}: {what}" for version, what in schema.HISTORY.items())
    parts = [
        "# What a trace holds",
        f"Schema version {schema.VERSION}. This page is made from `tracer/schema.py`.",
        "A trace is a folder `NAME.ipctrace/` with one Parquet file a table and `run.json`. Times are nanoseconds\n"
        "since the start of the recording, on one clock for all processes. Ids are numbers from 0 that count their\n"
        "own table's rows. Events are ordered by `enter`.",
        f"History:\n\n{history}",
    ]
    for table in schema.TABLES.values():
        rows = "\n".join(
            f"| `{column.name}` | {column.type}{', may be empty' if column.nullable else ''} "
            f"| {column.unit or '·'} | {column.meaning} |"
            for column in table.columns
        )
        head = f"| column | type | unit | meaning |\n| --- | --- | --- | --- |\n{rows}"
        parts += [f"## {table.name}.parquet", f"A row is {table.row}.", head]
    facts = "\n".join(f"| `{key}` | {meaning} |" for key, meaning in schema.FACTS.items())
    return "\n\n".join([*parts, "## run.json", f"| key | meaning |\n| --- | --- |\n{facts}"]) + "\n"


def rules_page() -> str:
    """docs/rules.md: every rule, explained."""
    parts = ["# What ipctrace can find", "`ipctrace rules CODE` says the same. This page is made from the catalogue."]
    for rule in CATALOGUE.values():
        parts += [f"## {rule.code} {rule.name}", f"*{rule.severity}* · {rule.summary} {rule.explanation}"]
        parts += [f"```python\n{rule.example}\n```"] if rule.example else []
        near = ", ".join(f"{code} {CATALOGUE[code].name}" for code in rule.see_also)
        lines = [f"- Shown by: {rule.shown_by}", f"- Remedy: {rule.remedy}"] + ([f"- See also: {near}"] if near else [])
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def remedies_page() -> str:
    """docs/remedies.md: what `ipctrace fix` tries, and what it can't."""
    rows = "\n".join(
        f"| {remedy.name} | {', '.join(remedy.rules)} | {' '.join((remedy.propose.__doc__ or '').split())} |"
        for remedy in REMEDIES
    )
    rest = "\n".join(f"| {code} {CATALOGUE[code].name} | {why} |" for code, why in UNLISTED.items())
    return (
        "# What `ipctrace fix` tries\n\n"
        "In this order, as far as a remedy fits what was found. This page is made from `analysis/remedies`.\n\n"
        f"| remedy | fits | what changes |\n| --- | --- | --- |\n{rows}\n\n"
        "Where none of these fits or cures, it says why there may be none:\n\n"
        f"| finding | why |\n| --- | --- |\n{rest}\n"
    )


PAGES: dict[str, Callable[[], str]] = {
    "schema.md": schema_page,
    "rules.md": rules_page,
    "remedies.md": remedies_page,
    "analysis-json.md": json.documentation,
}


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path("docs"))
