"""Who held which end from when to when."""

from __future__ import annotations

import pandas as pd
from ipctrace.analysis.run import Run

from .builders import TraceBuilder, completed_trace


def open_ends(build: TraceBuilder, channel: int) -> list[tuple[int, int, str]]:
    held = Run(build.trace(ended="duration")).held
    rows = held[held["channel"] == channel]
    return sorted(zip(rows["process"], rows["fd"], rows["access"], strict=True))


def test_a_pipe_has_a_reading_and_a_writing_end_and_fork_copies_both() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    assert open_ends(build, pipe.channel) == [(0, 3, "r"), (0, 4, "w"), (1, 3, "r"), (1, 4, "w")]
    build.close(child, pipe.writer)
    build.exit(child)
    assert open_ends(build, pipe.channel) == [(0, 3, "r"), (0, 4, "w")]


def test_exec_loses_what_os_pipe_made_and_keeps_what_dup2_made() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.dup2(parent, pipe.writer, 1)
    build.execute(parent, "b.py", traced=False)
    assert open_ends(build, pipe.channel) == [(0, 1, "w")]


def test_dup2_closes_what_its_target_led_to() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    one, two = build.pipe(parent), build.pipe(parent)
    build.dup2(parent, two.writer, one.writer)
    assert open_ends(build, one.channel) == [(0, one.reader, "r")]
    assert open_ends(build, two.channel) == [(0, one.writer, "w"), (0, two.reader, "r"), (0, two.writer, "w")]


def test_closerange_closes_up_to_its_end() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.call(parent, "os.closerange", fd=4, extra=64)
    assert open_ends(build, pipe.channel) == [(0, 3, "r")]


def test_a_spawned_child_lists_what_it_has_and_an_untraced_one_is_looked_at() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.fork(parent, "b.py", op="fork_exec", keep=(pipe.reader,))
    build.fork(parent, "cat", traced=False, op="fork_exec", keep=(pipe.writer,))
    build.look()
    assert open_ends(build, pipe.channel) == [(0, 3, "r"), (0, 4, "w"), (1, 3, "r"), (2, 4, "w")]


def test_a_look_puts_right_what_the_calls_did_not_tell() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    del build._images[0].ends[pipe.writer]  # closed by a library, past every wrapper
    build.look()
    assert open_ends(build, pipe.channel) == [(0, 3, "r")]


def test_an_end_counts_as_used_where_bytes_went_through() -> None:
    run = Run(completed_trace())
    pipes = run.spans[
        run.spans["channel"].isin(run.trace.channels.loc[run.trace.channels["kind"] == "pipe", "channel"])
    ]
    used = pipes[pipes["used"]]
    assert sorted(zip(used["process"], used["fd"], used["how"], strict=True)) == [
        (0, 0, "duplicated"), (0, 1, "duplicated"), (1, 0, "duplicated"), (1, 1, "duplicated"),
    ]  # fmt: skip
    assert (pipes["closed"] > pipes["opened"]).all()


def test_an_opened_end_has_the_access_that_was_listed_and_the_line_that_opened_it() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    channel = build.channel("fifo", path="/tmp/up")
    fd = build.hold(parent, channel, "w")
    [row] = [row for row in Run(build.trace()).spans.itertuples() if row.channel == channel]
    assert (row.fd, row.access, row.how) == (fd, "w", "opened")
    assert pd.isna(row.closed)
