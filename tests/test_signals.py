"""Signals: the terminal's are the program's, others are passed on, ignored ones stay ignored."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator

import pytest
from ipctrace.tracer.signals import Signals, subreaper


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers are afterwards what they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_sigterm_and_sighup_are_collected_once() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.take() == [signal.SIGTERM, signal.SIGHUP]
        assert signals.take() == []


def test_only_a_second_interrupt_soon_after_the_first_is_impatience() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert (signals.interrupts, signals.impatient) == (1, False)
        os.kill(os.getpid(), signal.SIGINT)
        assert (signals.interrupts, signals.impatient) == (2, True)


def test_what_was_ignored_stays_ignored_for_the_program_too() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Signals() as signals:
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.take() == []


def test_orphans_come_to_us_only_while_we_record() -> None:
    control = getattr(ctypes.CDLL(None), "prctl", None)
    if control is None:
        pytest.skip("this system has no subreapers")

    def is_subreaper() -> bool:
        found = ctypes.c_int()
        control(37, ctypes.byref(found))
        return bool(found.value)

    with subreaper():
        assert is_subreaper()
    assert not is_subreaper()
