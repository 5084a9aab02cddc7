"""Taking home and bringing back: files of networks, links, and connections that break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery import Network, evaluate, load_model
from backquery.datasets import Dataset
from tests.studio.conftest import Serving
from tests.studio.page.conftest import ONE, THREE, Open, Visitor, expect
from tests.studio.page.test_backwards import expect_image


def test_a_network_is_saved_and_opened_again(
    visitor: Visitor, network: Network, digits: Dataset, tmp_path: Path
) -> None:
    visitor.page.get_by_role("switch", name="Node 4", exact=True).click()
    expect(visitor.lead("inside")).to_contain_text("1 of 20")
    with visitor.page.expect_download() as waiting:
        visitor.part("save").click()
    waiting.value.save_as(tmp_path / "mine.safetensors")
    saved, damaged = load_model(tmp_path / "mine.safetensors"), network.without_nodes([3])
    assert isinstance(saved, Network) and digits.test is not None
    for found, wanted in zip(saved.layers, damaged.layers, strict=True):
        assert np.array_equal(found.weights, wanted.weights)
    visitor.part("reset").click()
    expect(visitor.lead("inside")).to_contain_text("These are the 20 hidden nodes")
    visitor.part("open").set_input_files(tmp_path / "mine.safetensors")
    expect(visitor.part("notice")).to_contain_text("mine.safetensors")
    expect(visitor.part("performance")).to_have_text(f"{evaluate(damaged, digits.test).performance:.1%}")


def test_what_is_no_network_is_told_and_changes_nothing(visitor: Visitor) -> None:
    name = visitor.part("model").inner_text()
    content = {
        "name": "evil.safetensors",
        "mimeType": "application/octet-stream",
        "buffer": b"\x80\x04cos\nsystem\n",
    }
    visitor.part("open").set_input_files(content)
    expect(visitor.part("notice")).to_contain_text("That did not work")
    assert visitor.part("model").inner_text() == name


def everything(visitor: Visitor) -> None:
    """Draw, ask for two labels by another method, and switch nodes off."""
    visitor.draw(THREE)
    visitor.part("methods").get_by_text("transpose").click()
    visitor.page.get_by_role("button", name="Only 8", exact=True).click()
    visitor.page.get_by_role("slider", name="How sure of 1", exact=True).fill("0.6")
    for number in (2, 11):
        visitor.page.get_by_role("switch", name=f"Node {number}", exact=True).click()
    expect(visitor.lead("inside")).to_contain_text("2 of 20 nodes are off")
    expect(visitor.part("facts")).to_contain_text("8, 1")


def link_of(visitor: Visitor) -> str:
    visitor.part("link").click()
    expect(visitor.part("notice")).to_contain_text("link")
    expect(visitor.part("notice")).to_contain_text("its address, 127.0.0.1:")  # and that others cannot use it
    expect(visitor.part("notice")).to_contain_text("is of no use to others")
    return str(visitor.page.evaluate("location.hash"))


def test_a_link_brings_everything_back(open_page: Open) -> None:
    first = open_page()
    everything(first)
    second = open_page(fragment=link_of(first))
    expect(second.lead("inside")).to_contain_text("2 of 20 nodes are off")
    expect(second.part("facts")).to_contain_text("8, 1")
    expect(second.page.get_by_role("radio", name="transpose")).to_be_checked()
    expect(second.lead("ask")).to_have_text(first.lead("ask").inner_text())
    for part in ("pad", "seen", "image"):
        assert np.array_equal(second.ink(second.part(part)), first.ink(first.part(part))), part
    assert (
        second.part("sliders").locator(".value").all_text_contents()
        == first.part("sliders").locator(".value").all_text_contents()
    )


def test_a_link_holds_what_a_drawing_was_turned_into(open_page: Open) -> None:
    first = open_page()
    first.draw(THREE)
    first.part("turns").get_by_text("9", exact=True).click()
    expect(first.part("result")).to_be_visible()
    fragment = link_of(first)
    second = open_page(fragment=fragment)
    expect(second.part("result")).to_be_visible()
    expect(second.part("turned")).to_have_text(first.part("turned").inner_text())
    assert np.array_equal(second.ink(second.part("turned-image")), first.ink(first.part("turned-image")))


def lines_of(visitor: Visitor) -> str:
    visitor.part("copy-code").click()
    expect(visitor.part("code")).to_be_visible()
    return str(visitor.part("code").text_content())


def test_the_lines_of_python_make_the_image_of_the_page(
    open_page: Open, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = open_page(permissions=["clipboard-read", "clipboard-write"])
    visitor.page.get_by_role("switch", name="Node 4", exact=True).click()
    expect(visitor.lead("inside")).to_contain_text("1 of 20")
    visitor.page.get_by_role("button", name="Only 8", exact=True).click()
    expect(visitor.lead("back")).to_contain_text("when it says 8")
    lines = lines_of(visitor)
    assert visitor.page.evaluate("navigator.clipboard.readText()") == lines
    expect(visitor.part("notice")).to_contain_text("The lines are copied")
    names: dict[str, Any] = {"network": network}
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "copied", "exec"), names)
    assert network.scaling is not None and (tmp_path / "backquery.png").exists()
    ink = network.scaling.ink(names["scans"].images[0]).reshape(8, 8)
    expect_image(visitor, ink)
    visitor.part("copy-code").click()
    expect(visitor.part("code")).to_be_hidden()
    slider = visitor.page.get_by_role("slider", name="How sure of 1", exact=True)
    slider.fill("0.6")
    assert "several(network, {1: 0.6, 8: 0.99})" in lines_of(visitor)


def test_without_a_clipboard_the_lines_are_there_to_be_taken(open_page: Open) -> None:
    visitor = open_page()
    visitor.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    assert "back_query(network, [3]" in lines_of(visitor)
    expect(visitor.part("notice")).to_contain_text("These lines ask this network")


def test_a_link_of_another_network_brings_the_drawing_back(open_page: Open) -> None:
    first = open_page()
    first.draw(ONE)
    fragment = link_of(first)
    changed = first.page.evaluate(
        """async (fragment) => {
          const { stateOf, fragmentOf } = await import('/page/share.js');
          return fragmentOf({ ...stateOf(fragment), model: 'another' });
        }""",
        fragment,
    )
    second = open_page(fragment=changed)
    expect(second.part("notice")).to_contain_text("another network")
    assert np.array_equal(second.ink(second.part("pad")), first.ink(first.part("pad")))


def test_a_damaged_link_changes_nothing(open_page: Open) -> None:
    for fragment in ("#state=AAAA", "#state=eyJtb2RlbCI6MX0", "#other"):
        visitor = open_page(fragment=fragment)
        expect(visitor.lead("ask")).to_contain_text("Draw a digit")
        visitor.draw(ONE)
        expect(visitor.lead("ask")).to_contain_text("It reads")


def test_a_broken_connection_is_told_and_mended(open_page: Open, studio: Serving) -> None:
    visitor = open_page()
    routes = []

    def through(route) -> None:  # type: ignore[no-untyped-def]
        routes.append(route)
        route.connect_to_server()

    visitor.page.route_web_socket("**/live", through)
    visitor.go(f"{studio.origin}/")
    visitor.page.get_by_role("switch", name="Node 4", exact=True).click()
    expect(visitor.lead("inside")).to_contain_text("1 of 20")
    routes[0].close()
    expect(visitor.part("notice")).to_contain_text("Connected again")
    expect(visitor.lead("inside")).to_contain_text("1 of 20")
    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    assert len(routes) == 2
