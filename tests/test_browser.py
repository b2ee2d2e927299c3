# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The report page in a real browser: it comes up whole, shows what is so, and asks nobody for anything."""

import re

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render

from .browser import browser, show  # noqa: F401
from .builders import TraceBuilder, big_trace, completed_trace, deadlock_trace
from .hostile import hostile_trace

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def deadlock():
    return render(analyze(deadlock_trace()))


@pytest.fixture(scope="module")
def busy():
    return render(analyze(big_trace(6000)))


def until(page, condition):
    """Waits for a condition in the page, frame by frame; playwright's own wait needs eval, which the policy forbids."""
    page.evaluate(
        f"""() => new Promise((done, fail) => {{
            const look = () => ({condition}) ? done() : requestAnimationFrame(look);
            look();
            setTimeout(() => fail(new Error("it never came to that")), 20000);
        }})"""
    )


def shape(page, layer):
    """The path that plotly drew for a category."""
    return page.evaluate(
        "layer => document.querySelector(`#plot .shapelayer path[data-index='${LAYERS.indexOf(layer)}']`).getAttribute('d')",
        layer,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("trace", [deadlock_trace, completed_trace, hostile_trace], ids=lambda make: make.__name__)
@pytest.mark.sample(6)
def test_a_page_comes_up_without_a_complaint_a_request_or_a_sideways_scroll(show, trace, width, scheme):
    opened = show(render(analyze(trace())), width, scheme)
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("file://")] == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.page.locator("#verdict h1").is_visible()


def test_the_first_screen_holds_verdict_knot_and_remedy(show, deadlock):
    page = show(deadlock).page
    for part in ("#verdict .pill", "#verdict h1", ".knot svg >> nth=0", ".fix"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] < 900, part


def test_a_healthy_run_has_its_timeline_on_the_first_screen(show):
    page = show(render(analyze(completed_trace()))).page
    assert page.locator("#plot").bounding_box()["y"] < 700


def test_the_knot_stands_upright_on_a_phone(show, deadlock):
    page = show(deadlock, width=400).page
    assert page.locator(".upright-knot").is_visible()
    assert not page.locator(".wide-knot").is_visible()


def test_messages_are_arrows_and_stuck_bytes_a_stub(show, deadlock):
    page = show(deadlock).page
    arrows = page.evaluate("M.begin.length - never.length")
    assert arrows > 0
    assert shape(page, "arrows").count("M") == arrows
    assert shape(page, "stub").count("M") == 2
    assert len(shape(page, "held")) > 20


def test_waits_are_hatched_by_reason(show, deadlock):
    page = show(deadlock).page
    style = "layer => getComputedStyle(document.querySelector(`#plot .shapelayer path[data-index='${LAYERS.indexOf(layer)}']`)).fill"
    assert page.evaluate(style, "nodata") == 'url("#p-nodata")'
    assert shape(page, "nodata").count("M") >= 2


def over(page, message=0):
    """Puts the mouse on the middle of a message's arrow."""
    x, y = page.evaluate(
        """i => { const [x0, y0, x1, y1] = arrow(i), b = document.getElementById('plot').getBoundingClientRect();
                  return [b.left + (X(x0) + X(x1)) / 2, b.top + TOP + (y0 + y1) / 2]; }""",
        message,
    )
    page.mouse.move(x, y)


def test_hovering_a_message_shows_its_payload_bytes_latency_and_lines(show, deadlock):
    page = show(deadlock).page
    page.locator("#timeline").scroll_into_view_if_needed()
    over(page)
    tip = page.locator("#tip.on").inner_text()
    assert "Hello 1 from parent" in tip
    assert re.search(r"\d+ bytes", tip)
    assert re.search(r"\d (µs|ms|s) in ", tip)
    assert re.search(r"written at \S+\.py:\d+", tip) and re.search(r"read at \S+\.py:\d+", tip)


def test_hovering_a_bar_names_the_reason_in_words(show, deadlock):
    page = show(deadlock).page
    page.locator("#timeline").scroll_into_view_if_needed()
    x, y = page.evaluate(
        """() => { const lane = MODEL.core[0], b = document.getElementById('plot').getBoundingClientRect();
                   return [b.left + X(END) - 5, b.top + TOP + G.lanes[lane].bar + 8]; }"""
    )
    page.mouse.move(x, y)
    assert "waits for data" in page.locator("#tip.on").inner_text()


def test_buttons_keys_and_drag_zoom(show, deadlock):
    page = show(deadlock).page

    def width():
        return page.evaluate("drawing.then(() => view[1] - view[0])")

    whole = width()
    page.click("#zin")
    assert width() < whole
    page.click("#fit")
    assert width() == whole
    page.keyboard.press("+")
    assert width() < whole
    page.keyboard.press("0")
    assert width() == whole
    page.locator("#timeline").scroll_into_view_if_needed()
    box = page.locator("#plot").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 60, steps=5)
    page.mouse.up()
    until(page, "view[1] - view[0] < END / 2")
    page.dblclick("#plot", position={"x": 300, "y": 60})
    until(page, "view[1] - view[0] === END")


