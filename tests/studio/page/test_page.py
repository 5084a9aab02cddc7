"""The page as a whole: its words in each language, its paper, its widths, its keyboard and its names."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import backquery
from tests.studio.page.conftest import ONE, Open, Visitor, expect

PAGE = Path(backquery.__file__).parent / "studio" / "page"
LANGUAGES = ("en", "ru", "zh")
PLURALS = {"en": {"one", "other"}, "ru": {"one", "few", "other"}, "zh": {"other"}}
OPEN_ENDED = ("model.", "method.", "outcome.", "judge.", "error.", "fact.", "evidence.", "learn.", "palette.")
"""Keys that the code puts together from a name."""


def words(language: str) -> dict[str, str | dict[str, str]]:
    return dict(json.loads((PAGE / "words" / f"{language}.json").read_text(encoding="utf-8")))


def sentences(entry: str | dict[str, str]) -> list[str]:
    return [entry] if isinstance(entry, str) else list(entry.values())


def code() -> str:
    files = [*PAGE.iterdir(), PAGE.parent / "alone" / "engine" / "alone.js"]
    return "".join(path.read_text(encoding="utf-8") for path in sorted(files) if path.is_file())


@pytest.mark.parametrize("language", ["ru", "zh"])
def test_the_translations_say_the_same(language: str) -> None:
    english, other = words("en"), words(language)
    assert english.keys() == other.keys()
    for key, entry in english.items():
        wanted = set(re.findall(r"\{\w+", sentences(entry)[0]))
        for sentence in sentences(other[key]):
            assert set(re.findall(r"\{\w+", sentence)) == wanted, key
        if isinstance(other[key], dict):
            assert set(other[key]) <= PLURALS[language] and "other" in other[key]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_smallest_change_is_not_said_to_be_the_networks_measure(language: str) -> None:
    """The prior says what is small: it is fitted to images, and knows no network."""
    hint = str(words(language)["turn.hint"])
    assert not re.search("eyes|точки зрения|眼里", hint)
    assert re.search("measured by|Мера|衡量", hint)


def test_every_sentence_is_used_and_every_one_used_is_there() -> None:
    known, text = set(words("en")), code()
    named = set(re.findall(r'"([a-z][a-z.-]*)"', text)) | set(re.findall(r'data-words(?:-\w+)?="([\w.-]+)"', text))
    unused = {key for key in known if key not in named and not key.startswith(OPEN_ENDED)}
    assert unused - {key for key in known if key.endswith((".dark", ".black", ".colour"))} == set()
    in_html = re.findall(r'data-(?:words|shade)(?:-\w+)?="([\w.-]+)"', (PAGE / "index.html").read_text())
    told = re.findall(r'(?<!#)\b(?:tell|label|notice)\((?:[^"`;\n]*, )?"([a-z][\w-]*(?:\.[\w-]+)*)"', text)
    assert set(in_html) | set(told) - {"wordsText"} <= known
    assert len(told) > 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_engine_refuses_by_a_kind_has_words(language: str) -> None:
    """But for files that are no pictures, of which it is said what they are."""
    raised = "".join(path.read_text("utf-8") for path in PAGE.parent.glob("*.py"))
    kinds = set(re.findall(r'RequestError\([^\n]*, "(\w+)"\)', raised)) - {"picture"}
    assert {"blank", "wait"} <= kinds
    assert {f"error.{kind}" for kind in kinds} <= words(language).keys()


def test_the_page_itself_has_no_words() -> None:
    class Texts(HTMLParser):
        found: list[str] = []  # noqa: RUF012

        def handle_data(self, data: str) -> None:
            self.found += data.split()

    reader = Texts()
    reader.feed((PAGE / "index.html").read_text(encoding="utf-8"))
    assert reader.found == ["backquery", "backquery"]  # the title, twice


def test_nothing_in_the_page_comes_from_elsewhere() -> None:
    addresses = set(re.findall(r"[a-z]+://[\w./-]+", code()))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not fetched


@pytest.mark.parametrize(
    ("locale", "language", "title"),
    [("en-GB", "en", "Ask backwards"), ("ru-RU", "ru", "Обратный запрос"), ("zh-CN", "zh", "反向查询"),
     ("fr-FR", "en", "Ask backwards")],
)  # fmt: skip
def test_the_language_is_the_browsers(open_page: Open, locale: str, language: str, title: str) -> None:
    visitor = open_page(locale=locale)
    expect(visitor.page.locator("html")).to_have_attribute("lang", language)
    expect(visitor.page.locator("#back-title")).to_have_text(title)


def test_the_language_is_switched_and_kept(visitor: Visitor) -> None:
    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    for language, sentence in (
        ("ru", "Сеть читает"),
        ("zh", "网络读成"),
        ("en", "It reads"),
        ("ru", "Сеть читает"),
    ):
        visitor.part("language").select_option(language)
        expect(visitor.lead("ask")).to_contain_text(sentence)
        shown = visitor.page.locator("[data-words]").evaluate_all(
            "all => all.map((one) => [one.dataset.words, one.textContent])"
        )
        assert [key for key, text in shown if key and (not text or text == key)] == []
    visitor.page.reload()
    expect(visitor.page.locator("html")).to_have_attribute("lang", "ru")


def test_numbers_are_written_as_the_language_does(visitor: Visitor) -> None:
    right = visitor.part("performance").inner_text()
    visitor.part("language").select_option("ru")
    expect(visitor.part("performance")).to_have_text(right.replace(".", ",").replace("%", "\u00a0%"))
    below = """async () => {
      const { Words } = await import("/page/words.js"), words = new Words(async () => ({}));
      await words.use("ru");
      return words.number(-9.5, 1, "");
    }"""
    assert visitor.page.evaluate(below) == "\N{MINUS SIGN}9,5"


def test_dark_paper_turns_the_paper_and_not_the_ink(open_page: Open) -> None:
    light, dark = open_page(color_scheme="light"), open_page(color_scheme="dark")
    for visitor in (light, dark):
        expect(visitor.lead("back")).to_contain_text("It reads")
    by_day, by_night = (visitor.ink(visitor.part("image")) for visitor in (light, dark))
    assert np.corrcoef(by_day.ravel(), by_night.ravel())[0, 1] < -0.99  # what was dark is light
    expect(light.page.get_by_text("dark is ink, light is paper")).to_be_visible()
    expect(dark.page.get_by_text("light is ink, dark is paper")).to_be_visible()
    dark.part("theme").select_option("light")
    np.testing.assert_allclose(dark.ink(dark.part("image")), by_day, atol=0.006)
    dark.page.reload()
    expect(dark.page.get_by_text("dark is ink, light is paper")).to_be_visible()


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_cut_off_at_any_width(open_page: Open, language: str) -> None:
    visitor = open_page(locale=language)
    visitor.draw(ONE)
    for width in (320, 390, 768, 1280, 1920):
        visitor.page.set_viewport_size({"width": width, "height": 7000})
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == width
        cut = visitor.page.locator("button, .button, h2, .lead").evaluate_all(
            """all => all.filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
            .map((one) => one.textContent)"""
        )
        assert cut == [], width


LINES = r"""
(caption) => {
  const text = caption.firstChild;
  const seen = [...Array(text.length).keys()].filter((place) => !/[\s\u2060]/.test(text.data[place]));
  return seen.map((place) => {
    const range = document.createRange();
    range.setStart(text, place);
    range.setEnd(text, place + 1);
    return range.getBoundingClientRect().top;
  });
}
"""
"""How far down each letter of a caption stands."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_does_not_stand_alone_on_a_line(open_page: Open, language: str) -> None:
    visitor = open_page(locale=language)
    expect(visitor.part("nearest")).to_be_visible()
    assert visitor.part("nearest-words").evaluate("caption => caption.scrollWidth - caption.clientWidth") == 0
    for width in range(10, 200, 5):
        visitor.part("nearest").evaluate("(figure, width) => { figure.style.width = `${width}px`; }", width)
        *_, before, digit = visitor.part("nearest-words").evaluate(LINES)
        assert digit == before, width


