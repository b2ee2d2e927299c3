"""A handler prints to the stream that the main program waits in."""

import os
import signal
import sys

reader, writer = os.pipe()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
pid = os.fork()
if pid == 0:
    os.close(writer)
    signal.sigwait({signal.SIGUSR1})
    while os.read(reader, 65536):
        pass
    os._exit(0)
os.close(reader)
out = os.fdopen(writer, "w")


def handler(*_: object) -> None:
    if "--fixed" in sys.argv:
        os.write(2, b"tick\n")
    else:
        try:
            print("tick", file=out, flush=True)
        except RuntimeError as error:
            os.write(2, str(error).encode())
    os.kill(pid, signal.SIGUSR1)


signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.5)
out.write("x" * 300_000)
out.close()
os.waitpid(pid, 0)
