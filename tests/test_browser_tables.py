# ruff: noqa: F811 (the fixtures are imported, and then named by the tests)
"""The tables of the report: what they list, how they are searched, how a row and its place on the timeline find each
other, the view in the address, keys, paper, and what axe-core says of the whole page."""

import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.page import render
from ipctrace.reports.run import Run

from .browser import browser, show  # noqa: F401
from .builders import TraceBuilder, big_trace, completed_trace, deadlock_trace
from .hostile import hostile_trace

pytestmark = pytest.mark.browser
MS = 1_000_000


@pytest.fixture(scope="module")
def analysis():
    return analyze(deadlock_trace())


@pytest.fixture(scope="module")
def deadlock(analysis):
    return render(analysis)


@pytest.fixture(scope="module")
def busy():
    return render(analyze(big_trace(6000)))


@pytest.fixture(scope="module")
def family():
    return render(analyze(family_trace()))


def family_trace():
    """A parent that forks one child, which runs another program, and starts a `sort` that a signal ends."""
    build = TraceBuilder()
    parent = build.process("parent.py")
    pipe = build.pipe(parent)
    site = build.site("/work/parent.py", 5, "os.fork()")
    child = build.fork(parent, site=site)
    build.after(2 * MS)
    build.execute(child, "other.py")
    grandchild = build.fork(child, traced=False, op="fork_exec", program="sort", keep=(0, 1, 2))
    build.write(parent, pipe.writer, b"work\n")
    build.after(3 * MS)
    build.exit(grandchild, status=-15)
    build.exit(child, status=3)
    return build.trace()


def until(page, condition):
    """Waits for a condition in the page, frame by frame; playwright's own wait needs eval, which the policy forbids."""
    page.evaluate(
        f"""() => new Promise((done, fail) => {{
            const look = () => ({condition}) ? done() : requestAnimationFrame(look);
            look();
            setTimeout(() => fail(new Error("it never came to that: " + {condition!r})), 20000);
        }})"""
    )


def open_table(page, name):
    page.click(f"#tabs [data-tab='{name}']")


def column(page, title):
    """The shown texts of one column."""
    return page.evaluate(
        """title => { const k = TABLES[tab].columns.findIndex(c => c.title === title);
            return [...document.querySelectorAll('#table tr[data-row]')].map(tr => tr.cells[k].textContent.trim()); }""",
        title,
    )


def at(page, fragment):
    """The same page, opened by a link with this fragment."""
    page.goto(page.url.partition("#")[0] + fragment)
    page.reload()
    page.evaluate("window.ipctrace.ready")


# ---- what is listed ---------------------------------------------------------------------------------------------------


def test_processes_are_a_tree_with_how_each_was_started_and_what_became_of_it(show, family):
    page = show(family).page
    open_table(page, "Processes")
    names = column(page, "process")
    assert len(names) == 3
    assert names[0] == "parent" and names[1].startswith("└ ") and names[2] == "└ sort"
    assert column(page, "parent")[1:] == ["parent", names[1].removeprefix("└ ")]
    assert column(page, "started by") == ["the recorded program", "fork, then exec", "subprocess"]
    assert column(page, "at")[1] == "parent.py:5"
    assert column(page, "with")[1:] == ["exit 3", "ended by SIGTERM"]
    assert column(page, "traced")[2] == "no: not a Python program; known from /proc"
    assert page.get_attribute("#table", "role") == "treegrid"
    levels = page.evaluate("[...document.querySelectorAll('#table tr[data-row]')].map(tr => tr.ariaLevel)")
    assert levels == ["1", "2", "3"]


def test_every_descriptor_is_listed_with_where_it_came_from(show, analysis, deadlock):
    page = show(deadlock).page
    open_table(page, "Descriptors")
    held = analysis.descriptors
    assert page.evaluate("shownRows.length") == len(held)
    assert page.locator("#filters >> text=still open").inner_text() == f"still open {held['closed'].isna().sum()}"
    inherited = [
        come for come, how in zip(column(page, "from"), column(page, "how"), strict=True) if how == "inherited"
    ]
    assert (
        set(inherited) <= {"whoever started the run", "parent"} and len(inherited) == (held["how"] == "inherited").sum()
    )


