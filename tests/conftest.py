"""What all tests need of the process that they run in."""

from __future__ import annotations

import os
import signal
import threading

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
