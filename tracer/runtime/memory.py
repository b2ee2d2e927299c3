"""Memory that several processes see: mmap, multiprocessing.shared_memory."""

from __future__ import annotations

PATCHES: dict = {}
