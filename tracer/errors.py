"""The one class of errors that ipctrace raises on purpose; `ipctrace.cli` prints it, in one place."""

from __future__ import annotations


class IpctraceError(Exception):
    """What happened, why, and what to do next (a command to try, or a sentence; may be several lines)."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint
