"""``python -m benchmarks.studio_pictures [docs]``: the documents' pictures of the studio's page, made anew."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.studio import browser, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE, NARROW, HEIGHT, WHOLE = 1600, 390, 1000, 7000
PICTURES: dict[str, dict[str, Any]] = {
    "studio": {"locale": "en"},
    "studio-dark": {"locale": "en", "color_scheme": "dark"},
    "studio-narrow": {"locale": "en", "viewport": {"width": NARROW, "height": HEIGHT}},
    "studio-ru": {"locale": "ru"},
    "studio-zh": {"locale": "zh-CN"},
}
THREE = [(0.3, 0.25), (0.5, 0.18), (0.68, 0.3), (0.5, 0.47), (0.68, 0.6), (0.62, 0.8), (0.4, 0.83), (0.28, 0.75)]
NODES_OFF = [3, 4, 5, 23, 24, 25, 43, 44, 45]
PATIENCE = 300_000


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    with browser() as new_page:
        for name, options in PICTURES.items():
            with running() as (link, _, _):
                page = new_page(**{"viewport": {"width": WIDE, "height": HEIGHT}} | options)
                page.set_default_timeout(PATIENCE)
                page.goto(link)
                use(page)
                save(page, folder / f"{name}.png")
                page.close()


def use(page: Page) -> None:
    """Do something in every region, and wait until all of it has been answered."""
    page.locator("[data-part=facts] dd div").nth(2).wait_for()  # two judges and their chance: all else is ready
    for node in NODES_OFF:
        page.locator("[data-part=cells] button").nth(node).dispatch_event("click")
    page.locator("[data-part=sliders] button").nth(5).click()
    page.locator("[data-part=overlay]").check()
    page.wait_for_selector("[data-part=legend]:visible")
    page.locator("[data-part=start]").click()
    page.wait_for_selector("[data-part=adopt]:enabled")
    draw(page)
    page.locator("[data-part=turns] button:enabled").nth(8).click()
    page.locator("[data-part=result]").wait_for(state="visible")
    page.mouse.move(2, 2)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(3000)


def draw(page: Page) -> None:
    """A three, by the mouse."""
    page.locator("[data-part=pad]").scroll_into_view_if_needed()
    box = page.locator("[data-part=pad]").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in THREE]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def save(page: Page, path: Path) -> None:
    """The whole page, in 255 colours, which are enough for ink."""
    from PIL import Image

    assert page.viewport_size is not None
    width = page.viewport_size["width"]
    page.set_viewport_size({"width": width, "height": WHOLE})
    page.wait_for_timeout(3000)
    height = page.evaluate("Math.ceil(document.querySelector('.studio').getBoundingClientRect().height)")
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    Image.open(BytesIO(shot)).convert("RGB").quantize(255, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)


if __name__ == "__main__":
    main()
