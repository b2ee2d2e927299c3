# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The message inspector in a real browser: what it says of a message is what the analysis says."""

import sys

import pandas as pd
import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.messages import stages
from ipctrace.analysis.run import Run
from ipctrace.reports.page import render

from .browser import browser, show  # noqa: F401
from .builders import MS, TraceBuilder, completed_trace, deadlock_trace
from .hostile import hostile_trace
from .test_browser import over, until

pytestmark = pytest.mark.browser


def read_by_lines(build, thread, stream, whole, lines, site=None):
    """One read gets `whole`; the program takes it line by line, a millisecond apart, the first within the read."""
    build.end_line(build.begin_readline(thread, stream, site), whole)
    build.rows["events"][-2]["result"] = len(lines[0])
    for line in lines[1:]:
        build.after(MS)
        build.call(thread, "stream.readline", stream=stream, size=-1, result=len(line), site=site)


def talk():
    """Prints flushed at once and read at once, a print that leaves by two writes and is read by three, a plain write.

    Messages 1, 2: "one⏎", "two⏎", flushed together, read together, taken line by line; 3: 10 bytes, split; 4: plain;
    5, 6: two writes that one read gets; and 7, the answer.
    """
    build = TraceBuilder()
    parent = build.process("talk.py")
    down, up = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    out = build.stream(0, "sys.stdout", down.writer)
    source = build.stream(1, "sys.stdin", down.reader, "r")
    say = build.site("/work/talk.py", 3, "print(line)")
    flush = build.site("/work/talk.py", 4, "sys.stdout.flush()")
    hear = build.site("/work/child.py", 7, "line = sys.stdin.readline()")
    build.print(parent, out, "one", say)
    build.print(parent, out, "two", say)
    build.after(3 * MS)
    build.flush(parent, out, flush)
    build.after(MS)
    read_by_lines(build, child, source, b"one\ntwo\n", [b"one\n", b"two\n"], hear)
    begun = build.accept(parent, out, b"0123456789", say)
    for part in (b"0123", b"456789"):  # the kernel took less than was asked
        build.call(
            parent,
            "raw.write",
            part,
            stream=out,
            offset=8 + b"0123456789".index(part),
            size=len(part),
            result=len(part),
            site=flush,
        )
    build.after(MS)
    for part in (b"01", b"2345", b"6789"):
        build.read(child, down.reader, part, 4, hear)
    build.write(parent, down.writer, b"plain", say)
    build.read(child, down.reader, b"plain", 32, hear)
    for data in (b"five", b"six"):
        build.write(parent, down.writer, data, say)
    build.read(child, down.reader, b"fivesix", 32, hear)
    build.write(child, up.writer, b"answer", hear)
    build.read(parent, up.reader, b"answer", 32, say)
    assert begun
    return build.trace()


def race():
    """Two write to one pipe that nothing orders; the reader gets both."""
    build = TraceBuilder()
    parent = build.process("race.py")
    pipe = build.pipe(parent)
    children = [build.fork(parent) for _ in range(2)]
    lines = [build.site("/work/race.py", 10 + k, f"os.write(out, b'{k}')") for k in range(2)]
    for k, child in enumerate(children):
        build.write(child, pipe.writer, b"%d" % k, lines[k])
    for k in range(2):
        build.read(parent, pipe.reader, b"%d" % k)
    return build.trace()


def queue(text=b""):
    """A queue between two threads; of its items the bytes are kept only where they are text or bytes."""
    build = TraceBuilder()
    parent = build.process("queue.py")
    worker = build.thread(0, "worker")
    items = build.object(0, "queue")
    for _ in range(2):
        build.call(parent, "Queue.put", text or None, channel=items)
    for _ in range(2):
        build.after(MS)
        got = build.begin(worker, "Queue.get", channel=items)
        build.end(got)
        if text:
            build.rows["payloads"].append({"event": got, "data": text})
    return build.trace()


