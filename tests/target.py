"""Running a program with the in-target runtime in it, without a supervisor: for tests of the runtime itself."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from ipctrace.tracer import launch
from ipctrace.tracer.logs import Log, read_logs
from ipctrace.tracer.runtime import table

BUFFERING_VARIABLES = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")


def clean_environment(**more: str) -> dict[str, str]:
    """This environment without what hides buffering bugs."""
    return {name: value for name, value in os.environ.items() if name not in BUFFERING_VARIABLES} | more


def traced_environment(
    live: Path, environment: Mapping[str, str], payload: str = "72", buffering: str = "default"
) -> dict[str, str]:
    """An environment in which every Python records itself into `live`."""
    folder = live / "inject"
    if not folder.exists():
        live.parent.mkdir(parents=True, exist_ok=True)
        assert launch.prepare_live(live.parent) == live
    path = str(folder) + (os.pathsep + environment["PYTHONPATH"] if "PYTHONPATH" in environment else "")
    return {**environment, "IPCTRACE_RUN": f"{payload}:{buffering}:{live}", "PYTHONPATH": path}


def run(
    program: str | Path, *arguments: str, live: Path | None, python: str = sys.executable, options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None, payload: str = "72", buffering: str = "default", **more: object,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    """Run a program's text (or file) to its end, recorded into `live` or, with None, untraced; output as bytes."""
    given = clean_environment() if environment is None else dict(environment)
    if live is not None:
        given = traced_environment(live, given, payload, buffering)
    command = [str(program)] if isinstance(program, Path) else ["-c", program]
    settings: dict[str, object] = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60, **more}
    return subprocess.run([python, *options, *command, *arguments], env=given, **settings)  # type: ignore[call-overload,no-any-return]


def on_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | None = None,
    *,
    prompt: bytes = b"",
    typed: bytes = b"",
) -> tuple[int, bytes]:
    """Run a command with a terminal for its streams: (exit status, all that the terminal got).

    `typed` is typed when `prompt` has come: the terminal echoes what is typed at once, wherever the program is.
    """
    leader, follower = pty.openpty()
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment, cwd=folder)
    os.close(follower)
    output = b""
    try:
        while piece := os.read(leader, 4096):
            output += piece
            if typed and prompt in output:
                os.write(leader, typed)
                typed = b""
    except OSError:  # Linux says EIO when the last follower is closed
        pass
    os.close(leader)
    return process.wait(), output


class Call(SimpleNamespace):
    """One recorded event: op, pid, thread, fd, site, channel, stream, offset, size, result, extra, pending, error, state, flags, enter, exit,
    data (payload) and line (of its site); None for what isn't there."""


def calls(live: Path) -> list[list[Call]]:
    """The recorded events of each log of a run, in the order in which the logs were begun."""
    logs, notes = read_logs(live)
    assert not notes
    return [_calls(log) for log in logs]


def _calls(log: Log) -> list[Call]:
    names = {code: name for code, name, *_ in table.CALLS}
    lines = {d.site: int(d.text["line"]) for d in log.definitions if d.code == table.SITE}
    payloads = dict(zip(log.payload_of.tolist(), log.payloads, strict=True))
    columns = (
        "thread",
        "fd",
        "site",
        "channel",
        "stream",
        "offset",
        "size",
        "result",
        "extra",
        "pending",
        "error",
        "state",
        "flags",
        "enter",
        "exit",
    )
    values = zip(*(log.records[name].tolist() for name in ("op", *columns)), strict=True)
    return [
        Call(
            pid=log.header.pid, op=names[op], data=payloads.get(index, b""), line=lines.get(rest[2]),
            **{name: None if value == table.NONE else value for name, value in zip(columns, rest, strict=True)},
        )
        for index, (op, *rest) in enumerate(values)
    ]  # fmt: skip
