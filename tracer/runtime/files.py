"""Plain files through which programs talk, and every call of os that moves bytes but read and write."""

from __future__ import annotations

PATCHES: dict = {}
