"""Locks and what is built on them: threading.Lock, RLock, Condition, Event, Semaphore, Barrier; locks of imports."""

from __future__ import annotations

PATCHES: dict = {}
