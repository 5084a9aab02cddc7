"""Ask: by mouse, keyboard, touch, file and real image; and the drawing turned into another label."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from measurements.photographing import Camera, photograph
from PIL import Image

from backquery import Network
from backquery.datasets import prepare_image, prepare_steps
from tests.studio.page.conftest import ONE, THREE, Open, Visitor, expect


def read_of(network: Network, ink: np.ndarray) -> str:
    """What the network reads in ink from 0 to 1."""
    assert network.scaling is not None
    inputs = network.scaling.apply(np.rint(ink * 255)[None] / 255 * network.scaling.maximum)
    return str(network.classes[int(network.query(inputs)[0].argmax())])


def test_a_drawing_is_read_while_the_nodes_light_up(visitor: Visitor, network: Network) -> None:
    dark = visitor.ink(visitor.part("lights").locator("canvas"))
    visitor.draw(THREE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    expect(visitor.part("bars").locator(".read")).to_have_count(1)
    seen = visitor.ink(visitor.part("seen"))
    assert seen.shape == (8, 8) and seen.max() > 0.9
    read = read_of(network, seen)
    expect(visitor.lead("ask")).to_contain_text(f"It reads {read}")
    expect(visitor.part("bars").locator(".read .name")).to_have_text(read)
    lit = visitor.ink(visitor.part("lights").locator("canvas"))
    signals = network.signals(network.scale(np.rint(seen * 255)[None] * (16 / 255)))[1][0]
    assert dark.max() == 0
    np.testing.assert_allclose(lit.ravel()[: len(signals)], signals, atol=0.02)


def test_the_bars_move_while_the_pen_does(visitor: Visitor) -> None:
    readings = set()
    visitor.draw(ONE)
    for part in range(3, len(THREE) + 1):
        visitor.part("clear").click()
        visitor.draw(THREE[:part])
        expect(visitor.lead("ask")).to_contain_text("It reads")
        readings.add(tuple(visitor.part("bars").locator(".value").all_text_contents()))
    assert len(readings) > 3


def test_undo_and_clear(visitor: Visitor) -> None:
    blank = visitor.ink(visitor.part("pad"))
    expect(visitor.part("undo")).to_be_disabled()
    visitor.draw(ONE)
    one = visitor.ink(visitor.part("pad"))
    visitor.draw([(0.2, 0.5), (0.8, 0.5)])
    assert visitor.ink(visitor.part("pad")).sum() > one.sum() > blank.sum()
    visitor.part("undo").click()
    assert np.array_equal(visitor.ink(visitor.part("pad")), one)
    visitor.part("clear").click()
    assert np.array_equal(visitor.ink(visitor.part("pad")), blank)
    expect(visitor.lead("ask")).to_contain_text("Draw a digit")
    expect(visitor.part("bars").locator(".read")).to_have_count(0)
    visitor.part("undo").click()
    assert np.array_equal(visitor.ink(visitor.part("pad")), one)


def test_a_tap_is_a_dot(visitor: Visitor) -> None:
    visitor.draw([(0.5, 0.5)])
    expect(visitor.lead("ask")).to_contain_text("It reads")
    assert visitor.ink(visitor.part("pad")).max() > 0.9
    assert visitor.ink(visitor.part("seen")).max() > 0.5


def test_of_a_blank_picture_it_is_said_that_there_is_nothing_to_read(visitor: Visitor) -> None:
    from PIL import Image

    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    stream = BytesIO()
    Image.new("L", (40, 40), 255).save(stream, "PNG")
    visitor.part("file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": stream.getvalue()})
    expect(visitor.lead("ask")).to_contain_text("There is nothing on the pad to read")
    expect(visitor.part("bars").locator(".read")).to_have_count(0)
    expect(visitor.part("turns").get_by_role("button").first).to_be_disabled()


def test_the_labels_stay_where_they_are_when_a_drawing_is_turned(visitor: Visitor) -> None:
    visitor.draw(THREE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    turns = visitor.part("turns").get_by_role("button")
    before = turns.evaluate_all("all => all.map((one) => one.getBoundingClientRect().left)")
    visitor.part("why").check()
    expect(visitor.part("why-legend")).to_be_visible()
    turns.nth(8).click()
    expect(visitor.part("result")).to_be_visible()
    assert turns.evaluate_all("all => all.map((one) => one.getBoundingClientRect().left)") == before


def test_the_pad_is_large_enough_for_a_hand(open_page: Open) -> None:
    for width in (390, 1100, 1280, 1600):
        box = open_page(viewport={"width": width, "height": 900}).part("pad").bounding_box()
        assert box is not None and box["width"] >= (270 if width == 1100 else 320), width


def test_drawing_by_keyboard(visitor: Visitor) -> None:
    visitor.part("pad").focus()
    visitor.page.keyboard.press("ArrowUp")
    assert visitor.ink(visitor.part("seen")).max() == 0  # the pen is still lifted
    visitor.page.keyboard.press("Space")
    for _ in range(12):
        visitor.page.keyboard.press("ArrowDown")
    visitor.page.keyboard.press("Space")
    visitor.page.keyboard.press("ArrowLeft")
    expect(visitor.lead("ask")).to_contain_text("It reads")
    seen = visitor.ink(visitor.part("seen"))
    assert seen.sum(axis=0).argmax() == 4 and (seen.sum(axis=1) > 0.5).sum() >= 5  # one upright line
    visitor.page.keyboard.press("Delete")
    expect(visitor.lead("ask")).to_contain_text("Draw a digit")
    visitor.page.keyboard.press("Control+z")
    expect(visitor.lead("ask")).to_contain_text("It reads")


def test_drawing_by_touch(open_page: Open) -> None:
    visitor = open_page(has_touch=True, viewport={"width": 390, "height": 844})
    box = visitor.part("pad").bounding_box()
    assert box is not None
    finger = visitor.page.context.new_cdp_session(visitor.page)
    top = visitor.page.evaluate("scrollY")
    for kind, share in [("touchStart", 0.2), *(("touchMove", 0.2 + step / 10) for step in range(1, 7))]:
        place = {"x": box["x"] + 0.5 * box["width"], "y": box["y"] + share * box["height"]}
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(visitor.lead("ask")).to_contain_text("It reads")
    assert visitor.ink(visitor.part("pad")).sum() > 0
    assert visitor.page.evaluate("scrollY") == top  # the page stayed where it was


def picture_of(pixels: np.ndarray) -> bytes:
    """Black ink on white paper, large, as PNG."""
    file = BytesIO()
    Image.fromarray(255 - pixels).resize((160, 160)).save(file, "PNG")
    return file.getvalue()


def choose(visitor: Visitor, content: bytes) -> None:
    visitor.part("file").set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": content})


def expect_read(visitor: Visitor, network: Network, content: bytes) -> None:
    """The page must show what `prepare_image` makes of a file, and what the network reads in it."""
    prepared = prepare_image(content, (8, 8), 1.0)
    expect(visitor.lead("ask")).to_contain_text(f"It reads {read_of(network, prepared)}")
    np.testing.assert_allclose(visitor.ink(visitor.part("seen")), prepared, atol=0.01)


def test_a_picture_file(visitor: Visitor, network: Network, picture: np.ndarray) -> None:
    choose(visitor, picture_of(picture))
    expect_read(visitor, network, picture_of(picture))


def test_a_dropped_picture(visitor: Visitor, network: Network, picture: np.ndarray) -> None:
    transfer = visitor.page.evaluate_handle(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], 'four.png', { type: 'image/png' }));
          return transfer;
        }""",
        list(picture_of(picture)),
    )
    visitor.part("drop").dispatch_event("drop", {"dataTransfer": transfer})
    expect_read(visitor, network, picture_of(picture))


