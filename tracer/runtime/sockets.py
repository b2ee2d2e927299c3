"""Sockets: their bytes, their two ends, and the descriptors that pass through them."""

from __future__ import annotations

PATCHES: dict = {}