def test_what_the_figures_draw_is_listed_too(show, analysis, deadlock):
    page = show(deadlock).page
    for name, size in (
        ("Who for whom", len(Run(analysis).pairs)), ("Critical path", len(analysis.path)), ("Races", len(analysis.races)),
        ("Sampled", len(analysis.sampled)), ("Threads", len(analysis.lanes)),
    ):  # fmt: skip
        open_table(page, name)
        assert page.evaluate("TABLES[tab].size") == size, name
        assert page.locator("#table tbody tr").count() >= 1
    longest = Run(analysis).pairs.sort_values("time").iloc[-1]
    open_table(page, "Who for whom")
    assert column(page, "thread")[0] == analysis.names[longest["thread"]]


def test_races_are_listed_with_both_sides(show):
    build = TraceBuilder()
    parent = build.process("parent.py")
    pipe = build.pipe(parent)
    for child in [build.fork(parent, program=f"child{k}.py") for k in range(2)]:
        build.write(child, pipe.writer, b"mine\n")
    for _ in range(2):
        build.read(parent, pipe.reader, b"mine\n")
    analysis = analyze(build.trace())
    page = show(render(analysis)).page
    open_table(page, "Races")
    (race,) = analysis.races.to_dict("records")
    assert column(page, "of") == [race["kind"]]
    assert [*column(page, "first"), *column(page, "second")] == [
        analysis.names[race[who]] for who in ("first_thread", "second_thread")
    ]


# ---- search, chips, facets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trace", [deadlock_trace, family_trace, hostile_trace, lambda: big_trace(500)])
@pytest.mark.sample(2)
def test_every_count_is_what_its_choice_lists(show, trace):
    """Behind a chip or a choice stands how many rows it lists, alone and together with another."""
    page = show(render(analyze(trace()))).page
    wrong = page.evaluate(
        """() => {
            const wrong = [];
            const check = what => {
                const t = TABLES[tab], told = chosen(t, $('q').value), before = chip, kept = { ...facets };
                t.chips.forEach(([label], k) => { chip = label; if (chosen(t, $('q').value).rows.length !== told.chips[k]) wrong.push([tab, what, label]); });
                chip = before;
                for (const which of Object.keys(t.about ?? {})) {
                    FACETS[which].names().forEach((name, k) => { facets[which] = k; if (chosen(t, $('q').value).rows.length !== told.facets[which][k]) wrong.push([tab, what, which, name]); });
                    delete facets[which]; Object.assign(facets, kept);
                }
            };
            for (tab of Object.keys(TABLES)) {
                check('alone');
                if (TABLES[tab].chips.length) { chip = TABLES[tab].chips[0][0]; check('with a chip'); chip = null; }
                facets.process = 0; check('with a process'); delete facets.process;
                $('q').value = 'a'; check('with a search'); $('q').value = '';
            }
            return wrong;
        }"""
    )
    assert wrong == []


def test_a_process_chosen_in_one_table_is_followed_through_the_others(show, analysis, deadlock):
    page = show(deadlock).page
    open_table(page, "Blocking")
    page.select_option("select[data-facet=process]", "1")
    mine = [thread for thread, name in analysis.names.items() if analysis.trace.threads["process"][thread] == 1]
    waits = analysis.blocking
    assert (
        page.evaluate("shownRows.length")
        == (waits["thread"].isin(mine) | Run(analysis).waited_for.isin(mine)).sum()
        > 0
    )
    open_table(page, "Descriptors")
    assert page.evaluate("shownRows.length") == (analysis.descriptors["process"] == 1).sum()
    assert set(column(page, "process")) == {analysis.process_names[1]}
    page.keyboard.press("x")
    assert page.evaluate("shownRows.length") == len(analysis.descriptors)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("payload:hello", lambda m: m["payload"].map(lambda data: b"hello" in data.lower())),
        ('payload:"1 from"', lambda m: m["payload"].map(lambda data: b"1 from" in data)),
        ("payload:⏎", lambda m: m["payload"].map(lambda data: b"\n" in data)),
        ("bytes>25", lambda m: m["size"] > 25),
        ("bytes<26 payload:1", lambda m: (m["size"] < 26) & m["payload"].map(lambda data: b"1" in data)),
        ("#:2", lambda m: m["message"] == 1),
        ("from:child", lambda m: m["writer"] == 1),
        ("held>0.2", lambda m: (m["written"].isna()) | (m["written"] - m["accepted"] > 200 * MS)),
    ],
)
@pytest.mark.sample(4)
def test_a_search_can_name_its_column(show, analysis, deadlock, query, wanted):
    page = show(deadlock).page
    page.fill("#q", query)
    passes = wanted(analysis.messages).fillna(False)
    until(page, f"shownRows.length === {passes.sum()}")
    assert (
        page.evaluate("[...shownRows].map(i => M.number[i] - 1).sort()")
        == analysis.messages["message"][passes].tolist()
    )


