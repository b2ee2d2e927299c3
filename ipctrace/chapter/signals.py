"""Signals: sent, handled, waited for; an alarm."""

import os
import signal


def handler(number: int, frame: object) -> None:
    print(f"{os.getpid()} got {signal.Signals(number).name}", flush=True)


class TooLate(Exception):
    pass


def too_late(number: int, frame: object) -> None:
    raise TooLate


def child() -> None:
    """Wait for a signal, answer with another, and end by a third."""
    signal.sigwait([signal.SIGUSR1])
    os.kill(os.getppid(), signal.SIGUSR2)
    while True:
        signal.pause()  # until SIGTERM, which nobody handles here


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, handler)
    # blocked before the fork: it waits in the child even if it comes before the child waits for it
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        child()
    os.kill(pid, signal.SIGUSR1)

    signal.signal(signal.SIGALRM, too_late)
    reading_end, writing_end = os.pipe()
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        os.read(reading_end, 1)  # nobody writes: SIGUSR2 interrupts it, and it goes on; the alarm ends it
    except TooLate:
        print("nothing came in time", flush=True)

    os.kill(pid, signal.SIGTERM)
    _, status = os.wait()
    print(f"the child was ended by {signal.Signals(os.WTERMSIG(status)).name}")