def test_the_keyboard_reaches_every_control(visitor: Visitor) -> None:
    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
    wanted = visitor.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, canvas[tabindex]')]
          .filter((one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility())
          .filter((one) => one.type !== 'radio' || one.checked)
          .map((one, place) => (one.dataset.stop = String(place)))"""
    )
    visitor.page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(len(wanted) + 3):
        visitor.page.keyboard.press("Tab")
        focus = visitor.page.evaluate(
            """() => {
              const one = document.activeElement;
              const shown = one.matches('.unseen') ? one.closest('.button') : one;
              return [one.dataset.stop ?? null, getComputedStyle(shown).outlineStyle];
            }"""
        )
        reached.append(focus)
    assert {stop for stop, _ in reached} >= set(wanted)
    assert [stop for stop, outline in reached if stop is not None and outline == "none"] == []
    order = [int(stop) for stop, _ in reached if stop is not None][: len(wanted)]
    assert sum(one > other for one, other in pairwise(order)) <= 1  # in the order of the page, once round


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_control_and_image_has_a_name(open_page: Open, language: str) -> None:
    visitor = open_page(locale=language)
    visitor.draw(ONE)
    visitor.part("real").click()
    expect(visitor.part("samples").locator(".sample")).to_have_count(12)
    expect(visitor.lead("back")).not_to_be_empty()
    protocol = visitor.page.context.new_cdp_session(visitor.page)
    tree = protocol.send("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "slider", "switch", "checkbox", "radio", "combobox", "spinbutton", "application"}
    roles = {"image", "img", *controls}
    shown = [one for one in tree if not one.get("ignored") and one.get("role", {}).get("value") in roles]
    assert len(shown) > 60
    nameless = [one["role"]["value"] for one in shown if not one.get("name", {}).get("value", "").strip()]
    assert nameless == []


def test_what_changes_is_told_politely_and_not_too_often(visitor: Visitor) -> None:
    visitor.page.evaluate(
        """() => {
          const voice = document.querySelector('[aria-live=polite]');
          window.said = [];
          new MutationObserver(() => window.said.push(voice.textContent)).observe(voice, { childList: true });
        }"""
    )
    visitor.draw(ONE)
    expect(visitor.page.locator("[aria-live=polite]")).to_contain_text("It reads")
    visitor.page.wait_for_timeout(800)
    assert 1 <= len(visitor.page.evaluate("said")) <= 3


def test_nothing_moves_for_those_who_do_not_want_it(open_page: Open) -> None:
    still, usual = open_page(reduced_motion="reduce"), open_page()
    durations = [
        visitor.part("bars").locator(".fill").first.evaluate("fill => getComputedStyle(fill).transitionDuration")
        for visitor in (still, usual)
    ]
    assert durations == ["0s", "0.06s"]
