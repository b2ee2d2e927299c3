# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""What a person sees at once: where the cursor begins, that nothing is a wall, an empty box or cut, and that what is
told of one thing in several places agrees and leads on."""

import re
import sys

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render

from .browser import browser, show  # noqa: F401
from .builders import MS, TraceBuilder, completed_trace, deadlock_trace
from .hostile import hostile_deadlock, hostile_trace
from .sampled import sampled
from .test_browser import until
from .test_browser_figures import FAULTS
from .test_browser_moment import star_trace

pytestmark = pytest.mark.browser


def full_trace():
    """Two that write to each other more than a pipe holds, and neither reads."""
    build = TraceBuilder()
    parent = build.process("full.py")
    there, back = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent, keep=(there.reader, back.writer))
    build.close(parent, there.reader, back.writer)
    line = build.site(
        "/work/a_program_with_a_rather_long_name.py", 117, "    os.write(fd, b'x' * 100_000)  # " + "so " * 40
    )
    for thread, pipe in ((parent, there), (child, back)):
        build.after(MS)
        build.begin(
            thread, "os.write", fd=pipe.writer, channel=pipe.channel, data=b"x" * 100_000, size=100_000, site=line
        )
    build.after(50 * MS)
    build.look(2)
    return build.trace(ended="deadlock", status=None)


def chatty_trace(messages=400, workers=12):
    """One that throws many messages at its workers at the same moment."""
    build = TraceBuilder()
    first = build.process("chatty.py")
    pipes = [build.pipe(first) for _ in range(workers)]
    children = [build.fork(first, keep=(pipe.reader,)) for pipe in pipes]
    for k in range(messages):
        build.write(first, pipes[k % workers].writer, b"word\n")
    build.after(20 * MS)
    for k in range(messages):
        build.read(children[k % workers], pipes[k % workers].reader, b"word\n")
    build.after(400 * MS)
    return build.trace()


def empty_trace():
    build = TraceBuilder()
    build.process("empty.py")
    build.after(MS)
    return build.trace()


def leaky_trace(pipes=14):
    """Many pipes, of which a child keeps ends that it never uses: a finding each."""
    build = TraceBuilder()
    parent = build.process("leaky.py")
    for made in [build.pipe(parent) for _ in range(pipes)]:
        child = build.fork(parent)
        build.write(parent, made.writer, b"for you\n")
        build.read(child, made.reader, b"for you\n")
    return build.trace()


def test_the_cursor_of_a_healthy_run_begins_in_its_longest_wait(show):
    analysis = analyze(completed_trace())
    waits = analysis.blocking[analysis.blocking["kind"] != "sleep"]
    longest = waits.loc[(waits["end"] - waits["begin"]).idxmax()]
    page = show(render(analysis)).page
    assert longest["begin"] < page.evaluate("now") < longest["end"]
    assert page.evaluate("location.hash") == ""  # that is where it lies when nobody touched it
    assert page.locator("#moment-graph .card").count() >= 1
    page.click("#play")  # and play begins at the beginning
    assert page.evaluate("now") < longest["begin"]


def test_many_arrows_are_thinned_and_that_is_said(show):
    page = show(render(analyze(chatty_trace()))).page
    drawn, seen = page.evaluate("[window.ipctrace.drawn.arrows, window.ipctrace.drawn.messages]")
    assert 10 < drawn < seen / 2
    assert f"{drawn} of {seen} messages drawn, the slowest first" in page.inner_text("#form")
    few = show(render(analyze(completed_trace()))).page
    assert few.evaluate("window.ipctrace.drawn.arrows === window.ipctrace.drawn.messages")


def test_a_write_that_never_returned_lies_in_no_buffer(show):
    page = show(render(analyze(full_trace()))).page
    assert page.evaluate("[...M.leaving]") == [1, 1]
    assert "full" in page.inner_text(".wide-knot") and "0 of 65,536" not in page.inner_text(".wide-knot")
    assert "in the middle of its write" in page.inner_text("#stacks")
    assert "flushes nothing" not in page.inner_text("#verdict") + page.inner_text("#timeline")
    assert "100,000 bytes, the write never returned" in page.inner_text("#overlay")
    assert page.inner_text("#gr").count("a write of 100,000 B") == 2
    for part in ("#overlay", "#gr", "#legend"):
        assert "buffer" not in page.inner_text(part), part


def test_what_has_nothing_to_say_is_a_line(show):
    page = show(render(analyze(empty_trace()))).page
    assert not page.locator("#moment-graph").is_visible()
    assert "1 thread, none waits" in page.inner_text("#moment-panel")
    heights = page.evaluate("[...document.querySelectorAll('.unfilled figure')].map(one => one.offsetHeight)")
    assert len(heights) >= 4 and max(heights) < 30
    assert page.evaluate("tab") == "Processes"
    assert "0 pipes" not in page.inner_text("header")


def test_a_channel_that_never_held_anything_has_no_strip_unless_the_knot_waits_on_it(show):
    build = TraceBuilder()
    parent = build.process("parent.py")
    pipes = [build.pipe(parent) for _ in range(2)]
    child = build.fork(parent)
    build.write(parent, pipes[0].writer, b"")
    build.write(parent, pipes[1].writer, b"seen\n")
    build.after(MS)
    build.read(child, pipes[1].reader, b"seen\n")
    page = show(render(analyze(build.trace()))).page
    assert page.evaluate("MODEL.strips") == [pipes[1].channel]
    knotted = show(render(analyze(deadlock_trace()))).page
    waited = knotted.evaluate(
        "MODEL.graph.waiters.filter(one => MODEL.core.includes(one.lane)).map(one => one.channel)"
    )
    assert set(waited) <= set(knotted.evaluate("MODEL.strips"))


def test_findings_that_are_alike_share_a_row_and_the_rest_is_folded(show):
    analysis = analyze(leaky_trace())
    page = show(render(analysis)).page
    kinds = {(one.rule, one.sites[:1]) for one in analysis.findings}
    rows = page.locator(".findings tbody tr:visible")
    assert len(kinds) < len(analysis.findings) and rows.count() == len(kinds)
    assert re.search(r"So [\d,]+ times at this place", rows.first.inner_text())
    assert f"{len(analysis.findings) - len(kinds)} more findings" in page.inner_text(".findings summary")


@pytest.mark.parametrize("make", [deadlock_trace, full_trace, star_trace, leaky_trace, hostile_trace, empty_trace])
@pytest.mark.parametrize("width", sampled([1400, 400, 320], [1400, 320]))
@pytest.mark.sample(6)
def test_nothing_scrolls_the_page_is_cut_or_lies_on_something_else(show, make, width):
    opened = show(render(analyze(make() if make is not hostile_trace else hostile_deadlock("</b>" * 30))), width)
    page = opened.page
    assert opened.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(FAULTS) == []
    cut = "[...document.querySelectorAll('.stack pre, .findings td, .fix, #story li, .why li')].filter(one => one.offsetParent && (one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > innerWidth)).map(one => one.textContent)"
    assert page.evaluate(cut) == []
    over = """() => {
        const seen = [...document.querySelectorAll('#overlay .bt, #overlay .st, #overlay .kn, #gr > div, .bar button, .bar .run')].filter(one => one.textContent && one.offsetParent);
        const boxes = seen.map(one => [one.textContent, one.getBoundingClientRect()]);
        const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 2 || b.bottom <= a.top + 2;
        return boxes.flatMap(([words, box], k) => boxes.slice(k + 1).filter(([, other]) => !apart(box, other)).map(([other]) => `${words} over ${other}`));
    }"""
    assert page.evaluate(over) == []


def test_a_click_on_a_mark_shows_its_row_in_the_events(show):
    page = show(render(analyze(star_trace(3)))).page
    x, y = page.evaluate(
        """() => { const k = shownMarks.find(k => MARKS[K.kind[k]] === 'fork'), b = $('plot').getBoundingClientRect();
                   return [b.left + X(K.time[k]), b.top + TOP + G.lanes[K.lane[k]].bar - 6]; }"""
    )
    page.mouse.click(x, y)
    until(page, "tab === 'Events' && document.querySelector('#table tr.marked')")
    assert "forks" in page.inner_text("#table tr.marked")
    assert page.evaluate("MARKS[K.kind[marked.row]]") == "fork"


def test_the_events_list_signals_in_the_words_of_the_timeline(show):
    build = TraceBuilder()
    parent = build.process("parent.py")
    child = build.fork(parent)
    build.call(parent, "os.kill", size=int(build.rows["processes"][1]["pid"]), extra=10)
    build.call(child, "signal handler", size=10)
    page = show(render(analyze(build.trace()))).page
    page.click('[data-tab="Events"]')
    assert "parent sends SIGUSR1" in page.inner_text("#table")
    assert "child runs its handler of SIGUSR1" in page.inner_text("#table")


def test_cards_and_names_at_the_cursor_lead_to_their_waits(show):
    page = show(render(analyze(deadlock_trace()))).page
    for place in ("#moment-graph .card[data-wait]", "#moment-where .name"):
        row = int(page.locator(place).first.get_attribute("data-wait"))
        page.evaluate("chooseTable('Messages')")
        page.locator(place).first.click()
        assert page.evaluate("[marked.table, marked.row, tab]") == ["Blocking", row, "Blocking"]


def test_an_arrow_that_ends_at_the_edge_can_be_touched_from_outside(show):
    page = show(render(analyze(deadlock_trace()))).page
    assert page.evaluate(
        """() => { const box = $('wrap').getBoundingClientRect();
                   $('wrap').scrollIntoView({ block: 'center' });
                   const { right, top, height } = $('wrap').getBoundingClientRect();
                   return !!document.elementFromPoint(right + 3, top + height / 2).closest('#wrap'); }"""
    )


def test_payloads_that_the_page_has_the_beginning_of_are_counted(show, monkeypatch):
    model = sys.modules["ipctrace.reports.model.messages"]
    monkeypatch.setattr(model, "PAYLOAD_BUDGET", 2000)
    monkeypatch.setattr(model, "WHOLE", 1)
    build = TraceBuilder()
    parent = build.process("long.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    for _ in range(10):
        build.write(parent, pipe.writer, b"y" * 900)
        build.read(child, pipe.reader, b"y" * 900, size=900)
    page = show(render(analyze(build.trace()))).page
    cut = page.evaluate("M.cut.reduce((sum, one) => sum + one, 0)")
    assert cut == 8
    assert "Of 8 long payloads this page has the beginning; the recording has more." in page.inner_text("#count")


def test_the_heat_map_is_printed_in_light_colours(show):
    page = show(render(analyze(star_trace(100))), scheme="dark").page
    assert page.evaluate("folding")  # threads that share a row are painted, not drawn
    dark = page.evaluate("colours.nodata.join()")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.evaluate("drawing")
    light = page.evaluate("colours.nodata.join()")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.evaluate("drawing")
    assert light != dark == page.evaluate("colours.nodata.join()")
    page.click("#theme")
    page.evaluate("drawing")
    assert page.evaluate("colours.nodata.join()") == light


def test_members_that_wait_at_one_line_have_a_link_each(show):
    build = TraceBuilder()
    parent = build.process("ring.py")
    pipes = [build.pipe(parent) for _ in range(3)]
    line = build.site("/work/ring.py", 9, "os.read(fd, 32)")
    members = [build.fork(parent, keep=(pipes[k].reader, pipes[(k + 1) % 3].writer)) for k in range(3)]
    for pipe in pipes:
        build.close(parent, pipe.reader, pipe.writer)
    for member, pipe in zip(members, pipes, strict=True):
        build.begin(member, "os.read", fd=pipe.reader, channel=pipe.channel, size=32, site=line)
    build.after(50 * MS)
    build.look(2)
    page = show(render(analyze(build.trace(ended="deadlock", status=None)))).page
    links = page.evaluate("[...document.querySelectorAll('.lead a')].map(one => [one.textContent, one.hash])")
    assert links and all(words == "ring.py:9" for words, _ in links)
    assert len({place for _, place in links}) == len(links) == page.inner_text(".lead").count("ring.py:9")
    assert page.evaluate("[...document.querySelectorAll('.lead a')].every(one => document.querySelector(one.hash))")


def test_a_window_that_changes_its_width_leaves_the_open_table_alone(show):
    page = show(render(analyze(deadlock_trace()))).page
    page.evaluate("chooseTable('Channels')")
    page.set_viewport_size({"width": 800, "height": 900})
    until(page, "window.ipctrace.drawn.wide === plotWidth() && $('wrap').clientWidth < 800")
    page.wait_for_timeout(200)
    assert page.evaluate("tab") == "Channels"


def test_a_text_is_cut_in_its_middle_to_the_room_that_there_is(show):
    page = show(render(analyze(deadlock_trace()))).page
    cut = page.evaluate("fitted('many_processes 17', 80, '12px sans')")
    assert page.evaluate("text => widthOf(text, '12px sans')", cut) <= 80
    assert cut.startswith("many") and cut.endswith(" 17") and "…" in cut
    assert page.evaluate("fitted('short', 80, '12px sans')") == "short"
    assert page.evaluate("fitted('\\u{1F600}'.repeat(40), 80, '12px sans').isWellFormed()")
