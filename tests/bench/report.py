"""Whether reports keep to their budgets: how large they are, how long they take to write, to open, to zoom and to pan.

    python -m tests.bench.report [--chapter] [--trace FOLDER …] [--kind KIND …] [--keep FOLDER] [EVENTS …]

Without arguments: --chapter 1e6. Prints a line a measure and says whether its budget is held; the status is 1 where one
is not. --chapter records every program of the chapter, with its sleeps as they are, and measures what its report weighs.
A page of a made-up size is measured twice: from builders.big_trace (messages) and from the trace that analysis.py makes
(all that real ones have: mixed). 10⁷ events need no more than to open and to zoom. Beside each time on the clock stands
the processor's, where it is known: on a machine that does other things the clock tells of these, too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
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

import ipctrace
from ipctrace import Run, chapter
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


def told(measure: str, value: float, judged: bool = True, more: str = "") -> None:
    """One line: the measure, its value, and whether it keeps to its budget."""
    most, unit = BUDGETS[measure]
    held = value <= most
    if judged and not held:
        failed.append(measure)
    verdict = ("held" if held else "NOT HELD") if judged else "not judged at this size"
    print(f"  {measure:<16}{value:10.2f} {unit:<3} of {most:g} {unit}: {verdict}{more}", flush=True)


SECONDS = 20  # after which those of the chapter's programs are ended that go on for ever
HELPERS = ("async_child.py", "deadlock_child.py", "pipes_test_child.py")  # of the chapter: started by others


def chapter_pages(browser: Any) -> None:
    """What the report of each of the chapter's programs weighs; of the deadlock's, everything else, too."""
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for program in sorted(set(chapter.programs()) - set(HELPERS)):
            run = recorded(Path(folder), program)
            sizes[program] = len(render(run.analysis).encode()) / 1e6
            print(f"  {program:<24}{sizes[program]:6.2f} MB, {len(run.trace.events):,} events", flush=True)
            if program == "deadlock.py":
                html = render(run.analysis)
    told("chapter's page", max(sizes.values()))
    print("deadlock.py")
    opened(browser, html, True)


def recorded(folder: Path, program: str) -> Run:
    """A program of the chapter, recorded as a person does, with its output in a file."""
    trace = folder / f"{program}.ipctrace"
    options = ["--quiet", "--no-report", "--duration", str(SECONDS), "--out", str(trace)]
    usual = {name: value for name, value in os.environ.items() if name not in ("PYTHONUNBUFFERED", "CHAPTER_SLEEP")}
    command = [sys.executable, "-m", "ipctrace", "record", *options, "--", program]
    with (folder / "output").open("wb") as output:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=usual, cwd=folder)
    return ipctrace.load(trace)


def page(browser: Any, name: str, trace: Trace, keep: Path | None = None) -> None:
    """All measures of one trace's report."""
    judged = len(trace.events) <= LARGE
    began, busy = time.perf_counter(), time.process_time()
    analysis = analyze(trace)
    analysed, analysed_busy = time.perf_counter(), time.process_time()
    html = render(analysis)
    took, took_busy = time.perf_counter() - analysed, time.process_time() - analysed_busy
    print(f"{name}: {len(trace.events):,} events, {len(analysis.messages):,} messages, {len(analysis.lanes):,} threads; "
          f"analysed in {analysed - began:.1f} s ({analysed_busy - busy:.1f} s of the processor)")  # fmt: skip
    told("page", len(html.encode()) / 1e6, judged)
    told("render", took, judged, f" ({took_busy:.1f} s of the processor)")
    if keep:
        (keep / f"{name}-{len(trace.events)}.html").write_text(html, encoding="utf-8")
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
            meter = context.new_cdp_session(shown)
            meter.send("Performance.enable", {"timeDomain": "threadTicks"})
            shown.goto(file.as_uri())
            shown.evaluate("window.ipctrace.ready")
            times = shown.evaluate("window.ipctrace.times")
            paints.append((times["drawn"], used(meter), times))
            if len(paints) < 3 and judged:
                context.close()
        least, busy, times = min(paints, key=lambda paint: paint[0])
        told(
            "first paint",
            least,
            judged,
            f" (until all is ready {busy * 1000:.0f} ms of the processor, by its own thread)",
        )
        zooms = [
            in_page(shown, meter, f"zoomTo(END * {a}, END * {a + width})") for width in WIDTHS for a in (0.3, 0.45)
        ]
        pans = [in_page(shown, meter, "pan(0.2)", f"zoomTo(END * 0.3, END * {0.3 + width})") for width in WIDTHS]
        for measure, moves in (("zoom", zooms), ("pan", pans)):
            most = max(busy for _, busy in moves)
            told(measure, max(ms for ms, _ in moves), judged, f" (at most {most:.0f} ms of the processor)")
        print(f"  {'ms until':<16}{', '.join(f'{step} {value:.0f}' for step, value in times.items())}; "
              f"zooms {', '.join(f'{ms:.0f}' for ms, _ in zooms)}; pans {', '.join(f'{ms:.0f}' for ms, _ in pans)}")  # fmt: skip
        if complaints:
            failed.append("complaints")
            print(f"  the page complains: {complaints[:3]}")
        print(
            f"  {'memory':<16}{shown.evaluate('performance.memory.usedJSHeapSize') / 1e6:10.0f} MB of the page's own objects"
        )
        context.close()


WIDTHS = (0.5, 0.1, 0.01, 0.001, 0.00001)  # of the run, in view after a zoom


def in_page(shown: Any, meter: Any, move: str, first: str = "zoomTo(0, END)") -> tuple[float, float]:
    """The ms from a move to its picture, after the view was brought to `first`, on the clock and of the processor, by
    the page's own thread: the best of three."""
    found = []
    for _ in range(3):
        shown.evaluate(f"(async () => {{ await {first}; }})()")
        before = used(meter)
        moved = f"(async () => {{ const t = performance.now(); await {move}; return performance.now() - t; }})()"
        ms = float(shown.evaluate(moved))
        found.append((ms, (used(meter) - before) * 1000))
    return min(ms for ms, _ in found), min(busy for _, busy in found)


def used(meter: Any) -> float:
    """The seconds of the processor that the page's own thread has taken."""
    return float(
        next(one["value"] for one in meter.send("Performance.getMetrics")["metrics"] if one["name"] == "TaskDuration")
    )


KINDS = {"messages": lambda events: big_trace(events // 2), "mixed": make}  # of made-up traces


def traces(given: argparse.Namespace) -> Iterator[tuple[str, Trace]]:
    for folder in given.trace:
        yield folder.name, store.load(folder)
    for events in given.sizes:
        for kind in given.kind or KINDS:
            yield kind, KINDS[kind](events)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=lambda text: int(float(text)), metavar="EVENTS")
    parser.add_argument("--chapter", action="store_true", help="the chapter's reports, too")
    parser.add_argument("--trace", type=Path, action="append", default=[], metavar="FOLDER", help="a trace's report")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only such made-up traces")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the large pages there")
    given = parser.parse_args()
    if not (given.sizes or given.trace or given.chapter):
        given.sizes, given.chapter = [10**6], True
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*QUIET, "--no-sandbox"])
        if given.chapter:
            chapter_pages(browser)
        for name, trace in traces(given):
            page(browser, name, trace, given.keep)
        browser.close()
    print(f"not held: {', '.join(dict.fromkeys(failed))}" if failed else "all budgets are held")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
