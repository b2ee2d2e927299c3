"""The report page as text: one file, plain HTML on the first screen, nothing hostile in it, nothing from elsewhere."""

import json
import re

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports import knot_picture, markup
from ipctrace.reports.model import build
from ipctrace.reports.page import asset, policy, render
from ipctrace.reports.run import Run
from ipctrace.reports.verdict import diff

from .builders import TraceBuilder, completed_trace, deadlock_trace
from .hostile import HOSTILE, OVERRIDE, hostile_trace


@pytest.fixture(scope="module")
def deadlock():
    return analyze(deadlock_trace())


@pytest.fixture(scope="module")
def page(deadlock):
    return render(deadlock)


@pytest.fixture(scope="module")
def completed():
    return render(analyze(completed_trace()))


def without_data(html):
    """The page without its packed data, library and scripts: what is plain HTML."""
    return re.sub(r"<(script|style)[^>]*>.*?</\1>", "", html, flags=re.S)


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without_data(html)))


# ---- one file ---------------------------------------------------------------------------------------------------------


def test_the_same_analysis_gives_the_same_page(deadlock, page):
    assert render(deadlock) == page


def test_nothing_in_the_page_comes_from_elsewhere(page):
    plain = without_data(page)
    assert not re.search(r"\b(src|srcset|action|data)\s*=\s*[\"']?(?!image)", re.sub(r"data-[a-z]+=", "", plain))
    assert not re.search(r"<link|<iframe|<img|@import", plain)
    assert {href for href in re.findall(r'href="([^"]*)"', plain) if not href.startswith("#")} == set()


def test_a_policy_lets_only_the_pages_own_scripts_run():
    allowed = policy("one", "two")
    assert allowed.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in allowed.partition("style-src")[0]


def test_plotly_keeps_its_licence_line():
    assert "Licensed under the MIT license" in asset("plotly-cartesian.min.js")[:400]


def test_each_asset_of_ours_is_a_file_that_can_be_read():
    from ipctrace.reports.page import SCRIPTS, STYLES

    assert all(len(asset(name).splitlines()) < 400 for name in ("boot.js", *SCRIPTS, *STYLES, "page.html"))


# ---- the first screen, without script ----------------------------------------------------------------------------------


def test_a_deadlock_opens_on_its_verdict(deadlock, page):
    plain = text_of(page)
    order = ["Deadlock proven", "Remedy", "Why this is certain", "The last 2 ms before it", "The run"]
    assert sorted(order, key=plain.index) == order
    stuck = deadlock.graph.stuck[0]
    assert f"{stuck.size} bytes written here; still in this process’s buffer" in plain


def test_the_stack_marks_the_line_that_waits_and_the_line_that_is_to_blame(page):
    assert len(re.findall(r'<div class="l here">', page)) == 2
    assert len(re.findall(r'<div class="l guilty">', page)) == 1


def test_the_remedy_is_a_diff_with_what_is_new_marked(deadlock, page):
    edit = next(one.edit for one in deadlock.findings if one.edit)
    assert "flush=True" in edit.after
    assert "<mark>flush=True</mark>" in page
    assert f'<div class="del"><i>{edit.line}</i>' in page


def test_a_diff_marks_only_what_was_added(deadlock):
    from ipctrace.analysis.results import Edit

    text = diff(Run(deadlock), Edit("a.py", 3, "print(x)", "print(x, flush=True)"))
    assert "print(x, <mark>flush=True</mark>)" in text


def test_a_healthy_run_says_so_in_one_line(completed):
    plain = text_of(completed)
    assert "Completed" in plain
    assert '<figure class="knot">' not in completed
    assert "Why this is certain" not in plain


def test_messages_are_a_plain_table_for_a_reader_without_script(page, deadlock):
    table = re.search(r"<noscript>(.*?)</noscript>\s*</section>\s*<section id=\"tables\"", page, re.S).group(1)
    assert table.count("<tr>") == len(deadlock.messages) + 1


