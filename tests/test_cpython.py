"""CPython's own tests of what is wrapped: under the recorder they give the results that they give without it.

They were written by people who didn't know of us, and so they look where we wouldn't have.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import target
from tests.interpreters import FOUND

# Test modules of the standard library that use what is wrapped. The quick ones are the sample.
QUICK = ("test_fileio", "test_popen", "test_select", "test_thread", "test_queue", "test_mmap", "test_asyncio.test_queues")
SLOW = (
    "test_io", "test_os", "test_posix", "test_fcntl", "test_pty", "test_file", "test_subprocess", "test_fork1",
    "test_wait3", "test_wait4", "test_cmd_line", "test_poll", "test_epoll", "test_selectors", "test_socketserver",
    "test_socket", "test_httplib", "test_ftplib", "test_threadsignals", "test_signal", "test_faulthandler",
    "test_threading", "test_sched", "test_threading_local", "test_concurrent_futures", "test_memoryview",
    "test_asyncio.test_locks", "test_asyncio.test_streams", "test_asyncio.test_tasks", "test_asyncio.test_subprocess",
    "test_asyncio.test_runners", "test_traceback", "test_logging", "test_sys", "test_tempfile", "test_warnings",
    "test_pickle", "test_builtin", "test_copy", "test_pdb", "test_code", "test_cmd", "test_contextlib",
)  # fmt: skip

# What differs, and why: also among the README's limits.
KNOWN: dict[str, str] = {}


def failures(python: str, module: str, live: Path | None, folder: Path) -> set[str] | None:
    """The tests of a module that don't pass, by name; None where this interpreter has no such module."""
    alone = target.clean_environment()
    environment = alone if live is None else target.traced_environment(live, alone)
    done = subprocess.run(
        [python, "-m", "unittest", "-q", f"test.{module}"], env=environment, cwd=folder, text=True, errors="replace",
        stdin=subprocess.DEVNULL, capture_output=True, timeout=600,
    )  # fmt: skip
    if re.search(r"No module named 'test|has no attribute 'test_", done.stderr):
        return None
    if not re.search(r"^Ran \d+ test", done.stderr, re.M):
        return {f"{module} did not run to its end: {done.stderr[-300:]}"}
    return set(re.findall(r"^(?:FAIL|ERROR): (.*)$", done.stderr, re.M))


def check(python: str, module: str, folder: Path) -> None:
    """A module's tests pass traced where they pass alone; one that fails now and then gets another chance."""
    new: set[str] = set()
    for attempt in range(3):
        alone = failures(python, module, None, folder)
        traced = failures(python, module, folder / f"{attempt}" / "live", folder)
        if alone is None or traced is None:
            pytest.skip(f"this interpreter has no test.{module}")
        new = {name for name in traced - alone if name.split()[0] not in KNOWN}
        if not new:
            return
    pytest.fail(f"{python} -m unittest test.{module}: {sorted(new)}")


@pytest.mark.parametrize("module", QUICK)
def test_a_sample_of_its_tests_gives_the_same_results(module: str, tmp_path: Path) -> None:
    check(sys.executable, module, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13"])
@pytest.mark.parametrize("module", [*QUICK, *SLOW])
def test_all_of_its_tests_give_the_same_results(module: str, version: str, tmp_path: Path) -> None:
    python = FOUND[f"CPython {version}"]
    if python is None:
        pytest.skip(f"CPython {version} is not on this machine")
    check(python, module, tmp_path)
