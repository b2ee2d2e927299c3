"""Supervisor: real programs, recorded from their start to their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ipctrace.tracer import proc, store, supervisor
from ipctrace.tracer.errors import IpctraceError
from ipctrace.tracer.schema import TABLES, Trace

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")

Judge = Callable[[Trace], bool]


def never(trace: Trace) -> bool:
    """A judge to whom everything may go on."""
    return False


def always(trace: Trace) -> bool:
    """A judge to whom whatever waits is dead."""
    return True


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the trace goes; streams are buffered as by default."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    return tmp_path / "run.ipctrace"


def record(out: Path, *command: str, judge: Judge = never, **options: Any) -> Trace:
    trace = supervisor.record(supervisor.Options(list(command), out, **options), judge)
    assert not any(map(alive, trace.processes["pid"]))
    return trace


def python(out: Path, program: str, judge: Judge = never, **options: Any) -> Trace:
    path = out.with_name("program.py")
    path.write_text(textwrap.dedent(program))
    return record(out, sys.executable, str(path), judge=judge, **options)


def alive(pid: int) -> bool:
    status = proc.read_stat(pid)
    return status is not None and status.state != "Z"


def process(trace: Trace, program: str) -> Any:
    return next(row for row in trace.processes.itertuples() if row.program == program)


def test_programs_that_python_doesnt_run_have_their_place(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trace = record(out, "sh", "-c", "(echo b; echo a; sleep 0.2) | cat | sort; exit 3")
    assert capfd.readouterr().out == "a\nb\n"
    assert {"sh", "cat", "sort", "sleep"} <= set(trace.processes["program"])
    assert not trace.processes["traced"].any()
    assert set(trace.processes["process"]) == set(trace.threads["process"])
    assert process(trace, "cat").parent == 0
    assert (trace.facts["ended"], trace.facts["status"]) == ("exit", 3)


def test_what_lies_between_is_followed(out: Path) -> None:
    trace = python(out, """
        import subprocess, sys
        subprocess.run(["sh", "-c", f"echo hi | {sys.executable} -c 'input()'; true"])
    """)  # fmt: skip
    inner = process(trace, f"{Path(sys.executable).name} -c")
    assert inner.traced
    assert process(trace, "sh").process in (inner.parent, trace.processes["parent"][inner.parent])
    assert (trace.events.loc[trace.events["process"] == inner.process, "op"] == "input").any()


def test_a_child_that_is_killed_loses_nothing(out: Path) -> None:
    def judge(trace: Trace) -> bool:
        """Asked when nothing moves any more: the child is in its last call."""
        os.kill(int(trace.processes["pid"][1]), signal.SIGKILL)
        return False

    trace = python(out, """
        import os
        r, w = os.pipe()
        if (child := os.fork()) == 0:
            for number in range(1000):
                os.write(w, b"x")
            os.read(r, 4096)
            os.read(r, 1)
        os.waitpid(child, 0)
    """, judge=judge)  # fmt: skip
    child = trace.processes.loc[1]
    assert (child["how"], child["status"], child["parent"]) == ("fork", -9, 0)
    events = trace.events[trace.events["process"] == 1]
    assert (events["op"] == "os.write").sum() == 1000
    assert list(events.loc[events["exit"].isna(), "op"]) == ["os.read"]


def test_a_daemon_that_is_left_behind_is_stopped_and_named(out: Path) -> None:
    trace = python(out, """
        import os, time
        r, w = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(w, b"x")
                time.sleep(3600)
            os._exit(0)
        os.read(r, 1)
    """)  # fmt: skip
    daemon = trace.processes.loc[2]
    assert trace.facts["left"] == [daemon["pid"]]
    assert daemon["parent"] == 1
    assert trace.processes["ended"].isna().tolist() == [False, False, True]
    assert (trace.facts["ended"], trace.facts["status"], trace.facts["stopped"]) == ("exit", 0, None)


@pytest.mark.parametrize(
    ("script", "ended", "status"),
    [("exit 0", "exit", 0), ("exit 7", "exit", 7), ("kill -TERM $$", "signal", -15), ("kill -KILL $$", "signal", -9)],
)
def test_how_a_program_ends(out: Path, script: str, ended: str, status: int) -> None:
    trace = record(out, "sh", "-c", script)
    assert (trace.facts["ended"], trace.facts["status"]) == (ended, status)
    assert trace.processes["status"][0] == status
    assert len(trace.events) == 0


def test_a_run_of_limited_duration_is_cut_where_it_was_frozen(out: Path) -> None:
    trace = python(out, """
        import time
        while True:
            time.sleep(0.01)
    """, duration=0.5)  # fmt: skip
    assert (trace.facts["ended"], trace.facts["status"]) == ("duration", None)
    assert trace.facts["stopped"] == trace.facts["duration"]
    assert (trace.events["enter"] <= trace.facts["stopped"]).all()
    assert trace.processes["ended"].isna().all()
    assert len(trace.looks)


def test_a_program_at_its_duration_may_tidy_up(out: Path) -> None:
    trace = record(out, "sh", "-c", f"trap 'touch {out.with_name('tidy')}; exit' TERM; sleep 3600 & wait", duration=0.3)
    assert out.with_name("tidy").exists()
    assert trace.facts["left"] == []


HANG = """
    import os
    a, b = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.read(a[0], 1)
        os.write(b[1], b"x")
        os._exit(0)
    os.read(b[0], 1)
    os.write(a[1], b"x")
    print("never")
