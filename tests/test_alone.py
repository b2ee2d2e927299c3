"""One process of a recorded run, run again by itself: the chapter's programs, changed ones, the debugger, and pytest."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ipctrace.analysis.naming import process_names
from ipctrace.tracer.errors import IpctraceError

import ipctrace
from ipctrace import chapter
from tests.interpreters import EACH
from tests.recorded import record
from tests.sampled import sampled
from tests.target import clean_environment, traced_environment

FULL = ("--payload", "full", "--time")
# Programs that go on for ever are ended.
ENDLESS = {"pipe_1.py", "pipe_2.py", "pipe_thread.py"}
# What can't be replayed, or not as it was: by the name that it has in reports.
IMPOSSIBLE = {
    "manager.py": {"manager 2": "its answers are named by addresses in its memory"},
    "memory_map.py": {"parent": "what its child wrote into the map and the file isn't in its own recording"},
    "process_locks.py": {"process_locks 1": "the value that its children counted lies in shared memory"},
    "shared_memory.py": {
        "shared_memory 1": "what lies in shared memory isn't recorded",
        "shared_memory 2": "what lies in shared memory isn't recorded",
    },
}


def traced(folder: Path, program: str | Path, *arguments: str, options: tuple[str, ...] = FULL, **more: str) -> Path:
    """The trace of a program."""
    duration = ("--duration", "3") if Path(program).name in ENDLESS else ()
    return record(folder, program, *arguments, options=(*options, *duration), **more).trace


# One of each kind; the others, and the remedies of the deadlock, are replayed with -m slow.
ALWAYS = (
    "async_server.py", "conditions.py", "deadlock.py", "fifo.py", "manager.py", "memory_map.py", "pipe_1.py",
    "pipe_thread.py", "pipes.py", "plain_file.py", "process_locks.py", "process_pool.py", "process_queue.py",
    "selecting.py", "shared_memory.py", "shell.py", "signals.py", "sockets.py", "subprocesses.py", "terminal.py",
)  # fmt: skip


def test_what_cannot_be_replayed_is_among_what_is_always_tried() -> None:
    assert IMPOSSIBLE.keys() <= set(ALWAYS) <= set(chapter.programs())


@pytest.mark.parametrize("program", sampled(chapter.programs(), ALWAYS))
@pytest.mark.sample(10)
def test_every_process_of_the_chapter_replays_with_its_recorded_outputs(program: str, tmp_path: Path) -> None:
    trace = traced(tmp_path, chapter.FOLDER / program)
    run = ipctrace.load(trace)
    different = {}
    for number, name in process_names(run.trace).items():
        if not isinstance(run.processes["implementation"].iloc[number], str):
            continue  # cat, sort, sh
        pid = str(run.processes["pid"].iloc[number])
        try:
            # Threads keep their order at their calls, not between them (README): Pool's, which look at a variable, may
            # look once more on a busy machine.
            for _ in range(3):
                replayed = ipctrace.replay_process(trace, pid, time=True)
                if replayed.diverged is None:
                    break
        except IpctraceError as error:
            if "became another program" not in error.why:
                different[name] = error.why
            continue
        if replayed.diverged is not None:
            different[name] = str(replayed.diverged)
    assert different.keys() == IMPOSSIBLE.get(program, {}).keys(), different


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_that_was_spawned_replays(method: str, tmp_path: Path) -> None:
    trace = traced(tmp_path, chapter.FOLDER / "processes.py", method)
    replayed = ipctrace.replay_process(trace, "answerer")
    replayed.check()
    assert len(replayed.outputs) == 1 and b"is answerer" in replayed.outputs[0].data


@pytest.mark.parametrize("python", EACH)
@pytest.mark.sample(2)
def test_under_every_interpreter(python: str, tmp_path: Path) -> None:
    trace = traced(tmp_path, chapter.FOLDER / "pipes.py", options=("--payload", "full", "--python", python))
    for name in ("child", "parent"):
        replayed = ipctrace.replay_process(trace, name)
        replayed.check()
        assert replayed.status == 0 and b"Hello 2" in b"".join(each.data for each in replayed.outputs)


def test_a_recording_without_all_bytes_says_how_to_make_one(tmp_path: Path) -> None:
    trace = traced(tmp_path, chapter.FOLDER / "pipes.py", options=())
    with pytest.raises(IpctraceError) as caught:
        ipctrace.replay_process(trace, "child")
    assert caught.value.what == "child can't be replayed"
    assert caught.value.hint == "ipctrace record --payload full pipes.py"


def test_clocks_that_were_not_recorded_are_asked_for(tmp_path: Path) -> None:
    trace = traced(tmp_path, chapter.FOLDER / "pipes.py", options=("--payload", "full"))
    with pytest.raises(IpctraceError) as caught:
        ipctrace.replay_process(trace, "child", time=True)
    assert "--payload full --time" in caught.value.hint


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with copies of pipes.py and its child, recorded."""
    folder = tmp_path_factory.mktemp("pipes")
    for name in ("pipes.py", "pipes_test_child.py"):
        shutil.copy(chapter.FOLDER / name, folder)
    traced(folder, folder / "pipes.py", options=("--payload", "full"))
    return folder


