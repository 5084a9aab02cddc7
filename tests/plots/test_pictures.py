"""How pictures become inputs, drawn: every step as it was, and what was left out is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from measurements.photographing import Camera, photograph
from PIL import Image

from backquery.datasets import Preparation, prepare_steps
from backquery.model.network import Network
from backquery.model.scaling import Scaling
from backquery.plots import query_steps, save_figure
from backquery.plots.paper import HAIRLINE
from backquery.plots.pictures import MOST_BARS, MOST_PICTURES, strongest_of
from tests.plots.test_plots import assert_nothing_is_clipped, texts


@pytest.fixture(scope="module")
def network() -> Network:
    return Network.create([784, 12, 10], rng=1, input_shape=(28, 28), scaling=Scaling.book())


@pytest.fixture(scope="module")
def prepared() -> list[Preparation]:
    """A photograph in uneven light, cleaned, and a clean drawing."""
    ink = np.zeros((28, 28), np.uint8)
    ink[4:24, 8:11] = ink[12:15, 8:20] = 255
    picture = photograph(ink, Camera(side=(300, 620)), np.random.default_rng(3))
    return [prepare_steps(picture, light="uneven"), prepare_steps(255 - ink)]


def answers(prepared: list[Preparation], network: Network) -> np.ndarray:
    return network.query(network.scale(np.stack([one.pixels for one in prepared])))


def test_each_row_shows_the_steps_as_they_were(prepared: list[Preparation], network: Network) -> None:
    values = answers(prepared, network)
    figure = query_steps(prepared, ["photo.jpg", "drawing.png"], values, network)
    shown = [ax.images[0] for ax in figure.axes if ax.images]
    assert len(shown) == 8
    for row, one in enumerate(prepared):
        given, paper, ink, inputs = (image.get_array() for image in shown[4 * row : 4 * row + 4])
        assert given.mean() == pytest.approx(one.given.mean(), abs=2)
        assert paper.mean() == pytest.approx(one.paper.mean(), abs=2)
        assert ink.mean() == pytest.approx(one.ink.mean() / 255, abs=0.01)
        np.testing.assert_allclose(inputs, one.pixels / 255, atol=1e-9)
        assert [image.get_clim() for image in shown[:4]] == [(0, 255), (0, 255), (0, 1), (0, 1)]
    written = texts(figure)
    assert {"photo.jpg", "drawing.png", "a photograph in uneven light", "its answers"} <= set(written)
    assert "shadows taken away from 1 of 2" in written
    read = ", ".join(network.classes[label] for label in values.argmax(axis=1))
    assert f"Read as {read}" in written
    assert all(f"{value:.2f}" in written for value in values.ravel())
    assert_nothing_is_clipped(figure)


def test_what_is_not_drawn_is_said(prepared: list[Preparation]) -> None:
    names = tuple(f"a rather long name of a class {number}" for number in range(MOST_BARS + 3))
    network = Network.create(
        [784, 12, len(names)], rng=1, input_shape=(28, 28), scaling=Scaling.book(), classes=names
    )
    many = prepared * 12
    values = answers(many, network)
    figure = query_steps(many, [f"{'x' * 200}{number}.jpg" for number in range(24)], values, network)
    assert sum(bool(ax.images) for ax in figure.axes) == 4 * MOST_PICTURES
    (said,) = [text for text in texts(figure) if "of 24" in text]
    assert said.endswith(f"the first 20 of 24 pictures; the strongest {MOST_BARS} of {len(names)} answers")
    assert_nothing_is_clipped(figure)


def test_the_strongest_answers_keep_the_order_of_the_labels() -> None:
    assert strongest_of(np.array([0.5, 0.1, 0.9])) == [0, 1, 2]
    many = np.arange(30.0)[::-1]
    many[25] = 99
    assert strongest_of(many) == [*range(9), 25]


def test_of_a_blank_picture_no_answer_is_drawn_as_if_it_were_read(network: Network) -> None:
    one = prepare_steps(np.full((40, 40), 250, np.uint8))
    figure = query_steps([one], ["blank.png"], answers([one], network), network)
    bars = [patch for ax in figure.axes for patch in ax.patches]
    assert one.blank and len(bars) == 10
    assert {to_hex(bar.get_facecolor()) for bar in bars} == {HAIRLINE}


def test_a_large_picture_makes_no_large_figure(tmp_path: Path, network: Network) -> None:
    stream = io.BytesIO()
    picture = np.full((2000, 3000), 255, np.uint8)
    picture[800:1200, 1400:1500] = 0
    Image.fromarray(picture).save(stream, "PNG")
    one = prepare_steps(stream.getvalue())
    save_figure(query_steps([one], ["large.png"], answers([one], network), network), tmp_path / "steps.svg")
    assert (tmp_path / "steps.svg").stat().st_size < 300_000