"""


def test_a_deadlock_is_looked_at_twice_and_stopped_silently(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trace = python(out, HANG, judge=always)
    assert capfd.readouterr() == ("", "")
    assert (trace.facts["ended"], trace.facts["status"]) == ("deadlock", None)
    first, second = (
        trace.looks[trace.looks["look"] == look].drop(columns=["look", "time"]).reset_index(drop=True)
        for look in (0, 1)
    )
    assert first.equals(second)
    assert set(first["syscall"]) == {"read"}
    assert set(trace.ends["process"].dropna()) == {0, 1}
    pipes = trace.channels[trace.channels["kind"] == "pipe"]
    assert set(pipes.loc[~pipes["outside"], "capacity"].dropna()) <= {65536}
    open_calls = trace.events[trace.events["exit"].isna()]
    assert list(open_calls["op"]) == ["os.read", "os.read"]


def test_the_judge_sees_the_run_up_to_the_looks(out: Path) -> None:
    seen: list[Trace] = []

    def judge(trace: Trace) -> bool:
        seen.append(trace)
        return len(seen) == 2

    python(out, HANG, judge=judge)
    assert [trace.facts["state"] for trace in seen] == ["recording", "recording"]
    assert all(trace.looks["look"].nunique() == 2 for trace in seen)


def test_a_deadlock_may_be_waited_for(out: Path) -> None:
    asked: list[Trace] = []

    def judge(trace: Trace) -> bool:
        asked.append(trace)
        return True

    trace = python(out, HANG, judge=judge, on_deadlock="wait", duration=1)
    assert len(asked) == 1
    assert trace.facts["ended"] == "duration"
    assert trace.looks["look"].nunique() >= 2


def test_a_slow_program_is_no_hang(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trace = python(out, """
        import os, time
        r, w = os.pipe()
        if os.fork() == 0:
            time.sleep(0.4)
            os.write(w, b"at last")
            os._exit(0)
        print(os.read(r, 32).decode())
    """)  # fmt: skip
    assert capfd.readouterr().out == "at last\n"
    assert trace.facts["ended"] == "exit"


def test_the_program_inherits_what_it_would_without_us(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = ["sh", "-c", "ls /proc/self/fd"]
    subprocess.run(script, close_fds=False, check=True)
    alone = capfd.readouterr().out
    record(out, *script)
    assert capfd.readouterr().out == alone


def test_ctrl_c_ends_the_program_and_the_trace_is_whole(out: Path) -> None:
    trace = python(out, """
        import os, signal
        r, w = os.pipe()
        for pid in os.getppid(), os.getpid():  # as the terminal does
            os.kill(pid, signal.SIGINT)
        os.read(r, 1)
    """)  # fmt: skip
    assert (trace.facts["ended"], trace.facts["status"], trace.facts["stopped"]) == ("interrupted", -2, None)


def test_a_second_ctrl_c_stops_a_program_that_ignores_it(out: Path) -> None:
    trace = python(out, """
        import os, signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(0.1)
    """)  # fmt: skip
    assert (trace.facts["ended"], trace.facts["status"]) == ("interrupted", None)


def test_sigterm_is_passed_on(out: Path) -> None:
    trace = record(out, "sh", "-c", "kill -TERM $PPID; sleep 3600")
    assert (trace.facts["ended"], trace.facts["status"]) == ("signal", -signal.SIGTERM)


def test_what_cant_be_started_leaves_a_trace_in_which_nothing_happened(out: Path) -> None:
    program = out.with_name("broken")
    program.write_bytes(b"\x7fELF, it claims")
    program.chmod(0o755)
    with pytest.raises(IpctraceError, match="can't be started"):
        record(out, str(program))
    trace = store.load(out)
    assert (trace.facts["status"], len(trace.processes)) == (126, 0)


def test_after_a_run_the_folder_holds_the_trace_and_nothing_else(out: Path) -> None:
    trace = python(out, "print('hi')")
    assert {path.name for path in out.iterdir()} == {"run.json", *(f"{name}.parquet" for name in TABLES)}
    assert out.stat().st_mode & 0o777 == 0o700
    loaded = store.load(out)
    assert loaded.facts == trace.facts
    for name in TABLES:
        assert loaded.tables[name].equals(trace.tables[name]), name


def test_while_it_runs_run_json_says_so(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trace = record(out, "cat", str(out / "run.json"))
    facts = json.loads(capfd.readouterr().out)
    assert (facts["state"], facts["clock"]) == ("recording", trace.facts["clock"])
    assert list(facts) == list(trace.facts)


def test_a_judge_that_fails_leaves_nothing_running(out: Path) -> None:
    def judge(trace: Trace) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        python(out, HANG, judge=judge)
    trace = store.load(out)
    assert not any(map(alive, trace.processes["pid"]))
    assert "os.fork" in set(trace.events["op"])


def test_outside_a_main_thread_too(out: Path) -> None:
    traces: list[Trace] = []
    worker = threading.Thread(target=lambda: traces.append(record(out, "true")))
    worker.start()
    worker.join()
    assert traces[0].facts["status"] == 0


def test_nothing_of_the_recorder_stays_changed(out: Path) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208
    children = proc.children(os.getpid())  # another test of this session may keep a browser
    record(out, "true")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    assert os.listdir("/proc/self/fd") == descriptors  # noqa: PTH208
    assert proc.children(os.getpid()) == children


def test_progress_tells_who_waits(out: Path) -> None:
    told: list[supervisor.Progress] = []
    path = out.with_name("program.py")
    path.write_text(textwrap.dedent(HANG))
    options = supervisor.Options([sys.executable, str(path)], out, duration=1)
    supervisor.record(options, never, told.append)
    assert told[-1].waiting == ["program.py (waits for data)"] * 2
    assert told[-1].processes == 2
    assert told[-1].events > 0
    assert [progress.elapsed for progress in told] == sorted(progress.elapsed for progress in told)


@pytest.mark.parametrize("options", [{"payload": "some"}, {"payload_bytes": -1}, {"payload_bytes": 70_000}])
def test_options_are_checked(out: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="payload"):
        supervisor.Options(["true"], out, **options)
