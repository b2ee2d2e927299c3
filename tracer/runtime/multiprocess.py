"""multiprocessing: its processes, connections, queues and locks."""

from __future__ import annotations

PATCHES: dict = {}
