"""Watch it learn: to the end, with a pause, stopped; played back; and the network taken over."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from backquery.studio.learning import Learning
from tests.studio.conftest import Serving
from tests.studio.page.conftest import Visitor, expect

PATIENCE = 60_000


def settle(visitor: Visitor, **settings: str) -> None:
    for name, value in settings.items():
        visitor.part("form").locator(f"[name={name}]").fill(value)


def learn(visitor: Visitor) -> None:
    """Train a small network to the end."""
    settle(visitor, hidden="20", epochs="2")
    visitor.part("start").click()
    expect(visitor.lead("learn")).to_contain_text("It has learned", timeout=PATIENCE)


def share(text: str) -> float:
    """The percentage in a sentence."""
    return float(next(word for word in text.split() if word.endswith("%"))[:-1])


def test_a_network_learns_and_is_taken_over(visitor: Visitor) -> None:
    expect(visitor.part("adopt")).to_be_disabled()
    learn(visitor)
    assert share(visitor.lead("learn").inner_text()) > 50
    assert len(visitor.part("curve").locator("polyline").get_attribute("points").split()) > 10  # type: ignore[union-attr]
    scans = visitor.part("scans", "learn").locator("canvas")
    assert scans.count() == 10
    assert all(visitor.ink(scans.nth(label)).max() > 0.1 for label in range(10))
    visitor.part("adopt").click()
    expect(visitor.part("model")).to_contain_text("64-20-10")
    expect(visitor.part("notice")).to_contain_text("you have just trained")
    expect(visitor.part("performance")).to_have_text(f"{share(visitor.lead('learn').inner_text()):.1f}%")
    visitor.part("reset").click()
    expect(visitor.part("model")).to_contain_text("digits")


OUTSIDE = """
(drawing) => {
  const page = drawing.getBoundingClientRect();
  const words = [...drawing.querySelectorAll('text')].map((one) => [one.textContent, one.getBoundingClientRect()]);
  const out = words.filter(([, box]) => box.left < page.left || box.right > page.right
    || box.top < page.top || box.bottom > page.bottom);
  return [words.length, out.map(([text]) => text)];
}
"""
"""How many words a drawing has, and which of them reach over its edge."""


def test_the_words_of_the_curve_are_within_it(visitor: Visitor) -> None:
    learn(visitor)
    for width in (390, 1280):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        visitor.part("curve").scroll_into_view_if_needed()
        for language in ("en", "ru", "zh"):
            visitor.part("language").select_option(language)
            expect(visitor.page.locator("html")).to_have_attribute("lang", language)
            assert visitor.part("curve").evaluate(OUTSIDE) == [6, []], (width, language)


def test_it_says_at_once_that_it_gets_ready(
    visitor: Visitor, studio: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held back before its first frame, as it is on a slow machine."""
    ready, learning = Event(), Learning._learn

    def later(self: Learning) -> None:
        ready.wait(30)
        learning(self)

    monkeypatch.setattr(Learning, "_learn", later)
    settle(visitor, hidden="20", epochs="1")
    visitor.part("start").click()
    expect(visitor.lead("learn")).to_contain_text("Getting ready to train")
    studio.opened._tell()
    visitor.page.wait_for_timeout(300)  # news of the model change nothing of this
    expect(visitor.lead("learn")).to_contain_text("Getting ready to train")
    ready.set()
    expect(visitor.lead("learn")).to_contain_text("it gets")


def test_it_pauses_and_goes_on(visitor: Visitor) -> None:
    settle(visitor, hidden="20", epochs="10")
    visitor.part("start").click()
    expect(visitor.lead("learn")).to_contain_text("it gets")
    visitor.part("pause").click()
    expect(visitor.lead("learn")).to_contain_text("Paused")
    visitor.page.wait_for_timeout(400)  # what was under way when the pause began has come
    moment = visitor.part("time").get_attribute("max")
    visitor.page.wait_for_timeout(700)
    assert visitor.part("time").get_attribute("max") == moment
    visitor.part("pause").click()
    expect(visitor.part("time")).not_to_have_attribute("max", moment or "", timeout=PATIENCE)
    visitor.part("stop").click()
    expect(visitor.lead("learn")).to_contain_text("Stopped", timeout=PATIENCE)
    expect(visitor.part("adopt")).to_be_enabled()


def test_the_timeline_is_played_back(visitor: Visitor) -> None:
    learn(visitor)
    last = visitor.part("time").get_attribute("max")
    scan = visitor.part("scans", "learn").locator("canvas").first
    end, final = visitor.ink(scan), share(visitor.part("moment").inner_text())
    visitor.part("time").fill("0")
    expect(visitor.part("moment")).to_contain_text("after 0 images")
    assert np.abs(visitor.ink(scan) - end).max() > 0.1
    assert share(visitor.part("moment").inner_text()) < final
    visitor.part("play").click()
    expect(visitor.part("play")).to_have_text("Halt")
    expect(visitor.part("moment")).not_to_contain_text("after 0 images")
    visitor.part("play").click()
    expect(visitor.part("play")).to_have_text("Play")
    visitor.part("time").focus()
    visitor.page.keyboard.press("End")
    expect(visitor.part("time")).to_have_value(last or "")
    assert np.array_equal(visitor.ink(scan), end)
