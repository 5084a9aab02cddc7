"""``python -m benchmarks.page_pictures [docs]``: the documents' pictures of a page of one file, made anew."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backquery import datasets, load_model
from backquery.studio.alone.made import Sample, page_of
from benchmarks.studio import browser
from benchmarks.studio_pictures import HEIGHT, NODES_OFF, PATIENCE, draw, save

WIDE, NARROW = {"width": 1280, "height": HEIGHT}, {"width": 390, "height": HEIGHT}
PICTURES: dict[str, dict[str, Any]] = {
    "page": {"locale": "en", "viewport": WIDE},
    "page-dark": {"locale": "en", "viewport": WIDE, "color_scheme": "dark"},
    "page-ru": {"locale": "ru", "viewport": WIDE},
    "page-zh": {"locale": "zh-CN", "viewport": WIDE, "color_scheme": "dark"},
    "page-narrow": {"locale": "en", "viewport": NARROW},
    "page-narrow-ru": {"locale": "ru", "viewport": NARROW, "color_scheme": "dark"},
    "page-narrow-zh": {"locale": "zh-CN", "viewport": NARROW},
}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    with TemporaryDirectory() as place, browser() as new_page:
        file = Path(place, "mnist.html")
        file.write_text(page_of("mnist", load_model("mnist"), Sample.of(datasets.load("digits"))), "utf-8")
        for name, options in PICTURES.items():
            page = new_page(**options)
            page.set_default_timeout(PATIENCE)
            page.goto(file.as_uri())
            page.wait_for_selector("[data-ready]")
            use(page)
            save(page, folder / f"{name}.png")
            page.close()


def use(page: Any) -> None:
    """Do something in every region, and wait until all of it has been answered."""
    for node in NODES_OFF:
        page.locator("[data-part=cells] button").nth(node).dispatch_event("click")
    page.locator("[data-part=sliders] button").nth(5).click()
    page.locator("[data-part=start]").click()
    page.wait_for_selector("[data-part=adopt]:enabled")
    draw(page)
    page.locator("[data-part=turns] button:enabled").nth(8).click()
    page.locator("[data-part=result]").wait_for(state="visible")
    page.mouse.move(2, 2)
    page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    main()
