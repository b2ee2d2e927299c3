"""Built runs side by side: nothing differs but time between equals; what was changed is named, and named first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ipctrace.analysis import analyze
from ipctrace.analysis.comparison import Comparison, Difference, compare, gates
from ipctrace.analysis.results import Analysis
from ipctrace.reports.comparison import json as as_json
from ipctrace.reports.comparison import notebook, terminal
from ipctrace.reports.ink import Ink, columns
from ipctrace.reports.json import paths

from .builders import MS, TraceBuilder, completed_trace, deadlock_trace, lucky_trace
from .hostile import TEXTS, hostile_deadlock, hostile_trace

ROOT = Path(__file__).parent.parent


def two(first: Analysis, second: Analysis) -> Comparison:
    return compare([first, second], ["one", "other"])


def real(comparison: Comparison, pair: int = 0) -> list[Difference]:
    """What differs, but by chance."""
    return [one for one in comparison.pairs[pair].differences if not one.chance]


def talk(
    lines: str, pids: int = 47110, pause: int = MS, file: str = "talk.py", late: bool = False, duration: float = 1
) -> Analysis:
    """A parent that tells its child what `lines` say, over a pipe and through a block-buffered stream.

    A line each: `print TEXT`, `flush`, `write TEXT` (os.write); the child reads after every flush and write, or (`late`)
    once for all at the end.
    """
    build = TraceBuilder(terminal=False)
    parent = build.process(file)
    pipe = build.pipe(parent, build.site(f"/work/{file}", 1, "r, w = os.pipe()"))
    child = build.fork(parent, keep=(pipe.reader,), site=build.site(f"/work/{file}", 2, "os.fork()"))
    out = build.stream(build.process_of(parent), "sys.stdout", pipe.writer)
    waiting, sent = b"", b""
    for number, line in enumerate(lines.strip().splitlines(), 10):
        site = build.site(f"/work/{file}", number, line.strip())
        verb, _, text = line.strip().partition(" ")
        build.after(int(pause * duration))
        if verb == "print":
            build.print(parent, out, text, site)
            waiting += text.encode() + b"\n"
            continue
        if verb == "flush":
            build.flush(parent, out, site)
            sent, waiting = sent + waiting, b""
        else:
            build.write(parent, pipe.writer, text.encode(), site)
            sent += text.encode()
        if sent and not late:
            build.read(child, pipe.reader, sent, 4096)
            sent = b""
    if sent:
        build.read(child, pipe.reader, sent, 4096)
    build.exit(child)
    build.exit(parent)
    for row in build.rows["processes"]:
        row["pid"] += pids - 47110
    return analyze(build.trace())


PLAIN = "print one\nflush\nprint two\nflush"


def test_equal_runs_differ_in_nothing() -> None:
    made = two(talk(PLAIN), talk(PLAIN))
    assert made.headline == "Nothing differs but time."
    assert made.pairs[0].differences == ()
    assert made.pairs[0].agreed == 7


def test_pids_clocks_and_numbers_in_payloads_play_no_part() -> None:
    one = talk("print at 1733000000.25 from 47110\nflush")
    other = talk("print at 17.5 from 9\nflush", pids=9, pause=40 * MS)
    other.trace.sources["text"] = other.trace.sources["text"].str.replace(
        "at 17.5 from 9", "at 1733000000.25 from 47110"
    )
    assert real(two(one, other)) == []


def test_the_chapters_runs_are_alike() -> None:
    made = two(analyze(completed_trace()), analyze(completed_trace()))
    assert made.headline == "Nothing differs but time."


@pytest.mark.parametrize("turned", [False, True])
def test_a_flush_that_moved_is_named_first(turned: bool) -> None:
    early, late = (
        talk("print one\nflush\nprint two\nprint three\nflush"),
        talk("print one\nprint two\nflush\nprint three\nflush"),
    )
    made = two(late, early) if turned else two(early, late)
    first = made.pairs[0].first_difference
    assert first is not None and first.kind == "calls"
    has, lacks = (first.second, first.first) if turned else (first.first, first.second)
    assert (has.line, has.text) == (11, "flush")
    assert "sys.stdout.flush()" in has.words
    assert lacks.words == "goes on here without it, and does it at talk.py:12"
    assert (lacks.line, lacks.text) == (11, "print two")
    assert "part at talk.py:11" in made.headline


def test_what_a_moved_flush_does_to_messages_is_told_behind_it() -> None:
    made = two(talk("print one\nflush\nprint two\nflush"), talk("print one\nprint two\nflush"))
    kinds = [one.kind for one in real(made)]
    assert kinds[0] == "calls" and "boundaries" in kinds
    merged = next(one for one in real(made) if one.kind == "boundaries")
    assert (merged.first.words, merged.second.words) == ("a write each", "one write carries both")


def test_a_terminals_line_buffering_shows_as_bytes_that_go_on_at_once() -> None:
    made = two(analyze(deadlock_trace()), analyze(lucky_trace()))
    assert made.headline == "one hangs, other completes."
    first = made.pairs[0].first_difference
    assert first is not None and first.kind == "flow"
    assert first.first.place == first.second.place == "deadlock.py:37"
    assert "stay in sys.stdout until input()" in first.first.words and "at once" in first.second.words
    decides = [one for one in real(made) if one.decides]
    assert [one.first.place for one in decides] == ["deadlock.py:41"]
    assert decides[0].first.words == "26 bytes stay in sys.stdout, for ever"


def test_the_missing_flush_decides() -> None:
    made = two(analyze(completed_trace()), analyze(deadlock_trace()))
    decides = [one for one in real(made) if one.decides]
    assert [(one.first.text, one.first.line) for one in decides] == [("sys.stdout.flush()", 43)]
    assert "IPC101" in next(one.second.words for one in real(made) if one.kind == "finding")


def test_what_a_stopped_run_never_came_to_is_no_difference() -> None:
    made = two(analyze(deadlock_trace()), analyze(lucky_trace()))
    assert {one.kind for one in real(made)} == {"flow", "verdict", "finding"}


def test_what_hangs_here_and_would_elsewhere_is_not_one_finding() -> None:
    table = two(analyze(deadlock_trace()), analyze(lucky_trace())).findings
    found = table[table["rule"] == "IPC101"].set_index("name")
    assert found.loc["unflushed-buffer", ["one", "other"]].tolist() == [1, 0]
    assert found.loc["unflushed-buffer, latent", ["one", "other"]].tolist() == [0, 1]


def test_messages_that_say_something_else_are_shown() -> None:
    one, other = talk("write turn left"), talk("write turn right")
    other.trace.sources["text"] = other.trace.sources["text"].str.replace("right", "left")
    (found,) = real(two(one, other))
    assert (found.kind, found.first.words, found.second.words) == ("messages", "“turn left”", "“turn right”")


def test_what_only_one_run_sends_is_shown_with_its_line() -> None:
    made = two(talk("write a\nwrite b"), talk("write a"))
    first = made.pairs[0].first_difference
    assert first is not None and first.first.place == "talk.py:11"
    assert any(one.kind == "messages" for one in real(made))


def test_reads_that_are_late_are_chance() -> None:
    made = two(talk("print one\nflush\nprint two\nflush"), talk("print one\nflush\nprint two\nflush", late=True))
    assert real(made) == []
    assert made.headline == "Nothing differs but time, and what depends on who is faster."
    (merged,) = [one for one in made.pairs[0].differences if one.kind == "boundaries"]
    assert (merged.first.words, merged.second.words) == ("a read each", "one read gets both")


def test_what_differs_among_repeats_is_chance() -> None:
    runs = [talk("write a\nwrite b"), talk("write a"), talk("write a")]
    assert real(compare(runs, ["one", "one", "other"])) == []
    assert real(compare(runs[:2], ["one", "other"]))


def test_files_and_programs_of_other_names_are_aligned() -> None:
    assert real(two(talk(PLAIN, file="pipes.py"), talk(PLAIN, file="remedy.py"))) == []


def test_of_one_run_nothing_is_said_of_time() -> None:
    made = two(talk(PLAIN), talk(PLAIN, duration=50))
    assert made.pairs[0].claims and not any(one.holds for one in made.pairs[0].claims)
    assert "time can't be judged from one run" in made.because.lower()


def test_few_repeats_say_how_many_it_takes() -> None:
    runs = [talk(PLAIN, duration=1 + k / 50) for k in range(3)] + [talk(PLAIN, duration=9 + k / 50) for k in range(3)]
    made = compare(runs, ["one"] * 3 + ["other"] * 3)
    assert not any(one.holds for one in made.pairs[0].claims)
    assert "3 runs a side can't tell" in made.because


def test_a_difference_in_time_is_claimed_where_it_stands_out() -> None:
    runs = [talk(PLAIN, duration=1 + k / 50) for k in range(8)] + [talk(PLAIN, duration=9 + k / 50) for k in range(8)]
    made = compare(runs, ["one"] * 8 + ["other"] * 8)
    (longer,) = [one for one in made.pairs[0].claims if one.measure == "duration"]
    assert longer.holds and longer.chance is not None and longer.chance <= made.level
    assert "times as long in other" in longer.words
    assert gates.slowdowns(made, 1.5) and not gates.slowdowns(made, 20)


def test_of_runs_that_hang_no_time_is_compared() -> None:
    assert two(analyze(deadlock_trace()), analyze(lucky_trace())).pairs[0].claims == ()


def test_gates_ask_what_came_against_the_first() -> None:
    good, bad = analyze(completed_trace()), analyze(deadlock_trace())
    worse, better = two(good, bad), two(bad, good)
    assert gates.verdicts(worse) == ["the verdict is deadlock in other, completed in one"]
    assert len(gates.findings(worse)) == 1 and gates.findings(better) == []
    assert gates.verdicts(two(good, good)) == [] == gates.findings(two(good, good))
    assert gates.repeats_missing(two(good, good)) == 5 and gates.repeats_missing(worse) == 0


def test_of_many_settings_each_is_compared_with_the_first() -> None:
    runs = [talk(PLAIN) for _ in range(9)] + [analyze(deadlock_trace())]
    made = compare(runs, [f"run {k}" for k in range(10)])
    assert [(one.first, one.second) for one in made.pairs] == [(0, k) for k in range(1, 10)]
    assert made.headline == "Of 10 settings 1 hangs (run 9) and 9 complete."


def test_two_settings_at_least_are_compared() -> None:
    one = talk(PLAIN)
    for runs, labels in (([one], ["a"]), ([one, one], ["a", "a"]), ([one, one], ["a"])):
        with pytest.raises(ValueError, match="two settings"):
            compare(runs, labels)


def test_a_label_may_be_called_as_a_column_is() -> None:
    made = compare([talk(PLAIN)] * 3, ["fact", "rule", "role"])
    assert set(made.columns) <= set(made.environment.columns) & set(made.findings.columns) & set(made.roles.columns)


def test_the_environment_tells_how_streams_were_buffered() -> None:
    table = two(analyze(deadlock_trace()), analyze(lucky_trace())).environment
    told = table[table["differs"]].set_index("fact").loc["stream: sys.stdout of parent"]
    assert told["one"].startswith("block-buffered") and told["other"].startswith("line-buffered")


def test_the_terminal_tells_it_in_the_order_of_importance() -> None:
    made = two(analyze(deadlock_trace()), analyze(lucky_trace()))
    told = list(terminal.lines(made, Ink(), [("look", "compare.html")]))
    text = "\n".join(told)
    assert told[0] == "one hangs, other completes."
    order = [
        "deadlock.py:37",
        "A: 26 bytes stay in sys.stdout until",
        "the one that decides",
        "for ever",
        "IPC101 unflushed-buffer at",
        "look",
    ]
    assert [text.find(each) for each in order] == sorted(text.find(each) for each in order)
    assert max(map(columns, told)) <= 80
    assert "\x1b" not in text and "\x1b[1;31mdeadlock" in "\n".join(terminal.lines(made, Ink(colour=True)))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.sample(5)
def test_whatever_a_program_wrote_is_text_in_a_terminal(text: str) -> None:
    made = compare([analyze(hostile_deadlock(text)), analyze(hostile_trace(text))], [text or "empty", "other"])
    told = list(terminal.lines(made, Ink()))
    assert [line for line in told if not line.isprintable()] == []
    assert "<img" not in notebook.html(made)
    json.dumps(as_json.to_json(made), allow_nan=False)


def test_the_document_holds_what_it_declares() -> None:
    runs = [talk(PLAIN, duration=1 + k / 50) for k in range(2)]
    made = compare([*runs, analyze(deadlock_trace()), talk("write b")], ["a", "a", "b", "c"])
    found = set(paths(as_json.to_json(made)))
    open_ended = ("measures.", "runs[].measures.", "settings[].verdicts.")
    declared = {path.rstrip("?") for path in as_json.FIELDS}
    assert {path for path in found if not path.startswith(open_ended)} == declared


def test_its_documentation_is_made_from_it() -> None:
    assert (ROOT / "docs" / "compare-json.md").read_text("utf-8") == as_json.documentation()
