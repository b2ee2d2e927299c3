"""What `ipctrace fix` says: each remedy with what became of it and what it cost, then the change to make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..analysis.remedies import Fixes, Outcome
from ..analysis.remedies.outcome import Status
from .ink import Ink, escape, wrap
from .markup import count, span

VERSION = 1  # of the JSON document

# status → (words, style of ink)
WORDS: dict[Status, tuple[str, str]] = {
    "cured": ("cured", "good"),
    "hangs": ("still hangs", "danger"),
    "damaged": ("no cure", "held"),
    "unfinished": ("not over", "held"),
    "inapplicable": ("not applicable", "dim"),
}
WIDTH = 80


def lines(fixes: Fixes, ink: Ink, steps: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """The lines for a terminal; `steps` are (word, command) pairs, printed last."""
    yield from _Lines(fixes, ink).all(steps)


class _Lines:
    def __init__(self, fixes: Fixes, ink: Ink) -> None:
        self.fixes, self.ink, self.width = fixes, ink, min(ink.width, WIDTH)

    def clean(self, text: str) -> str:
        return self.ink.plain(escape(text))

    def all(self, steps: Sequence[tuple[str, str]]) -> Iterator[str]:
        fixes = self.fixes
        yield from self.head()
        yield ""
        for outcome in fixes.outcomes:
            yield from self.outcome(outcome)
        if fixes.outcomes:
            yield ""
        if fixes.cures:
            yield from self.remedy(fixes.cures[0])
        elif fixes.hung is not None:
            tried = any(outcome.status != "inapplicable" for outcome in fixes.outcomes)
            words = f"no listed remedy {'cures it' if tried else 'fits'}: {fixes.unlisted}"
            yield from wrap(self.clean(words), self.width, "  ", "  ")
        yield from [""] if steps else []
        for word, step in steps:
            yield f"  {self.ink.paint(word.ljust(8), 'dim')}  {self.clean(step)}"

    def head(self) -> Iterator[str]:
        """What hung, and what the run had cost by then: what the costs below are to be held against."""
        fixes = self.fixes
        rule = f"[{fixes.rule}]" if fixes.rule else ""
        if fixes.hung is None:
            more = f". {fixes.unlisted}" if fixes.unlisted else ""
            yield from wrap(
                self.clean(f"{fixes.verdict}{rule}: {fixes.program} did not hang, so there is nothing to cure{more}"),
                self.width,
            )
            return
        headline = "; ".join(part[:1].lower() + part[1:] for part in fixes.headline.rstrip(".").split(". "))
        first, *rest = wrap(self.clean(f"{fixes.verdict}{rule}: {headline}"), self.width)
        yield self.ink.paint(fixes.verdict, "danger") + first.removeprefix(fixes.verdict)
        yield from rest
        yield f"  hung after {span(fixes.hung)}, and {count(fixes.calls, 'call')} that read or wrote"
        if fixes.hangs < fixes.runs:
            yield f"  it hangs only sometimes: {fixes.hangs} of {fixes.runs} runs without a change"

    def outcome(self, outcome: Outcome) -> Iterator[str]:
        """One remedy: its name, what became of it, at what cost; below that what was changed, or why it is no cure."""
        word, style = WORDS[outcome.status]
        cost = ""
        if outcome.status == "cured" and outcome.duration is not None and outcome.calls is not None:
            more = outcome.calls - self.fixes.calls
            held = f"held {outcome.held} of {outcome.tries}"
            cost = f"{span(outcome.duration):>8}  {outcome.calls:>6} calls ({more:+d})  {held}"
        yield f"  {outcome.remedy:<22}  {self.ink.paint(word.ljust(14), style)}  {cost}".rstrip()
        what = outcome.change.what if outcome.status == "cured" and outcome.change else outcome.why
        yield from wrap(self.clean(what), self.width, "      ", "      ")

    def remedy(self, cure: Outcome) -> Iterator[str]:
        """The first cure: in words, as a diff, and that it was tried."""
        assert cure.change is not None and cure.duration is not None
        yield from wrap(self.clean(f"remedy: {cure.change.what}"), self.width, "  ", "  ")
        for line in self.fixes.diffs.get(cure.remedy, "").split("\n")[:-1]:
            style = "" if line.startswith(("+++", "---")) else {"+": "good", "-": "danger"}.get(line[:1], "")
            shown = self.clean(line)
            yield f"  {self.ink.paint(shown, style) if style else shown}"
        yield f"  tried: completed in {span(cure.duration)}, {cure.held} of {cure.tries} times"


def to_json(fixes: Fixes) -> dict[str, Any]:
    """All of it as plain data. Times are ns; calls are reads and writes."""
    return {
        "version": VERSION,
        "program": fixes.program,
        "verdict": fixes.verdict,
        "rule": fixes.rule,
        "headline": fixes.headline,
        "hung": fixes.hung,
        "calls": fixes.calls,
        "hangs": fixes.hangs,
        "runs": fixes.runs,
        "cured": bool(fixes.cures),
        "unlisted": fixes.unlisted or None,
        "remedies": [
            {
                "name": each.remedy,
                "status": each.status,
                "what": each.change.what if each.change else None,
                "why": each.why or None,
                "duration": each.duration,
                "calls": each.calls,
                "held": each.held,
                "tries": each.tries,
                "diff": fixes.diffs.get(each.remedy),
                "interpreter": list(each.change.interpreter) if each.change else [],
                "environment": dict(each.change.environment) if each.change else {},
                "options": dict(each.change.options) if each.change else {},
            }
            for each in fixes.outcomes
        ],
    }