def datagram(sent=b"spam", got=b"spam"):
    build = TraceBuilder()
    parent = build.process("datagrams.py")
    child = build.fork(parent)
    one, two = build.datagram_socket(parent, "127.0.0.1:4000"), build.datagram_socket(child, "127.0.0.1:4001")
    build.call(parent, "socket.sendto", sent, fd=one.writer, size=len(sent), result=len(sent), address="127.0.0.1:4001")
    build.after(MS)
    reading = build.begin(child, "socket.recvfrom", fd=two.reader, size=len(got))
    build.end(reading, got, address="127.0.0.1:4000")
    return build.trace()


def opened(show, trace, row=None, **how):
    """(page, analysis) with message `row` opened, as its text."""
    analysis = analyze(trace)
    whole = show(render(analysis), **how)
    if row is not None:
        whole.page.evaluate("row => pick(row)", row)
    return whole.page, analysis


def text(page):
    return page.inner_text("#inspect")


# ---- what it is, and how it is opened ------------------------------------------------------------------------------------


def test_a_click_on_an_arrow_opens_that_message(show):
    page, _ = opened(show, completed_trace())
    page.locator("#timeline").scroll_into_view_if_needed()
    for row in (2, 0, 1):
        over(page, row)
        page.mouse.down()
        page.mouse.up()
        until(page, f"picked === {row}")
        assert f"Message {row + 1} ·" in text(page)
        page.evaluate("drawing")


def test_the_call_that_handed_it_over_and_the_one_that_got_it_are_named(show):
    page, _ = opened(show, completed_trace(), 0)
    assert "print() → input()" in page.inner_text("#inspect .ops")
    assert "Handed over at" in text(page) and "pipes.py:37" in text(page)
    assert "pipes_test_child.py:10" in text(page)


def test_whoever_listens_hears_which_message_was_opened(show):
    page, _ = opened(show, talk())
    page.evaluate("window.heard = []; heed('message', () => window.heard.push(picked)); pick(2); walk(1)")
    assert page.evaluate("window.heard") == [2, 3]
    assert page.inner_text("#opened") == page.inner_text("#msg-h")


# ---- its time in the three places -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [talk, completed_trace, deadlock_trace, race, datagram, queue])
@pytest.mark.sample(2)
def test_the_time_in_each_place_is_the_analysis_own(show, trace):
    page, analysis = opened(show, trace())
    expected = stages(analysis.messages)
    for column, name in (("carried", "transit"), ("unread", "unread")):
        found = page.evaluate(f"Array.from(M.{name}, v => has(v) ? v : null)")
        assert found == [None if pd.isna(value) else value for value in expected[column]]
    held = page.evaluate("Array.from(M.held, v => has(v) ? v : null)")
    told = expected["buffered"].where(analysis.messages["accepted"].notna() | analysis.messages["written"].isna(), 0)
    assert held == [None if pd.isna(value) else value for value in told]


def test_all_three_places_are_told_and_drawn(show):
    page, _ = opened(show, talk(), 1)  # "two": flushed after 3 ms, read after 1, taken 1 later
    legend = page.inner_text("#inspect .lk >> nth=0")
    for place in ("the writer’s buffer 3.1 ms", "pipe A 1.0 ms", "the reader’s buffer 1.0 ms"):
        assert place in legend
    assert page.locator("#inspect .lat i").count() == 3
    assert "Taken from its buffer at" not in text(page)  # the same line read it and took it


def test_bytes_that_lie_in_their_readers_buffer_are_said_to(show):
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    source = build.stream(1, "sys.stdin", pipe.reader, "r")
    for line in (b"one\n", b"two\n"):
        build.write(parent, pipe.writer, line)
    read_by_lines(build, child, source, b"one\ntwo\n", [b"one\n"])
    page, analysis = opened(show, build.trace(ended="duration"), 1)
    assert pd.isna(analysis.messages["received"][1])
    assert "not all taken from its buffer" in page.inner_text("#msg-h")
    assert "the program never asked for that" in text(page)
    assert "and counting" in page.inner_text("#inspect .lk >> nth=0")


