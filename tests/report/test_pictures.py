"""What plots say is said in the report's language, within the paper; in English where no font has its signs."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from backquery import measure_damage, train, watch_training
from backquery.datasets import Dataset
from backquery.errors import AssumptionWarning
from backquery.model import Network, Scaling
from backquery.plots import damage_curves, film_strip, learning_curves
from backquery.plots.paper import fonts_with
from backquery.report import Words, pictures
from backquery.training import History, Online, TrainingRun

NAMES = r"gauss-newton|digits|numpy"
"""What stays as it is in every language."""

LANGUAGES = [pytest.param("ru"), pytest.param("zh", marks=pytest.mark.needs("a Chinese font"))]


@pytest.fixture(scope="module")
def draw(digits: Dataset) -> dict[str, Callable[[], Figure]]:
    """Each kind of plot that a report has, drawn anew."""
    begun = Network.create([64, 20, 10], rng=1, input_shape=(8, 8), scaling=Scaling.book(digits.maximum))
    network, history = train(begun, digits.train, epochs=6, rng=1, test=digits.test)
    _, short = train(begun, digits.train, epochs=1, rng=1)
    damage = measure_damage(network, digits, repeats=3)
    run = TrainingRun(begun, digits.train, Online(), epochs=1, rng=1, test=digits.test)
    timeline = watch_training(run, digits, at=(0, 5, 1000))
    return {
        "damage": lambda: damage_curves(damage),
        "timeline": lambda: film_strip(timeline),
        "learning": lambda: learning_curves(kept(history)),
        "one epoch": lambda: learning_curves(kept(short)),
    }


def kept(history: History) -> History:
    """As a model file has it, without the clock."""
    found = History.of_brief(history.brief(), "numpy")
    assert found is not None
    return found


def words_of(figure: Figure) -> list[str]:
    return [text.get_text() for part in (figure, *figure.axes) for text in part.texts]


def subject(language: Any) -> Any:
    return SimpleNamespace(words=Words(language), classes=tuple("0123456789"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["damage", "timeline", "learning", "one epoch"])
def test_no_english_is_left_and_nothing_leaves_the_paper(
    draw: dict[str, Callable[[], Figure]], kind: str, language: str
) -> None:
    figure = draw[kind]()
    assert pictures.plotted(subject(language), figure, "what it shows", kind="png")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for text in figure.findobj(Text):
        said = text.get_text()
        assert not re.search("[A-Za-z]", re.sub(NAMES, "", said)), said
        if language == "ru":
            assert not re.search(r"\d\.\d|\b[1-9]\d{0,2},\d{3}\b|\b0\s\d{3}\b", said), said  # 0,368 is a loss
        if said and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.x1, said


def test_english_stays_as_it_was_drawn(draw: dict[str, Callable[[], Figure]]) -> None:
    figure = draw["damage"]()
    before = words_of(figure)
    pictures.plotted(subject("en"), figure, "what it shows")
    assert words_of(figure) == before


def test_labels_names_are_no_words_of_the_plot(draw: dict[str, Callable[[], Figure]]) -> None:
    figure = draw["damage"]()
    figure.text(0, 0, "weights")
    named = SimpleNamespace(words=Words("ru"), classes=("weights",))
    pictures.plotted(named, figure, "what it shows")
    assert "weights" in [text.get_text() for text in figure.texts]


def test_without_a_font_the_plots_stay_in_english_which_is_said_once(
    draw: dict[str, Callable[[], Figure]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "fonts_with", lambda signs: None)
    pictures._say_no_font.cache_clear()
    figure = draw["damage"]()
    before = words_of(figure)
    with pytest.warns(AssumptionWarning, match="no installed font has the signs of --language zh.*Noto") as said:
        pictures.plotted(subject("zh"), figure, "what it shows")
        pictures.plotted(subject("zh"), draw["timeline"](), "what it shows")
    assert len(said) == 1
    assert words_of(figure) == before
    pictures._say_no_font.cache_clear()


def test_fonts_are_chosen_by_the_signs_they_have() -> None:
    assert fonts_with("abc абв") is not None
    assert fonts_with("\U0010fffd") is None
