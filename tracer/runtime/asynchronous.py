"""asyncio: which task waits for what."""

from __future__ import annotations

PATCHES: dict = {}