# ---- its pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [talk, completed_trace, deadlock_trace, race, datagram])
@pytest.mark.sample(2)
def test_pieces_in_the_page_are_those_of_the_analysis(show, trace):
    """Those of what was split or merged; the others are one write and one read each."""
    page, analysis = opened(show, trace())
    events = analysis.trace.events
    for row, message in enumerate(analysis.messages["message"]):
        own = analysis.pieces[analysis.pieces["message"] == message]
        found = page.evaluate("""i => piecesOf(i).map(p => [p.from, p.to, p.write < 0 ? null : C.begin[p.write], p.read < 0 ? null : C.begin[p.read]])""", row)  # fmt: skip
        enter = [
            [None if pd.isna(event) else int(events["enter"][event]) for event in own[side]]
            for side in ("write_event", "read_event")
        ]
        expected = [list(piece) for piece in zip(own["begin"], own["end"], *enter, strict=True)]
        shared = any(
            (analysis.pieces[side] == event).sum() > 1
            for side in ("write_event", "read_event")
            for event in own[side].dropna()
        )
        assert found == (expected if len(own) > 1 or shared else [])


def test_a_split_message_says_which_write_and_which_read_moved_which_bytes(show):
    page, analysis = opened(show, talk(), 2)
    rows = page.locator("#inspect .pieces tbody tr").all_inner_texts()
    own = analysis.pieces[analysis.pieces["message"] == 2]
    assert [row.split("\t")[0] for row in rows] == [
        f"[{a}, {b})" for a, b in zip(own["begin"], own["end"], strict=True)
    ]
    assert [row.split("\t")[0] for row in rows] == ["[0, 2)", "[2, 4)", "[4, 6)", "[6, 10)"]
    assert "write(4) talk.py:4" in rows[0] and "child.py:7" in rows[0]
    assert "same write" in rows[1] and "same read" in rows[2] and "same write" in rows[3]
    assert "2 writes · read in 3 pieces" in text(page)
    assert page.locator("#inspect .tag >> text=split").count() == 1


def test_a_plain_message_has_no_table_of_pieces(show):
    page, _ = opened(show, talk(), 3)
    assert "one write, one read: nothing merged or split" in text(page)
    assert page.locator("#inspect .pieces").count() == 0


def test_what_it_was_flushed_and_read_with_is_a_click_away(show):
    page, _ = opened(show, talk(), 0)
    near = page.inner_text("#inspect .near")
    assert "Flushed together with" in near and "Read together with" in near
    assert page.locator("#inspect .tag").all_inner_texts() == ["flushed with others"]
    page.click("#inspect .near [data-message='1'] >> nth=0")
    until(page, "picked === 1")
    assert "Message 2 ·" in text(page)
    assert page.evaluate("document.activeElement.id") == "msg-h"
    assert page.evaluate("now === M.begin[1]")


def test_writes_that_one_read_got_are_merged(show):
    page, analysis = opened(show, talk(), 4)
    assert analysis.messages.index[analysis.messages["merged"]].tolist() == [2, 4, 5]  # one read got both writes of 3
    assert page.locator("#inspect .tag").all_inner_texts() == ["merged"]
    assert " ".join(page.inner_text("#inspect .near").split()) == "Read together with 6 · 3 B"
    assert "a read got it together with 1 other message" in text(page)


# ---- before and after ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [talk, completed_trace, deadlock_trace, race])
@pytest.mark.sample(2)
def test_what_led_to_a_message_happened_before_it(show, trace):
    page, analysis = opened(show, trace())
    table, causality = analysis.messages, Run(analysis.trace).causality
    thread = analysis.trace.events["thread"]
    begun = table["accept_event"].fillna(table["write_event"])
    for row in table.itertuples():
        heard = table[
            table["receive_event"].map(thread).eq(row.writer)
            & table["received"].le(row.accepted if pd.notna(row.accepted) else row.written)
        ]
        cause = page.evaluate("i => causeOf(i)", row.Index)
        assert cause == (-1 if heard.empty else heard.sort_values("received", kind="stable").index[-1])
        if cause >= 0:
            assert causality.happens_before(int(table["receive_event"][cause]), int(begun[row.Index]))
        effect = page.evaluate("i => effectOf(i)", row.Index)
        if effect >= 0:
            assert causality.happens_before(int(row.receive_event), int(begun[effect]))
            assert table["writer"][effect] == thread[row.receive_event]


