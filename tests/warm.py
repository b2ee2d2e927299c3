"""The command line as a process that has its imports behind it: they are half of what a short recording costs.

One process (`python -m tests.warm`) loads ipctrace, and forks for every command; the fork is given its arguments, its
environment, its folder and its streams, runs `ipctrace.__main__.main` and ends as any Python does. That a fresh
interpreter does the same is what test_cli.py and all tests in terminals see, which start one.
"""

from __future__ import annotations

import io
import json
import os
import pkgutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


class Warm:
    """The other side: `run` starts a command and waits for its end."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.warm"]
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a thread of numpy's would be lost in the fork
            self.process = subprocess.Popen(command, stdin=theirs, env=environment, cwd=ROOT)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[int], limit: int
    ) -> int:
        """The exit status of `ipctrace ARGUMENTS`, negative where a signal ended it; `streams`: its first three
        descriptors. Raises TimeoutError after `limit` seconds."""
        self.ours.settimeout(limit)
        asked = json.dumps([list(arguments), dict(environment), str(folder)]).encode()
        socket.send_fds(self.ours, [len(asked).to_bytes(4, "big")], list(streams))
        self.ours.sendall(asked)
        told = self.ours.recv(64)
        if not told:
            raise RuntimeError("the process that forks for commands has ended")
        return int(told)


_started: list[Warm] = []


def warm() -> Warm:
    """The one of this process, or a new one where a test has ended it with all that this process had started. It ends
    when this process does, whose end of the socket is then closed."""
    if not _started or _started[-1].process.poll() is not None:
        _started.append(Warm())
    return _started[-1]


def _serve(commands: socket.socket) -> Any:
    """Fork for each command; returns in the fork, with what it was asked for."""
    while True:
        length, streams, *_ = socket.recv_fds(commands, 4, 3)
        if not length:
            sys.exit()
        asked = commands.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
        child = os.fork()
        if child == 0:
            commands.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return json.loads(asked)
        for stream in streams:
            os.close(stream)
        commands.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _become(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """What an interpreter does at its start."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.stdin = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)  # noqa: SIM115
    sys.argv = ["ipctrace", *arguments]


if __name__ == "__main__":
    import pyarrow.parquet  # noqa: F401

    from ipctrace import analysis, reports
    from ipctrace.__main__ import main
    from ipctrace.cli import run

    for room in (analysis, reports):
        for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
            import_module(module.name)
    with redirect_stderr(io.StringIO()):
        run(["record", "--out", "/no/such/folder/trace", "nothing.py"])  # what it comes past is loaded
    with socket.socket(fileno=os.dup(0)) as ours:
        _become(*_serve(ours))
    main()
