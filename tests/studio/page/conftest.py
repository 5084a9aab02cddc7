"""One browser for all tests of the page, and a visitor of its own for each."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.browser import browsing
from tests.studio.conftest import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

PIXELS = """
(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let red = '';
  for (let place = 0; place < data.length; place += 4) red += String.fromCharCode(data[place]);
  return { width, height, red: btoa(red) };
}
"""

THREE = [(0.3, 0.25), (0.5, 0.18), (0.68, 0.3), (0.5, 0.47), (0.68, 0.6), (0.62, 0.8), (0.4, 0.83), (0.28, 0.75)]
ONE = [(0.5, 0.15), (0.5, 0.85)]


@dataclass
class Visitor:
    """A page that is open, a hand on it, and notes of what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def part(self, name: str, region: str = "") -> Locator:
        inside = f"[data-region={region}] " if region else ""
        return self.page.locator(f'{inside}[data-part="{name}"]')

    def lead(self, region: str) -> Locator:
        return self.part("lead", region)

    def go(self, address: str) -> None:
        self.page.goto(address)
        self.page.wait_for_selector("[data-ready]")

    def draw(self, points: list[tuple[float, float]] = THREE) -> None:
        """One stroke of the mouse through points, as shares of the pad."""
        self.part("pad").scroll_into_view_if_needed()
        box = self.part("pad").bounding_box()
        assert box is not None
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def ink(self, canvas: Locator) -> np.ndarray:
        """What is painted on a canvas, as shares of ink (rows, columns): the scale runs from white to 0x1a."""
        found: dict[str, Any] = canvas.evaluate(PIXELS)
        red = np.frombuffer(b64decode(found["red"]), np.uint8).reshape(found["height"], found["width"])
        return (255.0 - red) / (255 - 0x1A)


def expect(shown: Any) -> Any:
    """Playwright's assertions, which wait for what is expected; imported once there is a browser."""
    from playwright.sync_api import expect as expect_of_playwright

    return expect_of_playwright(shown)


Open = Callable[..., Visitor]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture
def open_page(browser: Browser, studio: Serving) -> Iterator[Open]:
    """Open the studio's page as another visitor; options are those of a browser's context.

    Afterwards nothing but the studio itself may have been asked for anything, and nothing may have gone wrong.
    """
    visitors: list[tuple[BrowserContext, Visitor, Serving]] = []

    def open_it(at: Serving = studio, fragment: str = "", **options: Any) -> Visitor:
        context = browser.new_context(**{"locale": "en", "viewport": {"width": 1280, "height": 900}} | options)
        context.set_default_timeout(20_000)
        visitor = Visitor(context.new_page())
        context.on("request", lambda request: visitor.requests.append(request.url))
        context.on("console", lambda line: visitor.complaints.append(line.text) if line.type == "error" else None)
        context.on("weberror", lambda error: visitor.complaints.append(str(error.error)))
        visitor.go(at.guard.link())
        if fragment:
            visitor.page.goto(f"{at.origin}/{fragment}")
        visitors.append((context, visitor, at))
        return visitor

    yield open_it
    for context, visitor, at in visitors:
        context.close()
        elsewhere = [url for url in visitor.requests if f"//{urlsplit(url).netloc}" != f"//{at.authority}"]
        assert [url for url in elsewhere if not url.startswith(f"blob:{at.origin}")] == []
        assert visitor.complaints == []


@pytest.fixture
def visitor(open_page: Open) -> Visitor:
    return open_page()
