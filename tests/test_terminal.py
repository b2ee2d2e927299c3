"""The terminal's form of a verdict: who waits for what, at which source, what is stuck, what to change."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.results import Analysis, Edge, Edit, Finding, Stuck, Verdict, Waiter, WaitGraph
from ipctrace.reports.ink import Ink, columns, cut, cut_within, escape, wrap
from ipctrace.reports.terminal import verdict

from tests import builders

SAY = 1  # the site of the second print, deadlock.py:41
STEPS = [("explain", "ipctrace rules IPC101"), ("look", "deadlock.html")]


def deadlock() -> Analysis:
    """The chapter's deadlock, as an analysis says it, made by hand."""
    trace = builders.deadlock_trace()
    sites = {(row["file"], row["line"]): int(row["site"]) for _, row in trace.sites.iterrows()}
    say, ask = sites["/work/deadlock.py", 41], sites["/work/deadlock.py", 42]
    hear = sites["/work/deadlock_child.py", 10]
    stdout = int(trace.streams.query("process == 0 and name == 'sys.stdout'")["stream"].iloc[0])
    pipes = trace.channels.query("kind == 'pipe'")["channel"].tolist()
    since = 945_000_000
    empty = ["only parent can write pipe A; it is empty", "only child can write pipe B; it is empty"]
    parent = Waiter(0, 0, "core", "nodata", None, None, pipes[1], ask, since, empty[1])
    child = Waiter(1, 1, "core", "nodata", None, None, pipes[0], hear, since, empty[0])
    edges = (Edge(0, 1, pipes[1], "only child can write pipe B"), Edge(1, 0, pipes[0], "only parent can write pipe A"))
    stuck = Stuck(stdout, 0, pipes[0], 26, ((say, 26),), b"Hello 2 from parent 47110\n")
    text = 'print(f"Hello 2 from parent {me}")'
    edit = Edit("/work/deadlock.py", 41, text, text.replace(")", ", flush=True)"))
    messages = analyze(trace).messages.iloc[:0]
    return Analysis(
        trace,
        Verdict(
            "deadlock",
            "proven",
            "Parent and child each wait for the other to write. The 26 bytes that would free them are stuck in the "
            "parent's own output buffer.",
            "",
            "IPC101",
        ),
        [Finding("IPC101", "unflushed-buffer", "error", "", "flush where the bytes are stuck", "proven", edit=edit)],
        WaitGraph(since, since, (parent, child), edges, (stuck,)),
        {0: "parent", 1: "child"},
        {0: "parent", 1: "child"},
        {number: f"pipe {letter}" for number, letter in zip(pipes, "AB", strict=True)},
        *([messages] * 6),
    )


def lines(analysis: Analysis, ink: Ink | None = None, more: str = "ipctrace analyze deadlock.ipctrace") -> list[str]:
    return list(verdict(analysis, ink or Ink(), STEPS, more))


def test_a_deadlock_reads_as_a_compilers_message() -> None:
    assert lines(deadlock()) == """\
deadlock[IPC101]: parent and child each wait for the other to write; the 26
bytes that would free them are stuck in the parent's own output buffer

  parent 47110 waits for data on pipe B            deadlock.py:42  since 0.945 s
   41 | print(f"Hello 2 from parent {me}")
      | ~~~~~ 26 bytes still in sys.stdout (block-buffered, not a terminal when
      |       Python started)
   42 | answer = sys.stdin.readline()
      |          ^^^^^^^^^^^^^^^^^^^^ waits here; flushes nothing first

  child 47111 waits for data on pipe A       deadlock_child.py:10  since 0.945 s
   10 |     line = input()
      |            ^^^^^^^ waits here; its own buffer is empty

  proven: only child can write pipe B; it is empty, and only parent can write
          pipe A; it is empty

  remedy: flush where the bytes are stuck
 - 41 | print(f"Hello 2 from parent {me}")
 + 41 | print(f"Hello 2 from parent {me}", flush=True)

  explain   ipctrace rules IPC101
  look      deadlock.html""".splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_is_wider_than_the_terminal_or_than_80_columns(width: int) -> None:
    sentences = [line for line in lines(deadlock(), Ink(width=width)) if not line.startswith((" -", " +"))]
    assert max(map(columns, sentences)) <= min(80, width)


def test_the_first_sentence_is_whole_however_narrow() -> None:
    shown = lines(deadlock(), Ink(width=30))
    assert " ".join(shown[: shown.index("")]) == (
        "deadlock[IPC101]: parent and child each wait for the other to write; the 26 bytes that would free them are "
        "stuck in the parent's own output buffer"
    )


def test_colours_say_nothing_alone() -> None:
    coloured = "\n".join(lines(deadlock(), Ink(colour=True)))
    assert "\x1b[1;31mdeadlock\x1b[0m[IPC101]:" in coloured
    for code in ("\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"):
        assert code in coloured
        coloured = coloured.replace(code, "")
    assert coloured.splitlines() == lines(deadlock())


