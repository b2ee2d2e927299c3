"""The parent waits for a signal, which its child sends late; then with sigwait."""

import os
import signal
import time

signal.signal(signal.SIGUSR1, lambda number, frame: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
parent = os.getpid()
child = os.fork()
if child == 0:
    time.sleep(1.2)
    os.kill(parent, signal.SIGUSR1)
    time.sleep(1.2)
    os.kill(parent, signal.SIGUSR2)
    os._exit(0)
signal.pause()
print(signal.sigwait([signal.SIGUSR2]))
os.waitpid(child, 0)