def changed(folder: Path, tmp_path: Path, old: str, new: str) -> ipctrace.Replayed:
    """A replay of the child with a change in its source."""
    source = (folder / "pipes_test_child.py").read_text("utf-8")
    assert old in source
    program = tmp_path / "pipes_test_child.py"
    program.write_text(source.replace(old, new), "utf-8")
    return ipctrace.replay_process(folder / "recorded.ipctrace", "child", program=program)


def line_of(folder: Path, text: str) -> int:
    lines = (folder / "pipes_test_child.py").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_name_is_a_program_a_role_a_pid_or_a_number(pipes: Path) -> None:
    trace = pipes / "recorded.ipctrace"
    pid = ipctrace.load(trace).processes["pid"].iloc[1]
    for name in ("child", "pipes_test_child.py", "pipes_test_child", str(pid), "1"):
        assert ipctrace.replay_process(trace, name).process == 1
    with pytest.raises(IpctraceError, match="there is no process chald") as caught:
        ipctrace.replay_process(trace, "chald")
    assert caught.value.why == "did you mean child?"


def test_what_goes_out_and_comes_in_is_told(pipes: Path) -> None:
    replayed = ipctrace.replay_process(pipes / "recorded.ipctrace", "child")
    assert [each.where for each in replayed.inputs] == ["sys.stdin", "sys.stdin"]
    assert replayed.output().count(b"got: [Hello") == 2 and b'got arg: "spam"' in replayed.output("sys.stderr")
    assert replayed.diverged is None and replayed.status == 0
    replayed.check()


def test_another_text_is_named_by_its_line_and_its_first_byte(pipes: Path, tmp_path: Path) -> None:
    replayed = changed(pipes, tmp_path, "got: [", "GOT: [")
    divergence, line = replayed.diverged, line_of(pipes, "got: [")
    assert divergence is not None
    assert (divergence.recorded.line, divergence.now.line) == (line, line)
    assert "GOT" in divergence.now.text and "got" in divergence.recorded.text
    assert divergence.at == divergence.recorded.data.index(b"got")
    with pytest.raises(AssertionError, match=f"departs from the recording at pipes_test_child.py:{line}"):
        replayed.check()


def test_an_input_that_nobody_sent_is_named(pipes: Path, tmp_path: Path) -> None:
    divergence = changed(pipes, tmp_path, "range(2)", "range(3)").diverged
    assert divergence is not None
    assert divergence.recorded.deed == "it ended with status 0"
    assert divergence.now.deed == "it reads from sys.stdin" and divergence.now.line == line_of(pipes, "input()")


