"""The comparison as one HTML file: it works from file:// and asks the network for nothing.

What differs, the measures and the findings are HTML made here; the timelines, of which one scrolls and zooms with the
other, are drawn by assets/compare-*.js from the model. Styles, packing and content security policy are the report's.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from ipctrace.analysis.comparison import Comparison

from ..columns import element, squeeze
from ..markup import count, escape, inert, sentences
from ..page import asset, policy
from ..verdict import PILLS
from . import model, tables
from .words import interpreter, letter, outcome, since

STYLES = ("tokens.css", "page.css", "timeline.css", "tables.css", "compare.css")
SCRIPTS = ("base.js", "compare-data.js", "compare-timelines.js", "compare-moving.js", "compare-start.js")


def render(
    comparison: Comparison, *, title: str | None = None, lead: str = "", pages: Sequence[str | None] = ()
) -> str:
    """The page; the same comparison gives the same page, byte for byte.

    `lead` is HTML that comes before all else, in place of the headline and the table of settings (the matrix' heat
    map); a click on an element of it with `data-setting="3"` chooses that setting for the timelines, and the chosen two
    get `aria-pressed` (of buttons) and the class `chosen`. `pages`: for each setting the address of its run's own
    report, relative to this page, or None. `title`: of the window, and in the bar.
    """
    boot, script = asset("boot.js"), "\n".join([*map(asset, SCRIPTS), "//# sourceURL=compare.js"])
    facts, columns = model.build(comparison)
    name = title or " · ".join(dict.fromkeys(str(run.trace.facts.get("program") or "") for run in comparison.runs))
    return Template(asset("compare.html")).substitute(
        policy=policy(boot, script),
        title=escape(f"{comparison.headline} · ipctrace"),
        name=escape(name),
        summary=escape(f"{count(len(comparison.settings), 'setting')} · {count(len(comparison.runs), 'run')}"),
        styles="\n".join(asset(name) for name in STYLES),
        hatches=asset("hatches.html"),
        verdict=lead or opening(comparison, pages),
        differences=tables.differences(comparison),
        numbers=tables.numbers(comparison),
        findings=tables.findings(comparison),
        environment=tables.environment(comparison),
        notes="".join(f"<p>{escape(note)}</p>" for note in comparison.notes),
        options=options(comparison),
        model=inert(facts),
        columns="\n".join(element(name, column) for name, column in columns.items()),
        script=squeeze(script.encode(), 9),
        boot=boot,
    )


def opening(comparison: Comparison, pages: Sequence[str | None] = ()) -> str:
    """Pill, sentence, reasons and the table of settings."""
    hang = sum(one.verdict in ("deadlock", "stalled") for one in comparison.settings)
    crash = sum(one.verdict == "crashed" for one in comparison.settings)
    total = len(comparison.settings)
    pill, word = ("danger filled", f"{hang} of {total} hang") if hang else ("ok filled", f"none of {total} hangs")
    if crash and not hang:
        pill, word = "danger", f"{crash} of {total} crash"
    return (
        f'<p class="kicker"><span class="pill {pill}">{word}</span></p><h1 id="v">{sentences(comparison.headline)}</h1>'
        f'<p class="lead">{sentences(comparison.because)}</p>{settings(comparison, pages)}'
    )


def settings(comparison: Comparison, pages: Sequence[str | None] = ()) -> str:
    """The settings, a row each; a click chooses one for the timelines."""
    rows, linked = [], any(pages)
    for place, setting in enumerate(comparison.settings):
        style, _ = PILLS[setting.verdict]
        page = pages[place] if place < len(pages) else None
        link = "" if not linked else f'<td><a href="{escape(page)}">report</a>' if page else "<td>·"
        program = comparison.runs[setting.shown].trace.facts.get("program") or "·"
        rows.append(
            f'<tr data-setting="{place}"><td><button class="letter" data-setting="{place}" aria-pressed="false">'
            f'{letter(place)}</button><td><b>{escape(setting.label)}</b><td class="c">{escape(program)}'
            f"<td>{escape(interpreter(comparison, place) or '·')}"
            f'<td><span class="pill {style}">{escape(outcome(comparison, place))}</span>'
            f"<td>{escape(since(comparison, place))}<td class=num>{len(setting.runs)}{link}"
        )
    head = "<th>run<th>setting<th>program<th>interpreter<th>verdict<th>time<th class=num>repeats"
    head += "<th>its report" if linked else ""
    return (
        f'<div class="scroll"><table class="data settings"><thead><tr>{head}</thead><tbody>{"".join(rows)}</tbody>'
        '</table></div><p class="dim needs-script">Choose two to lay side by side.</p>'
    )


def options(comparison: Comparison) -> str:
    """The settings to choose from, as the options of a select."""
    return "".join(
        f'<option value="{place}">{letter(place)} · {escape(setting.label)}</option>'
        for place, setting in enumerate(comparison.settings)
    )
