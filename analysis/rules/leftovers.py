"""IPC3xx: something is left behind."""

from __future__ import annotations

from ..findings import Check

CHECKS: tuple[Check, ...] = ()
