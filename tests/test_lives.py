"""Lives: which processes and threads there were, from the logs and from /proc."""

from __future__ import annotations

from pathlib import Path

import pytest
from ipctrace.tracer.lives import Census, Life, program_name
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from .logwriter import LogWriter

MS = 1_000_000


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["python", "pipes.py", "spam"], "pipes.py"),
        (["/usr/bin/python3.11", "-u", "-W", "error", "a/pipes.py"], "pipes.py"),
        (["python3", "-m", "json.tool", "x.json"], "json.tool"),
        (["python3", "-Im", "json.tool"], "json.tool"),
        (["pypy3", "-c", "print(1)"], "pypy3 -c"),
        (["python3"], "python3"),
        (["/bin/cat", "x.py"], "cat"),
        (["-bash"], "bash"),
        ([], ""),
    ],
)
def test_a_program_is_named_by_what_runs(argv: list[str], name: str) -> None:
    assert program_name(argv) == name


def census(folder: Path, *lives: Life, complete: bool = True) -> Census:
    return Census(read_logs(folder)[0], lives, complete)


def test_exec_begins_a_log_and_not_a_process(tmp_path: Path) -> None:
    parent = LogWriter(tmp_path, 100, 1, 1 * MS)
    parent.begin()
    parent.call("os.fork", 2 * MS, 4 * MS, result=101)
    child = LogWriter(tmp_path, 101, 100, 3 * MS)
    child.begin("fork")
    child.enter("os.execv", 5 * MS)
    LogWriter(tmp_path, 101, 100, 6 * MS).begin("start", ("python3", "child.py"))
    found = census(tmp_path).processes
    assert [(process.life.pid, process.how, process.parent, process.program) for process in found] == [
        (100, "start", None, "pipes.py"),
        (101, "exec", 0, "child.py"),
    ]
    assert found[1].logs == [1, 2]


def test_a_process_that_only_its_forker_knew_is_there_with_its_status(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 100, 1, 1 * MS)
    writer.begin()
    writer.call("fork_exec", 2 * MS, 3 * MS, result=101)
    writer.call("os.waitpid", 4 * MS, 9 * MS, size=101, result=101, extra=9)
    child = census(tmp_path).processes[1]
    assert (child.life.pid, child.parent, child.life.ended, child.life.status) == (101, 0, 9 * MS, -9)


def test_the_same_pid_given_out_again_is_another_process(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 100, 1, 1 * MS)
    writer.begin()
    for begin in (10 * MS, 20 * MS):
        writer.call("os.fork", begin, begin + 2 * MS, result=101)
        LogWriter(tmp_path, 101, 100, begin + MS).begin("fork")
        writer.call("os.wait", begin + 3 * MS, begin + 4 * MS, result=101, extra=0)
    found = census(tmp_path)
    assert [process.life.pid for process in found.processes] == [100, 101, 101]
    assert [process.logs for process in found.processes] == [[0], [1], [2]]


def test_a_child_between_fork_and_exec_of_subprocess_is_spawned(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 100, 1, 1 * MS)
    writer.begin()
    writer.call("fork_exec", 2 * MS, 3 * MS, result=101)
    LogWriter(tmp_path, 101, 100, 5 * MS).begin("start", ("python3", "child.py"))
    assert [process.how for process in census(tmp_path).processes] == ["start", "spawn"]


def test_untraced_processes_come_from_proc(tmp_path: Path) -> None:
    lives = [
        Life(100, 1, 0, ["sh", "-c", "cat | sort"], ended=9 * MS, status=0),
        Life(101, 100, MS, ["sh", "-c", "cat | sort"], ended=8 * MS, status=0),
        Life(102, 100, MS, ["cat"], ended=7 * MS, status=-13),
    ]
    found = census(tmp_path, *lives)
    assert [(process.program, process.how, process.parent, process.life.status) for process in found.processes] == [
        ("sh", "start", None, 0),
        ("sh", "fork", 0, 0),
        ("cat", "spawn", 0, -13),
    ]
    assert [(thread.process, thread.tid, thread.name) for thread in found.threads({2: {102, 103}})] == [
        (0, 100, "sh"), (1, 101, "sh"), (2, 102, "cat"), (2, 103, "cat"),
    ]  # fmt: skip


def test_an_exit_status_is_what_os_exit_was_asked_for_if_nobody_waited(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 100, 1, 1 * MS)
    writer.begin()
    writer.enter("os._exit", 2 * MS, size=3)
    assert census(tmp_path).processes[0].life.status == 3


