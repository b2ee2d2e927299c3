"""Waiting for one of several ends: select, poll, epoll."""

from __future__ import annotations

PATCHES: dict = {}
