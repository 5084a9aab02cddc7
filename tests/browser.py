"""A browser for the pages that the package makes: the system's own, driven from here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.needs import chromium, needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
SWITCHES += ["--disable-component-update", "--disable-sync", "--no-first-run"]


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser without a window. Nothing else of the process may run an event loop meanwhile."""
    needs("playwright", "Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=SWITCHES)
        yield opened
        opened.close()
