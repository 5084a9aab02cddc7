"""Every method beside its controls, drawn: no judge without its mistakes, and chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from backquery.datasets import Dataset
from backquery.faithfulness import Comparison, Judge, RealImages, compare_methods, neighbour_judge
from backquery.inversion import fit_statistics
from backquery.model import Array, Labels
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.plots import comparison_table, save_figure
from tests.plots.test_plots import assert_nothing_is_clipped, texts


def compared(digits: Dataset, ask: Callable[[Array], Labels]) -> Comparison:
    """An untrained network, judged by the neighbours and by another who is right in 12 of 100 cases."""
    sizes = [64, 12, len(digits.classes)]
    fresh = Network.create(sizes, rng=1, input_shape=(8, 8), scaling=Scaling.book(digits.maximum))
    network = replace(fresh, statistics=fit_statistics(fresh, digits.train))
    real = RealImages(digits.train.images, digits.train.labels, digits.maximum)
    judges = [neighbour_judge(real, digits.test), Judge("guessing", ask, 0.12, 100)]
    return compare_methods(network, digits, judges=judges, controls=False, confidences=False)


@pytest.fixture(scope="module")
def comparison(digits: Dataset) -> Comparison:
    return compared(digits, lambda ink: np.zeros(len(ink), np.int64))


def test_below_a_judge_stands_how_often_it_is_right(comparison: Comparison) -> None:
    figure = comparison_table(comparison)
    written = [text.replace("\n", " ") for text in texts(figure)]
    right = comparison.judges[0].performance
    assert f"neighbours {right:.1%} right" in written
    assert "guessing 12.0% right: no better than chance" in written
    assert any("by chance on 10%" in text and "typicality: 1 for the most usual image" in text for text in written)
    for row in comparison.rows:
        assert set(row.told.values()) - {""} <= set(written)
    assert_nothing_is_clipped(figure)


def test_a_judge_that_guesses_changes_no_score(comparison: Comparison, digits: Dataset) -> None:
    other = compared(digits, lambda ink: np.arange(len(ink)) % 10)
    for one, another in zip(comparison.rows, other.rows, strict=True):
        assert one.recognition.share == another.recognition.share


def test_a_few_labels_leave_room_for_every_word(digits: Dataset, tmp_path: Path) -> None:
    """Three columns of images make a narrow picture: its explanation takes more lines."""
    train, test = (half.select(half.labels < 3) for half in (digits.train, digits.to_test_on))
    few = replace(digits, train=train, test=test, classes=digits.classes[:3])
    figure = comparison_table(compared(few, lambda ink: np.zeros(len(ink), np.int64)))
    assert_nothing_is_clipped(figure)
    assert "chance on 33%" in " ".join(texts(figure)).replace("\n", " ")
    renderer = FigureCanvasAgg(figure).get_renderer()
    drawn = [figure.texts[-1], *figure.axes[0].texts[:12]]
    subtitle, *headings = (text.get_window_extent(renderer) for text in drawn)
    assert 0 < subtitle.y0 - max(box.y1 for box in headings) < 0.3 * figure.dpi
    save_figure(figure, tmp_path / "few.png")


def test_where_all_methods_are_as_good_the_title_names_none(comparison: Comparison) -> None:
    one = replace(comparison, rows=comparison.rows[:1])
    assert f"Read as asked: {one.rows[0].read_as_asked} of 10 images by every method" in texts(
        comparison_table(one)
    )


def test_the_title_names_every_method_the_best_first(comparison: Comparison) -> None:
    methods = [row for row in comparison.rows if row.kind == "method"]
    *others, searched = sorted(methods, key=lambda row: row.name.startswith("gauss-newton, t"))
    right = [replace(row, read=row.asked) for row in (others[0], searched)]
    wrong = [replace(row, read=(row.asked + 1) % 10) for row in others[1:]]
    (heading,) = [
        text
        for text in texts(comparison_table(replace(comparison, rows=(*right, *wrong))))
        if text.startswith("Read as asked, of 10")
    ]
    best, worst = heading.removeprefix("Read as asked, of 10 images: ").split("; ")
    assert best.startswith("10 by gauss-newton (typical), ")
    assert worst.startswith("0 by ") and worst.count(",") == len(wrong) - 1
