"""fcntl: locks on files, and what changes a descriptor."""

from __future__ import annotations

PATCHES: dict = {}
