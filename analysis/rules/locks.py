"""IPC1xx: the program can't go on, because of locks."""

from __future__ import annotations

from ..findings import Check

CHECKS: tuple[Check, ...] = ()
