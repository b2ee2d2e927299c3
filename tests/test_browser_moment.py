# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The panel at the cursor's time, in a real browser: at any instant it shows what the analysis says of that instant."""

import re
from itertools import pairwise

import pandas as pd
import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render
from ipctrace.reports.run import Run

from .browser import browser, show  # noqa: F401
from .builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace
from .hostile import hostile_trace
from .test_browser import until
from .test_page import ring_trace

pytestmark = pytest.mark.browser


def star_trace(workers=20):
    """A process that lets all its workers wait for it, and then gives each a job, one after the other."""
    build = TraceBuilder()
    first = build.process("star.py")
    pipes = [build.pipe(first) for _ in range(workers)]
    line = build.site("/work/star.py", 12, "    data = os.read(fd, 32)")
    children = [build.fork(first, program="worker.py", keep=(pipe.reader,)) for pipe in pipes]
    waits = [
        build.begin(child, "os.read", fd=pipe.reader, size=32, site=line)
        for child, pipe in zip(children, pipes, strict=True)
    ]
    build.after(5 * MS)
    for number, (wait, pipe) in enumerate(zip(waits, pipes, strict=True)):
        build.write(first, pipe.writer, f"job {number}\n".encode())
        build.end(wait, data=f"job {number}\n".encode())
        build.after(MS)
    return build.trace()


