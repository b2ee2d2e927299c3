"""One process of a recorded run, run again by itself: its inputs come from the trace, its outputs are compared.

    ipctrace.replay_process("pipes.ipctrace", "child").check()

The command line and pytest come here; tracer/replay does it, analysis/replayed says what it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from . import replaying
from .analysis.naming import process_names
from .analysis.replayed import Passed, Replayed
from .console import ink, say
from .reports import replayed as drawing
from .tracer.errors import IpctraceError
from .tracer.lives import program_file
from .tracer.replay import lineage
from .tracer.replay.alone import Replay
from .tracer.sources import lines_of

if TYPE_CHECKING:
    from .run import Run
    from .tracer.schema import Trace

SAME, DIVERGED = 0, 1
TIMEOUT = 60.0  # seconds that a replay may take, unless somebody is at the debugger


def replay(
    trace: Path, process: str, *, time: bool = False, pdb: bool = False, break_at: str | None = None,
    timing: bool = False, python: str | None = None, verbose: bool = False,
) -> int:  # fmt: skip
    """`ipctrace replay TRACE --process NAME`: 0 where all was as recorded, 1 where the program departs from it."""
    pen = ink(sys.stderr)

    def as_it_goes(passed: Passed) -> None:
        say([drawing.message(passed, pen)], sys.stderr)

    found = replay_process(
        trace, process, time=time, pdb=pdb, break_at=break_at, timing=timing, python=python,
        announce=replaying.announce, heard=as_it_goes if verbose else None,
    )  # fmt: skip
    steps = [("debug", f"ipctrace replay {trace} --process {_word(process)} --pdb")] if not pdb else []
    say(drawing.ending(found, pen, steps, _doubt(found)), sys.stderr)
    return SAME if found.diverged is None else DIVERGED


def replay_process(
    trace: str | Path, process: str, *, time: bool = False, timing: bool = False, pdb: bool = False,
    break_at: str | None = None, python: str | None = None, program: str | Path | None = None,
    timeout: float | None = TIMEOUT, announce: Callable[[replaying.Program], None] | None = None,
    heard: Callable[[Passed], None] | None = None,
) -> Replayed:  # fmt: skip
    """Run one process of a trace again, alone, and say what it did.

    `process` is a name (`child`, `worker`, `pipes_test_child`), a pid, or a number. `program`: another file in the
    place of the recorded one; `python`: another interpreter. `time`: clocks and random numbers give what they gave
    then, of a trace recorded with `--time`; otherwise clocks go on from the recorded time. `timing`: inputs come and
    sleeps last as they did; otherwise nothing waits. `pdb` and `break_at` (a message's number, or text in
    it) stop in the debugger, on the terminal of this process. `timeout` in seconds, None for none.
    `announce` is told the command before it runs, `heard` each message as it passes.

    Raises IpctraceError where the process can't be replayed, and says why; never for what the program does.
    """
    run = replaying.own(trace)
    names = process_names(run.trace)
    words = [names[number] for number in range(len(names))]
    number = lineage.find(run.trace, process, words, trace)
    parts = lineage.parts(run.trace, number, words, trace)
    if time and not (run.facts.get("options") or {}).get("time"):
        raise IpctraceError(
            "the clocks that it asked for aren't in the trace", f"{trace} was recorded without --time",
            f"ipctrace record --payload full --time {run.facts.get('program') or 'PROGRAM'}",
        )  # fmt: skip
    command = replaying.checked(run, number, python)
    if program is not None:
        command = _instead(command, Path(program), words[number])
    breaks, text = _breaks(run, number, break_at)
    if announce is not None:
        announce(command)
    debugged = pdb or break_at is not None
    going = Replay(
        run.trace, parts, command.command, command.cwd, breaks=breaks, break_text=text, timing=timing, pdb=pdb,
        time=time, timeout=None if debugged else timeout,
    )  # fmt: skip
    status = run.trace.processes["status"].iloc[number]
    found = Replayed(
        run.trace, number, words[number], expected=going.script.outputs(),
        recorded_status=None if pd.isna(status) else int(status),
    )  # fmt: skip
    return _follow(going, found, command, heard)


def _follow(
    going: Replay, found: Replayed, command: replaying.Program, heard: Callable[[Passed], None] | None
) -> Replayed:
    began = False
    for told in going:
        if told[0] == "began":
            began = True
        elif told[0] == "late":
            raise IpctraceError(
                f"the replay of {found.name} did not end within {going.timeout:g} s",
                "the program waits or works where the recording has nothing to tell it",
                "ipctrace replay TRACE --process NAME --pdb",
            )
        elif told[0] == "fell":
            raise IpctraceError(f"the replay of {found.name} failed", f"a mistake of ipctrace's: {told[1]}", told[2])
        elif (passed := found.hear(told)) is not None and heard is not None:
            heard(passed)
    if not began:
        why = f"{command.command[0]} ended with status {going.status} before it began to run the program"
        raise IpctraceError(f"{found.name} could not be started", why)
    found.end(going.status)
    if found.diverged is not None:
        now = found.diverged.now
        found.diverged = replace(found.diverged, now=replace(now, text=_line(command.cwd / now.file, now.line)))
    return found


def _line(path: Path, line: int) -> str:
    """A line of a file as it is now; "" where there is none."""
    lines = lines_of(path) if line else []
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _instead(command: replaying.Program, program: Path, who: str) -> replaying.Program:
    """The command with another file in the place of the program's."""
    file = program_file(command.command)
    if file is None:
        raise IpctraceError(f"{who} runs no file", "its command line names a module or code, or no Python at all")
    if not program.is_file():
        raise IpctraceError(f"there is no program {program}", f"it is to be run in the place of {file}")
    place = command.command.index(file)
    words = [*command.command[:place], str(program.absolute()), *command.command[place + 1 :]]
    return replaying.Program(words, command.cwd)


def _breaks(run: Run, process: int, wanted: str | None) -> tuple[list[int], bytes]:
    """The events at which to stop, and the text: a message's number as reports show it, or what it contains."""
    if wanted is None:
        return [], b""
    if not wanted.isdigit():
        return [], wanted.encode("utf-8", "surrogateescape")
    pieces, number = run.pieces, int(wanted) - 1  # reports count from 1
    own = set(run.trace.events.loc[run.trace.events["process"] == process, "event"].tolist())
    rows = pieces[pieces["message"] == number]
    events: list[int] = []
    for column in ("write_event", "read_event"):
        events += [int(event) for event in rows[column].dropna().tolist() if int(event) in own]
    if not events:
        raise IpctraceError(
            f"message {wanted} is none of this process's", f"there are {len(run.messages)} messages in the trace",
            "ipctrace show TRACE messages",
        )  # fmt: skip
    return events, b""


def _doubt(found: Replayed) -> str:
    """What may have led a replay astray, and isn't the program's doing."""
    if found.diverged is None:
        return ""
    trace: Trace = found.trace
    own = trace.events[trace.events["process"] == found.process]
    notes: list[str] = []
    if own["kind"].isin(["map", "load", "store"]).any():
        notes.append("It maps memory: what others wrote there is not in the trace.")
    if not (trace.facts.get("options") or {}).get("time"):
        notes.append("Clocks and random numbers are not in this trace; record --time keeps them.")
    return " ".join(notes)


def _word(name: str) -> str:
    return f"'{name}'" if " " in name else name