def test_a_terminal_without_unicode_gets_ascii() -> None:
    analysis = deadlock()
    analysis.findings[0] = replace(analysis.findings[0], remedy="flush → there…")
    shown = "\n".join(lines(analysis, Ink(unicode=False)))
    assert shown.isascii()
    assert "flush -> there..." in shown


def test_what_a_program_wrote_cannot_paint_the_terminal() -> None:
    analysis = deadlock()
    sources = analysis.trace.tables["sources"]
    hostile = "answer = ask('\x1b[2J\x07\u202e')  # \x9b31m"
    sources.loc[sources["line"] == 42, "text"] = hostile
    shown = "\n".join(lines(analysis))
    assert r"answer = ask('\x1b[2J\x07\u202e')  # \x9b31m" in shown
    assert not any(character in shown for character in "\x1b\x07\u202e\x9b")


def test_marks_stand_under_the_call_also_behind_wide_and_long_characters() -> None:
    analysis = deadlock()
    sources, sites = analysis.trace.tables["sources"], analysis.trace.tables["sites"]
    text = "größe, 値 = 1, input()"
    before = text[: text.index("input")]
    sources.loc[sources["line"] == 42, "text"] = text
    sites.loc[sites["line"] == 42, ["column", "end_column"]] = [len(before.encode()), len(text.encode())]
    shown = lines(analysis)
    marks = shown[shown.index(f"   42 | {text}") + 1]
    assert marks.startswith("      | " + " " * columns(before) + "^" * len("input()") + " waits here")


def test_without_columns_the_whole_statement_is_marked() -> None:
    analysis = deadlock()
    analysis.trace.tables["sites"][["column", "end_line", "end_column"]] = pd.NA
    shown = lines(analysis)
    marks = shown[shown.index("   10 |     line = input()") + 1]
    assert marks.startswith("      |     ^^^^^^^^^^^^^^ waits here")


def test_a_call_over_several_lines_is_marked_to_the_end_of_its_first() -> None:
    analysis = deadlock()
    sites = analysis.trace.tables["sites"]
    sites.loc[sites["line"] == 42, "end_line"] = 44
    shown = lines(analysis)
    assert "      |          ^^^^^^^^^^^^^^^^^^^^ waits here; flushes nothing first" in shown


def test_a_large_knot_shows_three_and_says_where_the_rest_is() -> None:
    analysis = deadlock()
    assert analysis.graph
    parent, child = analysis.graph.waiters
    analysis.graph = replace(analysis.graph, waiters=(parent, child, *[replace(child, thread=1, site=None)] * 5))
    shown = lines(analysis)
    assert sum("waits for data on" in line for line in shown) == 3
    assert "  and 4 more in the same knot: ipctrace analyze deadlock.ipctrace" in shown
    assert sum("waits for data on" in line for line in lines(analysis, more="")) == 7


def test_who_waits_behind_the_knot_and_who_runs() -> None:
    analysis = deadlock()
    assert analysis.graph
    cat = replace(analysis.graph.waiters[1], thread=None, role="victim", site=None)
    logger = replace(analysis.graph.waiters[0], role="bystander", reason="run", evidence="has only used the terminal")
    analysis.process_names[1] = "cat"
    analysis.graph = replace(analysis.graph, waiters=(*analysis.graph.waiters, cat, logger))
    shown = lines(analysis)
    assert "  behind: cat 47111 waits for data on pipe A" in shown
    assert "  runs, cannot help: parent 47110 (has only used the terminal)" in shown


def test_an_untraced_member_has_no_source() -> None:
    analysis = deadlock()
    assert analysis.graph
    parent, child = analysis.graph.waiters
    analysis.graph = replace(analysis.graph, waiters=(parent, replace(child, thread=None, site=None)))
    shown = lines(analysis)
    position = next(number for number, line in enumerate(shown) if line.startswith("  child 47111 waits"))
    assert shown[position].endswith("since 0.945 s")
    assert shown[position + 1] == ""


def test_what_is_not_proven_says_what_it_hangs_on() -> None:
    analysis = deadlock()
    analysis.verdict = replace(analysis.verdict, name="stalled", certainty="likely", because="A stranger holds pipe A.")
    shown = lines(analysis)
    assert shown[0].startswith("stalled[IPC101]: parent and child")
    assert "  likely: A stranger holds pipe A." in shown
    assert any(line.startswith("  error[IPC101]") for line in shown), "its headline says only why it may go on"