def buffered_trace():
    """Three lines go into a buffer, are flushed as one, lie in the pipe, and are read into a buffer, line by line."""
    build = TraceBuilder()
    parent = build.process("lines.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    out = build.stream(build.process_of(parent), "pipe", pipe.writer)
    source = build.stream(build.process_of(child), "lines", pipe.reader, "r")
    said = [build.site("/work/lines.py", 5 + k, f"    out.write(line{k})") for k in range(3)]
    heard = build.site("/work/lines.py", 20, "    line = source.readline()")
    for k in range(3):
        build.accept(parent, out, f"line {k}\n".encode(), said[k])
        build.after(MS)
    build.flush(parent, out)
    build.after(2 * MS)
    line, read = build.begin_readline(child, source, heard)
    build.end(read, b"line 0\nline 1\nline 2\n")
    build.end(line, result=7)
    for _ in range(2):
        build.after(MS)
        build.call(child, "stream.readline", stream=source, size=-1, result=7, site=heard)
    build.after(MS)
    build.exit(child)
    build.exit(parent)
    return build.trace()


TRACES = (deadlock_trace, completed_trace, star_trace, buffered_trace, lambda: ring_trace(5))
NAMES = ("deadlock", "completed", "star", "buffered", "ring")


def instants(analysis, most=24):
    """Moments at which something changes, and moments between them."""
    waits, messages = analysis.blocking, analysis.messages
    columns = [waits["begin"], waits["end"], *(messages[name] for name in ("accepted", "written", "read", "received"))]
    changes = sorted({int(time) for column in columns for time in column.dropna()})
    between = [(a + b) // 2 for a, b in pairwise(changes) if b > a + 1]
    times = sorted({*changes, *between})
    return times[:: max(1, len(times) // most)]


def waiting(analysis, time):
    """The rows of blocking that are waits at a time: of threads that live."""
    rows = analysis.blocking
    ended = rows["thread"].map(analysis.trace.threads.set_index("thread")["ended"])
    lives = ended.isna() | (ended >= time)
    return rows[(rows["begin"] <= time) & ((time < rows["end"]) | rows["open"]) & lives]


def edges(run, rows):
    """(lane that waits, lane that it waits for): who ended it; of one that never ended, whom the graph says."""
    graph, lane = run.graph, run.lane_of_thread
    found = set()
    for row in rows.itertuples():
        known = [
            run.lane_of(graph.waiters[edge.holder])
            for edge in (graph.edges if graph and row.open else ())
            if graph.waiters[edge.waiter].thread == row.thread
        ]
        by = [lane[row.by]] if not known and pd.notna(row.by) else []
        found |= {(lane[row.thread], one) for one in (*known, *by)}
    return found


def contents(analysis, time):
    """(channel, place) → the numbers of the messages whose bytes lie there at a time, the oldest first."""
    found = {}
    for row in analysis.messages.itertuples():
        begin = row.accepted if pd.notna(row.accepted) else row.written
        stages = [("writer", begin, row.written), ("kernel", row.written, row.read), ("reader", row.read, row.received)]
        for place, since, until_ in stages:
            if pd.notna(since) and since <= time and (pd.isna(until_) or time < until_):
                found.setdefault((int(row.channel), place), []).append(int(row.message) + 1)
    return found


def go(page, time):
    page.evaluate(f"go({time})")
    page.evaluate("drawing")


@pytest.mark.parametrize("make", TRACES, ids=NAMES)
@pytest.mark.sample(2)
def test_the_waits_shown_are_the_waits_of_that_instant(show, make):
    analysis = analyze(make())
    run, page = Run(analysis), show(render(analysis)).page
    for time in instants(analysis):
        go(page, time)
        expected = waiting(analysis, time)
        shown = page.evaluate("waitsAt(now).map(wait => [wait.lane, W.begin[wait.row], wait.reason])")
        lanes = run.lane_of_thread
        assert sorted(map(tuple, shown)) == sorted(
            (lanes[row.thread], row.begin, row.reason) for row in expected.itertuples()
        ), time
        told = dict(
            page.evaluate(
                "[...document.querySelectorAll('#moment-where li')].map(li => [+li.dataset.lane, li.innerText])"
            )
        )
        for row in expected.itertuples():
            assert "sleeps" in told[lanes[row.thread]] or "waits" in told[lanes[row.thread]]


@pytest.mark.parametrize("make", TRACES, ids=NAMES)
@pytest.mark.sample(2)
def test_an_edge_leads_to_whoever_ends_the_wait(show, make):
    analysis = analyze(make())
    run, page = Run(analysis), show(render(analysis)).page
    for time in instants(analysis):
        go(page, time)
        expected = edges(run, waiting(analysis, time))
        assert {
            tuple(edge)
            for edge in page.evaluate("waitsAt(now).flatMap(wait => wait.to.map(one => [wait.lane, one.lane]))")
        } == expected
        drawn = {
            tuple(edge)
            for edge in page.evaluate(
                "[...document.querySelectorAll('#moment-graph .edge')].map(e => [+e.dataset.from, +e.dataset.to])"
            )
        }
        nodes = set(page.evaluate("[...document.querySelectorAll('#moment-graph .card')].map(e => +e.dataset.lane)"))
        assert drawn == {(a, b) for a, b in expected if a in nodes and b in nodes}
        if len({lane for edge in expected for lane in edge}) <= 12:
            assert drawn == expected


@pytest.mark.parametrize("make", TRACES, ids=NAMES)
@pytest.mark.sample(2)
def test_the_channels_hold_what_the_messages_say(show, make):
    analysis = analyze(make())
    page = show(render(analysis)).page
    for time in instants(analysis):
        go(page, time)
        expected = contents(analysis, time)
        got = page.evaluate(
            """CHANNELS.flatMap((_, channel) => Object.entries(contentsAt(channel, now)).filter(([, { count }]) => count)
                .map(([place, { rows, count, bytes }]) => [channel, place, rows.map(i => M.number[i]), count, bytes]))"""
        )
        sizes = dict(zip(analysis.messages["message"] + 1, analysis.messages["size"], strict=True))
        assert {(channel, place): (rows, many, size) for channel, place, rows, many, size in got} == {
            key: (rows[:4], len(rows), sum(sizes[row] for row in rows)) for key, rows in expected.items()
        }, time
        for (channel, place), rows in expected.items():
            shown = page.evaluate(
                f"[...document.querySelectorAll('#moment-channels [data-channel=\"{channel}\"] .hold.{place} .seg')].map(e => M.number[e.dataset.message])"
            )
            assert shown == rows[:4][::-1]  # as they go: the next to leave at the right


def test_bytes_pass_through_all_three_places(show):
    analysis = analyze(buffered_trace())
    places = {place for time in instants(analysis, 99) for _, place in contents(analysis, time)}
    assert places == {"writer", "kernel", "reader"}


def test_red_is_only_the_knot_and_only_once_it_has_closed(show):
    analysis = analyze(deadlock_trace())
    page = show(render(analysis)).page
    go(page, analysis.graph.formed - 1)
    assert page.locator("#moment-panel .knot").count() == 0
    go(page, analysis.graph.formed)
    assert page.locator("#moment-graph .card.knot").count() == 2
    assert page.locator("#moment-graph .edge.knot").count() == 2
    assert "holds 26 B" in page.inner_text("#moment-graph")
    assert "26 B Hello 2 from parent" in page.inner_text("#moment-channels .hold.writer").replace("\n", " ")


def test_every_card_hatches_its_reason(show):
    analysis = analyze(deadlock_trace())
    page = show(render(analysis)).page
    go(page, analysis.graph.formed)
    assert page.locator("#moment-graph .card rect[fill='url(#p-nodata)']").count() == 2


def test_who_runs_is_told_with_the_line_where_it_was_last_seen(show):
    analysis = analyze(deadlock_trace())
    page = show(render(analysis)).page
    message = analysis.messages.iloc[0]
    go(page, int(message["written"]) + 1)
    assert re.search(r"deadlock\.py:\d+", page.inner_text("#moment-where li:first-child"))
    go(page, int(analysis.graph.formed))
    assert "sys.stdin.readline()" in page.inner_text("#moment-where li:first-child")
    assert "deadlock.py:42 answer = sys.stdin.readline()" in page.inner_text("#moment-where li:first-child").replace(
        "\n", " "
    )


@pytest.mark.parametrize("members", [2, 3, 5, 12])
@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.sample(4)
def test_no_card_lies_on_another_and_none_leaves_the_picture(show, members, width):
    page = show(render(analyze(ring_trace(members))), width=width).page
    whole = page.locator("#moment-graph svg").bounding_box()
    cards = page.evaluate(
        "[...document.querySelectorAll('#moment-graph .card .box')].map(e => { const b = e.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; })"
    )
    assert len(cards) == members
    assert all(x0 >= 0 and y0 >= 0 and x1 <= whole["width"] and y1 <= whole["height"] for x0, y0, x1, y1 in cards)
    for k, (ax0, ay0, ax1, ay1) in enumerate(cards):
        assert not any(ax0 < bx1 and bx0 < ax1 and ay0 < by1 and by0 < ay1 for bx0, by0, bx1, by1 in cards[k + 1 :])
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_of_many_threads_those_that_matter_are_drawn_and_the_rest_is_told(show):
    page = show(render(analyze(star_trace(40)))).page
    go(page, 4 * MS)
    assert page.locator("#moment-graph .card").count() == 12
    assert page.locator("#moment-graph .card[data-lane='0']").count() == 1  # whom all the others wait for
    assert "29 more threads of these" in page.inner_text("#moment-graph")
    assert page.locator("#moment-channels .channel").count() == 8
    assert "32 more channels are empty" in page.inner_text("#moment-channels")


def test_a_click_on_bytes_opens_their_message(show):
    analysis = analyze(deadlock_trace())
    page = show(render(analysis)).page
    go(page, int(analysis.messages.iloc[0]["written"]) + 1)
    page.evaluate("pick(1)")
    page.click("#moment-channels .seg.kernel >> nth=0")
    assert page.evaluate("picked") == 0
    assert page.locator("#moment-channels .seg[aria-pressed=true]").count() == 1
    assert page.evaluate("document.activeElement.dataset.message") == "0"


def test_brackets_step_along_the_open_message_and_then_along_its_channel(show):
    analysis = analyze(buffered_trace())
    page = show(render(analysis)).page
    message = analysis.messages.iloc[1]
    stages = [int(message[name]) for name in ("accepted", "written", "read", "received")]
    page.evaluate("pick(1)")
    go(page, stages[0])
    for key, expected in (("]", stages[1:]), ("[", stages[-2::-1])):
        for time in expected:
            page.keyboard.press(key)
            assert page.evaluate("now") == time
    everything = sorted(
        {int(time) for name in ("accepted", "written", "read", "received") for time in analysis.messages[name]}
    )
    page.keyboard.press("[")  # before it was put in: what happened to its channel before
    assert page.evaluate("now") == everything[everything.index(stages[0]) - 1]
    go(page, stages[-1])
    page.click("#along")
    assert page.evaluate("now") == everything[everything.index(stages[-1]) + 1]
    page.click("#back")
    assert page.evaluate("now") == stages[-1]


def test_play_goes_from_event_to_event_where_there_is_no_story(show):
    page = show(render(analyze(completed_trace()))).page
    go(page, 0)
    assert page.locator("#story").count() == 0
    page.click("#play")
    until(page, "now > 0")
    first = page.evaluate("now")
    until(page, f"now > {first}")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Play"


def test_the_situation_is_read_out_but_not_at_every_step(show):
    analysis = analyze(deadlock_trace())
    page = show(render(analysis)).page
    until(page, "$('moment-said').textContent")
    page.evaluate(
        """() => { window.said = 0; new MutationObserver(() => window.said++).observe($('moment-said'), { childList: true });
                   for (let k = 1; k < 20; k++) go(END * k / 20); }"""
    )
    until(page, "window.said")
    assert page.evaluate("window.said") == 1
    assert page.inner_text("#moment-said").startswith("At ")
    assert page.get_attribute("#moment-said", "aria-live") == "polite"


def test_hostile_text_stays_text_in_the_panel(show):
    opened = show(render(analyze(hostile_trace())))
    page = opened.page
    for k in range(10):
        page.evaluate(f"go(END * {k} / 10)")
    assert opened.complaints == []
    assert page.locator("#moment-panel img, #moment-panel script").count() == 0


def test_a_step_is_quick_with_many_messages(show):
    page = show(render(analyze(big_trace(60_000)))).page
    page.evaluate("go(END / 3)")  # what is made once is made here
    took = page.evaluate(
        "Array.from({ length: 41 }, (_, k) => { go(END * (k + 0.5) / 41); return window.ipctrace.moment; }).sort((a, b) => a - b)[20]"
    )
    assert took < 50


def test_the_panel_is_printed_whole(show):
    analysis = analyze(star_trace(30))
    page = show(render(analysis)).page
    go(page, 4 * MS)
    page.emulate_media(media="print")
    assert page.evaluate("$('moment-where').scrollHeight <= $('moment-where').clientHeight + 1")


def behind_trace():
    """Two wait for each other; a third waits for one of them, a fourth for the third; a thread beside them runs."""
    build = TraceBuilder()
    first = build.process("knot.py")
    pipes = [build.pipe(first) for _ in range(4)]
    second = build.fork(first, keep=(pipes[1].reader, pipes[0].writer, pipes[2].writer))
    third = build.fork(first, program="behind.py", keep=(pipes[2].reader, pipes[3].writer))
    fourth = build.fork(first, program="last.py", keep=(pipes[3].reader,))
    build.thread(build.process_of(first), "logger")
    keep = {pipes[0].reader, pipes[1].writer}
    build.close(first, *sorted({end for pipe in pipes for end in (pipe.reader, pipe.writer)} - keep))
    for thread, pipe in zip((first, second, third, fourth), pipes, strict=True):
        build.begin(thread, "os.read", fd=pipe.reader, channel=pipe.channel, size=32)
    build.after(50 * MS)
    build.look(2)
    return build.trace(ended="deadlock", status=None)


def test_who_waits_behind_the_knot_is_grey_and_who_runs_is_told(show):
    analysis = analyze(behind_trace())
    page = show(render(analysis)).page
    go(page, analysis.graph.time)
    run = Run(analysis)
    roles = {
        role: {run.lane_of(one) for one in analysis.graph.waiters if one.role == role}
        for role in ("core", "victim", "bystander")
    }
    lanes = "style => [...document.querySelectorAll(`#moment-graph .card.${style}`)].map(e => +e.dataset.lane)"
    assert set(page.evaluate(lanes, "knot")) == roles["core"]
    assert set(page.evaluate(lanes, "behind")) == roles["victim"]
    assert len(roles["victim"]) == 2
    for lane in roles["bystander"]:
        assert f"{page.evaluate(f'who({lane})')} runs" in page.inner_text("#moment-graph")


def test_who_is_not_traced_waits_as_it_was_seen_from_outside(show):
    build = TraceBuilder()
    parent = build.process("ask.py")
    down, up = build.pipe(parent), build.pipe(parent)
    awk = build.fork(
        parent, "awk", traced=False, op="fork_exec", keep=(down.reader, up.writer), syscall="read", fd=down.reader
    )
    build.close(parent, down.reader, up.writer)
    build.after(MS)
    seen = []
    for _ in range(3):
        seen.append(build.now)
        build.sample(awk)
        build.after(5 * MS)
    analysis = analyze(build.trace(ended="duration"))
    (interval,) = analysis.sampled.to_dict("records")
    page = show(render(analysis)).page
    lane = Run(analysis).lane_of_process[build.process_of(awk)]
    said = f"document.querySelector('#moment-where li[data-lane=\"{lane}\"]').innerText"
    go(page, seen[0] - MS // 2)
    assert "not traced" in page.evaluate(said)
    go(page, (interval["begin"] + interval["end"]) // 2)
    assert "waits for data" in page.evaluate(said)
    assert "seen from outside" in page.evaluate(said)