def test_the_chain_is_told_and_each_link_opens(show):
    page, _ = opened(show, completed_trace(), 1)
    assert (
        page.locator("#inspect .chain").inner_text().replace("\xa0", " ")
        == "1 · parent → 2 · child → 3 · parent → 4 · child"
    )
    page.click("#inspect .chain [data-message='3']")
    until(page, "picked === 3")
    assert "Nothing: its reader neither sent, received nor waited any more." in text(page)


def test_its_neighbours_in_its_threads_are_told(show):
    page, _ = opened(show, completed_trace(), 1)
    before, after = page.locator("#inspect .deeds").all_inner_texts()
    assert before.splitlines()[0].startswith("sleeps 300 ms")
    assert "received 1 · 26 B" in before
    assert "sent 3 · 26 B" in after and "received 4" in after
    page.click("#inspect .deeds [data-wait]")
    assert page.evaluate("now === W.begin[+document.querySelector('#inspect .deeds [data-wait]').dataset.wait]")


# ---- whether it raced --------------------------------------------------------------------------------------------------------


def test_a_message_that_raced_tells_both_orders(show):
    page, analysis = opened(show, race(), 0)
    assert analysis.races["kind"].tolist() == ["send"]
    said = page.inner_text("#inspect .race")
    names = [analysis.names[thread] for thread in analysis.races.iloc[0][["first_thread", "second_thread"]]]
    assert (
        f"It could also have come after message 2 of {names[1]}: nothing in the program orders the two."
        in said.replace("\n", " ")
    )
    assert f"{names[0]} at race.py:10, {names[1]} at race.py:11" in said
    orders = page.locator("#inspect .orders dd").all_inner_texts()
    assert [order.replace("\n", " ") for order in orders] == [
        f"1 of {names[0]} → 2 of {names[1]}",
        f"2 of {names[1]} → 1 of {names[0]}",
    ]
    page.click("#inspect .race [data-message='1'] >> nth=0")
    until(page, "picked === 1")
    assert "It could also have come before message 1" in text(page)


@pytest.mark.parametrize("trace", [talk, completed_trace, deadlock_trace, race, datagram])
@pytest.mark.sample(2)
def test_which_messages_raced_is_what_the_analysis_says(show, trace):
    page, analysis = opened(show, trace())
    told = {
        message
        for race in analysis.races.itertuples()
        for event in (race.first, race.second)
        for message in analysis.pieces.loc[
            analysis.pieces["write_event" if race.kind == "send" else "read_event"] == event, "message"
        ]
    }
    assert set(page.evaluate("[...M.size.keys()].filter(i => racesOf(i).length)")) == told


def test_a_message_that_did_not_race_says_so(show):
    page, _ = opened(show, completed_trace(), 0)
    assert "It did not race: the program orders it and its neighbours on pipe A." in text(page)


# ---- those that are different --------------------------------------------------------------------------------------------------


def test_bytes_that_never_left_are_told_with_the_line_that_did_not_flush(show):
    page, analysis = opened(show, deadlock_trace(), 2)
    assert pd.isna(analysis.messages["written"][2])
    said = text(page)
    assert "26 bytes that never left parent" in said
    assert "What waits for it waits for ever." in said
    assert "Not flushed before" in said and "deadlock.py:42" in said
    assert "and counting" in said and "pipe A: never reached · the reader’s buffer: never reached" in said
    assert "It never left its writer, so it raced with nothing." in said


def test_a_write_that_has_not_returned_is_under_way_and_not_in_a_buffer(show):
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.after(5 * MS)
    build.begin(parent, "os.write", b"x" * 100, fd=pipe.writer, size=100_000)
    build.read(child, pipe.reader, b"x" * 60)
    page, analysis = opened(show, build.trace(ended="duration"), 0)
    said = text(page)
    assert "100,000 bytes that parent is still writing" in said
    assert "60 of its bytes were read" in said
    assert page.evaluate("M.begin[0]") == analysis.trace.events["enter"][analysis.messages["write_event"][0]]
    assert page.locator("#inspect .pieces tbody tr").all_inner_texts()[1].endswith("nobody")