def test_a_search_and_a_process_that_list_nothing_say_so_and_offer_all_again(show, deadlock):
    page = show(deadlock).page
    page.select_option("select[data-facet=process]", "0")
    page.fill("#q", "nothing has this")
    page.wait_for_selector("#table .empty")
    assert "and “nothing has this”" in page.inner_text("#table")
    page.click("#clear")
    assert page.evaluate("shownRows.length === TABLES[tab].size")


def test_sorting_keeps_what_has_no_value_at_the_end(show, deadlock):
    page = show(deadlock).page
    open_table(page, "Blocking")
    for _ in range(2):
        page.click("#table th button[title$=' on:']")
        assert column(page, "on")[-1] == "·"
    assert page.locator("#table th[aria-sort=descending] button").evaluate("b => b === document.activeElement")


# ---- rows and the timeline --------------------------------------------------------------------------------------------


def test_a_row_sets_the_time_and_is_outlined_where_it_lies(show, analysis, deadlock):
    page = show(deadlock).page
    open_table(page, "Blocking")
    page.click("#table tr[data-row='1']")
    wait = analysis.blocking.sort_values("begin", kind="stable").iloc[1]
    page.evaluate("drawing")
    assert page.evaluate("now") == wait["begin"]
    begin, end = page.evaluate("view")
    assert begin <= wait["begin"] and wait["end"] <= end
    bar, box = (
        page.evaluate("X(W.begin[1]) + document.getElementById('wrap').getBoundingClientRect().x"),
        page.locator("#marked").bounding_box(),
    )
    assert abs(box["x"] - bar) < 6
    assert page.locator("#table tr.marked").get_attribute("data-row") == "1"
    seen = page.locator("#marked").bounding_box()  # the page has gone there, and comes back by a key
    assert 0 < seen["y"] < 900
    page.keyboard.press("b")
    row = page.locator("#table tr.marked")
    assert 0 < row.bounding_box()["y"] < 900
    assert row.evaluate("tr => tr === document.activeElement")


def test_a_row_that_is_too_short_to_be_seen_is_zoomed_to(show, busy):
    page = show(busy).page
    open_table(page, "Blocking")
    page.click("#table tr[data-row='3']")
    page.evaluate("drawing")
    assert page.evaluate("W.length[3] / perPixel()") >= 8


def test_a_click_on_the_timeline_shows_the_row(show, deadlock):
    page = show(deadlock).page
    page.evaluate("document.getElementById('timeline').scrollIntoView()")
    x, y = page.evaluate(
        """() => { const lane = MODEL.core[0], row = openWait(lane), b = $('plot').getBoundingClientRect();
                   return [b.left + X((W.begin[row] + END) / 2), b.top + TOP + G.lanes[lane].bar + 8]; }"""
    )
    page.mouse.click(x, y)
    row = page.evaluate("String(openWait(MODEL.core[0]))")
    assert page.get_attribute("#tabs [aria-selected=true]", "data-tab") == "Blocking"
    assert page.get_attribute("#table tr.marked", "data-row") == row
    x, y = page.evaluate(
        """() => { const [x0, y0, x1, y1] = arrow(1), b = $('plot').getBoundingClientRect();
                   return [b.left + (X(x0) + X(x1)) / 2, b.top + TOP + (y0 + y1) / 2]; }"""
    )
    page.mouse.click(x, y)
    assert page.get_attribute("#tabs [aria-selected=true]", "data-tab") == "Messages"
    assert page.get_attribute("#table tr.marked", "data-row") == "1"
    x, y = page.evaluate(
        "() => { const b = $('plot').getBoundingClientRect(), s = G.strips[MODEL.strips[0]]; return [b.left + 40, b.top + TOP + s.y + 8]; }"
    )
    page.mouse.click(x, y)
    assert page.get_attribute("#table tr.marked", "data-row") == str(page.evaluate("MODEL.strips[0]"))


