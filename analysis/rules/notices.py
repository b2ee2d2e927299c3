"""IPC1xx: the program can't go on, because nobody will say what is waited for: conditions, queues, pools, loops."""

from __future__ import annotations

from ..findings import Check

CHECKS: tuple[Check, ...] = ()
