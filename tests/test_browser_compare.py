# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The comparison page in the browser: drawn without a word of complaint, timelines that move together, pairs to choose."""

from __future__ import annotations

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.comparison import compare
from ipctrace.reports.comparison.page import render

from .browser import browser, show  # noqa: F401
from .builders import big_trace, completed_trace, deadlock_trace, lucky_trace
from .hostile import TEXTS, hostile_deadlock, hostile_trace
from .test_browser import until
from .test_comparison import talk
from .test_hostile import active

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def four() -> str:
    """Four settings, one of which hangs and one of which has two runs."""
    made = [deadlock_trace(), lucky_trace(), lucky_trace(), completed_trace(), deadlock_trace()]
    return render(compare([analyze(one) for one in made], ["default", "tty", "tty", "pipes.py", "again"]))


def quiet(opened) -> None:
    """Nothing was complained of, and nothing asked for but the file."""
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("file://")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.sample(2)
def test_it_is_drawn_and_axe_finds_nothing_serious(show, four, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    opened = show(four, width, scheme)
    page = opened.page
    assert "Of 4 settings" in page.inner_text("h1")
    assert page.locator("#sides path").count() > 10
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for state in ("0", "$('all').click()", "align('parting')", "$('help').click()"):
        page.evaluate(f"() => {{ {state}; }}")
        found = Axe().run(page).response["violations"]
        serious = {
            one["id"]: [node["html"][:200] for node in one["nodes"]]
            for one in found
            if one["impact"] in ("serious", "critical")
        }
        assert serious == {}, state
    quiet(opened)


def test_the_page_says_where_they_part_and_what_decides(show, four):
    page = show(four).page
    first = page.inner_text(".pairs tr.first")
    assert "deadlock.py:37" in first and "first difference" in first and "at once" in first
    assert "deadlock.py:41" in page.inner_text(".pairs tr.decides")
    drawn = page.text_content("#sides")
    assert "They part here: the parent, deadlock.py:37" in drawn
    assert "This decides: the parent, deadlock.py:41" in drawn
    assert "deadlock since" in drawn and "completed" in drawn


def test_the_timelines_move_together(show, four):
    page = show(four).page
    places = "[...document.querySelectorAll('#sides .dot')].map(one => +one.getAttribute('cx'))"
    ticks = "[...document.querySelectorAll('#sides .tick')].map(one => one.textContent)"
    before = page.evaluate(places), page.evaluate(ticks)
    page.click("#zin")
    assert (page.evaluate(places), page.evaluate(ticks)) != before
    half = page.evaluate("window.ipctrace.drawn.view")
    page.keyboard.press(".")
    assert page.evaluate("window.ipctrace.drawn.view")[0] > half[0]
    page.keyboard.press("0")
    assert (page.evaluate(places), page.evaluate(ticks)) == before
    box = page.locator("#wrap").bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 600, box["y"] + 60)
    page.mouse.up()
    span = page.evaluate("view[1] - view[0]")
    assert span == pytest.approx(200 / (box["width"] - 158) * page.evaluate("endOfAll()"), rel=0.02)
    page.mouse.dblclick(box["x"] + 400, box["y"] + 60)
    assert page.evaluate("view[1] - view[0] === endOfAll()")


def test_shifted_to_where_they_part_both_part_at_one_place(show, four):
    page = show(four).page
    first = "[...document.querySelectorAll('#sides .dot')].slice(0, 2).map(one => +one.getAttribute('cx'))"
    page.click("#parting")
    one, other = page.evaluate(first)
    assert one == pytest.approx(other, abs=0.2)


def test_two_settings_are_chosen_by_their_rows_and_lists_and_kept_in_the_address(show, four):
    page = show(four).page
    page.click("button.letter[data-setting='2']")
    assert page.evaluate("chosen") == [0, 2]
    assert page.locator(".difference:visible").count() == 1
    assert "A and C" in page.inner_text(".difference:visible h3")
    page.select_option("#one", "1")
    assert page.evaluate("chosen") == [1, 2] and "B and C" in page.inner_text(".difference:visible h3")
    until(page, "location.hash.includes('a=1')")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.evaluate("window.ipctrace.ready")
    assert page.evaluate("chosen") == [1, 2]
    page.keyboard.press("a")
    assert page.evaluate("G.blocks.length") == 4
    page.keyboard.press("n")
    assert page.evaluate("chosen") == [1, 3]


def test_what_is_under_the_pointer_is_told(show, four):
    page = show(four).page
    box = page.locator("#wrap").bounding_box()
    y = page.evaluate("G.blocks[0].lanes[0].bar + 5")
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + y)
    assert "A: parent waits for data" in page.inner_text("#tip")


@pytest.mark.parametrize(
    "what", ["ends the script", "is an image", "is a template", "turns round", "paints a terminal"]
)
@pytest.mark.parametrize("make", [hostile_trace, hostile_deadlock])
@pytest.mark.sample(4)
def test_whatever_a_program_wrote_is_text_in_the_page(show, make, what):
    text = TEXTS[what]
    html = render(compare([analyze(make(text)), analyze(hostile_deadlock(text))], [text, f"other {text}"]), title=text)
    opened = show(html)
    page = opened.page
    page.evaluate("$('all').click()")
    box = page.locator("#wrap").bounding_box()
    for share in (0.3, 0.6):
        for y in range(30, int(box["height"]), 24):
            page.mouse.move(box["x"] + box["width"] * share, box["y"] + y)
    quiet(opened)
    assert active(page) == 0
    assert "\u202e" not in page.evaluate("document.body.innerText + document.title")


def test_the_matrix_has_its_own_opening_and_its_cells_choose(show):
    made = compare([talk("write a"), talk("write b"), talk("write c")], ["a", "b", "c"])
    lead = "<h1 id=v>Mine</h1><button data-setting='2' id='cell'>c</button>"
    page = show(render(made, lead=lead, title="matrix x.py")).page
    assert page.inner_text("h1") == "Mine" and "matrix x.py" in page.inner_text("header")
    page.click("#cell")
    assert page.evaluate("chosen") == [0, 2]
    assert page.get_attribute("#cell", "aria-pressed") == "true"


def test_each_setting_leads_to_its_own_report(show):
    made = compare([talk("write a"), talk("write b")], ["a", "b"])
    page = show(render(made, pages=["a.html", None])).page
    assert page.get_attribute(".settings a", "href") == "a.html"
    assert page.locator(".settings a").count() == 1


def test_long_runs_are_thinned_and_that_is_said(show):
    made = compare([analyze(big_trace(20_000)), analyze(big_trace(20_000, 1))], ["one", "other"])
    html = render(made)
    assert len(html) < 2_000_000
    opened = show(html)
    assert not opened.page.evaluate("window.ipctrace.drawn.exact")
    assert "each pixel shows the reason" in opened.page.inner_text("#form")
    quiet(opened)


def test_without_script_everything_but_the_timelines_is_there(show, four):
    page = show(four, script=False).page
    assert page.locator(".difference:visible").count() == 6
    assert "need JavaScript" in page.inner_text("#timelines")
    assert not page.locator("#wrap").is_visible()


def test_the_same_comparison_gives_the_same_page(four):
    runs = [deadlock_trace(), lucky_trace(), lucky_trace(), completed_trace(), deadlock_trace()]
    assert render(compare([analyze(one) for one in runs], ["default", "tty", "tty", "pipes.py", "again"])) == four