def test_a_message_far_down_a_long_table_is_scrolled_to_and_filters_that_hide_it_go(show, busy):
    page = show(busy).page
    page.fill("#q", "nothing has this")
    page.wait_for_selector("#table .empty")
    page.evaluate("pick(4321)")
    page.wait_for_selector("#table tr.marked[data-row='4321']")
    assert page.input_value("#q") == ""
    inside = page.evaluate(
        "() => { const a = $('window').getBoundingClientRect(), b = document.querySelector('tr.marked').getBoundingClientRect(); return b.top > a.top && b.bottom < a.bottom; }"
    )
    assert inside


def test_arrows_move_through_the_rows_and_enter_opens_one(show, busy):
    page = show(busy).page
    focused = "document.activeElement.dataset.row"
    page.focus("#q")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "0"
    before = page.evaluate("now")
    for key, row in (("ArrowDown", 1), ("PageDown", 16), ("ArrowUp", 15), ("End", 5999), ("Home", 0), ("ArrowDown", 1)):
        page.keyboard.press(key)
        until(page, f"{focused} === '{row}'")
    assert page.evaluate("now") == before
    page.keyboard.press("Enter")
    page.evaluate("drawing")
    assert page.evaluate("picked") == 1
    assert page.evaluate("now === M.begin[1]")
    assert page.evaluate(focused) == "1"


# ---- the view in the address ------------------------------------------------------------------------------------------


def test_a_link_opens_the_view_that_its_sender_saw(show, deadlock):
    page = show(deadlock).page
    assert "#" not in page.url
    open_table(page, "Blocking")
    page.select_option("select[data-facet=process]", "1")
    page.click("#filters >> text=never ended")
    page.click("#table th button >> text=for")
    page.click("#table th button >> text=for")
    page.click("#table tr[data-row] >> nth=0")
    page.keyboard.press("+")
    page.keyboard.press("m")
    page.evaluate("drawing")
    open_table(page, "Messages")
    page.fill("#q", "payload:hello")
    until(page, "location.hash.includes('payload') && location.hash.includes('message=')")
    whole = "JSON.stringify([stateNow(), [...shownRows]])"
    before = page.evaluate(whole)
    page.reload()
    page.evaluate("window.ipctrace.ready")
    assert page.evaluate(whole) == before
    assert page.evaluate("shownRows.length") > 0


def test_a_link_may_be_written_by_hand(show, deadlock):
    page = show(deadlock).page
    at(page, "#t=0.5&from=0.4&to=0.6&message=2&table=Blocking&sort=-for&q=sleep&process=1")
    assert page.evaluate("now") == 500 * MS
    assert page.evaluate("view") == [400 * MS, 600 * MS]
    assert page.evaluate("M.number[picked]") == 2
    assert page.get_attribute("#tabs [aria-selected=true]", "data-tab") == "Blocking"
    assert page.get_attribute("#table th[aria-sort=descending] button", "title").endswith("for:")
    assert set(column(page, "reason")) == {"sleeps"}


def test_another_fragment_is_followed_and_nonsense_is_none(show, deadlock):
    opened = show(deadlock)
    page = opened.page
    page.evaluate("location.hash = '#table=Channels&t=0.25'")
    until(page, "tab === 'Channels' && now === 250e6")
    page.evaluate("location.hash = '#t=never&table=toString&process=99&row=x:y&sort=-none&message=-3&chip=zzz'")
    until(page, "tab === 'Messages'")
    assert page.evaluate("shownRows.length === TABLES.Messages.size")
    assert opened.complaints == []


def test_an_anchor_stays_an_anchor(show, deadlock):
    page = show(deadlock).page
    at(page, "#IPC101")
    assert page.evaluate("document.querySelector(':target').id") == "IPC101"
    page.wait_for_timeout(400)
    assert page.url.endswith("#IPC101")
    at(page, "#moment")
    assert page.evaluate("view[1] - view[0] < END")


# ---- keys -------------------------------------------------------------------------------------------------------------


def test_the_sheet_lists_every_key_and_keeps_the_focus(show, deadlock):
    page = show(deadlock).page
    page.focus("#zin")
    page.keyboard.press("?")
    sheet = page.inner_text("#sheet")
    for words in page.evaluate("Object.values(KEYS).flat().map(([, keys, words]) => words).filter(Boolean)"):
        assert words in sheet
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("$('keys').contains(document.activeElement) || document.activeElement === document.body")
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()
    assert page.evaluate("document.activeElement.id") == "zin"