def test_the_moment_is_one_click_away(show, deadlock):
    page = show(deadlock).page
    page.click("#moment")
    begin, end = page.evaluate("drawing.then(() => view)")
    formed = page.evaluate("MODEL.formed")
    assert begin < formed < end
    assert end - begin <= 2_000_000


def test_a_click_sets_the_time_and_the_gutter_tells_the_state_then(show, deadlock):
    page = show(deadlock).page
    before = page.inner_text("#clock")
    page.locator("#timeline").scroll_into_view_if_needed()
    page.mouse.click(page.locator("#plot").bounding_box()["x"] + 120, page.locator("#plot").bounding_box()["y"] + 12)
    assert page.inner_text("#clock") != before
    page.keyboard.press("d")
    assert "for ever" in page.inner_text("#gr")


def test_above_the_budget_a_heat_map_is_shown_and_said_so(show, busy):
    page = show(busy).page
    assert "Slowest 200 of 6,000 messages drawn" in page.inner_text("#form")
    assert shape(page, "nodata") in (None, "") or shape(page, "nodata").count("M") < 10
    painted = page.evaluate(
        "() => { const c = document.getElementById('heat'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0) }"
    )
    assert painted
    page.evaluate("zoomTo(END * 0.5, END * 0.52)")
    assert page.evaluate("drawing.then(() => window.ipctrace.drawn.exact)")
    assert shape(page, "nodata").count("M") > 10


def test_a_long_table_holds_only_the_rows_in_its_window(show, busy):
    page = show(busy).page
    assert page.inner_text("#count") == "6,000 of 6,000"
    assert page.locator("#table tr[data-row]").count() < 200
    page.evaluate("document.getElementById('window').scrollTop = 1e9")
    page.wait_for_selector("#table tr[data-row='5999']")


def test_tables_sort_search_and_say_when_nothing_matches(show, deadlock):
    page = show(deadlock).page
    page.click("#table th button >> text=bytes")
    assert page.locator("#table th[aria-sort=ascending]").inner_text() == "bytes"
    page.fill("#q", "Hello 2")
    until(page, "document.querySelectorAll('#table tr[data-row]').length === 1")
    page.fill("#q", "nothing has this")
    page.wait_for_selector("#table .empty")
    assert "No messages match “nothing has this”" in page.inner_text("#table")
    page.click("#clear")
    for name in ("Blocking", "Channels", "Processes", "Streams", "Findings"):
        page.click(f"#tabs button >> text={name}")
        assert page.locator("#table tbody tr").count() >= 1


def test_the_inspector_opens_on_the_message_that_never_left(show, deadlock):
    text = show(deadlock).page.inner_text("#inspect")
    assert "never left" in text
    assert "48 65 6c 6c 6f" in text


def test_a_packed_column_reads_back_as_it_was_written(show, deadlock):
    analysis = analyze(deadlock_trace())
    page = show(deadlock).page
    assert page.evaluate("[...M.size]") == analysis.messages["size"].tolist()
    assert page.evaluate("[...W.begin]") == sorted(analysis.blocking["begin"].tolist())


def test_the_theme_follows_the_system_and_can_be_changed(show, deadlock):
    page = show(deadlock, scheme="dark").page
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.keyboard.press("t")
    light = page.evaluate(background)
    assert dark == "rgb(15, 18, 22)"
    assert light == "rgb(251, 251, 249)"


def test_without_script_the_verdict_and_the_messages_are_there(show, deadlock):
    page = show(deadlock, script=False).page
    for part in ("#verdict h1", ".wide-knot svg", ".fix .diff", "#stacks", "#run table", "#messages table"):
        assert page.locator(part).first.is_visible(), part
    assert "The timeline needs JavaScript" in page.inner_text("#timeline")
    assert not page.locator("#tables").is_visible()


def test_nothing_hostile_runs_wherever_it_is_shown(show):
    opened = show(render(analyze(hostile_trace())))
    page = opened.page
    for name in ("Blocking", "Channels", "Processes", "Messages"):
        page.click(f"#tabs button >> text={name}")
    over(page)
    for _ in range(3):
        page.keyboard.press("m")
    page.evaluate("drawing")
    assert page.locator("img").count() == 0
    assert opened.complaints == []
    assert "onerror" in page.inner_text("#table")  # it is shown, as text


def test_an_empty_run_says_what_is_so(show):
    build = TraceBuilder()
    build.process("empty.py")
    opened = show(render(analyze(build.trace())))
    assert opened.complaints == []
    assert "No bytes passed between processes. 1 program ran." in opened.page.inner_text("#messages")
