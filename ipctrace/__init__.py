"""Trace and replay for programs that talk to each other.

    import ipctrace

    run = ipctrace.record(["pipes.py"])        # or ipctrace.load("pipes.ipctrace")
    run.verdict.headline
    run.messages                               # a data frame
    run.report("pipes.html")

The heavy libraries are imported when a run is loaded or recorded, not before: `ipctrace --help` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from .analysis.replayed import Replayed
    from .run import Run

__version__ = "0.1.0"
__all__ = ["Replayed", "Run", "__version__", "load", "record", "replay_process"]


def load(path: str | Path) -> Run:
    """The run that was recorded into the folder `path`.

    Raises `ipctrace.tracer.errors.IpctraceError` where there is no trace, a torn one, or one of a newer schema.
    """
    from .run import Run
    from .tracer import store

    return Run(store.load(path))


def record(program: list[str], **options: Any) -> Run:
    """Record `program` (a Python file or a command, and its arguments) and return the run.

    `options` are those of `ipctrace.recording.record`, which are the options of `ipctrace record`.
    """
    from . import recording

    return recording.record(program, **options)


def replay_process(trace: str | Path, process: str, **options: Any) -> Replayed:
    """Run one process of the trace in the folder `trace` again by itself, from its recorded inputs: a recorded session
    as a test of one program. `process` is its name, its pid or its number.

    The result has `.outputs`, `.status`, `.diverged` (None where all was as recorded) and `.check()`, which raises an
    AssertionError otherwise. `options` are those of `ipctrace.alone.replay_process`.
    """
    from .alone import replay_process

    return replay_process(trace, process, **options)


def __getattr__(name: str) -> Any:
    if name == "Run":
        from .run import Run

        return Run
    if name == "Replayed":
        from .analysis.replayed import Replayed

        return Replayed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
