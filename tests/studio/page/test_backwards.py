"""Ask backwards: labels, sliders, methods, what others make of it, evidence, and the picture to take home."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backquery import Network, back_query, fit_statistics
from backquery.datasets import Dataset
from backquery.inversion import within
from backquery.studio.opened import Opened
from tests.studio.conftest import serving
from tests.studio.page.conftest import Open, Visitor, expect

SUPPORTS, AGAINST = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)


def ink_from(network: Network, *asked: object, **options: object) -> np.ndarray:
    """The image (8, 8) that the library gives, as ink."""
    result = back_query(network, *asked, **options)  # type: ignore[arg-type]
    assert network.scaling is not None
    return np.asarray(network.scaling.ink(result.images)).reshape(-1, 8, 8)[0]


def expect_image(visitor: Visitor, wanted: np.ndarray, atol: float = 0.006) -> None:
    """The image must come to be `wanted`, within half a shade of 256 or as told."""
    for _ in range(100):
        found = visitor.ink(visitor.part("image"))
        if found.shape == wanted.shape and np.abs(found - wanted).max() <= atol:
            return
        visitor.page.wait_for_timeout(50)
    np.testing.assert_allclose(found, wanted, atol=atol)


def slider(visitor: Visitor, label: int):  # type: ignore[no-untyped-def]
    return visitor.page.get_by_role("slider", name=f"How sure of {label}", exact=True)


def test_one_click_asks_for_one_label(visitor: Visitor, network: Network) -> None:
    for label in (3, 0):
        visitor.page.get_by_role("button", name=f"Only {label}", exact=True).click()
        expect_image(visitor, ink_from(network, [label]))
        expect(visitor.lead("back")).to_contain_text(f"when it says {label}. It reads it as {label}")
        expect(visitor.page.get_by_role("button", name=f"Only {label}", exact=True)).to_have_attribute(
            "aria-pressed", "true"
        )
    assert visitor.part("sliders").locator(".asked").count() == 1


def test_the_image_follows_a_slider_by_keyboard(visitor: Visitor, network: Network) -> None:
    visitor.page.get_by_role("button", name="Only 6", exact=True).click()
    slider(visitor, 6).focus()
    for _ in range(30):
        visitor.page.keyboard.press("ArrowLeft")
    expect(slider(visitor, 6)).to_have_attribute("aria-valuetext", "0.69")
    # The search goes on from the last image, and ends within a hundredth of the best one's distance.
    expect_image(visitor, ink_from(network, [6], confidence=0.69), atol=0.1)
    expect(visitor.part("sliders").locator(".read .value")).to_have_text("0.69")


def test_sliders_with_room_are_limits(visitor: Visitor, network: Network) -> None:
    visitor.page.get_by_role("button", name="Only 6", exact=True).click()
    visitor.page.get_by_role("checkbox", name="Leave room").focus()
    visitor.page.keyboard.press("Space")
    slider(visitor, 6).focus()
    for _ in range(30):
        visitor.page.keyboard.press("ArrowLeft")
    expect(slider(visitor, 6)).to_have_attribute("aria-valuetext", "0.69")
    expect_image(visitor, ink_from(network, within(network, {6: (0.69, None)})), atol=0.02)
    visitor.page.get_by_role("checkbox", name="Leave room").uncheck()
    expect_image(visitor, ink_from(network, [6], confidence=0.69), atol=0.1)


def test_what_is_not_reached_for_several_labels_is_not_called_as_asked(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Only 6", exact=True).click()
    for label in range(10):
        slider(visitor, label).fill("0.99")
    expect(visitor.lead("back")).to_contain_text("the worst of them is")
    facts = visitor.part("facts")
    expect(facts).to_contain_text("one of those asked for")
    expect(facts).not_to_contain_text("as asked")


def test_the_image_follows_a_slider_by_mouse(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Only 6", exact=True).click()
    expect(visitor.lead("back")).to_contain_text("when it says 6")
    before = visitor.ink(visitor.part("image"))
    box = slider(visitor, 6).bounding_box()
    assert box is not None
    visitor.page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2, steps=25)
    visitor.page.mouse.up()
    asked = float(slider(visitor, 6).input_value())
    assert 0.5 < asked < 0.9
    expect(visitor.part("sliders").locator(".read .value")).to_have_text(f"{asked:.2f}")
    assert np.abs(visitor.ink(visitor.part("image")) - before).max() > 0.05


def test_under_a_mixture_the_image_is_sought_anew_when_the_slider_rests(
    open_page: Open, network: Network, digits: Dataset
) -> None:
    mixed = replace(network, statistics=fit_statistics(network, digits.train, components=5))
    asked: list[dict[str, object]] = []
    with serving(Opened("digits", mixed, lambda: digits)) as studio:
        visitor = open_page(at=studio)
        noted = lambda frame: asked.append(json.loads(frame))  # noqa: E731
        visitor.page.on("websocket", lambda line: line.on("framesent", noted))
        visitor.page.reload()
        visitor.page.wait_for_selector("[data-ready]")
        visitor.page.get_by_role("button", name="Only 6", exact=True).click()
        expect(visitor.lead("back")).to_contain_text("when it says 6")
        slider(visitor, 6).fill("0.7")
        expect_image(visitor, ink_from(mixed, [6], confidence=0.7), atol=0.02)
        visitor.page.wait_for_timeout(600)
        visitor.page.close()
    followed = [question["warm"] for question in asked if question["ask"] == "back" and "confidences" in question]
    assert followed == [True, False], "once while it moves, and once more when it rests"


@pytest.mark.needs("torch")
def test_the_image_of_a_deep_model_is_made_exact_when_the_slider_rests(
    open_page: Open, network: Network, digits: Dataset
) -> None:
    from backquery import from_torch
    from backquery.io.torch_chain import network_to_torch

    deep = from_torch(
        network_to_torch(network), input_shape=(8, 8), outputs="sigmoids", scaling=network.scaling,
        statistics=network.statistics,
    )  # fmt: skip
    asked: list[dict[str, object]] = []
    with serving(Opened("deep", deep, lambda: digits)) as studio:
        visitor = open_page(at=studio)
        noted = lambda frame: asked.append(json.loads(frame))  # noqa: E731
        visitor.page.on("websocket", lambda line: line.on("framesent", noted))
        visitor.page.reload()
        visitor.page.wait_for_selector("[data-ready]")
        visitor.page.get_by_role("button", name="Only 6", exact=True).click()
        expect(visitor.lead("back")).to_contain_text("when it says 6")
        slider(visitor, 6).fill("0.7")
        expect(visitor.part("facts")).to_contain_text("following the slider")
        expect(visitor.part("facts")).to_contain_text("found")
        expect(visitor.part("facts")).not_to_contain_text("following the slider")
        visitor.page.wait_for_timeout(600)
        visitor.page.close()
    moves = [question for question in asked if question["ask"] == "back" and "confidences" in question]
    assert [(move["warm"], move.get("hurried", True)) for move in moves] == [(True, True), (True, False)]


def test_several_labels_are_mixed(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Only 5", exact=True).click()
    slider(visitor, 5).fill("0.8")
    slider(visitor, 7).fill("0.1")
    expect(visitor.lead("back")).to_contain_text("This is what gives these answers")
    visitor.page.get_by_role("button", name="Only 4", exact=True).click()
    slider(visitor, 9).fill("0.95")
    expect(visitor.lead("back")).to_contain_text(
        "This is what comes out for these answers; the worst of them is 0."
    )
    expect(visitor.lead("back")).not_to_contain_text("gives")
    expect(visitor.part("facts")).to_contain_text("4, 9")


def test_what_others_said_of_the_image_before_is_pale_until_they_have_seen_this_one(visitor: Visitor) -> None:
    judges, nearest = visitor.part("facts").locator(".judges"), visitor.part("nearest")
    expect(judges).to_contain_text("a linear one: 3")
    expect(judges).to_have_attribute("aria-busy", "false")
    visitor.page.evaluate(
        """() => {
          window.seen = [];
          const judges = document.querySelector('[data-part=facts] .judges');
          const read = () => judges.textContent.includes('one:\u00a00');
          const note = () => window.seen.push([judges.classList.contains('behind'), read()]);
          new MutationObserver(note).observe(judges, { attributes: true, childList: true });
        }"""
    )
    visitor.page.get_by_role("button", name="Only 0", exact=True).click()
    expect(judges).to_contain_text("a linear one: 0")
    expect(judges).to_have_attribute("aria-busy", "false")
    expect(nearest).not_to_have_class(re.compile("behind"))
    first, *_, last = visitor.page.evaluate("seen")
    assert first == [True, False] and last == [False, True]


def test_of_many_moves_the_last_wins(visitor: Visitor, network: Network) -> None:
    visitor.part("methods").get_by_text("transpose").click()
    visitor.page.evaluate(
        """() => {
          const [slider, other] = document.querySelectorAll('[data-part=sliders] input');
          for (let move = 0; move < 500; move++) {
            slider.value = String(move % 90 / 100 + 0.05);
            slider.dispatchEvent(new Event('input', { bubbles: true }));
          }
          other.value = '0.73';
          other.dispatchEvent(new Event('input', { bubbles: true }));
        }"""
    )
    last = 499 % 90 / 100 + 0.05
    wanted = {3: 0.99, 0: round(last, 2), 1: 0.73}
    answers = np.array([[wanted.get(label, 0.01) for label in range(10)]])
    expect_image(visitor, ink_from(network, answers, method="transpose"))


@pytest.mark.parametrize("method", ["transpose", "gauss-newton", "ascent"])
def test_every_method_can_be_used(visitor: Visitor, network: Network, method: str) -> None:
    visitor.part("methods").get_by_text(method).click()
    expect(visitor.page.get_by_role("radio", name=method)).to_be_checked()
    expect_image(visitor, ink_from(network, [3], method=method))
    asked = back_query(network, [3], method=method)
    expect(visitor.part("facts")).to_contain_text("as asked" if asked.read_as_asked[0] else "not as asked")
    missed = "missed" in (visitor.part("frame").get_attribute("class") or "")
    assert missed != asked.read_as_asked[0]  # more than colour says so


def test_others_say_what_they_make_of_it(visitor: Visitor, digits: Dataset) -> None:
    visitor.page.get_by_role("button", name="Only 0", exact=True).click()
    facts = visitor.part("facts")
    expect(facts).to_contain_text("of 255 grey levels of this one is read as 0")
    expect(facts).to_contain_text("a linear one: ")
    expect(facts).to_contain_text("the nearest real images: 0")
    expect(facts).to_contain_text("plainer than real images are")
    expect(facts).to_contain_text("of real images are nearer to another one")
    assert len(re.findall(r"0 \(9\d\.\d% right\)", facts.inner_text())) == 2
    expect(facts).to_contain_text("right on real test images; chance: 10%")
    expect(visitor.part("nearest-words")).to_have_text("the nearest real image: 0")
    nearest = visitor.ink(visitor.part("nearest-image"))
    real = digits.train.images.reshape(-1, 8, 8) / digits.maximum
    assert np.abs(real - nearest).max(axis=(1, 2)).min() < 0.01


def test_evidence_is_laid_over_the_image(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Only 0", exact=True).click()
    expect(visitor.part("legend")).to_be_hidden()
    visitor.page.get_by_label("Show the evidence").check()
    expect(visitor.part("legend")).to_contain_text("supports 0")
    expect(visitor.part("legend")).to_contain_text("no mark: unclear, or never inked")
    expect(visitor.part("legend")).to_contain_text("real images")
    expect(visitor.part("legend").locator(".caution")).to_be_hidden()  # digits stand in the middle
    colours = visitor.part("marks").evaluate(
        """(canvas) => {
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const found = new Set();
          for (let place = 0; place < data.length; place += 4) {
            if (data[place + 3]) found.add([data[place], data[place + 1], data[place + 2]].join());
          }
          return [...found];
        }"""
    )
    found = {tuple(int(part) for part in colour.split(",")) for colour in colours}
    assert {SUPPORTS, AGAINST} <= found
    assert len(found) <= 3  # those two, and the grey of what does not matter
    visitor.page.get_by_label("Show the evidence").uncheck()
    expect(visitor.part("marks")).to_be_hidden()


def test_the_picture_goes_home(visitor: Visitor, tmp_path: Path, network: Network) -> None:
    from PIL import Image

    visitor.page.get_by_role("button", name="Only 3", exact=True).click()
    expect_image(visitor, ink_from(network, [3]))
    with visitor.page.expect_download() as waiting:
        visitor.part("png", "back").click()
    assert waiting.value.suggested_filename == "backquery-3.png"
    waiting.value.save_as(tmp_path / "picture.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("L"), float)
    assert picture[0, 0] == 255  # white paper, whatever the page looks like
    assert np.ptp(np.asarray(Image.open(tmp_path / "picture.png").convert("RGB")), axis=2).max() == 0  # no marks
    tile = picture[40 + 21 : 40 + 336 : 42, 40 + 21 : 40 + 336 : 42]  # the middle of each pixel
    np.testing.assert_allclose((255 - tile) / (255 - 0x1A), ink_from(network, [3]), atol=0.01)


def test_a_picture_with_evidence_takes_its_legend_along(visitor: Visitor, tmp_path: Path) -> None:
    from PIL import Image

    visitor.page.get_by_label("Show the evidence").check()
    expect(visitor.part("legend")).to_contain_text("supports 3")
    with visitor.page.expect_download() as waiting:
        visitor.part("png", "back").click()
    waiting.value.save_as(tmp_path / "picture.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB"))
    below = picture[40 + 336 + 10 :].reshape(-1, 3)
    for colour in (SUPPORTS, AGAINST):
        assert (below == colour).all(axis=1).sum() >= 30  # the sign before its words


def test_another_one_draws_other_images_of_the_same_answer_by_keyboard(visitor: Visitor, network: Network) -> None:
    visitor.page.get_by_role("button", name="Only 6", exact=True).click()
    expect(visitor.lead("back")).to_contain_text("when it says 6")
    another = visitor.page.get_by_role("button", name="Another one", exact=True)
    another.focus()
    for number in (1, 2):
        visitor.page.keyboard.press("Enter")
        expect(visitor.lead("back")).to_contain_text(f"Image {number} of many that give this answer")
        expect(visitor.lead("back")).to_contain_text("reads it as 6")
        expect_image(visitor, ink_from(network, [6], many=1, rng=number))
    visitor.page.get_by_role("button", name="Only 6", exact=True).click()
    expect_image(visitor, ink_from(network, [6]))
    expect(visitor.lead("back")).to_contain_text("when it says 6")


def test_methods_with_one_image_for_a_question_offer_no_other(visitor: Visitor) -> None:
    another = visitor.part("another", "back")
    expect(another).to_be_visible()
    visitor.part("methods").get_by_role("radio").first.check(force=True)
    expect(another).to_be_hidden()
