"""Fixtures for tests in a real browser: the system's Chromium under playwright, with every door to the network shut.

Without Chromium or playwright such a test is skipped and says so; with IPCTRACE_REQUIRE_BROWSER=1 that is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
PLAIN = ["--disable-gpu", "--disable-software-rasterizer"]  # half the work where there is no graphics card


def missing(why: str) -> None:
    """Skip, or fail where a browser is required."""
    if os.environ.get("IPCTRACE_REQUIRE_BROWSER") == "1":
        pytest.fail(f"a browser is required here: {why}")
    pytest.skip(why)


@cache
def started() -> tuple[Any, Any]:
    """Playwright and its headless Chromium: one for all modules that import the fixture, as each has its own."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        missing(f"none of {', '.join(BROWSERS)} is on the path")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    arguments = [*QUIET, *PLAIN, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
    playwright = sync_playwright().start()
    return playwright, playwright.chromium.launch(executable_path=executable, args=arguments)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, closed at the end of the session."""
    yield started()[1]
    if started.cache_info().currsize:  # not closed yet for another module
        playwright, chromium = started()
        chromium.close()
        playwright.stop()
        started.cache_clear()


@dataclass
class Opened:
    """A page in the browser, with everything that it asked for and complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """`show(html, width=1400, scheme="light", script=True)` opens a page from a file and waits until all is drawn."""
    contexts = []

    def opening(html: str, width: int = 1400, scheme: str = "light", script: bool = True) -> Opened:
        file = tmp_path / f"report-{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script, offline=True
        )
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("dialog", lambda dialog: (opened.complaints.append(dialog.message), dialog.dismiss()))
        opened.page.goto(file.as_uri())
        if script:
            opened.page.evaluate("window.ipctrace.ready")
        return opened

    yield opening
    for context in contexts:
        context.close()
