"""The page in colour: a palette for the pen, pictures dropped in, and scans that come back as they are."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from backquery import Network, back_query
from backquery.datasets import prepare_image
from backquery.studio.opened import Opened
from tests.colours import COLUMNS, ROWS, SHAPES, coloured_data, coloured_network
from tests.studio.conftest import Serving, serving
from tests.studio.page.conftest import ONE, Open, Visitor, expect
from tests.studio.test_colour import seen

if TYPE_CHECKING:
    from playwright.sync_api import Locator

BYTES = """
(canvas) => {
  const { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let bytes = '';
  for (const part of data) bytes += String.fromCharCode(part);
  return { width, height, bytes: btoa(bytes) };
}
"""

LANGUAGES = {"en": "in its own colours", "ru": "в собственных цветах", "zh": "图片本来的颜色"}


def colours(canvas: Locator) -> np.ndarray:
    """What is painted on a canvas: bytes (rows, columns, 3)."""
    found = canvas.evaluate(BYTES)
    painted = np.frombuffer(b64decode(found["bytes"]), np.uint8)
    return painted.reshape(found["height"], found["width"], 4)[..., :3].astype(int)


@pytest.fixture(scope="module", params=SHAPES, ids=["last", "first"])
def coloured(request: pytest.FixtureRequest) -> Iterator[Serving]:
    data = coloured_data()
    opened = Opened("colours", coloured_network(request.param, data), lambda: data)
    opened.prepare().join()
    with serving(opened) as running:
        yield running


@pytest.fixture
def visitor(open_page: Open, coloured: Serving) -> Visitor:
    return open_page(at=coloured)


def model_of(coloured: Serving) -> Network:
    model = coloured.opened.subject.model
    assert isinstance(model, Network)
    return model


def expect_read(visitor: Visitor, network: Network, picture: np.ndarray) -> None:
    read = network.classes[int(network.query(network.scale(picture[None].astype(np.uint8)))[0].argmax())]
    expect(visitor.lead("ask")).to_contain_text(f"It reads {read}")
    np.testing.assert_allclose(colours(visitor.part("seen")), picture, atol=1)


def test_the_pen_has_colours(visitor: Visitor, coloured: Serving) -> None:
    expect(visitor.lead("ask")).to_contain_text("Draw something or drop a picture")
    assert colours(visitor.part("pad")).max() == 0
    visitor.page.get_by_role("radio", name="light blue").check()
    visitor.part("fill").click()
    assert (colours(visitor.part("pad")) == [0x7F, 0xC8, 0xF8]).all()
    visitor.page.get_by_role("radio", name="red").check()
    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    for _ in range(100):  # the answer to the fill may still be on its way
        drawn = colours(visitor.part("seen"))
        if (drawn[3, 2:4] != [0x7F, 0xC8, 0xF8]).all():
            break
        visitor.page.wait_for_timeout(100)
    assert drawn.shape == (ROWS, COLUMNS, 3)
    assert (drawn[:, 0] == [0x7F, 0xC8, 0xF8]).all() and (drawn[3, 2:4] != [0x7F, 0xC8, 0xF8]).all()
    pad = colours(visitor.part("pad"))
    assert pad[len(pad) // 2, pad.shape[1] // 2].tolist() == [0xD6, 0x27, 0x28]
    expect_read(visitor, model_of(coloured), drawn)
    visitor.part("undo").click()
    visitor.part("undo").click()
    assert colours(visitor.part("pad")).max() == 0


def test_a_picture_is_taken_in_its_colours(visitor: Visitor, coloured: Serving) -> None:
    wide = np.random.default_rng(1).integers(0, 256, (4, 3, 3)).astype(np.uint8).repeat(30, 0).repeat(30, 1)
    stream = BytesIO()
    Image.fromarray(wide).save(stream, "PNG")
    content = stream.getvalue()
    visitor.part("file").set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": content})
    expect_read(visitor, model_of(coloured), np.rint(prepare_image(content, (ROWS, COLUMNS, 3), 255.0)))


def test_scans_and_nearest_images_come_in_colour(visitor: Visitor, coloured: Serving) -> None:
    network = model_of(coloured)
    result = back_query(network, [2], method="gauss-newton")
    expect(visitor.part("facts")).to_contain_text("nearest real images")
    visitor.page.get_by_role("button", name="Only blue", exact=True).click()
    expect(visitor.part("facts")).to_contain_text("blue,")
    expect(visitor.part("nearest")).to_be_visible()
    painted = colours(visitor.part("image"))
    np.testing.assert_allclose(painted, 255 * seen(network, result.images[0]), atol=1.5)
    scans = visitor.part("scans", "inside").locator("canvas")
    expect(scans).to_have_count(3)
    np.testing.assert_allclose(colours(scans.nth(2)), painted, atol=2)
    train = coloured_data().train.images.astype(int)
    assert min(np.abs(train - colours(visitor.part("nearest-image"))).sum(axis=(1, 2, 3))) == 0
    weights = colours(visitor.part("node-image"))
    assert weights.shape == (ROWS, COLUMNS, 3) and np.ptp(weights, axis=2).max() > 20


def test_a_real_image_is_put_on_the_pad_and_turned(visitor: Visitor, coloured: Serving) -> None:
    visitor.part("real").click()
    sample = visitor.part("samples").locator(".sample").first
    sample.click()
    chosen = colours(sample.locator("canvas"))
    expect_read(visitor, model_of(coloured), chosen)
    visitor.page.get_by_role("button", name="Turn this drawing into green").click()
    expect(visitor.part("turned-image")).to_be_visible()
    turned = colours(visitor.part("turned-image"))
    assert turned.shape == chosen.shape and np.abs(turned - chosen).mean() < 100
    before = visitor.part("seen").evaluate("seen => seen.toDataURL()")
    visitor.part("take").click()
    visitor.page.wait_for_function(
        "before => document.querySelector('[data-part=seen]').toDataURL() !== before", arg=before
    )
    expect(visitor.lead("ask")).to_contain_text("It reads")
    np.testing.assert_allclose(colours(visitor.part("seen")), turned, atol=1)


def test_a_link_brings_the_colours_back(open_page: Open, coloured: Serving) -> None:
    first = open_page(at=coloured)
    first.page.get_by_role("radio", name="green").check()
    first.draw(ONE)
    first.part("link").click()
    expect(first.part("notice")).to_contain_text("link")
    second = open_page(at=coloured, fragment=str(first.page.evaluate("location.hash")))
    expect(second.lead("ask")).to_contain_text("It reads")
    assert np.array_equal(colours(second.part("pad")), colours(first.part("pad")))
    assert colours(second.part("pad")).max(axis=(0, 1)).tolist() == [0x2C, 0xA0, 0x2C]


def test_colours_and_ink_do_not_mix(open_page: Open, coloured: Serving) -> None:
    """The drawing of a link of a network that sees ink, on the page of one that sees colours."""
    grey = open_page()
    expect(grey.part("palette")).to_be_hidden()
    grey.draw(ONE)
    grey.part("link").click()
    expect(grey.part("notice")).to_contain_text("link")
    visitor = open_page(at=coloured, fragment=str(grey.page.evaluate("location.hash")))
    expect(visitor.part("notice")).to_contain_text("another network")
    expect(visitor.lead("ask")).to_contain_text("It reads")
    painted = colours(visitor.part("pad"))
    assert painted.max() == 255 and np.ptp(painted, axis=2).max() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_colour_has_a_name_and_nothing_is_cut_off(open_page: Open, coloured: Serving, language: str) -> None:
    visitor = open_page(at=coloured, locale=language)
    expect(visitor.part("frame").locator("xpath=..").locator("figcaption")).to_contain_text(LANGUAGES[language])
    names = (
        visitor.part("palette")
        .locator("input")
        .evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    )
    assert len(set(names)) == 12 and not any("palette" in name for name in names)
    for width in (320, 768, 1280):
        visitor.page.set_viewport_size({"width": width, "height": 4000})
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_saved_picture_has_its_colours(visitor: Visitor) -> None:
    expect(visitor.lead("back")).to_contain_text("reads it")
    with visitor.page.expect_download() as waiting:
        visitor.part("png", "back").click()
    with Image.open(waiting.value.path()) as saved:
        pixels = np.asarray(saved.convert("RGB"), int)
    painted = colours(visitor.part("image"))
    for row, column in ((0, 0), (3, 2), (7, 5)):
        place = (40 + int(336 / COLUMNS * (row + 0.5)), 40 + int(336 / COLUMNS * (column + 0.5)))
        np.testing.assert_allclose(pixels[place], painted[row, column], atol=2)