def test_a_line_to_add_stands_on_a_line_of_its_own() -> None:
    analysis = deadlock()
    [found] = analysis.findings
    edit = Edit("/work/deadlock.py", 41, "    out.write(x)", "    out.write(x)\n    out.flush()")
    analysis.findings[:] = [replace(found, edit=edit)]
    assert [line for line in lines(analysis) if line.startswith((" - ", " + "))] == [
        " - 41 |     out.write(x)", " + 41 |     out.write(x)", " + 42 |     out.flush()",
    ]  # fmt: skip


def healthy() -> Analysis:
    """A run that completed, with a finding."""
    analysis = deadlock()
    analysis.verdict = Verdict("completed", "certain", "Completed in 1.27 s.", "")
    analysis.trace.facts |= {"duration": 1_270_000_000, "status": 0}
    analysis.graph = None
    message = "message 1 lay 324 ms in pipe A while child slept"
    analysis.findings[:] = [Finding("IPC404", "late-receiver", "info", message, "read earlier", sites=(SAY,))]
    pipe = min(analysis.channel_names)
    analysis.messages = analysis.messages.reindex(range(2)).assign(
        channel=pipe, size=[26, 45], writer=0, reader=1, accepted=[1, 2], written=[1, 2], read=[3, 4]
    )
    analysis.channels = analysis.trace.channels.assign(left=0)
    return analysis


def test_a_healthy_run_is_one_line_and_what_was_found() -> None:
    shown = lines(healthy())
    assert shown[0] == "completed in 1.27 s, exit 0"
    assert shown[2] == "  2 processes, 2 threads, 2 pipes, 2 messages, 71 bytes, none lost"
    assert shown[4:7] == [
        "           parent                                       child",
        "  0.0000 s |----------------- 26 bytes ---------------->|",
        "  0.0000 s |----------------- 45 bytes ---------------->|",
    ]
    assert shown[8:10] == [
        "  info[IPC404]: message 1 lay 324 ms in pipe A while child slept",
        "                (deadlock.py:41)",
    ]


def test_lost_and_unread_messages_are_counted() -> None:
    analysis = healthy()
    analysis.messages[["written", "read"]] = [[None, None], [2, None]]
    assert "1 never left its writer's buffer, 1 never read" in " ".join(" ".join(lines(analysis)).split())


def test_what_somebody_untraced_reads_is_not_counted_as_unread() -> None:
    analysis = healthy()
    analysis.messages["read"] = None
    analysis.channels["left"] = pd.NA
    assert lines(analysis)[2] == "  2 processes, 2 threads, 2 pipes, 2 messages, 71 bytes"


@pytest.mark.parametrize(
    ("emptied", "said"),
    [
        ((), "no bytes passed between processes"),
        (("events",), "deadlock.py ended before it did anything that is recorded"),
        (("events", "processes"), "no process of it was a Python that could be recorded"),
    ],
)
def test_a_run_in_which_nothing_happened_says_why(emptied: tuple[str, ...], said: str) -> None:
    analysis = healthy()
    analysis.messages = analysis.messages.iloc[:0]
    for name in emptied:
        table = analysis.trace.tables[name]
        analysis.trace.tables[name] = table.assign(traced=False) if name == "processes" else table.iloc[:0]
    assert said in " ".join(" ".join(lines(analysis)).split())


def test_many_findings_are_counted_and_named_by_a_command() -> None:
    analysis = healthy()
    (found,) = analysis.findings
    analysis.findings[:] = [replace(found, rule=f"IPC4{number:02}") for number in range(12)]
    assert "  and 4 more findings: ipctrace analyze deadlock.ipctrace" in lines(analysis)
    assert sum("info[IPC4" in line for line in lines(analysis, more="")) == 12


def test_findings_that_are_alike_share_a_paragraph() -> None:
    analysis = healthy()
    analysis.findings[:] = analysis.findings * 12
    shown = lines(analysis)
    assert sum("info[IPC404]" in line for line in shown) == 1
    assert "So 12 times there." in " ".join(" ".join(shown).split())
    assert not any("more finding" in line for line in shown)
    assert sum("info[IPC404]" in line for line in lines(analysis, more="")) == 12


def test_escape_leaves_letters_alone() -> None:
    assert escape("größe 値 ⏎") == "größe 値 ⏎"
    assert escape("a\tb\r\n\x00\x7f\udcff") == "a b" + r"\r\n\x00\x7f\udcff"


def test_cut_counts_columns() -> None:
    assert cut("値値値", 5) == "値値…"
    assert cut("abc", 3) == "abc"


def test_a_name_loses_its_middle() -> None:
    assert cut_within("a_program 1", 20) == "a_program 1"
    assert cut_within("many_processes 17", 11) == "many_…es 17"
    assert cut_within("many_processes 17", 11, "...") == "many...s 17"
    assert columns(cut_within("値" * 9, 8)) <= 8


def test_wrap_keeps_every_word() -> None:
    assert list(wrap("one two-three 4", 8, "> ")) == ["> one", "  two-three", "  4"]