def test_an_input_that_is_not_taken_is_named(pipes: Path, tmp_path: Path) -> None:
    divergence = changed(pipes, tmp_path, "line = input()", "line = 'nothing'").diverged
    assert divergence is not None
    assert divergence.recorded.deed == "it reads from sys.stdin" and divergence.recorded.line == line_of(
        pipes, "input()"
    )
    assert divergence.now.line == line_of(pipes, "got: [")


def test_outputs_that_are_missing_at_the_end_are_named(pipes: Path, tmp_path: Path) -> None:
    divergence = changed(pipes, tmp_path, "range(2)", "range(1)").diverged
    assert divergence is not None
    assert divergence.recorded.deed == "it writes 45 bytes to sys.stdout" or "writes" in divergence.recorded.deed
    assert divergence.now.deed == "it ends with status 0"


def test_an_exception_is_told(pipes: Path, tmp_path: Path) -> None:
    replayed = changed(pipes, tmp_path, "line = input()", "line = input(); 1 / 0")
    assert replayed.diverged is not None and "ZeroDivisionError" in replayed.raised


def test_bytes_in_other_portions_are_the_same_bytes(pipes: Path, tmp_path: Path) -> None:
    changed(
        pipes, tmp_path, 'print(f"Child {me} got: [{line}]")', 'sys.stdout.write(f"Child {me} got: [{line}]\\n")'
    ).check()


def test_nothing_is_left_behind(pipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(Path("/proc/self/fd").iterdir())
    replayed = ipctrace.replay_process(pipes / "recorded.ipctrace", "child")
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert not list(tmp_path.iterdir())
    assert replayed.status == 0


def test_a_replay_that_hangs_is_ended(pipes: Path, tmp_path: Path) -> None:
    program = tmp_path / "pipes_test_child.py"
    program.write_text("while True:\n    pass\n", "utf-8")
    with pytest.raises(IpctraceError, match="did not end within"):
        ipctrace.replay_process(pipes / "recorded.ipctrace", "child", program=program, timeout=2)
    assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if str(program) in told(each)]


def told(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def test_the_standard_output_of_then_is_not_written_again(tmp_path: Path) -> None:
    program = tmp_path / "says.py"
    program.write_text("print('once')\n", "utf-8")
    out = tmp_path / "out.txt"
    trace = record(tmp_path, program, options=FULL, stdout=out).trace
    out.write_text("mine", "utf-8")
    replayed = ipctrace.replay_process(trace, "says")
    replayed.check()
    assert replayed.output() == b"once\n" and out.read_text("utf-8") == "mine"


def test_a_file_that_is_gone_is_read_as_it_was(tmp_path: Path) -> None:
    program, file = tmp_path / "reads.py", tmp_path / "data.txt"
    program.write_text("with open('data.txt') as file:\n    print([line.strip() for line in file])\n", "utf-8")
    file.write_text("one\ntwo\n", "utf-8")
    trace = traced(tmp_path, program)
    for text in ("three\n", None):
        file.unlink() if text is None else file.write_text(text, "utf-8")
        ipctrace.replay_process(trace, "reads").check()


def test_chance_is_told_again(tmp_path: Path) -> None:
    program = tmp_path / "chance.py"
    program.write_text(
        "import os, random, time, uuid, tempfile\n"
        "print(random.random(), os.urandom(4), uuid.uuid4(), time.time(), random.Random().random(), flush=True)\n"
        "if os.fork() == 0:\n    print(random.random(), time.time_ns(), flush=True)\n    os._exit(0)\nos.wait()\n",
        "utf-8",
    )
    trace = traced(tmp_path, program)
    for name in ("parent", "child"):
        ipctrace.replay_process(trace, name, time=True).check()


def test_clocks_are_wrapped_only_where_they_are_recorded(tmp_path: Path) -> None:
    program = tmp_path / "clock.py"
    program.write_text("import time, os\nprint(repr(type(time.time)), repr(type(os.urandom)))\n", "utf-8")
    assert b"_ipctrace" not in record(tmp_path, program).output
    assert (
        b"<class 'builtin_function_or_method'> <class 'builtin_function_or_method'>" in record(tmp_path, program).output
    )


def test_the_command_says_what_it_runs_and_what_became_of_it(pipes: Path) -> None:
    command = [sys.executable, "-m", "ipctrace", "replay", str(pipes / "recorded.ipctrace"), "--process", "child"]
    done = subprocess.run([*command, "-v"], capture_output=True, text=True, env=clean_environment(), timeout=60)
    lines = done.stderr.splitlines()
    assert done.returncode == 0 and done.stdout == ""
    assert lines[0].startswith("ipctrace: running ") and lines[0].endswith(f"spam in {pipes}")
    assert lines[2].startswith("  <- sys.stdin: ") and lines[-1] == "child replayed: 3 outputs, all as recorded"


def test_the_command_shows_both_sides(tmp_path: Path) -> None:
    program = tmp_path / "says.py"
    program.write_text("import sys\nfor line in sys.stdin:\n    print(line.strip().upper(), flush=True)\n", "utf-8")
    starter = tmp_path / "starts.py"
    starter.write_text(
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, 'says.py'], input=b'spam\\neggs\\n', capture_output=True).stdout)\n", "utf-8"
    )  # fmt: skip
    trace = traced(tmp_path, starter)
    program.write_text(program.read_text("utf-8").replace("upper()", "title()"), "utf-8")
    command = [sys.executable, "-m", "ipctrace", "replay", str(trace), "--process", "says"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)
    assert done.returncode == 1
    words = done.stderr
    assert "departs from the recording at says.py:3" in words
    for expected in (".upper()", ".title()", "b'SPAM'"[1:], "'Spam'", "first byte that differs is number 1"):
        assert expected in words


