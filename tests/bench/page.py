"""How long a report of a million messages takes to write, to open and to zoom: prints, judges nothing.

Run it as `python -m tests.bench.page [MESSAGES …]` from the top of the repository.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from ipctrace.analysis import analyze
from ipctrace.reports.page import render
from playwright.sync_api import sync_playwright

from tests.browser import BROWSERS, QUIET
from tests.builders import big_trace


def measure(browser, messages):
    """One line for one size."""
    began = time.perf_counter()
    analysis = analyze(big_trace(messages))
    analysed = time.perf_counter()
    html = render(analysis)
    rendered = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.html"
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(file.as_uri())
        page.evaluate("window.ipctrace.ready")
        times = page.evaluate("window.ipctrace.times")
        zooms = []
        for _ in range(4):
            page.evaluate("zoomTo(view[0] + (view[1] - view[0]) * 0.45, view[0] + (view[1] - view[0]) * 0.55)")
            zooms.append(page.evaluate("drawing.then(() => window.ipctrace.drawn.ms)"))
        page.close()
    steps = ", ".join(f"{name} {value:.0f}" for name, value in times.items())
    print(
        f"{messages:>9,} messages: trace and analysis {analysed - began:.1f} s, page {rendered - analysed:.1f} s, "
        f"{len(html) / 1e6:.1f} MB; ms until: {steps}; zooms: {', '.join(f'{ms:.0f}' for ms in zooms)} ms"
    )


def main():
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*QUIET, "--no-sandbox"])
        for messages in map(int, sys.argv[1:] or [1_000, 100_000, 1_000_000]):
            measure(browser, messages)
        browser.close()


if __name__ == "__main__":
    main()
