"""The report in each of its languages: what it says is there in all of them, and numbers are written as there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import backquery.report
from backquery.datasets import Dataset
from backquery.model import Network, facts_in_words
from backquery.report import SECTIONS, Words, write_report
from tests.report.test_pictures import LANGUAGES
from tests.report.test_report import Outline, learned

HERE = Path(backquery.report.__file__).parent
CJK = re.compile(r"[\u4e00-\u9fff]")
CYRILLIC = re.compile(r"[\u0400-\u04ff]")


def sentences(language: str) -> dict[str, Any]:
    return dict(json.loads((HERE / "words" / f"{language}.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def network(digits: Dataset) -> Network:
    return learned(digits)


def test_every_sentence_is_used_and_every_one_used_is_there() -> None:
    known = set(sentences("en"))
    code = "".join(path.read_text("utf-8") for path in HERE.glob("*.py"))
    named = set(re.findall(r"""["']([a-z]+(?:[.-][a-z-]+)*)["']""", code))
    built = {f"damage.{what}" for what in ("nodes", "weights", "noise", "lost", "order", "point", "half")}
    built |= {
        f"audit.{name}" for name in ("label", "pixels", "changed", "elsewhere", "usual", "others", "verdict")
    }
    built |= {f"evidence.{name}" for name in ("own", "tried", "likeness")}
    built |= {
        f"scans.{kind}" for kind in ("method", "images", "network", "judge", "judge.worthless", "judge.untried")
    }
    built |= {f"{key}.{part}" for key in SECTIONS for part in ("shows", "hides")}
    assert known - named - built - {"of", "interval"} == set()
    assert set(SECTIONS) <= known


@pytest.mark.parametrize("language", ["ru", "zh"])
def test_the_translations_say_the_same(language: str) -> None:
    english, other = sentences("en"), sentences(language)
    assert set(other) - {"phrases", "plots"} == set(english)
    for key, sentence in english.items():
        if key not in ("damage.lead", "audit.lead", "audit.caption"):  # which other languages make of its numbers
            used = [set(re.findall(r"\{(\w+)", words)) - {"ink", "Ink"} for words in (sentence, other[key])]
            assert used[0] == used[1], key


def test_each_translation_is_told_in_its_letters() -> None:
    for language, letters in (("ru", CYRILLIC), ("zh", CJK)):
        plain = {
            key
            for key, words in sentences(language).items()
            if key not in ("phrases", "plots") and not letters.search(words)
        }
        assert plain <= {
            "evidence.moved",
            "damage.lead.other",
            "interval",
            "scans.tile",
            "audit.named",
            "apart",
            "beside",
            "stop",
            "evidence.row",
        }
    chinese = [words for key, words in sentences("zh").items() if key not in ("phrases", "plots")]
    assert [words for words in chinese if re.search(r"[\u4e00-\u9fff][,;:()]|\d\s+%", words)] == []


@pytest.mark.parametrize(
    ("language", "share", "signed", "many", "cell"),
    [
        ("en", "97.3%", "+1.5", "60,000", "24 (18 to 28)"),
        ("ru", "97,3\u00a0%", "+1,5", "60\u00a0000", "24 (от 18 до 28)"),
        ("zh", "97.3%", "+1.5", "60,000", "24（18 到 28）"),
    ],
)
def test_numbers_are_written_as_the_language_does(
    language: Any, share: str, signed: str, many: str, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Words(language)
    monkeypatch.setitem(words.__dict__, "_sentences", {**sentences(language), "x": "{a:%1} {b:+1} {c} {d}"})
    assert words.say("x", a=0.973, b=1.5, c=60_000, d="mnist 1.5") == f"{share} {signed} {many} mnist 1.5"
    assert words.figure("24 (18 to 28)") == cell


@pytest.mark.parametrize("text", ["0.045", "1.125", "-2.375"])
def test_three_decimals_are_not_taken_for_thousands(text: str) -> None:
    russian = text.replace(".", ",").replace("-", "\N{MINUS SIGN}")
    words = Words("ru")
    assert words.figure(text) == words.drawn(text) == russian
    assert words.drawn(f"nodes removed, of {text}").endswith(russian)


@pytest.mark.parametrize(
    ("language", "amount"), [("ru", "больше 199 (от 150 до 199)"), ("zh", "超过 199（150 到 199）")]
)
def test_what_was_not_reached_is_said(language: Any, amount: str) -> None:
    assert Words(language).figure("more than 199 (150 to 199)") == amount


@pytest.mark.parametrize("language", ["ru", "zh"])
def test_what_a_model_is_and_where_signals_stray_are_said_in_the_language(network: Network, language: Any) -> None:
    passage = "in 8 of 10 images the signals, most of all in layer 1, are unlike those of real images: "
    strays = [
        f"ascent: {passage}{few} as far" for few in ("at most 2 of 1,000 real ones are", "none of 90 real ones is")
    ]
    facts = [
        words
        for name, words in facts_in_words(network).items()
        if name in ("parameters", "scaling", "pixels", "remembers")
    ]
    said = Words(language)
    assert len(facts) == 4
    for text in (*facts, *strays):
        assert not re.search("[a-z]{3}", re.sub("float32|float64|ascent", "", said.drawn(text))), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_in_another_language(network: Network, digits: Dataset, tmp_path: Path, language: Any) -> None:
    left_out = write_report(network, digits, tmp_path / "r.html", quick=True, language=language)
    page = Outline((tmp_path / "r.html").read_text("utf-8"))
    words = Words(language)
    assert page.open == []
    assert page.all("html")[0]["lang"] == language
    assert [title for title in map(words.say, SECTIONS) if title not in page.words["h2"]] == []
    assert left_out == {"timeline": words.say("timeline.none")}
    text = " ".join(" ".join(found) for name, found in page.words.items() if name != "style")
    assert words.say("only-english") in text
    assert not re.search(r"\{\w+", " ".join(page.words["p"]))
    numbers = " ".join(page.words["td"])
    assert ("," in numbers) == (language == "ru") and ("." in numbers) == (language == "zh")
    assert re.findall(r"(?i)read as|claims held|it shows|test images", " ".join(page.words["figcaption"])) == []
