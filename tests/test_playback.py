"""A run that is played: what is on the screen at an instant, and what the keys do. No terminal is needed for it."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipctrace.analysis import analyze
from ipctrace.reports.ink import Ink, columns
from ipctrace.reports.playback.log import lines
from ipctrace.reports.playback.player import Place, Player, where
from ipctrace.reports.playback.screen import KEYS
from ipctrace.reports.playback.stage import Analysed

from tests.builders import MS, TraceBuilder, big_trace, completed_trace, deadlock_trace
from tests.hostile import TEXTS, hostile_deadlock, hostile_trace

TRACES = {
    "deadlock": deadlock_trace,
    "completed": completed_trace,
    "big": lambda: big_trace(40),
    "hostile": hostile_trace,
}
INK = Ink()


@cache
def stage(name: str) -> Analysed:
    return Analysed(analyze(TRACES[name]()))


def player(name: str = "deadlock") -> Player:
    made = Player(stage(name))
    made.use(stage(name))
    made.view.playing = False
    return made


def press(made: Player, *keys: str) -> list[str]:
    for key in keys:
        assert made.press(key)
    return made.lines(INK, 24)


# ---- what is shown


def test_the_moment_of_the_deadlock() -> None:
    shown = press(player(), "d")
    text = "\n".join(shown)
    assert shown[2].split() == ["parent", "child"]
    assert "#3 26 B into its buffer: Hello 2 from parent" in text
    assert "26 B parent" in next(line for line in shown if line.startswith("pipe A"))
    assert "parent waits for child; child waits for parent" in text
    now = next(line for line in shown if line.strip().startswith("now"))
    assert now.count("waits for data") == 2
    assert "!" in shown[1]


def test_a_message_goes_from_lane_to_lane() -> None:
    made = player()
    made.go(made.stage.end)
    row = {arrived: line for arrived in (False, True) for line in _rows_at(made, arrived)}
    assert row[False].rstrip().endswith("....|")
    assert row[True].rstrip().endswith(">|")


def _rows_at(made: Player, arrived: bool) -> list[str]:
    """The row of message 1 while it lies in the pipe, and when it was read."""
    analysed = made.analysed
    assert analysed
    times = analysed.instants.read if arrived else analysed.instants.written
    made.go(int(times[0]))
    return [line for line in made.lines(INK, 24) if "#1 26 B: Hello 1" in line and "gets" not in line]


def test_a_full_pipe_is_full() -> None:
    build = TraceBuilder()
    parent = build.process("full.py")
    pipe = build.pipe(parent)
    build.fork(parent)
    build.write(parent, pipe.writer, b"x" * 65536)
    made = Player(full := Analysed(analyze(build.trace(ended="exit", status=0))))
    made.use(full)
    made.go(full.end)
    assert "[##########] 65,536 of 65,536 B" in "\n".join(made.lines(Ink(width=120), 24))


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("size", [(80, 24), (60, 16), (200, 60), (40, 14), (30, 8), (81, 25)])
def test_the_screen_is_as_large_as_the_terminal(name: str, size: tuple[int, int]) -> None:
    made = player(name)
    for ink in (Ink(width=size[0]), Ink(unicode=False, width=size[0])):
        for keys in (["home"], ["m"], ["end"], ["?"], ["?", "/", "a"], ["enter"]):
            for key in keys:
                made.press(key)
            shown = made.lines(ink, size[1])
            assert len(shown) == size[1]
            assert max(map(columns, shown)) <= size[0]
            assert all(line.isascii() for line in shown) or ink.unicode


def test_nothing_jumps_while_it_plays() -> None:
    """Which line is which doesn't depend on the instant."""
    made, heads = player("completed"), set()
    while made.now < made.stage.end:
        shown = press(made, "right")
        heads.add(
            tuple(
                row for row, line in enumerate(shown) if line.startswith(("       now", "channel", "pipe ", "space"))
            )
        )
    assert len(heads) == 1


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.sample(5)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    for build in (hostile_trace, hostile_deadlock):
        made = Player(analysed := Analysed(analyze(build(text))))
        made.use(analysed)
        for key in ("home", "m", "m", "end", "d"):
            made.press(key)
            shown = made.lines(Ink(width=120), 30)
            assert all(character.isprintable() for line in shown for character in line), shown
        told = [line for _, line in lines(build(text), 0, INK)]
        assert all(character.isprintable() for line in told for character in line)


def test_colours_only_where_there_are_some() -> None:
    made = player()
    made.press("d")
    coloured = made.lines(Ink(colour=True), 24)
    assert "\x1b[1;31m" in "".join(coloured)
    assert "\x1b" not in "".join(made.lines(INK, 24))


# ---- the keys


@given(st.lists(st.sampled_from(["right", "left", "m", "M", "[", "]", "w", "page down", "end", "home"]), max_size=8))
@settings(max_examples=40)
def test_a_step_on_and_a_step_back_show_the_same(keys: list[str]) -> None:
    for name in ("deadlock", "big"):
        made = player(name)
        press(made, *keys, "right", "left")
        before = press(made, "right")
        if made.now == made.stage.end:
            continue
        there = made.now
        press(made, "right", "left")
        assert (made.now, made.lines(INK, 24)) == (there, before)


