"""IPC2xx: data is at risk, in what streams and descriptors do with it."""

from __future__ import annotations

from ..findings import Check

CHECKS: tuple[Check, ...] = ()
