"""The figures show what the tables say: each number is the analysis' own, bounded, named, and nothing hostile obeyed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.causality import Causality
from ipctrace.analysis.messages import stages
from ipctrace.analysis.paths import shares
from ipctrace.analysis.run import Run as Derived
from ipctrace.analysis.timeline import Nodes
from ipctrace.reports import figures, plots
from ipctrace.reports.figures import by_reason, critical_path, latency, matrix, sizes, space_time
from ipctrace.reports.figures.interleaving import interleaving
from ipctrace.reports.figures.lanes import lanes
from ipctrace.reports.run import Run

from ipctrace.run import Run as Recorded

from .builders import TraceBuilder, big_trace, completed_trace, deadlock_trace
from .hostile import HOSTILE, OVERRIDE, hostile_trace

PLOTS = (
    plots.timeline, plots.matrix, plots.critical_path, plots.by_reason, plots.latency, plots.sizes, plots.space_time,
)  # fmt: skip


def workers_trace(workers, turns=3):
    """A parent that answers its workers, which all wait, one after the other, in a shuffled order."""
    build = TraceBuilder()
    parent = build.process("workers.py")
    pipes = [build.pipe(parent) for _ in range(workers)]
    children = [build.fork(parent, program=f"a worker with a rather long name {k}.py") for k in range(workers)]
    site = build.site("/work/workers.py", 12, "data = os.read(fd, 64)")
    random = np.random.default_rng(1)
    for _ in range(turns):
        waits = [
            build.begin(child, "os.read", fd=pipe.reader, size=9000, site=site)
            for child, pipe in zip(children, pipes, strict=True)
        ]
        for k in random.permutation(workers):
            build.after(int(10 ** random.uniform(3, 8)))
            content = b"x" * int(2 ** random.uniform(0, 13))
            build.write(parent, pipes[k].writer, content)
            build.end(waits[k], data=content)
    build.after(1_000_000)
    return build.trace(ended="exit", status=0)


TRACES = {
    "deadlock": deadlock_trace, "completed": completed_trace, "big": lambda: big_trace(6000), "hostile": hostile_trace,
    "one": lambda: workers_trace(0), "twelve": lambda: workers_trace(11), "hundred": lambda: workers_trace(99),
}  # fmt: skip


@pytest.fixture(scope="module", params=TRACES)
def analysis(request):
    return analyze(TRACES[request.param]())


@pytest.fixture(scope="module")
def run(analysis):
    return Run(analysis)


@pytest.fixture(scope="module")
def hundred():
    return Run(analyze(TRACES["hundred"]()))


# ---- numbers ----------------------------------------------------------------------------------------------------------


def test_the_matrix_holds_all_waiting_of_the_table(run):
    found, table = matrix.matrix(run), run.analysis.matrix
    assert found.time.sum() == table["time"].sum()
    assert found.count.sum() == table["count"].sum()
    for row, thread in enumerate(found.threads.shown):
        assert found.time[row].sum() == table.loc[table["thread"] == thread, "time"].sum()


def test_without_a_knot_the_matrix_is_the_table_cell_by_cell():
    run = Run(analyze(completed_trace()))
    found, place = matrix.matrix(run), {thread: k for k, thread in enumerate(matrix.matrix(run).threads.shown)}
    for row in run.analysis.matrix.itertuples():
        column = -1 if row.by is None or row.by != row.by else place[row.by]
        assert found.time[place[row.thread], column] == row.time


def test_a_wait_of_the_knot_is_for_whom_the_graph_names():
    run = Run(analyze(deadlock_trace()))
    found = matrix.matrix(run)
    assert matrix.knot_cells(run, found) == {(0, 1), (1, 0)}
    assert found.time[0, 1] and found.time[1, 0]
    assert matrix.draw(run).count("stroke:var(--danger)") == 2


def test_a_threads_reasons_fill_its_life(run):
    found, busy = by_reason.by_reason(run), run.analysis.busy.set_index("thread")
    assert (found.time.sum(axis=1) == busy.loc[list(found.threads.shown), "lifetime"]).all()
    waits = run.analysis.blocking
    spent = (waits["end"] - waits["begin"]).groupby(waits["reason"].astype(str)).sum()
    for reason in set(found.time.columns) - {"run"}:
        assert found.time[reason].sum() + found.others[reason] == spent[reason]


@pytest.mark.parametrize("segments", [3, 7, 400])
def test_the_path_is_drawn_without_gaps_whole_or_in_pieces(run, segments):
    path, found = run.analysis.path, critical_path.critical_path(run, segments=segments)
    if path.empty:
        return
    drawn = found.segments
    assert drawn["begin"].iloc[0] == path["begin"].iloc[0]
    assert drawn["end"].iloc[-1] == path["end"].iloc[-1]
    assert (drawn["begin"].to_numpy()[1:] == drawn["end"].to_numpy()[:-1]).all()
    assert len(drawn) == len(path) if found.exact else len(drawn) <= segments


def test_the_path_in_words_is_its_largest_share(run):
    if run.analysis.path.empty:
        return
    top = shares(run.analysis.path, ("thread", "what", "site")).iloc[0]
    assert critical_path.told_shares(run)[0][:2] == (top["share"], top["time"])
    assert f"{100 * top['share']:.0f} %" in critical_path.draw(run)


def test_a_piece_of_the_path_is_what_took_most_of_it():
    run = Run(analyze(deadlock_trace()))
    path = run.analysis.path
    for piece in critical_path.critical_path(run, segments=5).segments.itertuples():
        inside = path.assign(
            time=np.minimum(path["end"], piece.end) - np.maximum(path["begin"], piece.begin),
            what=path["what"].replace("runs", "run"),
        )
        spent = inside[inside["time"] > 0].groupby(["thread", "what"])["time"].sum()
        assert spent.loc[(piece.thread, piece.reason)] == spent.max()


def test_each_message_is_in_one_column_of_its_size(run):
    size, found = run.analysis.messages["size"], sizes.sizes(run)
    assert found.counts["messages"].sum() + found.without == len(size)
    assert found.counts["bytes"].sum() == size.sum()
    for row in found.counts.itertuples():
        assert row.messages == size.between(row.least, row.most).sum()


def test_each_known_time_is_in_one_column_of_its_stage(run):
    known, found = stages(run.analysis.messages), latency.latency(run)
    for stage in latency.STAGES:
        assert found.counts.loc[stage].sum() == known[stage].notna().sum()
        for column in range(1, found.counts.shape[1] - 1):
            inside = (known[stage] >= found.edges[column]) & (known[stage] < found.edges[column + 1])
            assert found.counts.loc[stage, column] == inside.sum()


def test_what_is_still_in_a_buffer_is_said_and_not_counted():
    run = Run(analyze(deadlock_trace()))
    assert latency.latency(run).missing == {"buffered": 1, "carried": 0, "unread": 0}
    assert "1 in the writer’s buffer" in latency.draw(run)


# ---- causal order -------------------------------------------------------------------------------------------------------


def test_ranks_are_happens_before(analysis):
    """Against vector clocks: what comes before has the smaller rank, and what has one rank is concurrent."""
    found, causality = interleaving(Run(analysis)), Causality(Derived(analysis.trace))
    event, end, rank = (found.nodes[name].to_numpy() for name in ("event", "end", "rank"))
    one, two = (part.ravel() for part in np.meshgrid(np.arange(len(event)), np.arange(len(event))))
    one, two = one[one != two], two[one != two]
    before = causality.reaches(Nodes(event[one], end[one]), Nodes(event[two], end[two]))
    assert (rank[one[before]] < rank[two[before]]).all()


def test_arrows_left_out_are_implied_by_the_others(analysis):
    """Of what vector clocks order among the drawn threads, the arrows and the lanes give all that needs no other."""
    found = interleaving(Run(analysis))
    thread = found.nodes["thread"].tolist()
    every = {name: analysis.edges[name].tolist() for name in ("before_event", "before_end", "after_event", "after_end")}
    place = {key: k for k, key in enumerate(zip(found.nodes["event"], found.nodes["end"], strict=True))}
    wanted = {
        (place[one], place[two])
        for one, two in zip(
            zip(every["before_event"], every["before_end"], strict=True),
            zip(every["after_event"], every["after_end"], strict=True),
            strict=True,
        )
        if one in place and two in place and place[one] < place[two]
    }
    past = [set() for _ in thread]
    into = {}
    for one, two in zip(found.arrows["before"], found.arrows["after"], strict=True):
        into.setdefault(two, []).append(one)
    last = {}
    for node, owner in enumerate(thread):
        for source in [*into.get(node, []), *([last[owner]] if owner in last else [])]:
            past[node] |= {source} | past[source]
        last[owner] = node
    assert all(one in past[two] for one, two in wanted)


def test_the_last_messages_are_arrows_and_stuck_bytes_amber():
    analysis = analyze(deadlock_trace())
    found = interleaving(Run(analysis))
    complete = analysis.messages.dropna(subset=["write_event", "read_event"])
    assert (found.arrows["kind"] == "message").sum() == len(complete)
    assert found.nodes["held"].sum() == 1
    drawn = figures.space_time.draw(Run(analysis))
    assert drawn.count('class="held"') == 2  # the dot, and its meaning below
    assert drawn.count("for ever") == 2


def test_the_window_is_bounded_and_says_so(hundred):
    found = interleaving(hundred, most=40, lanes=7)
    assert len(found.nodes) == 40
    assert len(found.lanes) <= 7
    assert "The last 60 of" in figures.space_time.draw(hundred)


# ---- many threads, names ------------------------------------------------------------------------------------------------


def test_threads_without_a_row_share_one_and_are_named(hundred):
    found = matrix.matrix(hundred)
    assert len(found.threads.shown) == matrix.THREADS
    assert len(found.threads.shown) + len(found.threads.others) == 100
    assert "92 others" in matrix.draw(hundred)
    assert hundred.analysis.names[found.threads.others[0]] in matrix.draw(hundred)


def test_every_figure_says_itself_in_a_sentence_and_a_label(run):
    drawn = figures.views(run)
    assert drawn.count("<figcaption>") == len(figures.FIGURES)
    for picture in re.findall(r"<svg [^>]*>", drawn):
        assert 'aria-hidden="true"' in picture or re.search(r'role="img" aria-label="[^"]{10,}"', picture)


def test_hostile_names_are_shown_and_not_obeyed():
    drawn = figures.views(Run(analyze(hostile_trace())))
    assert "&lt;/script&gt;" in drawn
    assert HOSTILE not in drawn
    assert OVERRIDE not in drawn


# ---- notebook -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
@pytest.mark.sample(20)
def test_a_plot_is_valid_and_pure(analysis, plot):
    first = plot(analysis).to_json(validate=True)
    assert plot(analysis).to_json() == first
    assert len(first) < 1_500_000


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_hostile_names_are_text_in_a_plot(plot):
    trace = hostile_trace()
    trace.tables["threads"].loc[0, "name"] = "$\\href{javascript:alert(1)}{x}$"
    trace.tables["processes"].loc[0, "program"] = "$x$<b>.py"
    told = plot(analyze(trace)).to_json().replace("\\u003c", "<").replace("\\u003e", ">")
    assert not re.search(r"<img|<b>|\$x\$|\$\\", told)
    assert OVERRIDE not in told


def total(figure, attribute):
    return sum(np.nansum(np.asarray(getattr(trace, attribute), dtype=float)) for trace in figure.data)


def test_plots_hold_the_tables_sums(analysis):
    waits = analysis.matrix["time"].sum() / 1e9
    assert total(plots.matrix(analysis), "z") == pytest.approx(waits)
    if len(analysis.busy) <= 40:
        assert total(plots.by_reason(analysis), "x") == pytest.approx(analysis.busy["lifetime"].sum() / 1e9)
    assert total(plots.sizes(analysis), "y") == (analysis.messages["size"] > 0).sum()
    path = analysis.path
    spent = sum(trace.x.sum() for trace in plots.critical_path(analysis).data if trace.type == "bar")
    assert spent == pytest.approx((path["end"] - path["begin"]).sum() / 1e9)


def test_a_timeline_has_a_bar_a_wait_and_a_bar_a_life():
    analysis = analyze(completed_trace())
    drawn = plots.timeline(analysis)
    count = sum(len(trace.x) for trace in drawn.data if trace.type == "bar")
    assert count == len(analysis.blocking) + len(analysis.busy)
    assert {trace.marker.pattern.shape for trace in drawn.data if trace.type == "bar"} >= {"/", ""}


@pytest.mark.parametrize("most", [100, 1000])
def test_many_waits_are_pieces_that_keep_the_sum(most):
    run = Run(analyze(big_trace(6000)))
    found = lanes(run, most=most)
    waits = run.analysis.blocking
    assert not found.exact
    assert len(found.bars) <= most
    assert found.bars["blocked"].sum() == (waits["end"] - waits["begin"]).sum()
    assert (found.bars["blocked"] <= found.bars["end"] - found.bars["begin"]).all()


def test_a_part_of_the_timeline_has_only_what_lies_in_it():
    analysis = analyze(completed_trace())
    middle = Run(analysis).end / 2e9
    found = lanes(Run(analysis), begin=int(middle * 1e9))
    assert (found.bars["begin"] >= middle * 1e9 - 1).all()
    waits = analysis.blocking
    assert len(found.bars) == (waits["end"] > int(middle * 1e9)).sum()
    assert plots.timeline(analysis, begin=middle).layout.xaxis.range[0] == pytest.approx(middle)


def test_a_run_draws_itself():
    run = Recorded(deadlock_trace())
    for plot in (run.timeline, run.wait_matrix, run.critical_path, run.time_by_reason, run.latency, run.sizes,
                 run.space_time):  # fmt: skip
        assert len(plot().data)


def test_a_notebook_shows_verdict_headline_and_findings():
    run = Recorded(deadlock_trace())
    shown = run._repr_html_()
    assert "Deadlock" in shown
    assert run.findings[0].rule in shown
    assert shown.count("<tr>") == len(run.findings) + 1
    hostile = Recorded(hostile_trace())._repr_html_()
    assert "<img" not in hostile and "<script" not in hostile and OVERRIDE not in hostile


def test_a_wait_inside_a_call_is_for_whom_the_inner_call_waits():
    """The table names the call of the program, the graph the system's call inside it; and itself only if none other."""
    build = TraceBuilder()
    parent = build.process("mutual.py")
    up, down = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)  # both keep all ends: each could write what it waits for itself
    for thread, fd, channel in ((parent, down.reader, down.channel), (child, up.reader, up.channel)):
        build.begin(thread, "Connection.recv", fd=fd, channel=channel)
        build.begin(thread, "os.read", fd=fd, channel=channel, size=4)
    build.after(50_000_000)
    build.look(2)
    run = Run(analyze(build.trace(ended="deadlock", status=None)))
    assert run.graph is not None
    assert set(run.waited_for[run.analysis.blocking["open"]]) == {parent, child}
    assert all(run.waited_for != run.analysis.blocking["thread"])


def test_the_caption_says_the_scale_once(run):
    assert latency.draw(run).count("logarithmic") <= 1


def test_a_long_run_shows_what_led_to_the_end_of_its_longest_wait_too() -> None:
    build = TraceBuilder()
    parent = build.process("long.py")
    there, back = build.pipe(parent), build.pipe(parent)
    child = build.fork(parent)
    slow = build.begin(child, "os.read", fd=there.reader, size=9)
    build.after(500_000_000)
    build.write(parent, there.writer, b"come late")
    build.end(slow, data=b"come late")
    for _ in range(60):
        build.after(1_000_000)
        build.write(child, back.writer, b"x")
        build.read(parent, back.reader, b"x")
    run = Run(analyze(build.trace()))
    ended = space_time.longest_wait(run)
    assert interleaving(run).nodes["time"].min() > ended
    earlier = interleaving(run, around=ended).nodes["time"]
    assert earlier.min() < ended <= earlier.max()
    assert f"Around the longest wait, which ended at {ended / 1e9:.4f} s" in space_time.draw(run)