def test_a_datagram_is_whole_and_has_no_place_in_a_stream(show):
    page, _ = opened(show, datagram(), 0)
    assert "A datagram of 4 bytes" in page.inner_text("#msg-h")
    assert "A datagram comes whole or not at all" in text(page)
    assert "socket.sendto() → socket.recvfrom(" in text(page)


def test_a_datagram_that_was_cut_tells_what_was_lost(show):
    page, analysis = opened(show, datagram(b"spam and eggs", b"spam"), 0)
    assert analysis.messages["lost"][0] == 9
    assert "9 bytes of it were cut off: the receiver asked for fewer." in text(page)
    assert page.locator("#inspect .tag >> text=lost bytes").count() == 1
    assert page.locator("#inspect .pieces tbody tr").all_inner_texts()[1].startswith("[4, 13)")


def test_an_item_of_a_queue_has_no_bytes_and_says_so(show):
    page, analysis = opened(show, queue(), 1)
    assert analysis.messages["size"].tolist() == [0, 0]
    assert "An item of a queue, " in page.inner_text("#msg-h")
    assert "0 bytes" not in text(page)
    assert "it has no bytes" in text(page)
    assert bool(analysis.messages["ambiguous"][1])
    assert "Which item this get got is not certain" in text(page)


def test_an_item_that_is_text_is_shown(show):
    page, _ = opened(show, queue(b"order 1"), 0)
    assert "order 1" in page.inner_text("#inspect .dump .text")


def test_an_end_that_is_not_traced_is_not_guessed_at(show):
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.fork(parent, program="sort", traced=False, keep=(pipe.reader,), syscall="read", fd=pipe.reader)
    build.write(parent, pipe.writer, b"b\na\n")
    build.close(parent, pipe.reader)
    build.look(2)
    page, analysis = opened(show, build.trace(ended="duration"), 0)
    said = text(page)
    assert pd.isna(analysis.messages["reader"][0])
    assert "Its reader is not traced: how long it was under way is not known." in said
    assert "Its reader is not traced: what it did then is not known." in said
    assert "Whether it raced is not known" in said


def test_a_fifo_is_named_with_its_path(show):
    build = TraceBuilder()
    parent = build.process("a.py")
    fifo = build.channel("fifo", path="/tmp/<up>")
    child = build.fork(parent)
    build.write(parent, build.hold(parent, fifo, "w"), b"spam")
    build.read(child, build.hold(child, fifo, "r"), b"spam")
    page, _ = opened(show, build.trace(), 0)
    assert "/tmp/<up>" in page.inner_text("#inspect .ops")
    assert "os.write() → os.read(" in page.inner_text("#inspect .ops")


def test_what_the_page_left_out_of_a_payload_is_said_apart_from_what_the_recording_did(show, monkeypatch):
    monkeypatch.setattr(sys.modules["ipctrace.reports.model.messages"], "PAYLOAD_BUDGET", 64)
    page, _ = opened(show, writing(b"x" * 3000), 1)
    assert ("were kept in this page; the recording has more." in text(page)) == page.evaluate("M.cut[1] === 1")
    assert page.evaluate("[...M.cut]") == page.evaluate("[...M.kept].map((kept, i) => +(kept < M.size[i]))")


# ---- its bytes --------------------------------------------------------------------------------------------------------------


def writing(data):
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.write(parent, pipe.writer, b"\n" * 20)
    build.write(parent, pipe.writer, data)
    build.read(child, pipe.reader, b"\n" * 20)
    build.read(child, pipe.reader, data, len(data))
    return build.trace()