@pytest.mark.parametrize("asked", ["Hello 2", "3"])
def test_the_debugger_stops_at_a_message(asked: str, pipes: Path) -> None:
    command = [
        sys.executable, "-m", "ipctrace", "replay", str(pipes / "recorded.ipctrace"), "--process", "child", "--break", asked,
    ]  # fmt: skip
    output = typed(command, [b"p line\n", b"p me\n", b"c\n"])
    assert "'Hello 2 from parent" in output and "all as recorded" in output
    assert "pipes_test_child.py" in output.partition("(Pdb)")[0]


def test_the_debugger_starts_at_the_first_line(pipes: Path) -> None:
    line = line_of(pipes, "got: [")
    trace = str(pipes / "recorded.ipctrace")
    command = [sys.executable, "-m", "ipctrace", "replay", trace, "--process", "child", "--pdb"]
    output = typed(command, [b"b %d\n" % line, b"c\n", b"p line\n", b"q\n"])
    assert "'Hello 1 from parent" in output and "stopped in the debugger" in output


def typed(command: list[str], lines: list[bytes]) -> str:
    """What a command on a terminal prints, as each line is typed at the debugger's next prompt."""
    pid, leader = pty.fork()
    if pid == 0:
        os.execve(command[0], command, clean_environment(NO_COLOR="1", COLUMNS="100"))
    output, seen = b"", 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([leader], [], [], 1)[0]:
            continue
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        output += piece
        while lines and output.count(b"(Pdb) ") > seen:
            seen += 1
            os.write(leader, lines.pop(0))
    os.close(leader)
    os.waitpid(pid, 0)
    return output.decode()


def test_what_can_not_be_played_is_not_run_in_earnest(tmp_path: Path) -> None:
    live = tmp_path / "run" / "live"
    given = traced_environment(live, clean_environment())
    (live / "script").write_bytes(b"no script")
    program = tmp_path / "writes.py"
    program.write_text("open('made', 'w')\n", "utf-8")
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, env=given, timeout=60)
    assert done.returncode == 71 and not (tmp_path / "made").exists()
