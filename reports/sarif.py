"""The findings as SARIF 2.1.0, the format in which code hosts take the findings of tools and annotate lines with them.

Static Analysis Results Interchange Format, OASIS standard, 27 March 2020. Paths are relative to the recorded program's
working directory where they lie in it: `SRCROOT` says which that was, so that a code host finds them in its checkout.
"""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from ..analysis.catalogue import CATALOGUE
from ..analysis.results import Analysis, Edit, Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def to_sarif(analysis: Analysis, version: str) -> dict[str, Any]:
    """A SARIF log of one run: every finding a result, every rule found with its explanation and remedy."""
    facts = analysis.trace.facts
    codes = sorted({found.rule for found in analysis.findings})
    root = str(facts.get("cwd") or "/")
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "ipctrace", "version": version, "rules": [_rule(code) for code in codes]}},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"uri": f"{_uri(root).rstrip('/')}/"}},
                "invocations": [
                    {
                        "executionSuccessful": analysis.verdict.name == "completed",
                        "commandLine": " ".join(map(str, facts.get("command") or [])),
                        "workingDirectory": {"uri": f"{_uri(root).rstrip('/')}/"},
                    }
                ],
                "results": [_result(analysis, found, codes.index(found.rule)) for found in analysis.findings],
                "properties": {
                    "verdict": analysis.verdict.name,
                    "certainty": analysis.verdict.certainty,
                    "headline": analysis.verdict.headline,
                },
            }
        ],
    }


def _rule(code: str) -> dict[str, Any]:
    rule = CATALOGUE[code]
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.explanation},
        "help": {"text": f"{rule.explanation}\n\nRemedy: {rule.remedy}.\n\nipctrace rules {code}"},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }


def _result(analysis: Analysis, found: Finding, rule: int) -> dict[str, Any]:
    places = [_location(analysis, site) for site in found.sites]
    result: dict[str, Any] = {
        "ruleId": found.rule,
        "ruleIndex": rule,
        "level": LEVELS[found.severity],
        "message": {"text": f"{found.message} {found.remedy}"},
        "locations": places[:1],
        "partialFingerprints": {"ipctrace/v1": _fingerprint(analysis, found)},
        "properties": {"certainty": found.certainty},
    }
    if places[1:]:
        result["relatedLocations"] = [{"id": k, **place} for k, place in enumerate(places[1:], 1)]
    if found.edit is not None:
        result["fixes"] = [_fix(analysis, found.edit, found.remedy)]
    return result


def _fingerprint(analysis: Analysis, found: Finding) -> str:
    """The same for the same finding at the same place of another run: its rule, and lines' text in place of numbers."""
    sites = analysis.trace.sites
    said = [found.rule]
    for site in found.sites:
        row = sites.iloc[site]
        said += [PurePath(str(row["file"])).name, str(row["function"]), _text(analysis, str(row["file"]), row["line"])]
    return hashlib.sha256("\0".join(said).encode("utf-8", "replace")).hexdigest()[:32]


def _location(analysis: Analysis, site: int) -> dict[str, Any]:
    row = analysis.trace.sites.iloc[site].to_dict()
    text = _text(analysis, str(row["file"]), row["line"])
    region: dict[str, Any] = {"startLine": max(int(row["line"]), 1)}
    if text:
        region["snippet"] = {"text": text}
    ends = (row["column"], row["end_line"], row["end_column"])
    if (
        text
        and all(value == value and value is not None for value in ends)
        and int(row["end_line"]) == region["startLine"]
    ):
        region["startColumn"], region["endColumn"] = (
            _characters(text, int(row[key])) + 1 for key in ("column", "end_column")
        )
    return {
        "physicalLocation": {"artifactLocation": _artifact(analysis, str(row["file"])), "region": region},
        "logicalLocations": [{"fullyQualifiedName": str(row["function"]), "kind": "function"}],
    }


def _fix(analysis: Analysis, edit: Edit, remedy: str) -> dict[str, Any]:
    changed = {
        "deletedRegion": {"startLine": edit.line, "startColumn": 1, "endColumn": len(edit.before) + 1},
        "insertedContent": {"text": edit.after},
    }
    return {
        "description": {"text": remedy},
        "artifactChanges": [{"artifactLocation": _artifact(analysis, edit.file), "replacements": [changed]}],
    }


def _artifact(analysis: Analysis, file: str) -> dict[str, str]:
    root, path = PurePath(str(analysis.trace.facts.get("cwd") or "/")), PurePath(file)
    if path.is_relative_to(root):
        return {"uri": quote(path.relative_to(root).as_posix()), "uriBaseId": "SRCROOT"}
    return {"uri": _uri(file)} if path.is_absolute() else {"uri": quote(path.as_posix())}


def _uri(path: str) -> str:
    return f"file://{quote(path, errors='surrogateescape')}"


def _text(analysis: Analysis, file: str, line: int) -> str:
    sources = analysis.trace.sources
    rows = sources.loc[(sources["file"] == file) & (sources["line"] == line), "text"]
    return str(rows.iloc[0]) if len(rows) else ""


def _characters(text: str, offset: int) -> int:
    """How many characters the first `offset` UTF-8 bytes of a line are."""
    return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace"))
