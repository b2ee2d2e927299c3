"""Recording where a feature is missing: what remains works, and the trace says what it lacks.

The features are really switched off: /proc is covered in a mount namespace of its own, functions and modules are taken
away from a fresh environment's interpreter before anything else runs in it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from ipctrace.tracer import platforms, proc

import ipctrace
from tests import recorded
from tests.target import clean_environment

ABSENT = {
    "fork": "import os\nfor name in ('fork', 'forkpty', 'register_at_fork'): delattr(os, name)\n",
    "pidfd": "import os, signal\ndel os.pidfd_open, signal.pidfd_send_signal\n",
    "pipe_capacity": "import sys\nfor name in ('fcntl', 'resource', 'termios'): sys.modules[name] = None\n",
    "subreaper": "import ctypes\ndef CDLL(*_, **__): raise OSError\nctypes.CDLL = CDLL\n",
    "netlink": "import socket\ndel socket.AF_NETLINK\n",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that borrows ours."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (library,) = folder.glob("lib/python*/site-packages")
    root = Path(ipctrace.__file__).parent.parent
    paths = [path for path in sys.path if path and Path(path).resolve() != root]
    (library / "zz_ours.pth").write_text("\n".join([*paths, "import ipctrace_absent"]) + "\n")
    for finder in Path(sys.prefix).glob("lib/python*/site-packages/__editable__*ipctrace*"):
        shutil.copy(finder, library / finder.name)
    return folder / "bin" / "python"


def absent(python: Path, feature: str) -> None:
    (library,) = python.parent.parent.glob("lib/python*/site-packages")
    (library / "ipctrace_absent.py").write_text(ABSENT[feature])


def record(python: str | Path, folder: Path, program: str, *options: str, before: tuple[str, ...] = ()) -> ipctrace.Run:
    trace = folder / "recorded.ipctrace"
    command = [
        *before,
        str(python),
        "-m",
        "ipctrace",
        "record",
        "-q",
        "--no-report",
        "--out",
        str(trace),
        *options,
        program,
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(**recorded.SHORT),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    assert trace.is_dir(), done
    return ipctrace.load(trace)


def spams(run: ipctrace.Run) -> list[bytes]:
    pipe = run.channels[(run.channels.kind == "pipe") & (run.channels.messages > 0)].channel
    return [bytes(data) for data in run.messages[run.messages.channel.isin(pipe)].payload]


@pytest.mark.parametrize("feature", ["fork", "pidfd", "pipe_capacity", "subreaper", "netlink"])
@pytest.mark.sample(2)
def test_threads_that_talk_through_a_pipe_are_recorded_without(feature: str, python: Path, tmp_path: Path) -> None:
    absent(python, feature)
    run = record(python, tmp_path, "pipe_thread.py", "--duration", "2")
    assert spams(run)[:2] == [b"Spam 0", b"Spam 1"]
    assert (run.verdict.name, run.facts["left"]) == ("interrupted", [])
    if feature in platforms.FEATURES:
        assert not run.facts["platform"]["features"][feature]
        assert platforms.FEATURES[feature] in run.facts["notes"]


@pytest.mark.parametrize("feature", ["pidfd", "pipe_capacity", "subreaper", "netlink"])
@pytest.mark.sample(2)
def test_and_so_is_a_forked_pair_that_hangs(feature: str, python: Path, tmp_path: Path) -> None:
    absent(python, feature)
    run = record(python, tmp_path, "deadlock.py")
    assert (run.verdict.name, run.verdict.rule) == ("deadlock", "IPC101")


def _hides_proc() -> bool:
    hidden = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc"]
    return bool(shutil.which("unshare")) and subprocess.run(hidden, capture_output=True).returncode == 0


@pytest.mark.skipif(not _hides_proc(), reason="/proc can't be covered: that takes a privilege")
class TestWithoutProc:
    HIDDEN = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")

    def test_processes_are_known_by_what_they_write(self, tmp_path: Path) -> None:
        run = record(sys.executable, tmp_path, "pipes.py", before=self.HIDDEN)
        assert run.verdict.name == "completed"
        assert sorted(run.analysis.process_names.values()) == ["child", "parent"]
        pipes = run.channels[(run.channels.kind == "pipe") & (run.channels.messages > 0)]
        assert sorted(pipes.messages) == [2, 2]
        assert platforms.FEATURES["proc"] in run.facts["notes"]

    def test_threads_need_it_even_less(self, tmp_path: Path) -> None:
        run = record(sys.executable, tmp_path, "pipe_thread.py", "--duration", "2", before=self.HIDDEN)
        assert spams(run)[:2] == [b"Spam 0", b"Spam 1"]

    def test_what_hangs_is_named_and_not_called_proven(self, tmp_path: Path) -> None:
        run = record(sys.executable, tmp_path, "deadlock.py", "--duration", "4", before=self.HIDDEN)
        assert (run.verdict.name, run.verdict.rule) == ("stalled", "IPC101")
        assert not [pid for pid in run.processes.pid if any("deadlock" in word for word in proc.command_line(int(pid)))]


def test_reading_and_reporting_need_nothing_of_the_recorders_system(python: Path, tmp_path: Path) -> None:
    """A trace is read where no process could be recorded: no fcntl, no resource, no termios, no fork, no netlink."""
    made = record(sys.executable, tmp_path, "pipe_thread.py", "--duration", "1")
    (library,) = python.parent.parent.glob("lib/python*/site-packages")
    (library / "ipctrace_absent.py").write_text("\n".join([
        *ABSENT.values(),
        "import os, signal, select",
        "for name in ('sysconf', 'makedev', 'O_CLOEXEC', 'O_NONBLOCK', 'O_ACCMODE', 'confstr'):",
        "    getattr(os, name, None) is not None and delattr(os, name)",
        "for name in ('SIGHUP', 'SIGSTOP', 'SIGCONT', 'SIGKILL', 'pthread_sigmask'): delattr(signal, name)",
        "del select.poll",
    ]))  # fmt: skip
    text = f"import ipctrace; run = ipctrace.load({str(tmp_path / 'recorded.ipctrace')!r}); print(run.verdict.name, len(run.messages)); run.report('page.html')"
    done = subprocess.run(
        [python, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=120, env=clean_environment()
    )
    assert done.stdout.split() == [made.verdict.name, str(len(made.messages))], done.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000