def test_what_is_no_picture_is_told_and_changes_nothing(visitor: Visitor) -> None:
    visitor.draw(ONE)
    before = visitor.ink(visitor.part("pad"))
    choose(visitor, b"no picture at all")
    expect(visitor.part("notice")).to_contain_text("could not be read")
    assert np.array_equal(visitor.ink(visitor.part("pad")), before)


def test_what_could_not_be_read_is_forgotten_with_the_next_picture(visitor: Visitor, network: Network) -> None:
    choose(visitor, b"no picture at all")
    expect(visitor.part("notice")).to_contain_text("could not be read")
    picture = np.zeros((8, 8), np.uint8)
    picture[1:7, 3] = 255
    choose(visitor, picture_of(picture))
    expect_read(visitor, network, picture_of(picture))
    expect(visitor.part("notice")).to_be_hidden()


@pytest.mark.filterwarnings("ignore:.*photograph of dark ink:backquery.errors.AssumptionWarning")
def test_that_shadows_were_taken_away_is_said(visitor: Visitor) -> None:
    ink = np.zeros((28, 28), np.uint8)
    ink[4:24, 8:11] = ink[12:15, 8:20] = 255
    picture = photograph(ink, Camera(side=(300, 620)), np.random.default_rng(3))
    assert prepare_steps(picture, (8, 8)).uneven
    choose(visitor, picture)
    expect(visitor.part("notice")).to_contain_text("its shadows are taken away")
    choose(visitor, picture_of(ink))
    expect(visitor.part("notice")).to_be_hidden()


