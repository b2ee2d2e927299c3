"""What the recording machine is and has: `platform` in run.json.

What the recorder can do hangs on features, and never on a system's name: each is asked for here, and what a system
lacks is said in the trace.
"""

from __future__ import annotations

import ctypes
import os
import platform
import select
from collections.abc import Collection
from typing import Any

from . import proc

# What recording makes use of, and what is missing from a trace without it.
FEATURES: dict[str, str] = {
    "proc": "this system has no /proc: processes that Python doesn't run are missing, and no hang is ever proven",
    "fork": "this system has no fork: processes are started anew, and pipes join threads only",
    "pidfd": "this system has no pidfds: the end of a process is seen a little later",
    "subreaper": "this system has no subreaper: a process whose parent has ended may be lost from sight",
    "pipe_capacity": "this system doesn't tell what a pipe holds: capacities are unknown",
}


def features() -> dict[str, bool]:
    """Which of `FEATURES` there are."""
    return {
        "proc": proc.available(), "fork": hasattr(os, "fork"), "pidfd": _pidfd(), "subreaper": _subreaper(),
        "pipe_capacity": pipe_capacity() is not None,
    }  # fmt: skip


def lacks(found: dict[str, bool]) -> list[str]:
    """What a recording here has to do without, in sentences."""
    return [sentence for name, sentence in FEATURES.items() if not found.get(name)]


def facts(pseudoterminals: Collection[int] = ()) -> dict[str, Any]:
    """What run.json says of the platform. `pseudoterminals`: which of descriptors 0, 1 and 2 the program is given one
    for."""
    return {
        "system": platform.system(), "release": platform.release(), "machine": platform.machine(),
        "cores": os.cpu_count(), "c_library": c_library(), "pipe_capacity": pipe_capacity(),
        "pipe_buf": getattr(select, "PIPE_BUF", None),
        "streams": {
            name: "pseudo-terminal" if number in pseudoterminals else _stream(number)
            for number, name in enumerate(("stdin", "stdout", "stderr"))
        },
        "features": features(),
    }  # fmt: skip


def c_library() -> str | None:
    """Name and version of the C library, where it says them."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return " ".join(filter(None, platform.libc_ver())) or None


def pipe_capacity() -> int | None:
    """Bytes that a new pipe holds; None where the system doesn't tell. (A user of many gets small ones: pipe(7).)"""
    try:
        read, write = os.pipe()
    except OSError:
        return None
    try:
        return proc.pipe_size(write)
    finally:
        os.close(read)
        os.close(write)


def page_size() -> int | None:
    """Bytes of a page of memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _stream(number: int) -> str:
    try:
        os.fstat(number)
    except OSError:
        return "closed"
    return "terminal" if os.isatty(number) else "not a terminal"


def _pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _subreaper() -> bool:
    try:
        return hasattr(ctypes.CDLL(None), "prctl")
    except (OSError, TypeError):
        return False
