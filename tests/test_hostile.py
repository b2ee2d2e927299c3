# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""Whatever a program wrote is shown as text and runs nothing, wherever it is shown."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.ink import Ink, columns
from ipctrace.reports.page import render
from ipctrace.reports.tables import VIEWS, table
from ipctrace.reports.terminal import verdict

from .browser import browser, show  # noqa: F401
from .builders import TraceBuilder
from .hostile import TEXTS, hostile_deadlock, hostile_trace

LONG = 10 * 2**20  # characters of a line


def visit(page):
    """Every tab of the tables, every message, the cursor everywhere, the tips of the timeline."""
    for tab in page.locator("#tabs button").all():
        tab.click()
    for _ in range(4):
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("m")
    for share in (0.1, 0.5, 0.9):
        page.evaluate(f"go(END * {share})")
    box = page.locator("#wrap").bounding_box()
    for share in (0.2, 0.5, 0.8):
        for y in range(30, int(box["height"]), 18):
            page.mouse.move(box["x"] + box["width"] * share, box["y"] + y)
    page.evaluate("drawing")


def active(page):
    """Elements that only a text that broke out could have made, and attributes that run something."""
    return page.evaluate(
        """() => [...document.querySelectorAll('img, iframe, object, embed, form, base, link, meta[http-equiv=refresh]')].length
             + [...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on')
                 || (['href', 'src', 'action'].includes(a.name) && !a.value.startsWith('#')))).length"""
    )


@pytest.mark.browser
@pytest.mark.parametrize(
    ("make", "what"),
    [*((hostile_deadlock, what) for what in TEXTS), (hostile_trace, "ends the script"), (hostile_trace, "turns round")],
)
@pytest.mark.sample(5)
def test_a_page_shows_it_as_text(show, make, what):
    opened = show(render(analyze(make(TEXTS[what]))))
    visit(opened.page)
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("file://")] == []
    assert active(opened.page) == 0
    assert "\u202e" not in opened.page.evaluate("document.body.innerText + document.title")


@pytest.mark.parametrize("make", [hostile_trace, hostile_deadlock], ids=lambda make: make.__name__)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.sample(10)
def test_a_terminal_shows_it_as_text(make, text):
    analysis = analyze(make(text))
    lines = list(verdict(analysis, Ink()))
    for name in VIEWS:
        lines += table(analysis, name, Ink())
    assert [line for line in lines if not line.isprintable()] == []
    assert max(map(columns, lines)) < 1000


def long_lines():
    """A payload and a line of source of 10 MB each."""
    build = TraceBuilder()
    parent = build.process("long.py")
    pipe = build.pipe(parent)
    site = build.site("/work/long.py", 1, "x = '" + "y" * LONG + "'; os.write(fd, x)")
    build.write(parent, pipe.writer, b"z" * LONG, site=site)
    build.read(parent, pipe.reader, b"z" * LONG, site=site)
    build.write(parent, pipe.writer, b"z" * LONG, site=site)
    return build.trace(ended="exit", status=0)


@pytest.mark.browser
def test_lines_of_ten_megabytes_neither_fill_the_page_nor_stop_it(show):
    html = render(analyze(long_lines()))
    assert len(html) < LONG / 2
    opened = show(html)
    visit(opened.page)
    assert opened.complaints == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1400


def test_lines_of_ten_megabytes_are_cut_in_a_terminal():
    assert max(map(len, verdict(analyze(long_lines()), Ink()))) <= 80
