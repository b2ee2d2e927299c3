"""Records a run: starts the program, follows it, sees that it hangs, stops what is stuck, and writes the trace.

The program is started directly: its standard streams, terminal, process group and working directory are the
supervisor's own, and no pipe of ours lies on the way, unless it was asked for (pseudoterminal.py). All descriptors of
ours are closed on exec.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from . import launch, platforms, proc, schema, store
from .assemble import Frame, Observations, assemble
from .contents import Contents
from .errors import IpctraceError
from .lives import program_name
from .logs import WAITS
from .pseudoterminal import TERM, Terminals
from .replay.schedule import Schedule, departures
from .samples import Sampler
from .signals import Signals, subreaper
from .stacks import find_py_spy, read_stacks
from .tree import Tree
from .watch import MAX_SIZE as MAX_SIZE
from .watch import LiveLogs, Watch

_POLL = 0.02  # seconds between looks at the logs; the ends of processes are seen at once
_QUICK = 0.002  # while processes are being started
_IDLE = 0.05  # when nothing has moved for a while
_PROGRESS = 0.1  # seconds between reports of progress
_GRACE = 1.0  # seconds that processes get to end: descendants of a program that has ended, and after SIGTERM
# Bytes of converted data that are judged by, the newest: the rest matters only by what it adds up to, which is told.
_JUDGED = 1 << 24
# Options that are facts of their own, or of one trial.
_TOLD_ELSEWHERE = ("command", "out", "program", "cwd", "streams", "schedule", "substitutes")
# What in the environment changes buffering: Python's own variable and those of stdbuf(1).
_BUFFERING = ("PYTHONUNBUFFERED", "_STDBUF_I", "_STDBUF_O", "_STDBUF_E")


@dataclass(frozen=True, slots=True)
class Options:
    """What to record, and how. `command` is started as it stands; `out` is the trace's folder; `program` is the name
    for titles, by default taken from the command.

    duration       seconds after which a running program is ended; None: never
    payload        what is kept of the bytes that pass: nothing, the first `payload_bytes` of each call, or all
    buffering      how Python's standard streams are buffered: as they would be, or block, line, none; tty: as they
                   would be on a terminal, which each of them that isn't one gets
    on_deadlock    stop a program that can never go on, or wait for somebody to end it
    max_size       bytes of the processes' logs that are kept; beyond that the oldest data is dropped
    pipe_size      bytes that each pipe holds which a traced process makes; None: as the system has it
    start_method   multiprocessing's default: fork, spawn or forkserver; None: the interpreter's own
