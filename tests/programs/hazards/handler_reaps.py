"""A handler of SIGCHLD collects every child's status, those of subprocess too."""

import os
import signal
import subprocess
import sys


def reap(*_: object) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if "--fixed" not in sys.argv:
    signal.signal(signal.SIGCHLD, reap)
child = subprocess.Popen(["sh", "-c", "exit 3"], stdout=subprocess.PIPE)
assert child.stdout is not None
child.stdout.read()
if "--fixed" not in sys.argv:
    signal.sigtimedwait({signal.SIGUSR1}, 0.5)  # the handler runs as soon as the child has ended
print(child.wait())
