"""What isn't traced, seen from outside: its samples, its ends of every channel, and that it is in every run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ipctrace.analysis.run import Run
from ipctrace.tracer import launch, proc, store
from ipctrace.tracer.assemble import Look, Observations, assemble
from ipctrace.tracer.lives import Life
from ipctrace.tracer.proc import Call, End, Thread
from ipctrace.tracer.schema import Trace

from .builders import MS, TraceBuilder
from .recorded import record as record_by_hand
from .test_supervisor import alive, never, process, python, record

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the trace goes; streams are buffered as by default."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    return tmp_path / "run.ipctrace"


def ends(trace: Trace, program: str) -> set[tuple[int, str, str]]:
    """The ends that a process held at any time: descriptor, access, and the pipe's inode or what kind it leads to."""
    spans = Run(trace).spans
    own = spans[spans["process"] == process(trace, program).process]
    kinds = trace.channels["kind"].iloc[own["channel"]]
    names = [str(channel) if kind == "pipe" else kind for channel, kind in zip(own["channel"], kinds, strict=True)]
    return set(zip(own["fd"], own["access"], names, strict=True))


def pipe_between(trace: Trace, writer: str, reader: str) -> str:
    """The one pipe that `writer` writes to and `reader` reads from."""
    (found,) = {name for _, access, name in ends(trace, writer) if access == "w" and name.isdigit()} & {
        name for _, access, name in ends(trace, reader) if access == "r" and name.isdigit()
    }
    return found


def when_nothing_moves(*programs: str) -> Callable[[Trace], bool]:
    """A judge that ends these programs, once everything waits and a sample shows in what."""

    def judge(trace: Trace) -> bool:
        waiting = set(trace.samples.loc[trace.samples["syscall"].notna(), "process"])
        for row in trace.processes.itertuples():
            if row.program in programs and alive(row.pid) and row.process in waiting:
                os.kill(row.pid, signal.SIGTERM)
        return False

    return judge


