"""What all tests need of the process that they run in."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, defaultdict
from zlib import crc32

import pytest
from hypothesis import settings

# A shell that runs the tests in the background, or nohup, has them ignore signals, and every program that they start too.
if threading.current_thread() is threading.main_thread():
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)

settings.register_profile("busy", deadline=None)  # how long an example takes is the machine's
settings.load_profile("busy")


def pytest_xdist_auto_num_workers() -> int:
    """How many processes `-n auto` means: one more than there are processors, since recorded programs mostly wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`@pytest.mark.sample(6)`: of a test's parameters six are always tried, the others with -m slow."""
    alike = defaultdict[tuple[str, int], list[pytest.Function]](list)
    for item in items:
        sample = item.get_closest_marker("sample")
        if sample and isinstance(item, pytest.Function) and not item.get_closest_marker("slow"):
            alike[item.nodeid.partition("[")[0], sample.args[0]].append(item)
    for (_, count), each in alike.items():
        for item in set(each) - set(_spread(each, count)):
            item.add_marker("slow")


def _spread(items: list[pytest.Function], count: int) -> list[pytest.Function]:
    """So many of them that each value of each parameter comes about as often; the same ones on every machine."""
    left = sorted(items, key=lambda item: crc32(item.nodeid.encode()))
    used, chosen = Counter[tuple[str, str]](), list[pytest.Function]()
    values = {item: [(name, repr(value)) for name, value in item.callspec.params.items()] for item in left}
    while left and len(chosen) < count:
        chosen.append(min(left, key=lambda item: sum(used[value] for value in values[item])))
        left.remove(chosen[-1])
        used.update(values[chosen[-1]])
    return chosen
