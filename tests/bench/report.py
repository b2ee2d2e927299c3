"""Whether reports keep to their budgets: how large they are, how long they take to write, to open, to zoom and to pan.

    python -m tests.bench.report [--chapter] [--trace FOLDER …] [EVENTS …]          (by default 1e6)

Prints a line a measure and says whether its budget is held; the status is 1 where one is not. A page of a made-up size
is measured twice: from builders.big_trace (all messages) and from the trace that analysis.py makes (all that real ones
have). 10⁷ events need no more than to open and to zoom.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipctrace.analysis import analyze
from ipctrace.reports.page import render
from ipctrace.tracer import store
from ipctrace.tracer.schema import Trace
from playwright.sync_api import sync_playwright

from tests.bench.analysis import make
from tests.browser import BROWSERS, QUIET
from tests.builders import big_trace

LARGE = 2_000_000  # events, past which a page is only to open
BUDGETS = {  # measure → (what it may be at most, unit)
    "chapter's page": (1.0, "MB"),
    "page": (10.0, "MB"),
    "render": (10.0, "s"),
    "first paint": (2000.0, "ms"),
    "zoom": (300.0, "ms"),
    "pan": (300.0, "ms"),
}
failed = []


def told(measure: str, value: float, judged: bool = True) -> None:
    """One line: the measure, its value, and whether it keeps to its budget."""
    most, unit = BUDGETS[measure]
    held = value <= most
    if judged and not held:
        failed.append(measure)
    verdict = ("held" if held else "NOT HELD") if judged else "not judged at this size"
    print(f"  {measure:<16}{value:10.2f} {unit:<3} of {most:g} {unit}: {verdict}", flush=True)


def chapter(browser: Any) -> None:
    """The chapter's reports, as far as their traces are made: deadlock and its healthy twin."""
    from tests.builders import completed_trace, deadlock_trace

    for build in (deadlock_trace, completed_trace):
        html = render(analyze(build()))
        print(build.__name__)
        told("chapter's page", len(html.encode()) / 1e6)
        opened(browser, html, True)


def page(browser: Any, name: str, trace: Trace) -> None:
    """All measures of one trace's report."""
    judged = len(trace.events) <= LARGE
    began = time.perf_counter()
    analysis = analyze(trace)
    analysed = time.perf_counter()
    html = render(analysis)
    took = time.perf_counter() - analysed
    print(f"{name}: {len(trace.events):,} events, {len(analysis.messages):,} messages, {len(analysis.lanes):,} threads; "
          f"analysed in {analysed - began:.1f} s")  # fmt: skip
    told("page", len(html.encode()) / 1e6, judged)
    told("render", took, judged)
    opened(browser, html, judged)


def opened(browser: Any, html: str, judged: bool) -> None:
    """What a person waits for: the first paint, and the slowest of some zooms and of some pans. Each is the best of
    three: what else the machine did meanwhile is not the page's."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(html, encoding="utf-8")
        paints = []
        for _ in range(3 if judged else 1):
            context = browser.new_context(viewport={"width": 1400, "height": 900})
            shown, complaints = context.new_page(), []
            shown.on("pageerror", lambda error, told=complaints: told.append(str(error)))
            shown.set_default_timeout(300_000)
            shown.goto(file.as_uri())
            shown.evaluate("window.ipctrace.ready")
            times = shown.evaluate("window.ipctrace.times")
            paints.append((times["drawn"], times))
            if len(paints) < 3 and judged:
                context.close()
        least, times = min(paints, key=lambda paint: paint[0])
        told("first paint", least, judged)
        zooms = [in_page(shown, f"zoomTo(END * {a}, END * {a + width})") for width in WIDTHS for a in (0.3, 0.45)]
        pans = [in_page(shown, "pan(0.2)", f"zoomTo(END * 0.3, END * {0.3 + width})") for width in WIDTHS]
        told("zoom", max(zooms), judged)
        told("pan", max(pans), judged)
        print(f"  {'ms until':<16}{', '.join(f'{step} {value:.0f}' for step, value in times.items())}; "
              f"zooms {', '.join(f'{ms:.0f}' for ms in zooms)}; pans {', '.join(f'{ms:.0f}' for ms in pans)}")  # fmt: skip
        if complaints:
            failed.append("complaints")
            print(f"  the page complains: {complaints[:3]}")
        context.close()


WIDTHS = (0.5, 0.1, 0.01, 0.001, 0.00001)  # of the run, in view after a zoom


def in_page(shown: Any, move: str, first: str = "zoomTo(0, END)") -> float:
    """The ms from a move to its picture, after the view was brought to `first`: the best of three."""
    moved = (
        f"(async () => {{ await {first}; const t = performance.now(); await {move}; return performance.now() - t; }})()"
    )
    return min(float(shown.evaluate(moved)) for _ in range(3))


def traces(given: argparse.Namespace) -> Iterator[tuple[str, Trace]]:
    for folder in given.trace:
        yield folder.name, store.load(folder)
    for events in given.sizes:
        yield "messages only", big_trace(events // 2)
        yield "of all kinds", make(events)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=lambda text: int(float(text)), metavar="EVENTS")
    parser.add_argument("--chapter", action="store_true", help="the chapter's reports, too")
    parser.add_argument("--trace", type=Path, action="append", default=[], metavar="FOLDER", help="a trace's report")
    given = parser.parse_args()
    if not (given.sizes or given.trace or given.chapter):
        given.sizes, given.chapter = [10**6], True
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*QUIET, "--no-sandbox"])
        if given.chapter:
            chapter(browser)
        for name, trace in traces(given):
            page(browser, name, trace)
        browser.close()
    print(f"not held: {', '.join(dict.fromkeys(failed))}" if failed else "all budgets are held")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