def test_text_is_utf8_with_visible_controls_and_offsets_count_the_channels_bytes(show):
    page, _ = opened(show, writing("grüße\n\x1b[31m→\t".encode() + b"\xff\xc3(\xe2\x80\xae"), 1)
    lines = page.locator("#inspect .dump .text span:not(.ctl)").all_inner_texts()
    assert [line.rstrip("\n") for line in lines] == ["grüße⏎", "␛[31m→␉\\xff\\xc3(⟨U+202E⟩"]
    assert page.locator("#inspect .dump .text i").all_inner_texts() == ["0014", "001c"]
    assert page.inner_text("#inspect .dump .off").splitlines() == ["0014", "0024"]
    assert page.inner_text("#inspect .dump .hex pre >> nth=1").startswith("67 72 c3 bc c3 9f 65 0a")


def test_long_payloads_are_shown_bit_by_bit_and_whole_on_demand(show):
    data = bytes(range(32, 127)) * 30
    page, _ = opened(show, writing(data), 1)
    assert page.inner_text("#inspect .dump .hex pre >> nth=1").count("\n") == 512 // 16 - 1
    page.click("#inspect [data-more]")
    assert page.locator("#inspect [data-more]").count() == 0
    shown = page.inner_text("#inspect .dump .hex pre >> nth=1")
    assert bytes.fromhex(shown) == data
    assert page.inner_text("#inspect .dump .text span") == data.decode()
    page.evaluate("pick(1)")
    assert page.locator("#inspect [data-more]").count() == 1


def test_bytes_are_shown_as_hexadecimal_or_as_text_or_both_and_that_stays(show):
    page, _ = opened(show, completed_trace(), 0)
    page.click("#inspect [data-dump=text]")
    assert page.locator("#inspect .dump .hex").count() == 0
    assert page.evaluate("document.activeElement.dataset.dump") == "text"
    page.evaluate("pick(1)")
    assert page.locator("#inspect .dump .hex").count() == 0
    page.click("#inspect [data-dump=hex]")
    assert page.locator("#inspect .dump .text").count() == 0


@pytest.mark.parametrize(
    ("form", "copied"),
    [("text", "it's\nü"), ("hex", "69 74 27 73 0a c3 bc"), ("Python", r"b'it\'s\n\xc3\xbc'")],
)
@pytest.mark.sample(1)
def test_bytes_are_copied_as_they_are(show, form, copied):
    page, _ = opened(show, writing("it's\nü".encode()), 1)
    page.evaluate(
        "window.copied = []; document.addEventListener('copy', () => copied.push(getSelection().toString() || document.activeElement.value))"
    )
    page.evaluate(
        "Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => copied.push(text) } })"
    )
    page.click(f"#inspect [data-copy={form}]")
    until(page, "window.copied.length")
    assert page.evaluate("window.copied") == [copied]
    until(page, f"document.querySelector('#inspect [data-copy={form}]').textContent === '{form}'")


def test_without_a_clipboard_it_is_copied_all_the_same(show):
    page, _ = opened(show, writing(b"spam"), 1)
    page.evaluate(
        "window.copied = []; document.addEventListener('copy', () => copied.push(document.activeElement.value))"
    )
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.click("#inspect [data-copy=text]")
    until(page, "window.copied.length")
    assert page.evaluate("window.copied") == ["spam"]
    assert page.locator("textarea").count() == 0


def test_a_selection_of_the_dump_is_bytes_and_not_offsets(show):
    page, _ = opened(show, completed_trace(), 0)
    styles = page.evaluate(
        "[...document.querySelectorAll('#inspect .off, #inspect .text i')].map(e => getComputedStyle(e).userSelect)"
    )
    assert set(styles) == {"none"}


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize(
    "trace", [talk, race, queue, datagram, hostile_trace, deadlock_trace], ids=lambda make: make.__name__
)
@pytest.mark.sample(6)
def test_every_message_opens_without_a_complaint_or_a_sideways_scroll(show, trace, width):
    whole = show(render(analyze(trace())), width)
    for row in range(whole.page.evaluate("M.begin.length")):
        whole.page.evaluate("row => pick(row)", row)
        for view in ("both", "hex", "text"):
            if whole.page.locator(f"#inspect [data-dump={view}]").count():
                whole.page.click(f"#inspect [data-dump={view}]")
        assert whole.page.evaluate("document.documentElement.scrollWidth") <= width
    assert whole.page.locator("#inspect img").count() == 0
    assert whole.complaints == []
