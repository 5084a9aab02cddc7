"""The report, as a browser shows it: one file, nothing from elsewhere, every section or the reason why not."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery.datasets import Dataset
from backquery.errors import AssumptionWarning, OutputError
from backquery.inversion import fit_statistics
from backquery.io import load_model, save_model
from backquery.model import INK_ON_PAPER
from backquery.model.evaluation import evaluate
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.notes import Notes
from backquery.report import SECTIONS, Words, write_report
from backquery.report.markup import EMPTY, Html, tag
from backquery.report.pictures import pixels
from backquery.training import MiniBatch, train
from backquery.training.plan import Plan, carry_out
from tests.browser import browsing
from tests.evidence.test_measure import turning
from tests.inversion.conftest import Opaque

NASTY = '<script>alert("x")</script>&"\''


def learned(digits: Dataset) -> Network:
    """A network that has learned the digits, with statistics of them and its history."""
    fresh = Network.create(
        [64, 20, 10], rng=1, input_shape=(8, 8), scaling=replace(Scaling.book(16), meaning=INK_ON_PAPER)
    )
    trained, history = train(
        fresh, digits.train, MiniBatch(learning_rate=0.01), epochs=15, test=digits.test, rng=1
    )
    about = {"recipe": "minibatch", "seed": 1, "history": history.brief(), "kernel": "numpy"}
    return replace(trained, statistics=fit_statistics(trained, digits.train), about=about)


@pytest.fixture(scope="module")
def network(digits: Dataset) -> Network:
    return learned(digits)


@dataclass
class Made:
    path: Path
    left_out: dict[str, str]
    told: list[tuple[float, float, str]]

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")


@pytest.fixture(scope="module")
def made(network: Network, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    path, told = tmp_path_factory.mktemp("report") / "report.html", []
    left_out = write_report(
        network, digits, path, source="digits.safetensors", quick=True, progress=lambda *now: told.append(now)
    )
    return Made(path, left_out, told)


class Outline(HTMLParser):
    """What a page is made of, and whether every element that opens is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))
        if name not in EMPTY:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == name]


# The file


def test_the_page_holds_every_section_and_says_what_is_left_out_and_why(made: Made) -> None:
    assert set(made.left_out) == {"timeline"}
    assert "No timeline was given" in made.left_out["timeline"]
    page = Outline(made.text)
    assert page.open == []
    assert [one["id"] for one in page.all("section")] == list(SECTIONS)
    for title, _make in SECTIONS.values():
        assert title in page.words["h2"]
    assert made.left_out["timeline"] in " ".join(page.words["p"])


def test_nothing_in_it_leads_outside_and_nothing_can_run(made: Made) -> None:
    page = Outline(made.text)
    names = {name for name, _ in page.tags}
    assert names.isdisjoint({"script", "link", "iframe", "object", "form", "base", "embed"})
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#"))
    style = " ".join(page.words["style"])
    assert "url(" not in style
    assert "@import" not in style
    policy = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_it_can_be_read_without_seeing_it(made: Made) -> None:
    page = Outline(made.text)
    assert page.all("html")[0]["lang"] == "en"
    assert all(image.get("alt") for image in page.all("img"))
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in page.all("svg"))
    assert all(cell.get("scope") for cell in page.all("th"))
    linked = [str(link["href"])[1:] for link in page.all("a")]
    assert linked == list(SECTIONS)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {one["aria-labelledby"] for one in page.all("section")} <= set(ids)
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_it_says_what_was_found(made: Made, network: Network, digits: Dataset) -> None:
    assert digits.test is not None
    found = evaluate(network, digits.test)
    right = int(np.trace(found.confusion))
    assert f"{found.performance:.2%} right: {right:,} of {found.images:,} test images." in made.text
    assert "10 of 10 by gauss-newton, typical" in made.text
    assert "claims held when ink was added and taken" in made.text
    assert "64-20-10" in made.text
    assert re.search(r"judges on real test images: neighbours 9\d\.\d% right; chance 10%; ", made.text)
    assert "plain: plainer than real images" in made.text


