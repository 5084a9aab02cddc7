"""Look inside and damage: by click, drag, keyboard and chance; what follows is what the library says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backquery import Network, back_query, evaluate
from backquery.datasets import Dataset
from tests.studio.page.conftest import ONE, Visitor, expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator


def node(visitor: Visitor, number: int) -> Locator:
    """The switch of a node, counted from 0; the page counts from 1."""
    return visitor.page.get_by_role("switch", name=f"Node {number + 1}", exact=True)


def off(visitor: Visitor) -> list[int]:
    cells = visitor.part("cells").locator('[aria-checked="false"]')
    return [int(place) for place in cells.evaluate_all("cells => cells.map((cell) => cell.dataset.node)")]


def performance_without(network: Network, digits: Dataset, nodes: list[int]) -> str:
    assert digits.test is not None
    return f"{evaluate(network.without_nodes(nodes), digits.test).performance:.1%}"


def centre(cell: Locator) -> tuple[float, float]:
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def settle(visitor: Visitor) -> None:
    """Wait for what arrives late above the nodes and moves them down: the opinion of the last judge."""
    expect(visitor.part("cells").get_by_role("switch")).to_have_count(20)
    expect(visitor.part("facts")).to_contain_text("a linear one: ")
    stand_still(visitor)


def stand_still(visitor: Visitor) -> None:
    """Wait until nothing has moved the nodes for half a second."""
    places: list[object] = []
    while len(places) < 6 or any(place != places[-1] for place in places[-6:]):
        assert len(places) < 100, "the nodes do not come to rest"
        places.append(node(visitor, 0).bounding_box())
        visitor.page.wait_for_timeout(100)


def test_each_node_is_shown_with_its_weights(visitor: Visitor, network: Network) -> None:
    expect(visitor.part("cells").get_by_role("switch")).to_have_count(20)
    node(visitor, 7).hover()
    expect(visitor.part("node-words")).to_contain_text("node 8")
    shown = visitor.ink(visitor.part("node-image"))
    weights = network.layers[0].weights[7].reshape(8, 8)
    scale = np.abs(network.layers[0].weights).max()
    np.testing.assert_allclose(shown, np.clip(0.5 + 1.5 * weights / scale, 0, 1), atol=0.006)


def test_small_images_keep_their_pixels_and_large_ones_are_reduced(visitor: Visitor) -> None:
    drawn = visitor.part("weights")
    expect(visitor.part("cells").get_by_role("switch")).to_have_count(20)
    assert drawn.evaluate("canvas => canvas.clientWidth > canvas.width")  # a dot or more for each pixel
    expect(drawn).to_have_css("image-rendering", "pixelated")
    visitor.part("nodes").evaluate("room => { room.style.width = '40px'; }")
    expect(drawn).to_have_css("image-rendering", "auto")
    assert drawn.evaluate("canvas => canvas.clientWidth < canvas.width")


def test_a_click_switches_one_off_and_everything_follows(
    visitor: Visitor, network: Network, digits: Dataset
) -> None:
    whole = performance_without(network, digits, [])
    expect(visitor.part("performance")).to_have_text(whole)
    visitor.draw(ONE)
    node(visitor, 3).click()
    expect(node(visitor, 3)).to_have_attribute("aria-checked", "false")
    damaged = performance_without(network, digits, [3])
    expect(visitor.part("performance")).to_have_text(damaged)
    expect(visitor.lead("inside")).to_contain_text(f"1 of 20 nodes is off. The network gets {damaged} right")
    expect(visitor.lead("inside")).to_contain_text(f"whole, it got {whole}")
    visitor.part("heal").click()
    expect(visitor.part("performance")).to_have_text(whole)
    assert off(visitor) == []


def test_scans_from_before_the_damage_are_not_called_those_of_now(visitor: Visitor) -> None:
    scans, words = visitor.part("scans", "inside"), visitor.part("scans-words", "inside")
    expect(words).to_have_text("what it looks for now, by the method chosen above")
    visitor.page.evaluate(
        """() => {
          window.said = [];
          const words = document.querySelector('[data-part=scans-words]');
          new MutationObserver(() => window.said.push(words.textContent)).observe(words, { childList: true });
        }"""
    )
    node(visitor, 0).click()
    expect(visitor.lead("inside")).to_contain_text("1 of 20")
    expect(words).to_have_text("what it looks for now, by the method chosen above")
    expect(scans).to_have_attribute("aria-busy", "false")
    first, *_, last = visitor.page.evaluate("said")
    assert "still those from before" in first and "now" in last


def test_the_scans_are_those_of_the_damaged_network(visitor: Visitor, network: Network) -> None:
    visitor.part("methods").get_by_text("transpose").click()
    node(visitor, 0).click()
    node(visitor, 1).click()
    expect(visitor.lead("inside")).to_contain_text("2 of 20 nodes are off")
    damaged = network.without_nodes([0, 1])
    scans = back_query(damaged, list(range(10)), method="transpose")
    assert damaged.scaling is not None
    wanted = damaged.scaling.ink(scans.images).reshape(10, 8, 8)
    canvases = visitor.part("scans", "inside").locator("canvas")
    for _ in range(100):
        found = np.array([visitor.ink(canvases.nth(label)) for label in range(10)])
        if np.abs(found - wanted).max() < 0.006:
            break
        visitor.page.wait_for_timeout(50)
    np.testing.assert_allclose(found, wanted, atol=0.006)
    marks = [text.split()[1] for text in visitor.part("scans", "inside").locator(".name").all_text_contents()]
    assert marks == ["\u2713" if read else "\u2717" for read in scans.read_as_asked]


def test_a_drag_switches_off_many_and_on_again(visitor: Visitor) -> None:
    settle(visitor)
    for wanted in (list(range(2, 9)), []):
        visitor.page.mouse.move(*centre(node(visitor, 2)))
        visitor.page.mouse.down()
        visitor.page.mouse.move(*centre(node(visitor, 8)), steps=3)  # a quick hand
        visitor.page.mouse.up()
        assert off(visitor) == wanted
        visitor.page.mouse.move(*centre(node(visitor, 15)), steps=5)  # the button is up
        assert off(visitor) == wanted
        # What comes of it arrives late, and moves the nodes under the next hand.
        expect(visitor.lead("inside")).to_contain_text(
            "7 of 20 nodes are off. The network" if wanted else "Click to"
        )
        expect(visitor.part("scans", "inside")).to_have_attribute("aria-busy", "false")
        stand_still(visitor)


def test_nodes_by_keyboard(visitor: Visitor) -> None:
    settle(visitor)
    assert visitor.part("cells").locator('[tabindex="0"]').count() == 1
    node(visitor, 0).focus()
    for key in ("ArrowRight", "ArrowRight", "Space", "End", "Enter", "Home", "ArrowLeft"):
        visitor.page.keyboard.press(key)
    assert off(visitor) == [2, 19]
    expect(node(visitor, 0)).to_be_focused()
    assert visitor.part("cells").locator('[tabindex="0"]').count() == 1
    expect(visitor.lead("inside")).to_contain_text("2 of 20 nodes are off")


def test_nodes_at_random(visitor: Visitor) -> None:
    visitor.part("how-many").fill("6")
    visitor.part("remove").click()
    first = off(visitor)
    assert len(first) == 6
    visitor.part("remove").click()
    second = off(visitor)
    assert len(second) == 12 and set(first) < set(second)
    visitor.part("how-many").fill("1000")
    visitor.part("remove").click()
    assert len(off(visitor)) == 20
    expect(visitor.lead("inside")).to_contain_text("20 of 20 nodes are off")


def test_saved_scans_say_how_they_were_asked_and_what_was_done_to_the_network(visitor: Visitor) -> None:
    settle(visitor)
    visitor.page.evaluate(
        """() => {
          const context = CanvasRenderingContext2D.prototype, draw = context.fillText;
          window.written = [];
          context.fillText = function (...text) { window.written.push(text[0]); draw.apply(this, text); };
        }"""
    )

    def written() -> str:
        with visitor.page.expect_download():
            visitor.part("png", "inside").click()
        return " ".join(visitor.page.evaluate("window.written.splice(0)"))

    whole = written()
    assert "gauss-newton: Looks for the likeliest image" in whole and "Click" not in whole
    node(visitor, 3).click()
    expect(visitor.lead("inside")).to_contain_text("1 of 20 nodes is off. The network")
    assert visitor.lead("inside").inner_text() in written()
