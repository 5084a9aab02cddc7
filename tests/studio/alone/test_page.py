"""The page of one file before a visitor: what it does, what it never does, and what it says when it is damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backquery import Network, Scaling
from backquery.datasets import Dataset
from backquery.errors import ModelError
from backquery.io import native
from backquery.model import Mixture, Statistics
from backquery.studio.alone.made import Sample, page_of
from tests.studio.alone.conftest import Alone, OpenAlone
from tests.studio.page.conftest import THREE, Visitor, expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[..., Visitor]


@pytest.fixture
def visit(opening: OpenAlone, page_file: Path) -> Visit:
    """Open a page as a visitor."""

    def open_it(file: Path = page_file, **options: Any) -> Visitor:
        page = opening(file, **options).page
        assert page is not None
        return Visitor(page)

    return open_it


def silent(page: Page) -> bool:
    """Whether the page is still the sentence that its script takes away."""
    return page.locator("#silent").is_visible() and not page.locator(".studio").is_visible()


def test_a_drawing_is_read_and_turned_into_another_label(visit: Visit) -> None:
    visitor = visit()
    visitor.draw(THREE)
    expect(visitor.lead("ask")).to_contain_text("It reads 3")
    visitor.part("turns").locator("button").nth(8).click()
    expect(visitor.part("turned")).to_contain_text("With this change it reads 8")
    expect(visitor.part("result")).to_be_visible()


def test_a_slider_moves_the_image_and_every_scan_has_its_reading(visit: Visit) -> None:
    visitor = visit()
    expect(visitor.lead("back")).to_contain_text("It reads it as 3")
    before = visitor.ink(visitor.part("image"))
    visitor.part("sliders").locator("input").nth(8).fill("0.7")
    expect(visitor.lead("back")).to_contain_text("This is what comes out for these answers; the worst of them is")
    assert np.abs(visitor.ink(visitor.part("image")) - before).max() > 0.1
    visitor.part("scans", "inside").scroll_into_view_if_needed()
    readings = visitor.part("scans", "inside").locator(".scan p:last-child")
    expect(readings).to_have_count(10)
    expect(readings.nth(4)).to_have_text(re.compile(r"→ 4 \d"))


def test_nodes_that_are_off_change_the_scans(visit: Visit) -> None:
    visitor = visit()
    visitor.part("remove").scroll_into_view_if_needed()
    visitor.part("how-many").fill("150")
    visitor.part("remove").click()
    expect(visitor.lead("inside")).to_contain_text("150 of 200 nodes are off")
    visitor.part("heal").click()
    expect(visitor.lead("inside")).to_contain_text("These are the 200 hidden nodes")


def test_a_network_learns_and_is_asked_then(visit: Visit) -> None:
    visitor = visit()
    visitor.part("start").scroll_into_view_if_needed()
    visitor.part("start").click()
    expect(visitor.lead("learn")).to_contain_text("images it gets")
    visitor.part("stop").click()
    expect(visitor.lead("learn")).to_contain_text("Stopped after")
    visitor.part("adopt").click()
    expect(visitor.part("model")).to_contain_text("trained here: 64-50-10")
    expect(visitor.part("real")).to_be_visible()  # the sample fits this network


NAMELESS = """
(parts) => parts.filter((part) => part.checkVisibility()).filter((part) => {
  const labels = [...(part.labels ?? [])].map((label) => label.textContent);
  const words = [part.ariaLabel, part.textContent, part.title, ...labels];
  return !words.some((text) => text?.trim());
}).map((part) => part.outerHTML)
"""


@pytest.mark.parametrize("language", ["en", "ru", "zh"])
def test_every_control_has_a_name(visit: Visit, language: str) -> None:
    visitor = visit(locale=language)
    visitor.draw(THREE)
    visitor.part("turns").locator("button").nth(8).click()
    expect(visitor.part("result")).to_be_visible()
    visitor.part("start").click()
    expect(visitor.part("adopt")).to_be_enabled(timeout=60_000)
    controls = visitor.page.locator("button, input, select, [tabindex], [role=img], [role=group]")
    expect(controls.nth(250)).to_be_attached()
    assert controls.evaluate_all(NAMELESS) == []


FOCUSED = "(part) => part === document.activeElement"


def tab_to(visitor: Visitor, aim: Any) -> None:
    """Press Tab until `aim` has the focus, and see that it shows."""
    for _ in range(80):
        if aim.evaluate(FOCUSED):
            break
        visitor.page.keyboard.press("Tab")
    assert aim.evaluate(FOCUSED)
    assert aim.evaluate("(part) => getComputedStyle(part).outlineStyle") == "solid"


def test_the_keyboard_alone_draws_turns_and_asks_backwards(visit: Visit) -> None:
    visitor = visit()
    keys = visitor.page.keyboard
    tab_to(visitor, visitor.part("pad"))
    for key in ["ArrowUp"] * 9 + [" "] + ["ArrowDown"] * 18 + [" "]:
        keys.press(key)
    expect(visitor.lead("ask")).to_contain_text("It reads 1")
    tab_to(visitor, visitor.part("turns").locator("button").nth(7))
    keys.press("Enter")
    expect(visitor.part("turned")).to_contain_text("With this change it reads 7")
    tab_to(visitor, visitor.part("take"))
    keys.press("Enter")
    expect(visitor.lead("ask")).to_contain_text("It reads 7")
    tab_to(visitor, visitor.part("sliders").locator("button").nth(5))
    keys.press("Enter")
    expect(visitor.lead("back")).to_contain_text("It reads it as 5")
    keys.press("Tab")
    before = visitor.ink(visitor.part("image"))
    for _ in range(30):
        keys.press("ArrowLeft")
    expect(visitor.part("sliders").locator("input").nth(5)).to_have_value("0.69")
    expect(visitor.lead("back")).not_to_contain_text("0.9")
    assert np.abs(visitor.ink(visitor.part("image")) - before).max() > 0.1


def test_a_hand_draws_on_where_the_keyboard_drew(visit: Visit) -> None:
    visitor = visit()
    pad = visitor.part("pad")
    pad.focus()
    for key in (" ", "ArrowDown", " "):
        visitor.page.keyboard.press(key)
    inked = (visitor.ink(pad) > 0.5).sum()
    visitor.draw(THREE)
    assert (visitor.ink(pad) > 0.5).sum() > 5 * inked


def test_a_link_says_how_far_it_reaches(visit: Visit) -> None:
    visitor = visit()
    visitor.part("link").click()
    expect(visitor.part("notice")).to_contain_text("this file on this computer")
    assert visitor.page.evaluate("location.hash").startswith("#state=")


def test_within_a_page_that_lets_nothing_be_copied_no_address_bar_is_promised(
    opening: OpenAlone, page_file: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.html"
    outside.write_text(f"""<iframe src="{page_file.as_uri()}" allow="clipboard-write 'none'"></iframe>""", "utf-8")
    page = opening(outside, ready=False).page
    assert page is not None
    inside = page.frame_locator("iframe")
    inside.locator("[data-ready] [data-part=link]").click()
    expect(inside.locator("[data-part=notice]")).to_contain_text("Open this page by itself")


@pytest.mark.parametrize(("language", "sentence"), [("ru", "Спросите"), ("zh", "画")])
def test_it_speaks_the_visitors_language(visit: Visit, language: str, sentence: str) -> None:
    visitor = visit(locale=language)
    assert visitor.page.locator("html").get_attribute("lang") == language
    assert visitor.page.locator("h2").first.inner_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_a_narrow_screen(visit: Visit, width: int) -> None:
    visitor = visit(viewport={"width": width, "height": 800}, has_touch=width < 500)
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_its_engine_cannot_do_is_not_offered(visit: Visit) -> None:
    visitor = visit()
    for name in ("copy-code", "why", "room", "overlay", "another", "save-page"):
        expect(visitor.part(name)).to_be_hidden()
    assert "proved" not in visitor.part("facts").inner_text()


def test_without_images_there_is_no_learning(opening: OpenAlone, bundled: Network, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page_of("mnist", bundled), "utf-8")
    page = opening(file).page
    assert page is not None and not page.locator("[data-region=learn]").is_visible()


def test_the_policy_lets_nothing_out(opening: OpenAlone, page_file: Path) -> None:
    alone = opening(page_file, ready=False, offline=False)
    assert alone.page is not None
    blocked = "async (address) => { try { await fetch(address); return false; } catch { return true; } }"
    assert alone.evaluate(blocked, "http://127.0.0.1:9/")
    assert any("Content Security Policy" in line for line in alone.complaints)
    text = page_file.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None and policy[1].startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-")
    for loose in ("unsafe-inline", "unsafe-eval&#x27;;", "http", "*"):
        assert loose not in policy[1].replace("wasm-unsafe-eval", "")


HOSTILE = ("</script><script>alert(1)</script>", '<img src=x onerror="alert(2)">', "\u202eevil", "a\u2069b", "ok")


def test_names_from_files_are_text_and_turn_no_sentence_around(opening: OpenAlone, tmp_path: Path) -> None:
    names = (*HOSTILE, *"56789")
    network = Network.create([64, 5, 10], rng=1, input_shape=(8, 8), classes=names, scaling=Scaling.book())
    file = tmp_path / "page.html"
    file.write_text(page_of('"><script>alert(3)</script>', network), "utf-8")
    alone = opening(file)
    page = alone.page
    assert page is not None
    assert page.locator(".studio script, .studio img").count() == 0
    assert HOSTILE[1] in page.locator("[data-part=turns]").inner_text()
    page.locator("[data-part=sliders] button").nth(2).click()
    expect(page.locator("[data-region=back] [data-part=lead]")).to_contain_text("evil")
    said = page.locator("[data-region=back] [data-part=lead]").inner_text()
    assert "\u202e" not in said and "\u2068evil\u2069" in said


def test_a_label_whose_name_shows_nothing_is_shown_by_its_number(opening: OpenAlone, tmp_path: Path) -> None:
    names = (" ", "\u200b", "\u00a0\t", "0", *"456789")
    network = Network.create([64, 5, 10], rng=1, input_shape=(8, 8), classes=names, scaling=Scaling.book())
    file = tmp_path / "page.html"
    file.write_text(page_of("blank", network), "utf-8")
    page = opening(file).page
    assert page is not None
    shown = ["#0", "#1", "#2", "0", *"456789"]
    assert page.locator("[data-part=turns] button").all_inner_texts() == shown
    sliders = page.locator("[data-part=sliders] button").all_inner_texts()
    assert sliders == shown
    page.locator("[data-part=sliders] button").nth(1).click()
    expect(page.locator("[data-region=back] [data-part=lead]")).to_contain_text("#1")


def damaged(page_file: Path, tmp_path: Path, change: Callable[[str], str]) -> Path:
    file = tmp_path / "damaged.html"
    text = page_file.read_text("utf-8")
    assert change(text) != text
    file.write_text(change(text), "utf-8")
    return file


def test_damaged_content_is_said_in_a_sentence(opening: OpenAlone, page_file: Path, tmp_path: Path) -> None:
    text = page_file.read_text("utf-8")
    place = text.index('id="content"') + len(text) // 3
    other = "A" if text[place] != "A" else "B"
    page = opening(damaged(page_file, tmp_path, lambda text: text[:place] + other + text[place + 1 :]), False).page
    assert page is not None
    expect(page.locator("[data-part=notice]")).to_contain_text("This file is damaged")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("const root = ", "const rood = "),
    ],
)
def test_a_file_that_is_cut_short_or_changed_runs_nothing(
    opening: OpenAlone, page_file: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    page = opening(damaged(page_file, tmp_path, change), ready=False).page
    assert page is not None
    page.wait_for_timeout(300)
    assert silent(page)
    assert "damaged" in page.locator("#silent").inner_text()


def test_a_broken_model_file_is_refused_and_the_page_goes_on(opening: OpenAlone, page_file: Path) -> None:
    from tests.studio.conftest import base64

    alone: Alone = opening(page_file)
    refused = alone.ask("load", file=base64(b"\x10\0\0\0\0\0\0\0{}"), name="x")
    assert (refused["code"], "damaged" in refused["error"]) == ("model", True)
    mixed = Mixture(np.ones(1), np.eye(64)[:, :2], np.zeros((1, 2)), np.zeros((1, 2, 1)))
    plain = Network.create([64, 10], rng=1, input_shape=(8, 8))
    kept = Statistics(np.zeros(64), np.zeros((64, 1)), np.ones(64), mixture=mixed)
    colour = Network.create([48, 3], rng=1, input_shape=(4, 4, 3), classes=tuple("abc"))
    for network in (replace(plain, statistics=kept), colour):
        refused = alone.ask("load", file=base64(native.to_bytes(network)), name="x")
        assert (refused["code"], "in the studio" in refused["error"]) == ("model", True)
    assert alone.ask("query", pixels=base64(np.zeros(784, np.uint8)))["answers"].shape == (10,)
    for ask in ("proof", "why", "evidence", "opinion", "code", "nonsense"):
        assert alone.ask(ask)["code"] == "alone"


def disagreeing(network: Network, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A model file of which the description says something else than its tensors."""
    content = native.to_bytes(network)
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    description = json.loads(header["__metadata__"]["backquery"])
    change(description)
    header["__metadata__"]["backquery"] = json.dumps(description)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[end:]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["layers"][0].update(outputs=400),
        lambda said: said["layers"][0].update(outputs=10**9),
        lambda said: said["layers"][1].update(biases=True),
        lambda said: said.update(layers=[]),
        lambda said: said.update(classes=said["classes"][:3]),
        lambda said: said.update(input_shape=[7, 7]),
        lambda said: said.pop("about"),
        lambda said: said["layers"][1].update(activation="gelu"),
    ],
)
def test_a_refused_file_leaves_the_network_as_it_was(
    opening: OpenAlone, page_file: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    from tests.studio.conftest import base64

    alone = opening(page_file)
    picture = base64(np.arange(784, dtype=np.uint8))
    question = {"method": "gauss-newton", "confidences": {"5": 0.9}}
    alone.ask("damage", off={"1": [3, 5]})
    before = alone.ask("query", pixels=picture)["answers"], alone.ask("back", **question)["ink"]
    network = Network.create([784, 150, 10], rng=2, input_shape=(28, 28), classes=tuple("0123456789"))
    refused = alone.ask("load", file=base64(disagreeing(network, change)), name="other")
    assert refused["code"] == "model"
    after = alone.ask("query", pixels=picture)["answers"], alone.ask("back", **question)["ink"]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert alone.ask("hello")["off"] == {"1": [3, 5]}


def test_nothing_is_typical_of_a_label_that_is_never_read(
    opening: OpenAlone, bundled: Network, tmp_path: Path
) -> None:
    kept = bundled.statistics
    assert kept is not None and kept.typical is not None
    usual = kept.typical.copy()
    usual[4] = usual[9]
    file = tmp_path / "page.html"
    file.write_text(page_of("mnist", replace(bundled, statistics=replace(kept, typical=usual))), "utf-8")
    alone = opening(file)
    refused = alone.ask("back", method="gauss-newton", label=4)
    assert (refused["code"], "ask for a confidence" in refused["error"]) == ("target", True)
    scans = alone.ask("scans", method="gauss-newton")
    assert scans["outcome"][4] == "not found" and not scans["read_as_asked"][4]
    assert {outcome for label, outcome in enumerate(scans["outcome"]) if label != 4} == {"converged"}


def test_the_bundled_network_takes_less_than_three_megabytes(page_file: Path) -> None:
    assert page_file.stat().st_size < 3e6


def test_what_a_page_cannot_carry_is_refused_in_one_line(bundled: Network, digits: Dataset) -> None:
    colour = Network.create([48, 3], rng=1, input_shape=(4, 4, 3), classes=tuple("abc"))
    with pytest.raises(ModelError, match=r"draws in one shade.*backquery studio"):
        page_of("colour", colour)
    many = Network.create([4, 70], rng=1, activation=["softmax"])
    with pytest.raises(ModelError, match="at most 64 labels"):
        page_of("many", many)
    floating = replace(digits, train=replace(digits.train, images=digits.train.images / 2))
    with pytest.raises(ModelError, match="whole numbers"):
        page_of("floating", bundled, Sample.of(floating))
