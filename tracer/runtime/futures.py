"""concurrent.futures: what is handed to a pool, who works on it, who waits for it."""

from __future__ import annotations

PATCHES: dict = {}
