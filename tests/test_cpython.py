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
QUICK = ("test_fileio", "test_popen", "test_select", "test_thread", "test_mmap", "test_asyncio.test_queues")
SLOW = (
    "test_queue", "test_io", "test_os", "test_posix", "test_fcntl", "test_pty", "test_file", "test_subprocess", "test_fork1",
    "test_wait3", "test_wait4", "test_cmd_line", "test_poll", "test_epoll", "test_selectors", "test_socketserver",
    "test_httplib", "test_ftplib", "test_smtplib", "test_poplib", "test_xmlrpc", "test_urllib2_localnet", "test_ssl",
    "test_threadsignals", "test_signal", "test_eintr", "test_faulthandler", "test_sched", "test_threading_local",
    "test_memoryview", "test_traceback", "test_logging", "test_sys", "test_tempfile", "test_warnings", "test_pickle",
    "test_builtin", "test_copy", "test_pdb", "test_bdb", "test_trace", "test_sys_settrace", "test_sys_setprofile",
    "test_cprofile", "test_profile", "test_tracemalloc", "test_audit", "test_code", "test_cmd", "test_contextlib",
    "test_print", "test_exceptions", "test_raise", "test_gc", "test_weakref", "test_inspect.test_inspect",
    "test_inspect", "test_doctest", "test_import", "test_runpy", "test_site", "test_atexit", "test_shutil",
    "test_pathlib", "test_venv", "test_openpty", "test_getpass", "test_readline", "test_dbm", "test_mailbox",
    "test_unittest", "test_context", "test_asyncgen", "test_coroutines", "test_multiprocessing_main_handling",
    "test_asyncio.test_locks", "test_asyncio.test_streams", "test_asyncio.test_tasks", "test_asyncio.test_subprocess",
    "test_asyncio.test_events", "test_asyncio.test_base_events", "test_asyncio.test_unix_events",
    "test_asyncio.test_futures", "test_asyncio.test_timeouts", "test_asyncio.test_taskgroups",
    "test_asyncio.test_waitfor", "test_asyncio.test_sendfile", "test_asyncio.test_server",
    "test_asyncio.test_sock_lowlevel", "test_asyncio.test_ssl", "test_asyncio.test_eager_task_factory",
    # In parts, whose names differ from version to version
    "test_concurrent_futures.test_thread_pool", "test_concurrent_futures.test_future",
    "test_concurrent_futures.test_as_completed", "test_concurrent_futures.test_wait",
    "test_concurrent_futures.test_init", "test_concurrent_futures.test_shutdown",
    "test_concurrent_futures.test_process_pool", "test_concurrent_futures.ThreadPoolExecutorTest",
    "test_concurrent_futures.ThreadPoolShutdownTest", "test_concurrent_futures.ThreadPoolWaitTests",
    "test_concurrent_futures.ThreadPoolAsCompletedTest", "test_concurrent_futures.FutureTests",
    "test_concurrent_futures.ProcessPoolForkProcessPoolExecutorTest",
    "test_concurrent_futures.ProcessPoolForkProcessPoolShutdownTest",
    # Without those whose name ends so, where one never ends on its own either: a recursion that takes half an hour
    # (3.13.0), a socket of a virtual machine's (3.8.18), a loop that is waited for as fast as it can (3.11.7)
    "test_threading -k *[!6]", "test_socket -k *[!m]", "test_asyncio.test_runners -k *[!l]",
    # Those of multiprocessing
    "fork -k WithThreads", "fork -k WithManager", "fork -k WithProcesses", "fork -k .Test", "spawn -k WithProcesses",
)  # fmt: skip
# They are one module for all start methods; some interpreters come without the modules that run it for one of them.
MULTIPROCESSING = "from test import _test_multiprocessing as t; t.install_tests_in_module_dict(globals(), {!r})"
LONGEST = 400  # seconds

# What differs, and why: also among the README's limits.
KNOWN = {
    "test_no_line_event_after_creating_generator": "a tracer written in C is ended by sys.settrace(None), a call of ours",
    "test_tracemalloc": "a file's traceback has frames of ours, and a limit of two leaves no room for the program's",
}


def failures(python: str, tests: str, live: Path | None, folder: Path) -> set[str] | None:
    """The tests that don't pass, by name, and what else went wrong; None where this interpreter has no such module, or
    it doesn't end."""
    alone = target.clean_environment()
    environment = alone if live is None else target.traced_environment(live, alone)
    module, *options = tests.split()
    if module in ("fork", "spawn"):
        (folder / f"with_{module}.py").write_text(MULTIPROCESSING.format(module))
        module = f"with_{module}"
    else:
        module = f"test.{module}"
    try:
        done = subprocess.run(
            [python, "-m", "unittest", "-q", *options, module], env=environment, cwd=folder, text=True,
            errors="replace", stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None if live is None else {f"{tests} did not end"}
    if "unittest.loader._FailedTest" in done.stderr:
        return None
    names = re.sub(r"0x[0-9a-f]+", "0x", done.stderr)  # those of some have addresses in them
    failed = set(re.findall(r"^(?:FAIL|ERROR): (.*)$", names, re.M))
    if not re.search(r"^Ran \d+ test", done.stderr, re.M) or done.returncode != (1 if failed else 0):
        failed.add(f"{tests} ended with status {done.returncode}")
    if live is not None and not any(name.split()[0] in KNOWN for name in failed) and "_ipctrace" in done.stderr:
        failed.add(f"{tests} shows the recorder")
    if live is not None and not list(live.glob("*.log")):
        failed.add(f"{tests} was not recorded")
    return failed


def check(python: str, module: str, folder: Path) -> None:
    """A module's tests pass traced where they pass alone; one that fails now and then gets another chance."""
    new: set[str] = set()
    for attempt in range(3):
        alone = failures(python, module, None, folder)
        if alone is None:
            pytest.skip(f"this interpreter has no test.{module}, or it doesn't end")
        traced = failures(python, module, folder / f"{attempt}" / "live", folder)
        assert traced is not None
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