def test_threads_are_named_and_end_where_their_life_does(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, 100, 1, 1 * MS)
    writer.begin()
    writer.define(table.THREAD, "worker", 0, thread=105, time=2 * MS)
    writer.call("thread", 2 * MS, 6 * MS, thread=105)
    writer.define(table.THREAD, "again", 0, thread=105, time=7 * MS)
    writer.enter("thread", 7 * MS, thread=105)
    writer.call("os.read", 8 * MS, 9 * MS, thread=107)
    found = census(tmp_path, Life(100, 1, 0, ["python", "x.py"], ended=20 * MS)).threads({})
    assert [(thread.name, thread.main, thread.started, thread.ended) for thread in found] == [
        ("MainThread", True, 0, 20 * MS),
        ("worker", False, 2 * MS, 6 * MS),
        ("again", False, 7 * MS, 20 * MS),
        ("thread-107", False, 8 * MS, 20 * MS),
    ]


def test_a_fork_whose_child_comes_to_its_first_record_late_makes_one_process(tmp_path: Path) -> None:
    """On a busy machine that is long after the fork has returned."""
    parent = LogWriter(tmp_path, 100, 1, 1 * MS)
    parent.begin()
    parent.call("os.fork", 2 * MS, 4 * MS, result=101)
    LogWriter(tmp_path, 101, 100, 90 * MS).begin("fork")
    assert [(process.life.pid, process.how) for process in census(tmp_path).processes] == [
        (100, "start"), (101, "fork"),
    ]  # fmt: skip


def test_a_fork_that_is_first_seen_when_it_has_ended_is_no_other_program(tmp_path: Path) -> None:
    """/proc has no command line any more then, only a name; the log knows better, unless it ends with an exec."""
    parent = LogWriter(tmp_path, 100, 1, 1 * MS)
    parent.begin()
    parent.call("os.fork", 2 * MS, 3 * MS, result=101)
    parent.call("os.fork", 4 * MS, 5 * MS, result=102)
    LogWriter(tmp_path, 101, 100, 3 * MS).begin("fork")
    other = LogWriter(tmp_path, 102, 100, 5 * MS)
    other.begin("fork")
    other.enter("os.execv", 6 * MS)
    seen = [Life(100, 1, 0, ["python3", "pipes.py"])]
    seen += [Life(101, 100, 3 * MS, ["python3"], defunct=True), Life(102, 100, 5 * MS, ["true"], defunct=True)]
    found = census(tmp_path, *seen).processes
    assert [(process.how, process.program) for process in found] == [
        ("start", "pipes.py"), ("fork", "pipes.py"), ("exec", "true"),
    ]  # fmt: skip


def test_a_spawned_child_that_begins_long_after_its_fork_is_the_one_that_was_forked(tmp_path: Path) -> None:
    """On a busy machine an interpreter takes long to start, and /proc may not have been looked at before."""
    parent = LogWriter(tmp_path, 100, 1, 1 * MS)
    parent.begin()
    parent.call("fork_exec", 2 * MS, 3 * MS, result=101)
    parent.call("os.waitpid", 401 * MS, 402 * MS, size=101, result=101, extra=0)
    LogWriter(tmp_path, 101, 100, 400 * MS).begin("start", ("python3", "child.py"))
    found = census(tmp_path).processes
    assert [(process.program, process.parent, process.logs) for process in found] == [
        ("pipes.py", None, [0]),
        ("child.py", 0, [1]),
    ]
    assert found[1].life.started <= 3 * MS


@pytest.mark.parametrize("begun", [3, 500])
def test_a_child_is_one_process_however_late_it_begins_its_log(tmp_path: Path, begun: int) -> None:
    """On a busy machine a fork takes its time, in the parent and in the child."""
    parent = LogWriter(tmp_path, 100, 1, 1 * MS)
    parent.begin()
    parent.call("os.fork", 2 * MS, 4 * MS, result=101)
    LogWriter(tmp_path, 101, 100, begun * MS).begin("fork")
    found = census(tmp_path).processes
    assert [(process.life.pid, process.parent, process.how, process.logs) for process in found] == [
        (100, None, "start", [0]), (101, 0, "fork", [1]),
    ]  # fmt: skip
    assert found[1].life.started <= 4 * MS


def test_a_fork_that_takes_long_begins_no_process_twice(tmp_path: Path) -> None:
    parent = LogWriter(tmp_path, 100, 1, 1 * MS)
    parent.begin()
    parent.call("os.fork", 2 * MS, 90 * MS, result=101)
    seen = Life(101, 100, 60 * MS, ["pipes.py"])
    assert len(census(tmp_path, Life(100, 1, 1 * MS, ["pipes.py"]), seen).processes) == 2