def test_every_stream_says_why_it_is_buffered_so(page, deadlock):
    assert all(markup.escape(why) in page for why in deadlock.streams["why"])


def test_an_empty_run_says_that_nothing_happened():
    build = TraceBuilder()
    build.process("empty.py")
    html = render(analyze(build.trace()))
    assert "No bytes passed between threads" in html
    assert "No thread waited." in html


# ---- the knot ---------------------------------------------------------------------------------------------------------


def test_the_knot_is_drawn_from_the_graph(deadlock):
    drawn = knot_picture.figure(Run(deadlock))
    assert f"{deadlock.graph.stuck[0].size} bytes, not flushed" in drawn
    assert drawn.count('class="wait pulse"') == 4  # two waits, wide and upright
    assert "waits for data on" in drawn


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5, 6, 7, 12])
def test_a_knot_of_any_size_fits_its_picture(members):
    drawn = knot_picture.figure(Run(analyze(ring_trace(members))))
    for width, height, body in re.findall(
        r'<svg viewBox="0 0 (\S+) (\S+)" aria-hidden="true">(.*?)</svg>', drawn, re.S
    ):
        for x, y, w, h in re.findall(r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', body):
            assert (
                float(x) >= 0
                and float(y) >= 0
                and float(x) + float(w) <= float(width)
                and float(y) + float(h) <= float(height)
            )
    if members > 6:
        assert f"and {members - 6} more in the same knot" in drawn


def ring_trace(members):
    """Each process reads what only the next could write, and nobody writes."""
    build = TraceBuilder()
    first = build.process("ring.py")
    pipes = [build.pipe(first) for _ in range(members)]
    threads = [build.fork(first, keep=(pipes[k].reader, pipes[(k + 1) % members].writer)) for k in range(1, members)]
    everybody = [first, *threads]
    keep = {pipes[0].reader, pipes[1 % members].writer}
    build.close(first, *sorted({end for pipe in pipes for end in (pipe.reader, pipe.writer)} - keep))
    for k, thread in enumerate(everybody):
        build.begin(thread, "os.read", fd=pipes[k].reader, channel=pipes[k].channel, size=32)
    build.after(50_000_000)
    build.look(2)
    return build.trace(ended="deadlock", status=None)


# ---- hostile text -----------------------------------------------------------------------------------------------------


def test_hostile_text_is_shown_and_not_obeyed():
    html = render(analyze(hostile_trace()))
    assert HOSTILE not in html
    assert OVERRIDE not in html
    assert "⟨U+202E⟩" in html
    assert not re.search(r"<img|onerror=(?!&)[^&]*alert", without_data(html))


def test_the_model_can_not_end_its_script_element():
    model = build(Run(analyze(hostile_trace()))).facts
    text = markup.inert(model)
    assert "<" not in text
    assert json.loads(text) == json.loads(json.dumps(model))


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#x27;"),
        ("line\n", "line⏎"),
        ("\x1b[31m\x00\x7f", "␛[31m␀␡"),
        ("\u202eevil\u2066", "⟨U+202E⟩evil⟨U+2066⟩"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("\udcff", "\\xff"),
        ("\x85", "⟨U+0085⟩"),
    ],
)
def test_escape_makes_everything_visible_and_nothing_active(raw, seen):
    assert markup.escape(raw) == seen


# ---- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [
        (0, "0 s"),
        (120, "120 ns"),
        (50_000, "50 µs"),
        (2_340_000, "2.3 ms"),
        (324_000_000, "324 ms"),
        (1_272_000_000, "1.27 s"),
    ],
)
def test_durations_take_the_unit_that_fits(nanoseconds, words):
    assert markup.span(nanoseconds) == words


def test_counts_agree_in_number():
    assert [markup.count(1, "byte"), markup.count(65536, "byte"), markup.count(3, "process")] == [
        "1 byte",
        "65,536 bytes",
        "3 processes",
    ]