def test_a_real_image_is_picked(visitor: Visitor, network: Network) -> None:
    visitor.part("real").click()
    samples = visitor.part("samples").locator(".sample")
    expect(samples).to_have_count(12)
    names = [samples.nth(place).get_attribute("aria-label") for place in range(12)]
    assert all(name in {f"A real {label}" for label in network.classes} for name in names)
    samples.nth(2).click()
    expect(visitor.lead("ask")).to_contain_text("It reads")
    chosen, seen = visitor.ink(samples.nth(2).locator("canvas")), visitor.ink(visitor.part("seen"))
    np.testing.assert_allclose(seen, chosen, atol=0.01)
    expect(visitor.lead("ask")).to_contain_text(f"It reads {read_of(network, chosen)}")
    visitor.part("samples").get_by_text("Others").click()
    expect(samples.nth(2).locator("canvas")).to_have_count(1)


def test_a_drawing_is_turned_into_another_label(visitor: Visitor, network: Network) -> None:
    expect(visitor.part("turns").locator("button").first).to_be_disabled()
    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    visitor.page.get_by_role("button", name="Turn this drawing into 9").click()
    expect(visitor.part("turned")).to_contain_text("reads 9")
    assert read_of(network, visitor.ink(visitor.part("turned-image"))) == "9"
    visitor.part("take").click()
    expect(visitor.lead("ask")).to_contain_text("It reads 9")


def test_what_is_drawn_is_centred_as_images_are(visitor: Visitor) -> None:
    visitor.draw([(0.1, 0.1), (0.1, 0.5), (0.25, 0.5)])
    expect(visitor.lead("ask")).to_contain_text("It reads")
    seen = visitor.ink(visitor.part("seen"))
    masses = [np.average(np.arange(8), weights=seen.sum(axis=axis)) for axis in (0, 1)]
    assert np.abs(np.array(masses) - 4).max() <= 1
    assert seen.max() > 0.9


def test_every_visitor_draws_alone(open_page: Open) -> None:
    first, second = open_page(), open_page()
    first.draw(ONE)
    expect(first.lead("ask")).to_contain_text("It reads")
    expect(second.lead("ask")).to_contain_text("Draw a digit")


def test_the_evidence_of_the_drawing_is_laid_over_what_the_network_sees(visitor: Visitor) -> None:
    marks, legend = visitor.part("why-marks"), visitor.part("why-legend")
    visitor.page.get_by_label("Show this picture's evidence").check()
    expect(legend).to_be_hidden()
    visitor.draw(THREE)
    expect(marks).to_be_visible()
    read = visitor.part("bars").locator(".read .name").text_content()
    expect(legend).to_contain_text(f"ink here supports\N{NO-BREAK SPACE}{read}")
    expect(legend).to_contain_text("claims")
    painted = visitor.ink(marks)
    assert len(np.unique(painted.round(2))) > 2
    visitor.part("clear").click()
    expect(marks).to_be_hidden()
    visitor.draw(ONE)
    expect(marks).to_be_visible()
    visitor.page.get_by_label("Show this picture's evidence").uncheck()
    expect(legend).to_be_hidden()
