"""Every kind of child is recorded, and what can't be is shown as untraced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import FOUND
from tests.recorded import Recorded, record
from tests.sampled import sampled

CHILD = "import os; r, w = os.pipe(); os.write(w, b'from the child')"


def recorded(folder: Path, text: str, **environment: str) -> Recorded:
    program = folder / "program.py"
    program.write_text(text)
    return record(folder, program, **environment)


def children(done: Recorded) -> pd.DataFrame:
    """The processes that the program started, in the order in which they began."""
    processes = done.run.trace.tables["processes"]
    return processes[processes["parent"].notna()].sort_values("started", kind="stable")


def wrote(done: Recorded) -> list[bytes]:
    """What was written to pipes by the children, as far as it is known."""
    trace = done.run.trace
    events, payloads = trace.tables["events"], trace.tables["payloads"]
    own = events[(events["op"] == "os.write") & (events["process"] != 0)]
    return [data for event, data in zip(payloads["event"], payloads["data"], strict=True) if event in set(own["event"])]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), 9)", -9),
        ("raise ValueError", 1),
        ("os.abort()", -6),
    ],
)
@pytest.mark.sample(3)
def test_a_forks_child_is_recorded_however_it_ends(end: str, status: int, tmp_path: Path) -> None:
    done = recorded(
        tmp_path,
        "import os, sys\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(w, b'from the child')\n"
        f"    {end}\n"
        "os.read(r, 99); os.wait()\n",
    )
    (child,) = children(done).itertuples()
    assert (child.how, child.traced, child.status, child.lost) == ("fork", True, status, 0)
    assert wrote(done) == [b"from the child"]


def test_an_exec_keeps_the_process_and_begins_an_image(tmp_path: Path) -> None:
    text = (
        "import os, sys\n"
        "r, w = os.pipe(); os.set_inheritable(w, True); os.write(w, b'before')\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'import os; os.write(%d, b\"after\")' % w])\n"
    )
    done = recorded(tmp_path, text)
    trace = done.run.trace
    assert len(trace.tables["processes"]) == 1
    assert trace.tables["environment"]["time"].nunique() == 2
    events = trace.tables["events"]
    assert list(events[events["op"].isin(["os.write", "os.execv"])]["op"]) == ["os.write", "os.execv", "os.write"]
    writes = events[events["op"] == "os.write"]
    assert writes["channel"].nunique() == 1, "the same pipe"


# How a Python child is started → whether it is found to have been forked, or by what else.
STARTED = {
    "subprocess by list": "subprocess.run([sys.executable, '-c', CHILD])",
    "through a shell": "subprocess.run([sys.executable + ' -c \"$0\"', CHILD], shell=True)",
    "through a shell that becomes it": "subprocess.run(['sh', '-c', 'exec \"$0\" -c \"$1\"', sys.executable, CHILD])",
    "with no environment": "subprocess.run([sys.executable, '-c', CHILD], env={})",
    "isolated": "subprocess.run([sys.executable, '-I', '-c', CHILD])",
    "isolated and with no environment": "subprocess.run([sys.executable, '-I', '-c', CHILD], env={})",
    "without Python's variables": "subprocess.run([sys.executable, '-E', '-c', CHILD])",
    "by a shell that sets PYTHONPATH": "subprocess.run(['sh', '-c', 'PYTHONPATH=/no/such \"$0\" -c \"$1\"', sys.executable, CHILD])",
    "posix_spawn": "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', CHILD], os.environ), 0)",
    "posix_spawn with another environment": "os.waitpid(os.posix_spawn(sys.executable, [sys.executable, '-c', CHILD], {'A': 'b'}), 0)",
    "os.spawnv": "os.spawnv(os.P_WAIT, sys.executable, [sys.executable, '-c', CHILD])",
    "os.spawnve with another environment": "os.spawnve(os.P_WAIT, sys.executable, [sys.executable, '-c', CHILD], {})",
    "os.system": 'os.system(\'"%s" -c "%s"\' % (sys.executable, CHILD))',
    "os.popen": 'os.popen(\'"%s" -c "%s"\' % (sys.executable, CHILD)).read()',
    "after os.environ was cleared": "os.environ.clear(); subprocess.run([sys.executable, '-c', CHILD])",
    "after PYTHONPATH was set": "os.environ['PYTHONPATH'] = '/no/such'; subprocess.run([sys.executable, '-c', CHILD])",
    "after PYTHONPATH was deleted": "os.environ.pop('PYTHONPATH', None); os.unsetenv('PYTHONPATH'); os.system('\"%s\" -c \"%s\"' % (sys.executable, CHILD))",
}


@pytest.mark.parametrize("way", STARTED)
@pytest.mark.sample(7)
def test_a_python_child_is_recorded_however_it_is_started(way: str, tmp_path: Path) -> None:
    done = recorded(tmp_path, f"import os, subprocess, sys\nCHILD = {CHILD!r}\n{STARTED[way]}\n")
    assert done.status == 0
    assert wrote(done) == [b"from the child"]
    assert list(children(done)["traced"])[-1]


@pytest.mark.parametrize("name", ["CPython 3.8", "CPython 3.13", "PyPy"])
@pytest.mark.sample(1)
def test_another_interpreter_is_recorded(name: str, tmp_path: Path) -> None:
    if not FOUND[name]:
        pytest.skip(f"{name} is not on this machine")
    done = recorded(tmp_path, f"import subprocess\nsubprocess.run([{FOUND[name]!r}, '-c', {CHILD!r}])\n")
    assert wrote(done) == [b"from the child"]
    (child,) = children(done).itertuples()
    assert child.implementation.startswith(name)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a virtual environment in which ipctrace isn't installed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def test_a_virtual_environment_without_ipctrace_is_recorded(elsewhere: Path, tmp_path: Path) -> None:
    done = recorded(tmp_path, f"import subprocess\nsubprocess.run([{str(elsewhere)!r}, '-c', {CHILD!r}])\n")
    assert wrote(done) == [b"from the child"]


@pytest.mark.parametrize("option", ["-I", "-E"])
@pytest.mark.sample(1)
def test_an_isolated_python_of_another_environment_is_shown_as_untraced(
    option: str, elsewhere: Path, tmp_path: Path
) -> None:
    command = [str(elsewhere), option, "-c", "input()"]
    done = recorded(tmp_path, untraced(command))
    (child,) = children(done).itertuples()
    assert (child.traced, child.argv, child.status) == (False, command, 0)


@pytest.mark.parametrize("command", [[sys.executable, "-S", "-s", "-E", "-c", "input()"], ["head", "-n1"]])
@pytest.mark.sample(1)
def test_what_is_not_python_or_has_no_site_is_shown_as_untraced(command: list[str], tmp_path: Path) -> None:
    done = recorded(tmp_path, untraced(command))
    (child,) = children(done).itertuples()
    assert (child.traced, child.argv, child.status) == (False, command, 0)


def untraced(command: list[str]) -> str:
    """A program whose child waits for a line, which it gets when it can be seen in /proc."""
    return (
        "import os, subprocess, time\n"
        f"p = subprocess.Popen({command!r}, stdin=-1, stdout=-3)\n"
        "time.sleep(0.3)\np.communicate(b'line\\n')\n"
    )


def test_no_childs_command_line_is_changed(tmp_path: Path) -> None:
    text = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import sys; print(sys.argv, open(\"/proc/self/cmdline\").read().split(\"\\\\0\"))', 'a', ''])\n"
    program = tmp_path / "program.py"
    program.write_text(text)
    assert record(tmp_path, program).output == target.run(program, live=None).stdout


def test_a_child_sees_nothing_of_us_isolated_or_not(tmp_path: Path) -> None:
    show = "import os, sys; print(sorted(os.environ), sys.path, [type(f) for f in sys.meta_path])"
    text = f"import subprocess, sys\nfor o in ('-I', '-E', '-B'): print(subprocess.check_output([sys.executable, o, '-c', {show!r}]))\n"
    program = tmp_path / "program.py"
    program.write_text(text)
    alone = target.run(program, live=None).stdout.decode()
    ours = record(tmp_path, program).output.decode()
    assert ours.replace("'CHAPTER_SLEEP', ", "") == alone


def test_the_runtime_is_loaded_once_where_both_ways_lead_to_it(tmp_path: Path) -> None:
    live = tmp_path / "live"
    target.run("import os; os.pipe()", live=live)
    assert len(target.calls(live)) == 1


@pytest.mark.parametrize("spoil", ["group", "others", "file"])
def test_an_isolated_python_loads_nothing_that_others_can_write_to(spoil: str, tmp_path: Path) -> None:
    live = tmp_path / "live"
    environment = target.traced_environment(live, target.clean_environment())
    spoiled = live / "inject" / "sitecustomize.py" if spoil == "file" else live / "inject"
    spoiled.chmod(spoiled.stat().st_mode | (0o020 if spoil == "group" else 0o002))
    done = subprocess.run([sys.executable, "-I", "-c", "print(1)"], env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr, list(live.glob("*.log"))) == (b"1\n", b"", [])


@pytest.mark.parametrize("value", ["", "nonsense", "72:default:/no/such", "72:default"])
def test_an_isolated_python_bears_any_value_of_the_variable(value: str) -> None:
    environment = target.clean_environment(IPCTRACE_RUN=value)
    done = subprocess.run([sys.executable, "-I", "-c", "print(1)"], env=environment, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"1\n", b"")


def test_a_daemon_is_followed_to_its_end(tmp_path: Path) -> None:
    done = recorded(
        tmp_path,
        "import os, time\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.write(w, b'daemon'); time.sleep(0.3); os.write(w, b'ends')\n"
        "        os._exit(7)\n"
        "    os._exit(0)\n"
        "os.close(w); os.wait(); os.read(r, 6)\n",
    )
    assert wrote(done) == [b"daemon", b"ends"]
    assert sorted(children(done)["status"]) == [0, 7]
    assert done.run.trace.facts["left"] == []


def test_a_daemon_that_would_stay_is_ended_with_the_run(tmp_path: Path) -> None:
    done = recorded(
        tmp_path,
        "import os, signal\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        os.write(w, str(os.getpid()).encode())\n"
        "        while True: signal.pause()\n"
        "    os._exit(0)\n"
        "os.wait(); print(os.read(r, 9).decode())\n",
    )
    daemon = int(done.output)
    assert done.run.trace.facts["left"] == [daemon]
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program.py", "recorded.ipctrace"]


@pytest.mark.chapter
def test_many_short_children_are_all_recorded(tmp_path: Path) -> None:
    done = recorded(
        tmp_path,
        "import os\n"
        "r, w = os.pipe()\n"
        "for k in range(300):\n"
        "    if os.fork() == 0: os.write(w, b'%03d' % k); os._exit(k % 100)\n"
        "    os.read(r, 3); os.wait()\n"
        "for k in range(50): os.spawnlp(os.P_WAIT, 'true', 'true')\n",
    )
    assert done.status == 0
    assert sorted(wrote(done)) == [b"%03d" % k for k in range(300)]
    started = children(done)
    assert (len(started), started["lost"].sum(), started["traced"].all()) == (350, 0, True)
    assert sorted(started["status"]) == sorted([k % 100 for k in range(300)] + [0] * 50)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user can get to, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


BECOME = {
    "setuid": "os.setuid(65534)",
    "setresuid": "os.setresuid(65534, 65534, 0)",
    "seteuid": "os.seteuid(65534)",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("way", sampled(BECOME, ["setuid"]))
def test_a_process_that_changes_its_user_is_recorded_further_and_so_are_its_children(way: str, reachable: Path) -> None:
    if not access_lists(reachable):
        pytest.skip("this file system has no access lists")
    text = (
        "import os\n"
        "r, w = os.pipe()\n"
        "if os.fork() == 0:\n"
        f"    {BECOME[way]}\n"
        "    if os.fork() == 0: os.write(w, b'grandchild'); os._exit(0)\n"
        "    os.wait()\n"
        "    for k in range(3000): os.write(w, b'x'); os.read(r, 1)\n"  # beyond what is mapped as it begins
        "    os.write(w, b'child')\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    done = recorded(reachable, text)
    assert set(wrote(done)) == {b"grandchild", b"x", b"child"}
    assert (children(done)["traced"].all(), children(done)["lost"].sum()) == (True, 0)
    assert done.trace.stat().st_mode & 0o777 == 0o700
    assert os.listxattr(done.trace) == [], "nobody else gets to the finished trace"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_that_is_let_in_cannot_replace_the_runtime(reachable: Path) -> None:
    if not access_lists(reachable):
        pytest.skip("this file system has no access lists")
    live = reachable / "live"
    text = (
        f"import os\nlive = {str(live)!r}\nos.setuid(65534)\n"
        "for change in (lambda: os.rename(live + '/inject', live + '/other'), lambda: open(live + '/inject/x', 'w'),\n"
        "               lambda: open(live + '/inject/sitecustomize.py', 'a')):\n"
        "    try: change(); print('done')\n"
        "    except PermissionError: print('refused')\n"
    )
    assert target.run(text, live=live).stdout == b"refused\n" * 3


def access_lists(folder: Path) -> bool:
    try:
        os.getxattr(folder, "system.posix_acl_access")
    except OSError as error:
        return error.errno == 61  # ENODATA: there could be one
    return True


def test_os_system_says_what_it_ran_and_how_it_ended(tmp_path: Path) -> None:
    live = tmp_path / "live"
    target.run("import os\nos.system('exit 3')\n", live=live)
    (events,) = target.calls(live)
    (call,) = [e for e in events if e.op == "os.system"]
    assert (call.line, call.data, call.extra, call.state) == (2, b"exit 3", 3 << 8, table.DONE)


def test_a_poll_for_a_childs_end_is_an_event_only_when_it_has_ended(tmp_path: Path) -> None:
    live = tmp_path / "live"
    text = (
        "import os\nr, w = os.pipe()\n"
        "pid = os.fork()\n"
        "if pid == 0: os.read(r, 1); os._exit(5)\n"
        "for k in range(9): os.waitpid(pid, os.WNOHANG)\n"
        "os.write(w, b'x')\n"
        "while os.waitpid(pid, os.WNOHANG)[0] == 0: pass\n"
    )
    target.run(text, live=live)
    (call,) = [e for e in target.calls(live)[0] if e.op == "os.waitpid"]
    assert (call.line, call.size, call.result, call.extra) == (7, call.result, call.size, 5 << 8)
    assert call.flags & table.NONBLOCKING


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("text=True", "text"),
        ("universal_newlines=True", "text"),
        ("encoding='latin-1', errors='replace'", "text"),
        ("bufsize=0", "raw"),
        ("text=True, bufsize=0", "text"),
        ("text=True, bufsize=1", "text"),
        ("", "binary"),
    ],
)
def test_popens_pipes_count_with_any_options(options: str, kept: str, tmp_path: Path) -> None:
    live = tmp_path / "live"
    line = "'asked\\n'" if kept == "text" else "b'asked\\n'"
    text = (
        f"import subprocess\np = subprocess.Popen(['cat'], stdin=-1, stdout=-1, {options})\n"
        f"p.stdin.write({line})\n"
        "p.stdin.flush()\n"
        "p.stdin.close()\n"
        "p.stdout.read()\n"
        "p.wait()\n"
    )
    assert target.run(text, live=live).stderr == b""
    (events,) = target.calls(live)
    (sent,) = [e.data for e in events if e.op == "raw.write"]
    assert b"".join(e.data for e in events if e.op == "raw.read") == sent
    assert [e.line for e in events if e.op == "stream.write"] == [3]
    assert {e.line for e in events if e.op == "raw.read"} == {6}


def test_os_popens_text_counts(tmp_path: Path) -> None:
    live = tmp_path / "live"
    text = "import os\nwith os.popen('cat', 'w') as f:\n    f.write('spam')\n    f.flush()\n"
    target.run(text, live=live)
    (events,) = target.calls(live)
    assert [(e.op, e.line, e.pending) for e in events if e.line in (3, 4) and e.pending is not None][:3] == [
        ("stream.write", 3, 4), ("stream.flush", 4, 0), ("raw.write", 4, 0),
    ]  # fmt: skip


def test_communicate_moves_its_bytes_at_the_programs_line(tmp_path: Path) -> None:
    live = tmp_path / "live"
    text = (
        "import subprocess\n"
        "p = subprocess.Popen('cat; echo bad >&2', shell=True, stdin=-1, stdout=-1, stderr=-1)\n"
        "print(p.communicate(b'spam'))\n"
    )
    assert target.run(text, live=live).stdout == b"(b'spam', b'bad\\n')\n"
    (events,) = target.calls(live)
    assert [e.data for e in events if e.op == "os.write" and e.line == 3] == [b"spam"]
    assert {e.data for e in events if e.op == "os.read" and e.line == 3} == {b"spam", b"bad\n", b""}


@pytest.mark.skipif(sys.version_info < (3, 12) and not FOUND["CPython 3.12"], reason="CPython 3.12 warns")
def test_a_forks_warning_is_placed_at_the_programs_line(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, threading\n"
        "end = threading.Event()\n"
        "t = threading.Thread(target=end.wait); t.start()\n"
        "def start(): return os.fork()\n"
        "if start() == 0: os._exit(0)\n"
        "os.wait(); end.set(); t.join()\n"
    )
    python = FOUND["CPython 3.12"] or sys.executable
    alone, traced = (target.run(program, live=live, python=python).stderr for live in (None, tmp_path / "live"))
    hide = [line for line in (alone + b"\n" + traced).split(b"\n") if b"DeprecationWarning" in line]
    assert b"program.py:4: DeprecationWarning" in alone
    assert len({line.partition(b"(pid=")[0] for line in hide}) == 1


@pytest.mark.parametrize("call", ["os.execve", "os.posix_spawn", "subprocess.Popen"])
@pytest.mark.parametrize(
    "environment", ["5", "[]", "[('A', 'b')]", "{'A=': 'b'}", "{'A': 5}", "{'A': 'b\\0'}", "{1: 2}"]
)
@pytest.mark.sample(7)
def test_a_wrong_environment_is_refused_in_the_same_words(call: str, environment: str, tmp_path: Path) -> None:
    arguments = (
        f"['true'], env={environment}" if call == "subprocess.Popen" else f"'/bin/true', ['true'], {environment}"
    )
    text = f"import os, subprocess\ntry: {call}({arguments})\nexcept Exception as error: print(type(error), error)\n"
    alone, traced = (target.run(text, live=live) for live in (None, tmp_path / "live"))
    assert (traced.returncode, traced.stdout, traced.stderr) == (alone.returncode, alone.stdout, alone.stderr)
