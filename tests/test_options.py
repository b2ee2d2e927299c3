"""What record's options change in the program, under each interpreter, and that they change nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer import launch, proc
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH
from tests.recorded import record

pytestmark = pytest.mark.skipif(not proc.available(), reason="this system has no /proc")
each_interpreter = pytest.mark.parametrize("python", EACH)

STREAMS = """
import sys
for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    print(stream.line_buffering, stream.write_through, type(stream.buffer).__name__, getattr(stream.buffer, 'raw', stream.buffer) is stream.buffer)
"""
CHILDREN = f"""
import os, subprocess, sys
TEXT = {STREAMS!r}
exec(TEXT)
sys.stdout.flush()
if os.fork() == 0:
    exec(TEXT)
    sys.stdout.flush()
    os._exit(0)
os.wait()
subprocess.run([sys.executable, '-c', TEXT], check=True)
"""


@each_interpreter
@pytest.mark.parametrize("mode", ["block", "line", "none"])
def test_streams_are_buffered_as_asked_in_children_too(mode: str, python: str, tmp_path: Path) -> None:
    """`none` is `-u` in all that a program can see of a stream but sys.flags."""
    run = target.run(CHILDREN, live=tmp_path / "live", python=python, buffering=mode)
    lines = run.stdout.decode().splitlines()
    assert run.returncode == 0, run.stderr
    assert lines[:2] == lines[2:4] == lines[4:6]
    like = {"none": ("-u",), "block": (), "line": ()}[mode]
    untraced = target.run(STREAMS, live=None, python=python, options=like).stdout.decode().splitlines()
    if mode == "line":
        assert [line.split()[0] for line in lines[:2]] == ["True", "True"]
        assert [line.split()[1:] for line in lines[:2]] == [line.split()[1:] for line in untraced]
    else:
        assert lines[:2] == untraced


@each_interpreter
def test_a_modes_streams_are_those_of_python_even_under_dash_u(python: str, tmp_path: Path) -> None:
    done = target.run(STREAMS, live=tmp_path / "live", python=python, options=("-u",), buffering="block")
    assert done.stdout == target.run(STREAMS, live=None, python=python).stdout


@each_interpreter
def test_files_of_the_program_are_buffered_as_ever(python: str, tmp_path: Path) -> None:
    program = "f = open('file', 'w'); f.write('x'); print(f.line_buffering, f.write_through, open('file').read())\n"
    done = target.run(program, live=tmp_path / "live", python=python, buffering="none", cwd=tmp_path)
    assert done.stdout == b"False False \n"


PIPES = """
import os, subprocess, sys
before = set(sys.modules)
ends = [*os.pipe(), *(os.pipe2(0) if hasattr(os, 'pipe2') else ())]
child = subprocess.Popen([sys.executable, '-c', 'import sys; print("fcntl" in sys.modules)'], stdout=-1)
os.pipe()
import fcntl
print([fcntl.fcntl(fd, 1032) for fd in [*ends, child.stdout.fileno()]], ends[:2], child.stdout.read())
child.wait()
"""


@each_interpreter
@pytest.mark.sample(2)
def test_each_pipe_of_the_program_gets_its_size_and_popens_too(python: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PIPES)
    untraced = subprocess.run([python, "program.py"], cwd=tmp_path, env=target.clean_environment(), capture_output=True)
    made = record(tmp_path, "program.py", options=["--python", python, "--pipe-size", "8KiB"])
    sizes = untraced.stdout.decode().partition("]")[0]
    assert "65536" in sizes
    assert made.output.decode() == untraced.stdout.decode().replace("65536", "8192"), made.errors
    run = made.run
    assert run.facts["options"]["pipe_size"] == 8192
    used = run.trace.events[run.trace.events.op.isin(["os.pipe", "os.pipe2"])].channel
    assert set(run.trace.channels.capacity[used.tolist()]) == {8192}


STARTS = """
import multiprocessing, sys
def ask(queue):
    queue.put(multiprocessing.get_start_method())
if __name__ == "__main__":
    print(multiprocessing.get_start_method(allow_none=True), multiprocessing.get_all_start_methods())
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=ask, args=(queue,))
    child.start()
    print(queue.get(), type(child._popen).__module__)
    child.join()
    print(multiprocessing.get_context("fork").get_start_method())
"""


@each_interpreter
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.sample(3)
def test_a_start_method_is_the_default_and_no_more(method: str, python: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(STARTS)
    untraced = subprocess.run([python, "program.py"], cwd=tmp_path, env=target.clean_environment(), capture_output=True)
    made = record(tmp_path, "program.py", options=["--python", python, "--start-method", method])
    before, after = untraced.stdout.decode().splitlines(), made.output.decode().splitlines()
    kind = {"spawn": "spawn_posix", "forkserver": "forkserver"}[method]
    assert after == [before[0], f"{method} multiprocessing.popen_{kind}", "fork"], made.errors
    facts = made.run.facts
    assert facts["options"]["start_method"] == method
    assert {each["start_method"] for each in facts["platform"]["interpreters"]} == {"fork"}, "its own default"


def test_a_program_that_names_its_start_method_gets_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import multiprocessing as m\nm.set_start_method('fork')\nprint(m.get_start_method())\n"
    )
    assert record(tmp_path, "program.py", options=["--start-method", "spawn"]).output == b"fork\n"


def test_a_size_that_the_system_refuses_leaves_pipes_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import os, fcntl\nprint(fcntl.fcntl(os.pipe()[0], 1032))\n")
    made = record(tmp_path, "program.py", options=["--pipe-size", "1GiB"])
    assert int(made.output) >= 65536


def test_the_platforms_facts_are_in_the_trace(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import multiprocessing\n")
    platform = record(tmp_path, "program.py").run.facts["platform"]
    assert platform["pipe_capacity"] == 65536 and platform["pipe_buf"] == 4096
    assert platform["streams"] == {"stdin": "not a terminal", "stdout": "not a terminal", "stderr": "not a terminal"}
    assert platform["features"]["proc"] and platform["c_library"]
    (interpreter,) = platform["interpreters"]
    assert interpreter["buffer_size"] == 8192 and interpreter["executable"] == sys.executable


def test_options_travel_in_the_runs_variable(tmp_path: Path) -> None:
    given = launch.environment(tmp_path, "72", "line", pipe_size=4096, start_method="spawn")
    assert given["IPCTRACE_RUN"] == f"72:line,pipe_size=4096,start_method=spawn:{tmp_path}"
    assert launch.environment(tmp_path, "72", "tty")["IPCTRACE_RUN"] == f"72:default:{tmp_path}"


def test_an_interpreters_facts_are_defined_once(tmp_path: Path) -> None:
    target.run("import multiprocessing.context", live=tmp_path / "live")
    (log,) = read_logs(tmp_path / "live")[0]
    facts = [(d.text["fact"], d.text["value"]) for d in log.definitions if d.code == table.INTERPRETER]
    assert facts == [("buffer_size", "8192"), ("start_method", "fork")]
