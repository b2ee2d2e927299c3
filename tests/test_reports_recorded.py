# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""Reports of programs that really ran, in a real browser: each comes up whole, and what it shows is what is so."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from ipctrace.analysis import analyze
from ipctrace.reports.page import render

from ipctrace import chapter

from . import recorded
from .browser import browser, show  # noqa: F401
from .sampled import sampled
from .test_browser import over, until
from .test_browser_moment import go, instants, waiting

pytestmark = [pytest.mark.browser, pytest.mark.chapter]

HELPERS = ("async_child.py", "deadlock_child.py", "pipes_test_child.py", "spawned.py")  # started by others
# One of each kind; the others' reports are looked at with -m slow.
ALWAYS = (
    "async_server.py", "deadlock.py", "manager.py", "memory_map.py", "pipe_1.py", "pipes.py", "process_pool.py",
    "shell.py", "signals.py", "sockets.py",
)  # fmt: skip
PROGRAMS = sampled((name for name in sorted(chapter.programs()) if name not in HELPERS), ALWAYS)
TABLES = ("Messages", "Blocking", "Channels", "Processes", "Streams", "Findings")


def test_the_programs_that_others_start_are_among_the_chapters():
    assert {*HELPERS, *ALWAYS} <= set(chapter.programs())


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.sample(4)
def test_a_report_of_each_program_of_the_chapter(show, tmp_path, program):
    analysis = recorded.record(tmp_path, program, options=("--duration", "3")).run.analysis
    opened = show(render(analysis))
    is_whole(opened, analysis)
    shows_the_waits(opened.page, analysis)
    opens_messages(opened.page)
    finds(opened.page, analysis)
    comes_back(opened, analysis)
    is_accessible(opened.page)


def test_a_report_of_a_million_events(show):
    analysis = analyze(made(10**6))
    opened = show(render(analysis))
    is_whole(opened, analysis)
    shows_the_waits(opened.page, analysis)
    finds(opened.page, analysis)
    opened.page.locator("#q").blur()  # there a key is a letter
    for _ in range(8):  # down to where every wait and arrow is exact
        opened.page.keyboard.press("+")
        opened.page.evaluate("drawing")
    until(opened.page, "window.ipctrace.drawn.exact")
    opens_messages(opened.page)
    comes_back(opened, analysis)
    assert opened.complaints == []


def made(events):
    """The trace of the benchmark, which has all that real ones have."""
    path = Path(__file__).parent / "bench" / "analysis.py"
    spec = importlib.util.spec_from_file_location("bench_analysis", path)
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench  # its dataclasses look themselves up
    spec.loader.exec_module(bench)
    return bench.make(events)


# ---- what holds of every report


def is_whole(opened, analysis):
    """It asked nobody for anything and complained of nothing; verdict, timeline, figures and tables are there."""
    page = opened.page
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("file://")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1400
    assert page.inner_text("#verdict h1").strip()
    assert page.locator("#plot .shapelayer path").count() > 0
    figures = page.locator("#views figure")
    assert figures.count() >= 5
    for figure in figures.all():  # each is drawn, or says why there is nothing to draw
        assert figure.locator("svg").count() or figure.inner_text().strip()
    for name in TABLES:
        page.click(f"#tabs [data-tab='{name}']")
        assert page.locator("#table tbody tr").count() >= 1
    assert page.evaluate("TABLES.Messages.size") == len(analysis.messages)
    assert page.evaluate("TABLES.Blocking.size") == len(analysis.blocking)


def shows_the_waits(page, analysis):
    """At any time the threads that wait are those that the analysis says."""
    for time in instants(analysis, 8):
        go(page, time)
        rows = waiting(analysis, time)
        shown = page.evaluate("LANES.map((_, lane) => stateAt(lane, now)?.row ?? -1).filter(row => row >= 0)")
        begins = page.evaluate("rows => rows.map(row => W.begin[row])", shown)
        known = rows[rows["thread"].isin(analysis.lanes)]
        assert sorted(begins) == sorted(known["begin"].tolist()), time


def opens_messages(page):
    """A click on an arrow opens the message that it is."""
    page.evaluate("go(0)")
    page.locator("#timeline").scroll_into_view_if_needed()
    rows = page.evaluate(
        """() => (shownArrows ?? []).filter(i => arrow(i)).filter(i => {
            const [x0, y0, x1, y1] = arrow(i), x = (X(x0) + X(x1)) / 2, y = (y0 + y1) / 2;
            const around = [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]]; // the mouse is where a pixel is
            return x > 2 && x < plotWidth() - 2 && around.every(([dx, dy]) => hit(x + dx, y + dy)?.message === i);
        })"""
    )
    for row in random.Random(1).sample(rows, min(3, len(rows))):
        page.evaluate(
            """i => { const [, y0, , y1] = arrow(i), plot = document.getElementById('plot').getBoundingClientRect();
                      scrollTo(0, scrollY + plot.top + (y0 + y1) / 2 - 300); }""",  # a long arrow's middle, too
            row,
        )
        over(page, row)
        page.mouse.down()
        page.mouse.up()
        until(page, f"picked === {row}")
        page.evaluate("drawing")


def finds(page, analysis):
    """The search for a payload's word lists the messages that hold it."""
    texts = [data.decode("utf-8", "replace") for data in analysis.messages["payload"] if isinstance(data, bytes)]
    words = sorted({word for text in texts[:50] for word in text.split() if word.isalnum() and len(word) > 3})
    page.click("#tabs [data-tab='Messages']")
    for word in words[:1]:
        held = page.evaluate(
            "word => { let k = 0; for (let i = 0; i < M.size.length; i++) k += textOf(i).toLowerCase().includes(word); return k; }",
            word.lower(),
        )
        page.fill("#q", f"payload:{word}")
        until(page, f"shownRows.length === {held}")
        assert 0 < held <= sum(word.lower() in text.lower() for text in texts)  # the page may keep less of each
        page.fill("#q", "")


def comes_back(opened, analysis):
    """The address' fragment opens the same view again."""
    page = opened.page
    page.click("#tabs [data-tab='Channels']")
    time = page.evaluate("go(Math.round(END / 3)), now")
    until(page, "location.hash.includes('Channels')")
    until(page, "location.hash.includes('t=')")
    page.reload()
    page.evaluate("window.ipctrace.ready")
    assert page.evaluate("tab") == "Channels"
    assert abs(page.evaluate("now") - time) <= page.evaluate("END") * 1e-3
    assert opened.complaints == []


def is_accessible(page):
    """axe-core finds nothing serious."""
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious] == []