PIPELINE = """
    import subprocess, sys
    from subprocess import PIPE, Popen
    cat = Popen(["cat"], stdin=PIPE, stdout=PIPE)
    silent = Popen([sys.executable, "-S", "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"],
                   stdin=cat.stdout, stdout=PIPE)
    cat.stdout.close()
    sort = Popen(["sort"], stdin=silent.stdout, stdout=PIPE)
    silent.stdout.close()
    cat.stdin.write(b"words\\n")
    cat.stdin.flush()
    print(sort.stdout.read())
    for each in cat, silent, sort:
        each.wait()
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """A pipeline of a tool, a Python with -S and another tool, all of which waited for a while."""
    return python(tmp_path_factory.mktemp("pipeline") / "run.ipctrace", PIPELINE, when_nothing_moves("cat"))


def test_tools_and_a_silent_python_are_in_a_run_that_completes(pipeline: Trace) -> None:
    assert pipeline.facts["ended"] == "exit"
    rows = {row.program: row for row in pipeline.processes.itertuples()}
    silent = next(name for name in rows if name.endswith(" -c"))
    assert (rows["cat"].status, rows[silent].status, rows["sort"].status) == (-15, 0, 0)
    assert not any(rows[name].traced for name in ("cat", silent, "sort"))
    assert "-S" in rows[silent].argv


def test_who_holds_which_end_of_each_pipe_is_known(pipeline: Trace) -> None:
    silent = next(name for name in pipeline.processes["program"] if name.endswith(" -c"))
    first, second = pipe_between(pipeline, "cat", silent), pipe_between(pipeline, silent, "sort")
    assert first != second
    assert {end for end in ends(pipeline, silent) if end[2].isdigit()} == {(0, "r", first), (1, "w", second)}
    capacities = pipeline.channels["capacity"].iloc[[int(first), int(second)]]
    assert set(capacities.dropna()) <= {4096, 8192, 65536}


def test_what_they_waited_in_is_sampled(pipeline: Trace) -> None:
    samples, number = pipeline.samples, process(pipeline, "cat").process
    waits = samples[(samples["process"] == number) & (samples["syscall"] == "read")]
    assert set(waits["fd"]) == {0}
    assert set(waits["state"]) == {"S"}
    if waits["runs"].notna().all():
        longest = waits.groupby("runs")["time"].agg(lambda times: times.max() - times.min()).max()
        assert longest > 0, "it was given no processor in between"
    assert not len(samples[samples["process"] == 0]), "what is traced tells of itself"


def test_of_equal_samples_only_the_first_and_the_last_are_kept(pipeline: Trace) -> None:
    rows = pipeline.samples.dropna(subset=["runs"])
    assert (rows.groupby(["process", "tid", "runs", "syscall"], dropna=False).size() <= 2).all()


def test_what_a_shell_execs_is_sampled_too(out: Path) -> None:
    trace = python(out, """
        import subprocess
        shell = subprocess.Popen(["sh", "-c", "read line; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        shell.stdin.write(b"first\\nsecond")
        shell.stdin.flush()
        print(shell.stdout.read())
        shell.wait()
    """, when_nothing_moves("cat"))  # fmt: skip
    cat = process(trace, "cat")
    assert cat.status == -15
    assert {fd for fd, _, _ in ends(trace, "cat")} >= {0, 1, 2}
    assert (trace.samples.loc[trace.samples["process"] == cat.process, "syscall"] == "read").any()


def test_what_a_traced_process_becomes_by_exec_is_seen_from_then_on(out: Path) -> None:
    trace = python(out, """
        import os
        r, w = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(r, 0)
            os.execvp("cat", ["cat"])
        os.close(r)
        os.waitpid(child, 0)
    """, when_nothing_moves("cat"))  # fmt: skip
    cat = process(trace, "cat")
    assert cat.traced, "until it went over to another program"
    run = Run(trace)
    assert cat.process in run.unseen
    assert (trace.samples.loc[trace.samples["process"] == cat.process, "syscall"] == "read").any()
    own = run.spans[(run.spans["process"] == cat.process) & run.spans["closed"].eq(cat.ended)]
    pipe = int(trace.channels.index[trace.channels["kind"].eq("pipe") & ~trace.channels["outside"]][0])
    assert own.loc[own["channel"] == pipe, "fd"].tolist() == [0], "os.pipe's ends don't survive exec"


def test_what_is_traced_is_not_sampled(out: Path) -> None:
    trace = python(out, """
        import os, subprocess, sys
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        for _ in range(3):
            subprocess.run([sys.executable, "-c", "input()"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    """)  # fmt: skip
    assert trace.processes["traced"].all()
    assert not len(trace.samples)


def test_the_other_end_of_a_tools_socket_is_known(out: Path) -> None:
    trace = python(out, """
        import socket, subprocess
        one, other = socket.socketpair()
        cat = subprocess.Popen(["cat"], stdin=other)
        other.close()
        cat.wait()
    """, when_nothing_moves("cat"))  # fmt: skip
    sockets = trace.channels[trace.channels["kind"] == "socket"]
    (held,) = {channel for channel in sockets["channel"] if (0, "rw", "socket") in ends(trace, "cat")} & set(
        Run(trace).spans.query(f"process == {process(trace, 'cat').process} and fd == 0")["channel"]
    )
    other = sockets["peer"][held]
    if not pd.isna(other):  # the other end is in the trace as soon as the runtime or a look names it
        assert trace.channels["peer"][other] == held


def test_tools_alone_are_looked_at_when_all_sleep(out: Path) -> None:
    fifo = out.with_name("fifo")
    os.mkfifo(fifo)
    for duration in (2, 5, 15):  # a busy machine gets to its second look late
        trace = record(out, "sh", "-c", f"cat <{fifo} & wait", duration=duration)
        if trace.looks["look"].nunique() >= 2:
            break
    assert trace.looks["look"].nunique() >= 2
    assert {"sh", "cat"} & set(trace.processes["program"])
    assert set(trace.looks["state"]) == {"S"}


def test_a_judge_is_not_asked_about_tools_alone(out: Path) -> None:
    """They may have armed timers that can't be seen."""
    asked: list[Trace] = []

    def judge(trace: Trace) -> bool:
        asked.append(trace)
        return True

    trace = record(out, "sh", "-c", "sleep 1 | cat", judge=judge)
    assert (asked, trace.facts["ended"]) == ([], "exit")


def test_children_too_brief_to_be_seen_are_there_with_their_status(out: Path) -> None:
    trace = python(out, """
        import os
        for status in range(50):
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", f"exit {status}"], os.environ)
            os.waitpid(pid, 0)
    """)  # fmt: skip
    children = trace.processes[1:]
    assert sorted(children["status"]) == list(range(50))
    assert set(children["parent"]) == {0}
    assert children["ended"].notna().all()


# Ctrl-C


def test_ctrl_c_before_the_program_is_started_leaves_a_whole_trace(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = launch.prepare_live

    def interrupted(*given: Any) -> Path:
        os.kill(os.getpid(), signal.SIGINT)
        return prepare(*given)

    monkeypatch.setattr(launch, "prepare_live", interrupted)
    trace = record(out, "sh", "-c", "exit 1")
    assert (trace.facts["ended"], trace.facts["status"], len(trace.processes)) == ("interrupted", None, 0)
    assert store.load(out).facts["state"] == "finished"


def test_ctrl_c_while_the_trace_is_saved_does_not_lose_it(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = store.save

    def interrupted(trace: Trace, folder: Path) -> None:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
        save(trace, folder)

    monkeypatch.setattr(store, "save", interrupted)
    record(out, "sh", "-c", "exit 3")
    assert store.load(out).facts["status"] == 3


@pytest.mark.parametrize("moment", ["as Python starts", "while it waits"])
def test_ctrl_c_at_any_moment_leaves_a_whole_trace(out: Path, moment: str) -> None:
    command = "os.kill(os.getppid(), 2); os.kill(os.getpid(), 2)"
    judge: Any = never
    if moment == "while it waits":
        command = "cat = subprocess.Popen(['cat'], stdin=subprocess.PIPE); cat.wait()"

        def judge(trace: Trace) -> bool:
            for pid in (os.getpid(), *trace.processes["pid"]):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            return False

    trace = python(out, f"import os, subprocess\nread, write = os.pipe()\n{command}\nos.read(read, 1)", judge)
    assert trace.facts["ended"] == "interrupted"
    assert store.load(out).facts["state"] == "finished"


# Tables in, tables out


def test_what_was_seen_becomes_samples_and_whole_lists_of_ends() -> None:
    end = End(0, "r", "pipe", 15, 4711, None)
    asleep = [Thread(100, "S", Call("read", 0, None), 7)]
    samples = [Look(2000, {100: asleep}, {100: [end]}), Look(3000, {100: asleep}), Look(9000, {100: asleep})]
    life = Life(100, 1, 1000, ["cat"])
    trace = assemble([], Observations(1000, [life], samples=samples, capacities={(15, 4711): 4096}, stopped=5000))
    assert trace.samples[["time", "process", "syscall", "fd", "runs"]].to_numpy().tolist() == [
        [1000, 0, "read", 0, 7],
        [2000, 0, "read", 0, 7],
    ]
    assert trace.descriptors.to_numpy().tolist() == [[0, 1000, 0, 0, "r", True]]
    assert trace.channels["capacity"].tolist() == [4096]


def test_each_sample_is_all_that_an_untraced_process_holds() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    one, two = build.pipe(parent), build.pipe(parent)
    tool = build.fork(parent, "tool", traced=False, op="fork_exec", keep=(one.reader, two.reader))
    build.after(MS)
    build.sample(tool)
    between = build.now
    build.after(MS)
    del build._images[1].ends[two.reader]
    build.sample(tool)
    build.exit(tool)
    spans = Run(build.trace()).spans
    own = spans[spans["process"] == 1]
    started = build.rows["processes"][1]["started"]
    assert set(own["opened"]) == {started}, "the first sample tells what it was born with"
    (closed,) = own.loc[own["channel"] == two.channel, "closed"]
    assert between < closed < build.now
    assert own.loc[own["channel"] == one.channel, "closed"].tolist() == [build.rows["processes"][1]["ended"]]


def test_what_a_traced_image_opens_is_not_taken_for_all_that_it_holds() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    build.hold(parent, build.channel("fifo", path="/tmp/up"), "w")
    tool = build.fork(parent, "tool", traced=False, op="fork_exec", keep=(pipe.reader,))
    build.sample(tool)
    held = Run(build.trace(ended="duration")).held
    assert set(held.loc[held["process"] == 0, "fd"]) == {0, 1, 2, 3, 4, 5}
    assert set(held.loc[held["process"] == 1, "fd"]) == {3}


def test_samples_after_exec_make_no_program_a_traced_one() -> None:
    build = TraceBuilder()
    parent = build.process("a.py")
    pipe = build.pipe(parent)
    child = build.fork(parent)
    build.dup2(child, pipe.reader, 0)
    build.execute(child, "cat", traced=False, syscall="read", fd=0)
    build.sample(child)
    run = Run(build.trace(ended="duration"))
    assert run.unseen == {1}
    assert pipe.channel in run.mixed
    own = run.held[(run.held["process"] == 1) & (run.held["channel"] == pipe.channel)]
    assert own["fd"].tolist() == [0]


# The chapter


def test_the_pipeline_of_the_chapter(tmp_path: Path) -> None:
    done = record_by_hand(tmp_path, "pipeline.py")
    assert done.status == 0, done.errors
    assert b"3 lines, the first is spam and egg" in done.output
    assert b"cat ended with 0\ngrep ended with 0\nsort ended with 0\npython" in done.output
    run = done.run
    assert run.verdict.name == "completed"
    rows = {row.program: row for row in run.processes.itertuples()}
    assert [rows[name].traced for name in ("pipeline.py", "cat", "grep", "sort")] == [True, False, False, False]
    assert run.processes["status"].tolist() == [0] * 5, run.processes.to_string()
    writes = run.events[(run.events["kind"] == "write") & (run.events["process"] == 0) & (run.events["result"] == 43)]
    (channel,) = writes["channel"]
    site = run.sites.iloc[int(writes["site"].iloc[0])]
    assert run.sources.query(f"line == {site.line}")["text"].iloc[0].strip().startswith(("first.write", "first.close"))
    counter = next(row.process for row in run.processes.itertuples() if row.traced and row.process)
    reads = run.events[(run.events["process"] == counter) & (run.events["kind"] == "read")]
    assert reads["result"].sum() == len(b"spam and egg\nspam\nbacon and spam\n")
    assert set(reads["channel"]) != {channel}