def test_every_key_of_the_sheet_does_something() -> None:
    words = {
        "space": "space",
        "←": "left",
        "→": "right",
        "Home": "home",
        "End": "end",
        "PgUp": "page up",
        "PgDn": "page down",
        "Esc": "escape",
    }
    for shown, _ in KEYS:
        for key in shown.split():
            made = player("big")
            made.go(made.stage.end // 2)
            press(made, "m", "/", "b", "enter")
            made.view.note = "as it was"
            before = made.state()
            alive = made.press(words.get(key, key))
            assert not alive or made.state() != before, key


def test_messages_are_opened_one_after_the_other() -> None:
    made = player()
    press(made, "m")
    assert made.view.message == 0
    shown = press(made, "m")
    assert any(line.startswith("message 2: 45 B child → parent, pipe B") for line in shown)
    press(made, "M")
    assert made.view.message == 0
    press(made, "]", "]", "[")
    assert made.now == int(stage("deadlock").instants.written[0])
    press(made, "escape")
    assert made.view.message is None


def test_going_to_a_time_a_message_a_finding() -> None:
    made = player()
    press(made, "g", *"0.5", "enter")
    assert made.now == 500 * MS
    press(made, "g", *"message", "space", "3", "enter")
    assert (made.now, made.view.message) == (int(stage("deadlock").instants.begin[2]), 2)
    press(made, "g", *"finding1", "enter")
    assert made.now == stage("deadlock").instants.formed
    assert made.view.note.startswith("finding 1: IPC101")
    assert press(made, "g", *"message", "space", *"99", "enter")[-1] == "there is no message 99; there are 3"
    assert "nowhere is no place" in press(made, "g", *"nowhere", "enter")[-1]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1.5", Place("time", 1_500_000_000)), ("200ms", Place("time", 200_000_000)), (".5 s", Place("time", 500_000_000)),
        ("7us", Place("time", 7_000)), ("message 12", Place("message", 12)), ("message #12", Place("message", 12)),
        ("Finding 1", Place("finding", 1)), ("", None), ("-1", None), ("message", None), ("1.5.5", None), ("message x", None),
    ],
)  # fmt: skip
def test_places_as_a_person_writes_them(text: str, place: Place | None) -> None:
    assert where(text) == place


def test_a_search_goes_round() -> None:
    made = player()
    press(made, "home", "/", *"hello", "space", "2", "enter")
    first = made.now
    assert made.view.message == 2
    press(made, "n")
    press(made, "N")
    assert made.now == first
    assert press(made, "/", *"no such thing".replace(" ", "_"), "enter")[-1] == "no_such_thing is nowhere"
    press(made, "/", *"CHILD", "enter")
    assert "CHILD: at " in made.view.note


def test_real_time_speeds_and_the_end() -> None:
    made = player()
    made.press("space")
    made.tick(0.25)
    assert made.now == 250 * MS
    press(made, "+")
    made.tick(0.1)
    assert made.now == 550 * MS
    press(made, "space")
    made.tick(5)
    assert made.now == 550 * MS
    press(made, "space")
    made.tick(5)
    assert (made.now, made.view.playing) == (made.stage.end, False)
    press(made, "space")
    assert (made.now, made.view.playing) == (0, True)


def test_as_fast_as_it_goes_is_an_event_a_picture() -> None:
    made = Player(stage("deadlock"), float("inf"))
    times = []
    while made.view.playing:
        made.tick(0.0)
        times.append(made.now)
    assert times[: len(stage("deadlock").instants.moments)] == stage("deadlock").instants.moments.tolist()


def test_who_has_no_column_is_named_and_gets_one_on_demand() -> None:
    build = TraceBuilder()
    parent = build.process("parent.py")
    pipes = [build.pipe(parent) for _ in range(7)]
    children = [build.fork(parent, program=f"child-{number}") for number in range(7)]
    for number in range(21):
        build.write(parent, pipes[number % 7].writer, b"line\n")
        build.read(children[number % 7], pipes[number % 7].reader, b"line\n")
    made = Player(many := Analysed(analyze(build.trace(ended="exit", status=0))))
    made.use(many)
    shown = press(made, "end")
    assert len(shown[2].split()) == 4
    assert any("parent -> child-6: #" in line for line in shown)
    assert press(made, ">")[2].split()[0] != shown[2].split()[0]
    assert press(made, "a")[2] == shown[2]


def test_an_empty_run_can_be_played() -> None:
    build = TraceBuilder()
    build.process("empty.py")
    made = Player(empty := Analysed(analyze(build.trace(ended="exit", status=0))))
    made.use(empty)
    for key in ("right", "left", "m", "]", "w", "f", "d", "n", "end", ">"):
        assert len(press(made, key)) == 24


# ---- a line an event


def test_every_event_is_a_line_in_order_of_time() -> None:
    trace = deadlock_trace()
    told = list(lines(trace, 0, INK))
    ends = trace.processes["ended"].notna().sum()
    assert len(told) == len(trace.events) + ends
    assert [time for time, _ in told] == sorted(time for time, _ in told)
    assert all(line.startswith(f"{time / 1e9:12.6f}  ") for time, line in told)
    text = "\n".join(line for _, line in told)
    assert "print  25 bytes  pipe A  message 3  deadlock.py:41  Hello 2 from parent 47110" in text
    assert "waits for data, never returned" in text


def test_lines_begin_where_they_are_asked_to() -> None:
    trace = completed_trace()
    whole = [line for _, line in lines(trace, 0, INK)]
    late = [line for time, line in lines(trace, 300 * MS, INK)]
    assert late == whole[-len(late) :]
    assert 0 < len(late) < len(whole)