def test_single_letters_can_be_switched_off(show, deadlock):
    page = show(deadlock).page
    page.keyboard.press("?")
    page.uncheck("#single")
    page.keyboard.press("Escape")
    theme = page.evaluate("document.documentElement.dataset.theme ?? ''")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme ?? ''") == theme


def test_what_the_mouse_does_on_the_timeline_keys_do_too(show, deadlock):
    page = show(deadlock).page
    page.keyboard.press("+")
    page.keyboard.press("+")
    begin, end = page.evaluate("drawing.then(() => view)")
    page.keyboard.press("Shift+ArrowLeft")
    moved = page.evaluate("drawing.then(() => view)")
    assert moved[0] < begin and moved[1] - moved[0] == pytest.approx(end - begin)
    page.keyboard.press("Home")
    assert page.evaluate("now") == 0
    page.keyboard.press("w")
    assert page.get_attribute("#tabs [aria-selected=true]", "data-tab") == "Blocking"
    assert page.get_attribute("#table tr.marked", "data-row") == "0"
    page.keyboard.press("w")
    assert page.get_attribute("#table tr.marked", "data-row") == "1"
    page.keyboard.press(">")
    assert page.get_attribute("#tabs [aria-selected=true]", "data-tab") == "Findings"


def test_tab_goes_through_the_tables_from_search_to_rows(show, deadlock):
    page = show(deadlock).page
    page.focus("#q")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        kind = page.evaluate(
            "(({ dataset: d }) => d.tab ? 'tab' : d.chip ? 'chip' : d.facet ? 'facet' : d.sort ? 'heading' : d.row ? 'row' : 'on')(document.activeElement)"
        )
        if kind == "on":
            break
        if kind not in seen[-1:]:
            seen.append(kind)
    assert seen == ["tab", "chip", "facet", "heading", "row"]


# ---- paper, and axe-core ----------------------------------------------------------------------------------------------


def test_on_paper_every_table_is_there_up_to_200_rows(show, busy):
    page = show(busy, scheme="dark").page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    tables = page.evaluate("[...document.querySelectorAll('#printed tbody')].map(body => body.rows.length)")
    assert max(tables) == 200
    assert page.locator("details:not([open])").count() == 0
    assert len(tables) == page.evaluate("Object.values(TABLES).filter(t => t.size).length")
    assert "the first 200 of 6,000 rows" in page.inner_text("#printed")
    assert page.locator("#window").is_visible() is False
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(26, 29, 33)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("$('printed').childElementCount") == 0
    assert page.locator("details[open]").count() == 0


def test_the_first_sheet_of_paper_holds_verdict_knot_remedy_and_stacks(show, deadlock):
    page = show(deadlock).page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.set_viewport_size({"width": 703, "height": 1032})  # A4 at 96 dots an inch, within 12 mm
    page.emulate_media(media="print")
    for part in ("#verdict h1", ".wide-knot", ".fix", "#stacks"):
        box = page.locator(part).first.bounding_box()
        assert box["y"] + box["height"] < 1032, part
        assert box["x"] + box["width"] <= 703, part


STATES = ("0", "openRow(0, 0)", "chooseTable('Processes')", "openSheet()")


LOOKS = [(1400, "light"), (400, "dark"), (400, "light"), (1400, "dark")]  # each half has both widths and both schemes


@pytest.mark.parametrize(
    ("trace", "width", "scheme"),
    [
        pytest.param(make, *look, marks=[] if place // 2 == number % 2 else pytest.mark.slow)
        for number, make in enumerate((deadlock_trace, completed_trace, hostile_trace, lambda: big_trace(6000)))
        for place, look in enumerate(LOOKS)
    ],
)
@pytest.mark.sample(4)
def test_axe_finds_nothing_serious(show, trace, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = show(render(analyze(trace())), width, scheme).page
    for state in STATES:
        page.evaluate(f"() => {{ {state}; return new Promise(done => setTimeout(() => drawing.then(done), 150)); }}")
        found = Axe().run(page).response["violations"]
        serious = {
            one["id"]: [node["html"][:200] for node in one["nodes"]]
            for one in found
            if one["impact"] in ("serious", "critical")
        }
        assert serious == {}, state
