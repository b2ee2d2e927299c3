"""Trace and replay for programs that talk to each other.

    import ipctrace

    run = ipctrace.record(["pipes.py"])        # or ipctrace.load("pipes.ipctrace")
    run.verdict.headline
    run.messages                               # a data frame
    run.report("pipes.html")
    ipctrace.compare([run, other]).differences # what differs, first things first

The heavy libraries are imported when a run is loaded or recorded, not before: `ipctrace --help` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .analysis.replayed import Replayed
    from .comparison import Comparison
    from .exploring import Exploration
    from .grid import Matrix
    from .run import Run

__version__ = "0.1.0"
__all__ = [
    "Replayed", "Run", "__version__", "compare", "explore", "load", "matrix", "record", "replay_process",
]  # fmt: skip


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


def compare(runs: Sequence[Run | str | Path], labels: Sequence[str] | None = None) -> Comparison:
    """Compare runs (or traces, by their paths): aligned by role and message, whatever their clocks and process ids.

    `labels` names each run's setting; runs of one label are repeats of it, which tell a difference in time from noise.
    """
    from .comparison import compare

    return compare(runs, labels)


def explore(program: list[str], **options: Any) -> Exploration:
    """Run `program` under many schedules until it fails; `.found` says how, `.trace` where the trace of that is.

    `options` are those of `ipctrace.exploring.explore`: runs, seed, jobs, limit, out, python, compare, progress.
    """
    from . import exploring

    return exploring.explore(program, **options)


def replay_process(trace: str | Path, process: str, **options: Any) -> Replayed:
    """Run one process of the trace in the folder `trace` again by itself, from its recorded inputs: a recorded session
    as a test of one program. `process` is its name, its pid or its number.

    The result has `.outputs`, `.status`, `.diverged` (None where all was as recorded) and `.check()`, which raises an
    AssertionError otherwise. `options` are those of `ipctrace.alone.replay_process`.
    """
    from .alone import replay_process

    return replay_process(trace, process, **options)


def matrix(programs: Sequence[str | Sequence[str]], **options: Any) -> Matrix:
    """Record programs under every combination of settings; `options` are those of `ipctrace.grid.matrix`, which are the
    options of `ipctrace matrix`."""
    from .grid import matrix

    return matrix(programs, **options)


def __getattr__(name: str) -> Any:
    if name == "Run":
        from .run import Run

        return Run
    if name == "Replayed":
        from .analysis.replayed import Replayed

        return Replayed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
