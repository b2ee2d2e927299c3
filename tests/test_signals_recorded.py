"""Signals: sent, handled and waited for are events, and handlers are the program's own as far as it can see."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH

each_interpreter = pytest.mark.parametrize("python", EACH)
SIGNALS = ("signal", "os.kill", "os.killpg")


def recorded(folder: Path, text: str, python: str = sys.executable) -> list[target.Call]:
    """The events of one process about signals."""
    live = folder / "live"
    done = target.run(text, live=live, python=python)
    assert (done.returncode, done.stderr) == (0, b"")
    return [e for e in target.calls(live)[0] if e.op.startswith(SIGNALS)]


@each_interpreter
def test_a_handler_is_an_event_from_its_begin_to_its_end(python: str, tmp_path: Path) -> None:
    text = (
        "import os, signal\n"
        "r, w = os.pipe()\n"
        "def handler(number, frame):\n"
        "    os.write(w, b'woken')\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "os.read(r, 9)\n"
    )
    (handled,) = [e for e in recorded(tmp_path, text, python) if e.op == "signal handler"]
    assert (handled.size, handled.line, handled.state) == (14, 7, table.DONE), "at the line that it interrupted"
    events = target.calls(tmp_path / "live")[0]
    write, read = (next(e for e in events if e.op == op and e.fd in (3, 4)) for op in ("os.write", "os.read"))
    assert read.enter < handled.enter < write.enter < write.exit < handled.exit < read.exit


@each_interpreter
def test_what_a_handler_raises_ends_its_event_and_reaches_the_program(python: str, tmp_path: Path) -> None:
    text = (
        "import os, signal\n"
        "def handler(*_): raise InterruptedError(4, 'mine')\n"
        "signal.signal(signal.SIGUSR1, handler)\n"
        "try: os.kill(os.getpid(), signal.SIGUSR1)\n"
        "except InterruptedError as error: assert error.args == (4, 'mine')\n"
    )
    events = recorded(tmp_path, text, python)
    assert [(e.op, e.state, e.error) for e in events[1:]] == [
        ("os.kill", table.FAILED, 4), ("signal handler", table.FAILED, 4),
    ]  # fmt: skip


def test_what_a_handler_written_in_c_raises_reaches_the_program_wherever_it_strikes(tmp_path: Path) -> None:
    """It has no frame of its own: our bookkeeping must not take its exception for one of ours."""
    text = (
        "import os, signal\n"
        "signal.signal(signal.SIGALRM, '{2}'.format)\n"  # it is given two arguments only: IndexError
        "r, w = os.pipe()\n"
        "struck = 0\n"
        "for k in range(200):\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.0005 + k * 1e-6)\n"
        "        while True: os.write(w, b'x'); os.read(r, 1)\n"
        "    except IndexError: struck += 1\n"
        "print(struck)\n"
    )
    assert target.run(text, live=tmp_path / "live").stdout == b"200\n"


SENT = {
    "signal.raise_signal(10)": ("signal.raise_signal", 1),
    "signal.pthread_kill(threading.get_ident(), 10)": ("signal.pthread_kill", 1),
    "os.kill(os.getpid(), 10)": ("os.kill", 1),
    "os.killpg(os.getpgrp(), 10)": ("os.killpg", -1),
    "signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 10)": ("signal.pidfd_send_signal", 1),
}


@pytest.mark.parametrize("call", SENT)
def test_a_signal_is_an_event_however_it_is_sent(call: str, tmp_path: Path) -> None:
    op, sign = SENT[call]
    text = f"import os, signal, threading\nos.setpgid(0, 0)\nsignal.signal(10, lambda *_: None)\n{call}\n"
    sent, handled = recorded(tmp_path, text)[1:]
    pid = target.calls(tmp_path / "live")[0][0].pid
    assert (sent.op, sent.line, sent.size, sent.extra) == (op, 4, sign * pid, 10)
    assert (handled.op, handled.size) == ("signal handler", 10)


def test_waiting_for_a_signal_is_an_event_that_says_for_which(tmp_path: Path) -> None:
    text = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [10, 12])\n"
        "for k in range(3): os.kill(os.getpid(), 12)\n"
        "assert signal.sigwait([12]) is signal.SIGUSR2\n"
        "os.kill(os.getpid(), 12)\n"
        "assert signal.sigwaitinfo({10, 12}).si_signo == 12\n"
        "assert signal.sigtimedwait([10], 0.01) is None\n"
        "assert signal.sigtimedwait(iter([10]), 0) is None\n"
    )
    waits = [e for e in recorded(tmp_path, text) if e.op.startswith("signal.sig")]
    assert [(e.op, e.line, e.size, e.result, e.data, e.flags) for e in waits] == [
        ("signal.sigwait", 4, 12, 12, b"12", 0),
        ("signal.sigwaitinfo", 6, None, 12, b"10 12", 0),
        ("signal.sigtimedwait", 7, 10, None, b"10", table.TIMED),
        ("signal.sigtimedwait", 8, None, None, b"", table.NONBLOCKING),
    ]


def test_a_process_that_pauses_has_an_open_event(tmp_path: Path) -> None:
    text = (
        "import os, signal\n"
        "signal.signal(10, lambda *_: os._exit(0))\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [10]); os.kill(os.getpid(), 10)\n"
        "signal.setitimer(signal.ITIMER_REAL, 5)\n"
        "if os.fork() == 0: os.kill(os.getppid(), 9); os._exit(0)\n"
        "signal.pause()\n"
    )
    target.run(text, live=tmp_path / "live")
    events = target.calls(tmp_path / "live")[0]
    paused = [e for e in events if e.op == "signal.pause"]
    assert all(e.state == table.OPEN and e.line == 6 for e in paused)


# What a program can see of its handlers, printed; the same traced and untraced.
SEEN = {
    "its own objects come back": """
        def handler(*_): pass
        print(signal.signal(10, handler), signal.getsignal(10) is handler)
        print(signal.signal(10, signal.SIG_IGN) is handler, signal.getsignal(10), repr(signal.signal(10, signal.SIG_DFL)))
        print(signal.getsignal(2) is signal.default_int_handler, signal.signal(2, handler) is signal.default_int_handler)
        print(signal.signal(2, signal.default_int_handler) is handler, signal.getsignal(2) is signal.default_int_handler)
    """,
    "every disposition is as it was": """
        print({n: str(signal.getsignal(n)) for n in sorted(signal.valid_signals())})
        print(open('/proc/self/status').read().split('SigBlk')[1].split('Cap')[0])
    """,
    "wrong arguments are refused in the same words": """
        for a in ((), (10,), ('x', print), (10, 'x'), (10, None), (0, print), (999, print), (10.5, print), (9, print)):
            try: signal.signal(*a)
            except Exception as error: print(type(error), error)
        for f, a in ((signal.alarm, ('x',)), (signal.setitimer, (9, 1)), (signal.sigwait, (5,)), (signal.sigwait, ([0],)), (signal.sigwait, (['x'],)),
                     (signal.sigtimedwait, ([10], -1)), (signal.pthread_kill, ('x', 1)), (os.kill, (1,)), (os.kill, ('x', 1)), (os.killpg, (0, 'x')), (signal.raise_signal, (999,))):
            try: f(*a)
            except Exception as error: print(type(error), error)
    """,
    "a handler is given the interrupted frame of the program": """
        def handler(number, frame): print(number, frame.f_code.co_name, frame.f_lineno, frame.f_code.co_filename)
        signal.signal(14, handler)
        r, w = os.pipe()
        def wait():
            try: os.read(r, 1)
            except ZeroDivisionError: pass
        def fail(number, frame): handler(number, frame); traceback.print_stack(frame, file=sys.stdout); 1 / 0
        signal.signal(14, fail); signal.setitimer(signal.ITIMER_REAL, 0.05)
        wait()
    """,
    "an uncaught exception of a handler has a clean traceback": """
        def handler(*_): raise ValueError('from the handler')
        signal.signal(10, handler)
        try: signal.raise_signal(10)
        except ValueError: traceback.print_exc(file=sys.stdout)
        os.kill(os.getpid(), 10)
    """,
    "handlers of every kind of callable are called": """
        import functools
        class Callable:
            def __call__(self, *a): print('instance', a[0])
            def method(self, *a): print('method', a[0])
        for handler in (Callable(), Callable().method, functools.partial(lambda x, *a: print(x, a[0]), 'partial'), lambda n, f: print('lambda', n)):
            signal.signal(10, handler); signal.raise_signal(10); print(signal.getsignal(10) == handler)
    """,
    "a signal that interrupts is Ctrl-C to Python": """
        try: os.kill(os.getpid(), 2); signal.pause()
        except KeyboardInterrupt as error: print(repr(error))
        sys.stdout.flush(); signal.raise_signal(2)
    """,
    "asyncio's handlers run in its loop": """
        import asyncio
        async def main():
            loop, end = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(10, lambda: (print('handled'), end.set()))
            os.kill(os.getpid(), 10)
            await end.wait()
            print(loop.remove_signal_handler(10), signal.getsignal(10))
        asyncio.run(main())
        print(signal.getsignal(2) is signal.default_int_handler)
    """,
    "a wakeup descriptor gets the number": """
        r, w = os.pipe(); os.set_blocking(w, False)
        print(signal.set_wakeup_fd(w)); signal.signal(10, lambda *_: None); signal.siginterrupt(10, False)
        os.kill(os.getpid(), 10); print(os.read(r, 1), signal.set_wakeup_fd(-1) == w)
    """,
    "fork keeps handlers, exec resets them": """
        signal.signal(10, lambda *_: print('in', 'child' if os.getpid() != parent else 'parent', flush=True))
        parent = os.getpid()
        sys.stdout.flush()
        if os.fork() == 0: signal.raise_signal(10); os._exit(0)
        os.wait(); signal.signal(12, signal.SIG_IGN); sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, '-c', 'import signal; print(signal.getsignal(10), signal.getsignal(12))'])
    """,
    "faulthandler registers beside us": """
        import faulthandler
        signal.signal(10, lambda *_: print('python')); r, w = os.pipe(); faulthandler.register(10, file=w, chain=True)
        signal.raise_signal(10); print(b'most recent call first' in os.read(r, 9999))
    """,
}


@pytest.mark.parametrize("name", SEEN)
@pytest.mark.sample(5)
def test_a_program_sees_its_signals_as_it_does_untraced(name: str, tmp_path: Path) -> None:
    text = "import os, signal, sys, traceback\n" + "\n".join(line[8:] for line in SEEN[name].strip("\n").split("\n"))
    alone, traced = (target.run(text, live=live) for live in (None, tmp_path / "live"))
    assert (traced.returncode, traced.stdout, traced.stderr) == (alone.returncode, alone.stdout, alone.stderr)
    assert read_logs(tmp_path / "live")[0]


@pytest.mark.parametrize("number", [2, 10, 13, 15])
def test_a_process_dies_of_a_signal_that_nobody_handles(number: int, tmp_path: Path) -> None:
    text = f"import os, signal; signal.signal({number}, signal.SIG_DFL); os.kill(os.getpid(), {number})"
    assert target.run(text, live=tmp_path / "live").returncode == -number
