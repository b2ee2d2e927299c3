# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The timeline in a real browser: marks, merged messages, all three bands of a strip, any zoom, any number of lanes."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render
from ipctrace.reports.run import Run

from .browser import browser, show  # noqa: F401
from .builders import MS, TraceBuilder, big_trace, deadlock_trace
from .hostile import HOSTILE, hostile_trace
from .test_browser import shape, until

pytestmark = pytest.mark.browser


def signals_trace():
    """A parent that sends its child SIGUSR1, which it handles, and SIGTERM, which ends it; and a task of its own."""
    build = TraceBuilder()
    parent = build.process("signals.py")
    child = build.fork(parent)
    build.after(5 * MS)
    pid = build.rows["processes"][build.process_of(child)]["pid"]
    build.call(parent, "os.kill", size=pid, extra=10, site=build.site("/work/signals.py", 3, "os.kill(pid, SIGUSR1)"))
    build.after(MS)
    build.call(child, "signal handler", size=10)
    build.task(parent, "Task-1")
    build.after(5 * MS)
    build.call(parent, "os.kill", size=pid, extra=15)
    build.after(MS)
    build.exit(child, status=-15)
    build.after(5 * MS)
    build.exit(parent, status=3)
    return build.trace()


def merged_trace(end=0):
    """Three writes that one read gets; `end`: ns at which it happens, of a run that is as long."""
    build = TraceBuilder()
    parent = build.process("merged.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.after(end + 4 * MS)
    for line in (b"one\n", b"two\n", b"three\n"):
        build.write(parent, pipe.writer, line)
        build.after(MS)
    build.read(child, pipe.reader, b"one\ntwo\nthree\n", size=4096)
    build.after(4 * MS)
    return build.trace()


def crowd_trace(processes, threads=1):
    build = TraceBuilder()
    parent = build.process("crowd.py")
    for _ in range(processes):
        child = build.fork(parent, program="worker.py")
        for number in range(1, threads):
            build.thread(build.process_of(child), f"thread-{number}")
        build.sleep(child, MS)
    build.after(5 * MS)
    return build.trace()


def words(page):
    """All marks in words, in order."""
    return page.evaluate("Array.from(K.time, (_, k) => markWords(k))")


def point(page, mark):
    """Where on the screen a mark's glyph is."""
    return page.evaluate(
        """mark => { const b = document.getElementById('plot').getBoundingClientRect(), row = G.lanes[K.lane[mark]];
                     return [b.left + X(K.time[mark]), b.top + TOP + row.bar - 8]; }""",
        mark,
    )


def test_signals_are_marks_in_words_with_an_arrow_to_the_lane_that_they_reach(show):
    opened = show(render(analyze(signals_trace())))
    page, said = opened.page, words(opened.page)
    assert [one for one in said if "sends SIGUSR1" in one and "to child, which gets it 1.0 ms later" in one]
    assert [one for one in said if "runs its handler of SIGUSR1" in one]
    assert "child is ended by SIGTERM, a request to end" in said
    assert "parent ends, exit status 3" in said
    assert [one for one in said if "makes the task" in one]
    assert shape(page, "signals").count("M") == 2
    assert shape(page, "signalheads").count("Z") == 2
    kill = next(k for k, one in enumerate(said) if "SIGUSR1" in one)
    page.locator("#timeline").scroll_into_view_if_needed()
    page.mouse.move(*point(page, kill))
    tip = page.inner_text("#tip.on")
    assert "sends SIGUSR1" in tip
    assert "signals.py:3" in tip
    assert opened.complaints == []


def test_a_fork_is_a_line_to_the_lane_that_it_began(show):
    page = show(render(analyze(signals_trace()))).page
    assert page.evaluate("[who(K.other[0]), K.arrived[0] === LANES[K.other[0]].started]") == ["child", True]
    assert shape(page, "forks").count("M") == 2  # and the task's


def test_several_writes_that_one_read_got_share_a_bracket(show):
    page = show(render(analyze(merged_trace()))).page
    assert shape(page, "arrows").count("M") == 3
    assert shape(page, "merged").count("M") == 1
    assert "3 writes, one read" in page.inner_text("#overlay")
    assert "one read got 3 writes" in page.evaluate("messageTip(0)")
    assert "several writes, one read" in page.inner_text("#legend")


def test_bytes_that_the_program_was_not_given_are_a_band_of_their_own(show):
    build = TraceBuilder()
    parent = build.process("lines.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    source = build.stream(build.process_of(child), "sys.stdin", pipe.reader, "r")
    build.write(parent, pipe.writer, b"one\ntwo\n")
    ends = {"stream": source, "fd": pipe.reader, "channel": pipe.channel}
    taking = build.begin(child, "stream.readline", size=-1, **ends)
    build.call(child, "raw.read", b"one\ntwo\n", size=8192, result=8, offset=0, **ends)
    build.end(taking, result=4)
    build.after(20 * MS)
    analysis = analyze(build.trace(ended="interrupted"))
    assert analysis.messages["received"].isna().all()
    opened = show(render(analysis))
    page = opened.page
    assert page.evaluate(f"fillAt({pipe.channel}, END)") == {"kernel": 0, "user": 0, "reader": 8}
    assert shape(page, "reader").count("M") == 1
    assert "8 B in the reader’s buffer" in page.inner_text("#gr")
    assert "bytes held in the reader’s buffer" in page.inner_text("#legend")
    assert "8 bytes in the reader’s buffer" in page.evaluate(f"stripTip({pipe.channel}, END)")


def test_a_strip_is_in_all_its_bands_what_the_messages_say(show):
    analysis = analyze(deadlock_trace())
    page = show(render(analysis)).page
    moments = sorted({*analysis.messages["accepted"].dropna().tolist(), *analysis.messages["read"].dropna().tolist()})
    for channel in set(analysis.messages["channel"]):
        mine = analysis.messages[analysis.messages["channel"] == channel]
        for t in moments:
            in_by = {name: mine.loc[(mine[name] <= t).fillna(False), "size"].sum() for name in ("accepted", "written", "read", "received")}
            fill = page.evaluate("([c, t]) => fillAt(c, t)", [channel, t])
            assert fill == {"user": in_by["accepted"] - in_by["written"], "kernel": in_by["written"] - in_by["read"],
                            "reader": in_by["read"] - in_by["received"]}  # fmt: skip


def test_where_a_messages_bytes_lie_comes_back_from_the_gaps(show):
    analysis = analyze(deadlock_trace())
    known = analysis.messages["first"].notna() & analysis.messages["written"].notna()
    page = show(render(analysis)).page
    there = page.evaluate("Object.fromEntries(Array.from(M.number, (number, i) => [number, M.first[i]]))")
    for number, first in analysis.messages.loc[known, ["message", "first"]].itertuples(index=False):
        assert there[str(number + 1)] == first


@pytest.mark.parametrize("length", [0, 3_600 * 10**9, 10 * 86_400 * 10**9], ids=["short", "an hour", "ten days"])
@pytest.mark.sample(1)
def test_a_microsecond_fills_the_width_wherever_it_lies(show, length):
    analysis = analyze(merged_trace(length))
    opened = show(render(analysis))
    page = opened.page
    first = int(analysis.messages["written"].iloc[0])
    page.evaluate(f"zoomTo({first} - 400, {first} + 600)")
    page.evaluate("drawing")
    begin, end = page.evaluate("view")
    assert end - begin == pytest.approx(1000, abs=1)
    # the arrow begins where its write ended: 40 % of the width
    drawn = page.evaluate("() => { const b = document.querySelector(`#plot path[data-index='${LAYERS.indexOf('arrows')}']`)"
                          ".getAttribute('d'); return +b.slice(1).split(',')[0]; }")  # fmt: skip
    assert drawn == pytest.approx(page.evaluate("plotWidth()") * 0.4, abs=1)
    ticks = page.locator("#plot .xtick text").all_text_contents()
    assert len(set(ticks)) == len(ticks) >= 4
    assert all(len(tick) < 14 for tick in ticks)
    numbers = page.evaluate(
        "LAYERS.map((_, i) => document.querySelector(`#plot path[data-index='${i}']`)?.getAttribute('d') ?? '').join(' ')"
    )
    places = [abs(float(part.split(",")[0])) for part in numbers.replace("Z", " ").replace("L", " ").replace("M", " ").split()]
    assert max(places) < 10_000  # nothing is drawn far outside: browsers draw with 24 bits
    page.evaluate(f"zoomTo({first}, {first} + 1)")
    page.evaluate("drawing")
    assert page.evaluate("view[1] - view[0]") == pytest.approx(50, abs=1)
    assert opened.complaints == []


def test_wheel_with_ctrl_zooms_and_alone_scrolls_the_page(show):
    page = show(render(analyze(deadlock_trace()))).page
    page.locator("#timeline").scroll_into_view_if_needed()
    box = page.locator("#plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 60)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    until(page, "view[1] - view[0] < END")
    under = page.evaluate("unX(plotWidth() / 4)")
    assert under == pytest.approx(page.evaluate("END / 4"), rel=0.02)
    held = page.evaluate("view")
    page.mouse.wheel(0, 50)
    assert page.evaluate("view") == held
    page.mouse.wheel(80, 0)
    until(page, f"view[0] > {held[0]}")


def test_comma_dot_and_shift_with_arrows_move_the_window(show):
    page = show(render(analyze(deadlock_trace()))).page
    page.evaluate("zoomTo(END * 0.4, END * 0.5)")
    now, begin = page.evaluate("[now, view[0]]")
    for key, way in ((".", 1), (",", -1), ("Shift+ArrowRight", 1), ("Shift+ArrowLeft", -1)):
        before = page.evaluate("view[0]")
        page.keyboard.press(key)
        assert (page.evaluate("view[0]") - before) * way > 0, key
    assert page.evaluate("view[0]") == pytest.approx(begin)
    assert page.evaluate("now") == now


def test_one_finger_moves_and_two_zoom(show):
    page = show(render(analyze(deadlock_trace())), width=400).page
    page.evaluate("zoomTo(END * 0.4, END * 0.6)")
    page.evaluate("drawing")
    page.locator("#timeline").scroll_into_view_if_needed()
    box = page.locator("#plot").bounding_box()
    screen = page.context.new_cdp_session(page)
    y = box["y"] + 60

    def touch(kind, *places):
        fingers = [{"x": box["x"] + x, "y": y, "id": number} for number, x in enumerate(places)]
        screen.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    begin, end = page.evaluate("view")
    touch("touchStart", 200)
    for x in (180, 140, 100):
        touch("touchMove", x)
    touch("touchEnd")
    until(page, f"view[0] > {begin} + ({end} - {begin}) * 0.2")
    assert page.evaluate("view[1] - view[0]") == pytest.approx(end - begin)
    touch("touchStart", 150, 250)
    for spread in (10, 30, 50):
        touch("touchMove", 150 - spread, 250 + spread)
    touch("touchEnd")
    until(page, f"view[1] - view[0] < ({end} - {begin}) * 0.6")


@pytest.mark.parametrize(("processes", "threads"), [(0, 1), (199, 1), (3, 70), (1000, 1)])
@pytest.mark.sample(2)
def test_above_eighty_lanes_rows_fold_and_open(show, processes, threads):
    analysis = analyze(crowd_trace(processes, threads))
    opened = show(render(analysis))
    page = opened.page
    lanes = len(Run(analysis).lanes)
    assert page.evaluate("LANES.length") == lanes
    assert opened.complaints == []
    if lanes <= 80:
        assert page.evaluate("G.rows.length") == lanes
        return
    assert page.evaluate("G.rows.length") <= 80
    assert page.evaluate("G.lanes.length") == lanes
    assert page.evaluate("!G.lanes[0].folded")  # the process that began it all
    assert re.search(r"\d of \d[\d,]* (run|wait|sleep)", page.inner_text("#gr"))
    button = page.locator("#gl [data-group]").first
    assert button.get_attribute("aria-expanded") == "false"
    assert "share" in page.inner_text("#form")
    folded = page.evaluate("G.rows.length")
    button.focus()
    page.keyboard.press("Enter")
    until(page, f"G.rows.length > {folded}")
    page.evaluate("drawing")
    assert page.locator("#gl [data-group]").first.get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.dataset.group !== undefined")


def test_a_run_of_thousands_of_channels_and_lines_opens_from_packed_lists(show):
    build = TraceBuilder()
    parent = build.process("many.py")
    pipes = [build.pipe(parent, build.site("/work/many.py", number, f"pipe {number}")) for number in range(1500)]
    child = build.fork(parent)
    build.write(parent, pipes[-1].writer, b"the last", site=1499)
    build.read(child, pipes[-1].reader, b"the last")
    opened = show(render(analyze(build.trace(ended="interrupted"))))
    page = opened.page
    assert {"channels", "sites"} <= set(page.evaluate("MODEL.long"))
    assert page.evaluate("[CHANNELS.length >= 1500, SITES[1499].line, place(M.write_site[0])]") == [True, 1499, "many.py:1499"]
    assert shape(page, "arrows").count("M") == 1
    assert opened.complaints == []


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize("trace", [deadlock_trace, hostile_trace, lambda: big_trace(4000)], ids=["deadlock", "hostile", "busy"])
@pytest.mark.sample(3)
def test_a_view_is_saved_as_a_file_that_needs_nothing_else(show, trace, kind, tmp_path):
    opened = show(render(analyze(trace())))
    with opened.page.expect_download() as download:
        opened.page.click(f"#save-{kind}")
    file = tmp_path / f"view.{kind}"
    download.value.save_as(file)
    assert download.value.suggested_filename.endswith(f"-timeline.{kind}")
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    if kind == "png":
        assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(file.read_bytes()) > 5000
        return
    text = file.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert "var(" not in text
    assert HOSTILE not in text
    assert "url('#p-" in text and 'id="p-run"' in text
    assert "<script" not in text.lower() and "href=\"http" not in text


def test_on_paper_the_timeline_is_the_whole_run_without_tools(show):
    page = show(render(analyze(deadlock_trace()))).page
    page.evaluate("zoomTo(END * 0.4, END * 0.41)")
    page.evaluate("drawing")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    until(page, "view[0] === 0 && view[1] === END && window.ipctrace.drawn.wide < 800")
    assert not page.locator("#timeline .tools").is_visible()
    assert page.evaluate("$('wrap').getBoundingClientRect().right <= innerWidth")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    until(page, "view[0] > 0")
