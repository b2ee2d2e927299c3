"""What all tests need of the process that they run in."""

from __future__ import annotations

import signal
import threading

# A shell that runs the tests in the background, or nohup, has them ignore signals, and every program that they start too.
if threading.current_thread() is threading.main_thread():
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
