"""Queues between threads: queue.Queue and its kin, queue.SimpleQueue."""

from __future__ import annotations

PATCHES: dict = {}