def test_progress_rises_from_nothing_and_names_every_section(made: Made) -> None:
    shares = [done / total for done, total, _ in made.told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.8 < shares[-1] <= 1
    assert list(dict.fromkeys(title for *_, title in made.told)) == [title for title, _ in SECTIONS.values()]


def test_the_same_model_data_and_seed_give_the_same_file(
    made: Made, network: Network, digits: Dataset, tmp_path: Path
) -> None:
    write_report(network, digits, tmp_path / "again.html", source="digits.safetensors", quick=True)
    assert (tmp_path / "again.html").read_bytes() == made.path.read_bytes()


# Names that are not to be trusted


def test_names_are_words_whatever_they_say(network: Network, digits: Dataset, tmp_path: Path) -> None:
    classes = (NASTY, *[f"label <b>{k}</b>" for k in range(1, 10)])
    about = {NASTY: NASTY, "history": NASTY, "kernel": NASTY, "nested": {"<i>": ["<u>"]}}
    named = replace(network, classes=classes, about=about)
    data = replace(digits, classes=classes, name=NASTY)
    left_out = write_report(named, data, tmp_path / "r.html", source=NASTY, quick=True)
    assert set(left_out) == {"learning", "timeline"}
    page = Outline((tmp_path / "r.html").read_text("utf-8"))
    assert page.open == []
    assert {name for name, _ in page.tags}.isdisjoint({"script", "u"})
    assert not [one for one in page.all("i") if not one]
    assert any(NASTY in word for word in page.words["td"] + page.words["th"] + page.words["dd"])


def test_a_page_holds_no_character_that_is_none_and_no_name_turns_its_sentence() -> None:
    page = tag("p", Words().say("confusions.surest.caption", truth="1\x1b[31m\x00", read="3\u202e", answer=0.5))
    assert "\x1b" not in page and "\x00" not in page and "1\ufffd[31m\ufffd" in page
    assert "\u2068" + "3" + "\u2069" in page and "\u202e" not in page


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b", tag("b", '"')) == "<p>a &lt; b<b>&quot;</b></p>"
    assert tag("img", alt='"><x', src=None) == '<img alt="&quot;&gt;&lt;x"/>'
    assert tag("p", Html("<i>x</i>"), class_="y", aria_label=3) == '<p class="y" aria-label="3"><i>x</i></p>'


def test_a_picture_is_its_numbers_one_pixel_each() -> None:
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    ink = np.linspace(-0.2, 1.2, 12).reshape(3, 4)
    source = re.search(r'src="data:image/png;base64,([^"]+)"', pixels(ink, "x"))
    assert source is not None
    with Image.open(BytesIO(b64decode(source[1]))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.rint(255 * (1 - np.clip(ink, 0, 1))))


# What does not apply, or fails


def test_a_model_that_shows_no_layers_has_no_damage_and_all_the_rest(
    network: Network, digits: Dataset, tmp_path: Path
) -> None:
    left_out = write_report(Opaque(network), digits, tmp_path / "r.html", quick=True)
    assert set(left_out) == {"learning", "damage", "timeline"}
    assert "chain of dense layers" in left_out["damage"]
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "a Opaque" not in text
    assert "those of another program&#x27;s model (Opaque)" in text


def test_a_section_that_fails_says_so_and_the_rest_goes_on(
    network: Network, digits: Dataset, tmp_path: Path
) -> None:
    @dataclass(frozen=True, eq=False)
    class Broken(Opaque):
        def logits_and_jacobian(self, x: Any) -> Any:
            raise RuntimeError("no <derivatives> today")

    left_out = write_report(Broken(network), digits, tmp_path / "r.html", quick=True)
    assert "This failed, with RuntimeError: no <derivatives> today" in left_out["evidence"]
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "RuntimeError: no &lt;derivatives&gt; today" in text
    assert "What it takes for what" in text
    assert "confusions" not in left_out


def test_where_images_do_not_agree_that_is_said_and_single_ones_are_shown(
    network: Network, digits: Dataset
) -> None:
    from backquery.report.pixels import evidence
    from backquery.report.subject import Subject

    told = evidence(Subject("turning", *turning(), quick=True), lambda *_: None)
    assert told.index("changes from image to image") < told.index('class="card"')
    assert "one image for each label" in told
    assert "changes from image to image" not in evidence(
        Subject("digits", network, digits, quick=True), lambda *_: None
    )


def test_few_images_leave_out_what_needs_many(network: Network, digits: Dataset, tmp_path: Path) -> None:
    assert digits.test is not None
    few = replace(digits, train=digits.train.select(slice(60)), test=digits.test.select(slice(30)))
    left_out = write_report(network, few, tmp_path / "r.html", quick=True)
    assert {"evidence", "audit"} <= set(left_out)
    assert "at least 10 images" in left_out["evidence"]


def test_without_a_test_half_it_says_that_images_may_have_been_learned(
    network: Network, digits: Dataset, tmp_path: Path
) -> None:
    alone = replace(digits, test=None)
    write_report(network, alone, tmp_path / "r.html", quick=True, rng=3)
    assert "the network may have learned from them" in (tmp_path / "r.html").read_text("utf-8")


def test_of_one_half_what_the_network_held_out_is_tested_and_that_is_said(digits: Dataset, tmp_path: Path) -> None:
    some = digits.train.select(slice(200))
    halves = replace(digits, train=some, test=None).with_test_half(5)
    own, _ = carry_out(Plan.settled((10,), epochs=2, seed=5), halves)
    with pytest.warns(AssumptionWarning, match="held out by seed 5"):
        write_report(own, some, tmp_path / "r.html", quick=True)
    page = (tmp_path / "r.html").read_text("utf-8")
    assert halves.test is not None
    right = round(own.about["performance"] * len(halves.test))
    assert f"{own.about['performance']:.2%} right: {right} of {len(halves.test)} test images" in page
    assert "the images that were held out by seed 5 when this network learned" in page


def test_what_cannot_be_written_is_refused_before_the_work(
    network: Network, digits: Dataset, tmp_path: Path
) -> None:
    told: list[Any] = []
    with pytest.raises(OutputError, match="there is no folder"):
        write_report(network, digits, tmp_path / "no" / "r.html", progress=lambda *now: told.append(now))
    with pytest.raises(OutputError, match="written as"):
        write_report(network, digits, tmp_path / "r.txt", progress=lambda *now: told.append(now))
    assert told == []


def test_a_name_that_is_no_text_loses_nothing(network: Network, digits: Dataset, tmp_path: Path) -> None:
    write_report(network, digits, tmp_path / "r.html", source="\udcff.safetensors", quick=True)
    assert "Report on ?.safetensors" in (tmp_path / "r.html").read_text("utf-8")


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as opened:
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_it_whole_and_asks_for_nothing(browser: Any, made: Made, scheme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(made.path.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [made.path.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    drawn = page.evaluate("[...document.querySelectorAll('svg circle')].map(dot => dot.getBBox().width)")
    assert len(drawn) >= 40
    assert min(drawn) > 0
    paper, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        ".map(colour => parseInt(colour.match(/\\d+/)[0]))"
    )
    assert (paper > text) == (scheme == "light")
    page.close()


def test_ink_stays_black_on_white_in_the_dark(browser: Any, made: Made) -> None:
    """The same pixels of a scan and of a figure, but for their frames, whatever the page's colours."""
    from io import BytesIO

    from PIL import Image

    def inside(shot: bytes) -> Any:
        with Image.open(BytesIO(shot)) as image:
            return np.asarray(image.convert("RGB"))[3:-3, 3:-3]

    shots = []
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1000, "height": 800}, color_scheme=scheme)
        page.goto(made.path.as_uri())
        names = (".tile img.pixels", ".card img.pixels", ".paper img")
        shots.append([inside(page.locator(name).first.screenshot()) for name in names])
        page.close()
    for light, dark in zip(*shots, strict=True):
        np.testing.assert_array_equal(light, dark)
        assert light.std() > 0


def test_it_prints_in_black_on_white_without_cutting_tables(browser: Any, made: Made) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(made.path.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.wide')).overflowX") == "visible"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_a_script_in_a_name_does_not_run(browser: Any, network: Network, digits: Dataset, tmp_path: Path) -> None:
    named = replace(network, about={"data": "<img src=x onerror=\"document.title='run'\">"})
    write_report(named, digits, tmp_path / "r.html", source="<script>document.title='run'</script>", quick=True)
    page = browser.new_page()
    page.goto((tmp_path / "r.html").as_uri())
    assert page.title() == "Report on <script>document.title='run'</script>"
    page.close()


# The same in Python


def lines_of(text: str) -> dict[str, str]:
    """The lines of each section that shows any."""
    found = {}
    for name, body in re.findall(r'<section id="(\w+)"(.*?)</section>', text, re.DOTALL):
        if match := re.search(r"<pre><code>(.*?)</code></pre>", body, re.DOTALL):
            found[name] = unescape(match[1])
    return found


def by_methods(found: Any) -> list[str]:
    return [f"{row.read_as_asked} of 10 by {row.name}" for row in found.rows if row.kind == "method"]


def claims_held(found: Any) -> list[str]:
    return [f"{sum(one.held for one in found)} of {sum(len(one.claims) for one in found)} claims"]


SAYS = {
    "scans": by_methods,
    "evidence": claims_held,
    "audit": lambda found: [found.summary],
    "damage": lambda found: [one.sentence for one in found.endurances[:1]],
}
"""What a section says of what was found."""


@pytest.mark.parametrize("section", SAYS)
def test_the_lines_in_a_section_find_what_it_says_and_draw_it(
    made: Made, network: Network, digits: Dataset, section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = lines_of(made.text)
    assert set(lines) == set(SAYS)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"network": network, "data": digits}
    exec(compile(lines[section], section, "exec"), names)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for words in SAYS[section](names["found"]):
        assert escape(words) in made.text


def test_the_lines_begin_with_how_the_model_and_the_data_are_had(
    network: Network, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = "digits.safetensors"
    save_model(network, path)
    opened = load_model(path)
    one = replace(digits, train=digits.train.select(slice(300)), test=None)
    write_report(opened, one, tmp_path / "r.html", quick=True)
    damage = lines_of((tmp_path / "r.html").read_text("utf-8"))["damage"]
    assert "data = data.with_test_half(0)\n" in damage and "load_model" not in damage
    begun = Notes()
    begun.note("network", opened, load_model, path)
    write_report(opened, digits, tmp_path / "r.html", quick=True, notes=begun)
    for lines in lines_of((tmp_path / "r.html").read_text("utf-8")).values():
        assert f'network = load_model("{path}")' in lines
