"""The marks of the timeline, as the model has them: what happened to which lane, when, and which lane it reached."""

import pandas as pd
import pytest
from ipctrace.analysis import analyze
from ipctrace.reports.columns import unpack
from ipctrace.reports.model.marks import MARKS, marks
from ipctrace.reports.model.part import LONG, Part, shorten
from ipctrace.reports.model.signals import WORDS, in_words
from ipctrace.reports.run import Run

from .builders import MS, TraceBuilder


def marked(build, **facts):
    """The marks as a table, kinds as words and lanes as names, and the part's facts."""
    run = Run(analyze(build.trace(**facts)))
    part = marks(run)
    table = pd.DataFrame({name.removeprefix("marks."): unpack(column) for name, column in part.columns.items()})
    names = [run.thread_name(lane.thread, lane.process) for lane in run.lanes]
    table["kind"] = [MARKS[kind] for kind in table["kind"]]
    for column in ("lane", "other"):
        table[column] = [None if pd.isna(lane) else names[int(lane)] for lane in table[column]]
    assert table["time"].is_monotonic_increasing
    return table, part.facts


def pid_of(build, thread):
    return build.rows["processes"][build.process_of(thread)]["pid"]


def family():
    build = TraceBuilder()
    parent = build.process("family.py")
    return build, parent, build.fork(parent)


def test_a_fork_reaches_the_lane_of_the_child_as_it_begins():
    build, _, child = family()
    table, _ = marked(build)
    (fork,) = table[table["kind"] == "fork"].to_dict("records")
    assert (fork["lane"], fork["other"]) == ("parent", "child")
    assert fork["arrived"] == build.rows["threads"][child]["started"]


def test_a_process_whose_fork_nobody_recorded_still_has_one():
    build = TraceBuilder()
    parent = build.process("sh", traced=False)
    build.process("cat", build.process_of(parent), "fork", traced=False)
    table, _ = marked(build)
    assert table["kind"].tolist() == ["fork"]


def test_a_start_of_a_thread_reaches_it_by_number_and_without_one_by_order():
    build = TraceBuilder()
    parent = build.process("threads.py")
    for known in (True, False):
        start = build.begin(parent, "Thread.start")
        thread = build.thread(build.process_of(parent), f"known {known}")
        build.end(start, size=build.rows["threads"][thread]["tid"] if known else 0)
    table, _ = marked(build)
    assert [other.rpartition("/")[2] for other in table.loc[table["kind"] == "start", "other"]] == ["known True", "known False"]


def test_a_kill_reaches_the_handler_the_wait_or_the_end_that_it_brought_about():
    build, parent, child = family()
    pid = pid_of(build, child)
    for number, arrive in (
        (10, lambda: build.call(child, "signal handler", size=10)),
        (12, lambda: build.call(child, "signal.sigwait", size=12, result=12)),
        (15, lambda: build.exit(child, status=-15)),
    ):
        build.call(parent, "os.kill", size=pid, extra=number)
        build.after(MS)
        arrive()
        build.after(MS)
    table, facts = marked(build)
    kills = table[table["kind"] == "kill"]
    assert kills["other"].tolist() == ["child"] * 3
    assert table["kind"].tolist() == ["fork", "kill", "handled", "kill", "awaited", "kill", "ended"]
    arrivals = table[table["kind"].isin(["handled", "awaited", "ended"])]
    assert kills["arrived"].tolist() == arrivals["time"].tolist()
    assert kills["number"].tolist() == arrivals["number"].tolist() == [10, 12, 15]
    assert facts["signals"] == {number: WORDS[number] for number in (10, 12, 15)}


def test_a_signal_that_nothing_shows_to_arrive_has_no_arrival():
    build, parent, child = family()
    build.call(parent, "os.kill", size=pid_of(build, child), extra=28)
    build.after(MS)
    table, _ = marked(build)
    (kill,) = table[table["kind"] == "kill"].to_dict("records")
    assert kill["other"] == "child"
    assert pd.isna(kill["arrived"])


def test_of_signals_that_became_one_the_latest_is_the_one_that_arrived():
    build, parent, child = family()
    for _ in range(2):
        build.call(parent, "os.kill", size=pid_of(build, child), extra=10)
        build.after(MS)
    build.call(child, "signal handler", size=10)
    table, _ = marked(build)
    assert table.loc[table["kind"] == "kill", "arrived"].notna().tolist() == [False, True]


def test_a_failed_kill_arrives_nowhere():
    build, parent, child = family()
    build.call(parent, "os.kill", size=pid_of(build, child), extra=10, error=1)
    build.call(child, "signal handler", size=10)
    table, _ = marked(build)
    assert table.loc[table["kind"] == "kill", "arrived"].isna().all()


@pytest.mark.parametrize(("status", "kind", "number"), [(0, "exit", 0), (7, "exit", 7), (-9, "ended", 9)])
def test_an_end_has_its_status_or_its_signal(status, kind, number):
    build, _, child = family()
    build.exit(child, status=status)
    table, _ = marked(build)
    (end,) = table[table["kind"].isin(["exit", "ended"])].to_dict("records")
    assert (end["kind"], end["lane"], end["number"]) == (kind, "child", number)


def test_an_uncaught_exception_says_its_words():
    build = TraceBuilder()
    parent = build.process("raises.py")
    build.call(parent, "uncaught", b"ValueError: no")
    table, facts = marked(build)
    assert table["kind"].tolist() == ["uncaught"]
    assert facts["mark_texts"][int(table["text"][0])] == "ValueError: no"


def test_a_signal_without_a_name_has_its_number():
    assert in_words(35) == "signal 35"


def test_only_long_lists_of_rows_are_taken_out_of_the_json():
    rows = [{"name": str(number)} for number in range(LONG)]
    short = shorten(Part({"lanes": rows, "channels": rows[:-1], "labels": ["a"] * LONG}))
    assert short.facts["long"] == ["lanes"]
    assert set(short.facts) == {"channels", "labels", "long"}
    assert set(short.blobs) == {"list-lanes"}
